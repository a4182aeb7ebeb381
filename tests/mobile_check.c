// Plans problems on the Vulkan device that is there and prints the machine code's statistics, for mobile.py and mobile_goals.py to
// judge. One line per figure: `stat NAME SOLVER:CONFIG step N: STATISTIC = VALUE`.
// mobile_check [--large | --part N | --only] [NAME=PROBLEM | NAME=PROBLEM=SOLVER:CONFIG ...]   (an empty SOLVER: the default plan)
//
// Every problem with what the solvers guess from the device's facts; and, under the name `any`, some problems with every value of
// every knob, which must compile but may spill (not with --only). Compilers of small GPUs take up to a minute for a tile far beyond
// their registers: those of more than 24 sums, and one more activation, only with --large.
//
// Runs nothing: behind tests of mobile compilers there is no GPU, only the driver and its compiler.
#include "../api/solvers/phase_q.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const awkward[] = {
    "one=ic1oc1_ih1oh1kh1",
    "prelu=ic17oc33_ih9oh18kh4sh2ph1+prelu",
    "gelu=ic8oc8_ih8oh16kh4sh2ph1+gelu",
    "silu=ic8oc8_ih8oh16kh4sh2ph1+silu",
    "tanh=ic12oc5_ih8oh16kh3sh2ph1+tanh",
    "dilated=ic32oc32_ih16oh40kh3sh2ph1dh2",
    "depthwise=g64ic64oc64_ih64oh128kh4sh2ph1",
    "audio=ic256oc128_iw64ow512kw16sw8pw4",
    "volume=ic16oc16_id8od16kd2sd2pd0_ih16oh32kh2sh2ph0_iw16ow32kw2sw2pw0",
    "fcn32=ic21oc21_ih11oh384kh64sh32ph0_iw9ow320",
    "conv=conv:ic64oc128_ih56kh3ph1",
    "conv2=conv:ic32oc64_ih112kh4sh2ph1",
    "convfours=conv:ic64oc64_ih56kh3sh2ph1+nc4hw4+f16",
    "convgroups=conv:g8ic64oc64_ih28kh3sh2ph1+nhwc",
    "convdilated=conv:ic32oc32_ih33kh3sh3ph2dh2+f16",
    "convdepth=conv:g64ic64oc64_ih56kh3ph1+relu",
    "convvolume=conv:ic16oc16_id8kd2sd2_ih16kh2sh2_iw16kw2sw2",
    "gradfilter=gradfilter:ic64oc32_ih56oh112kh4sh2ph1=",
    "gradfours=gradfilter:ic64oc32_ih56oh112kh4sh2ph1+nc4hw4+f16=",
    "gradhwc=gradfilter:ic64oc32_ih28oh56kh4sh2ph1+nhwc=",
    "graddepth=gradfilter:g64ic64oc64_ih32oh64kh4sh2ph1=",
    "gradvolume=gradfilter:ic16oc8_id8od16kd2sd2_ih16oh32kh2sh2_iw16ow32kw2sw2+f16=",
    "gradbiashwc=gradbias:ic64oc32_ih56oh112kh4sh2ph1+nhwc=",
    "gradbias=gradbias:ic64oc32_ih56oh112kh4sh2ph1=",
    "gradbiasfours=gradbias:ic64oc32_ih56oh112kh4sh2ph1+nc4hw4+f16=",
};

// Other operations, each with the solvers that it has.
static const char *const others[] = {
    "pool=pool:ic64_ih64kh2sh2=pool",
    "pool3=pool:ic64_ih64kh3sh2ph1+nc4hw4+f16=pool",
    "poolhwc=pool:ic64_ih64kh3sh2ph1+nhwc+index:image=pool",
    "pooltensor=pool:ic30_id5kd2sd2_ih17kh3sh2+f16+index:tensor=pool",
    "poolwindow=pool:ic64_iw256kw3sw2+index:window=pool",
    "unpool=unpool:ic64_ih32kh2sh2=unpool",
    "unpoolfours=unpool:ic64_ih32kh2sh2+nc4hw4+f16=unpool",
    "unpoolhwc=unpool:ic64_ih32kh3sh2ph1+nhwc+index:image=unpool",
    "owners=unpool:ic64_ih32kh2sh2=owners",
    "ownershwc=unpool:ic64_ih32kh3sh2ph1+nhwc+f16+index:image=owners",
    "ownersfours=unpool:ic64_ih32kh3sh2ph1+nc4hw4+index:tensor=owners",
    "nearesthwc=resize:ic32ih40oh80+nhwc+f16=sample",
    "trilinear=resize:ic8id6od12ih9oh18iw9ow20+linear+residual_after+gelu=sample",
    "nailsfours=zeros:ic16ih40sh2+nc4hw4=sample",
    "shufflefours=shuffle:ic64ih40sh2+nc4hw4+f16=sample",
    "nearest=resize:ic32ih40oh80=sample",
    "bilinear=resize:ic16ih40oh80+linear+f16+nc4hw4+residual=sample",
    "bicubic=resize:ic3ih40oh100+cubic=sample",
    "tricubic=resize:ic5id4od8ih9oh18+cubic+nhwc=sample",
    "nails=zeros:ic16ih40sh2+f16=sample",
    "shuffle=shuffle:ic64ih40sh2=sample",
    "dcr=shuffle:ic64ih40sh2+dcr+nhwc+prelu=sample",
    "ownersspace=unpool:ic6_id3kd2sd2_ih9kh3sh2+nc4hw4+index:window=owners",
};

// Quantised: each type, vectors of channels and single ones, sums of 32 bits and of 64.
static const char *const quantised[] = {
    "i8=ic64oc32_ih32oh64kh4sh2ph1+i8+zero:3=",
    "i8fours=ic64oc32_ih32oh64kh4sh2ph1+i8+nhwc+zero:-128:0:5=",
    "u8=ic17oc33_ih9oh18kh3sh2ph1+u8+single+zero:3:128:4+nhwc=",
    "i8real=ic64oc32_ih32oh64kh4sh2ph1+i8+real+nc4hw4=",
    "u8fours=ic64oc32_ih32oh64kh4sh2ph1+u8+nhwc+zero:3:0:5=",
    "i8zero=ic64oc32_ih32oh64kh4sh2ph1+i8+nc4hw4+zero:3:2:5=",
    "u8depth=g64ic64oc64_ih32oh64kh4sh2ph1+u8+nhwc=",
    "i8volume=ic16oc8_id8od16kd2sd2_ih8oh16kh2sh2_iw8ow16kw2sw2+i8=",
    "i16=ic64oc32_ih32oh64kh4sh2ph1+i16+reduced+nhwc=",
    "i16real=ic17oc33_ih9oh18kh3sh2ph1+i16+real=",
    "i16double=ic64oc32_ih32oh64kh4sh2ph1+i16+nhwc=",
};

// Where the device adds up in f16.
static const char *const f16_sums[] = {
    "sum16=ic64oc32_ih32oh64kh4sh2ph1_iw32ow64+f16+sum16=phase",
    "sum16fours=ic64oc32_ih32oh64kh4sh2ph1_iw32ow64+f16+nc4hw4+sum16=phase",
};

typedef struct where {
    const char *name, *solver, *config;
    uint32_t step;
    int statistics;
} where;

static void print_statistic(void *user, const char *name, double value)
{
    where *at = user;
    at->statistics++;
    printf("stat %s %s:%s step %u: %s = %.10g\n", at->name, at->solver, at->config, at->step, name, value);
}

// One solver on one problem; false when it failed.
static bool check(upconv_context *context, const char *name, const upconv_problem *problem, const char *solver,
                  bool frozen)
{
    upconv_sizes sizes = {sizeof sizes};
    upconv_plan_info info = {sizeof info};
    upconv_plan *plan = NULL;
    upconv_plan_params params = {sizeof params, .solver = solver, .workspace_limit = UINT64_MAX};
    if (upconv_problem_sizes(problem, &sizes)) {
        printf("FAILED %s: %s\n", name, upconv_last_error());
        return false;
    }
    static const int32_t one[1] = {0};
    float *weights = frozen && sizes.weights_bytes ? calloc(1, (size_t)sizes.weights_bytes) : NULL;
    params.weights = weights;
    if (upc_type_quantised(problem->type)) {
        params.weights_type = UPCONV_I8;
        params.multipliers = params.shifts = one;
        params.scale_count = 1;
    }
    fprintf(stderr, "plan %s %s %s\n", name, solver, frozen ? "frozen" : "given"); // the drivers' own lines follow
    const upconv_status status = upconv_plan_create(context, problem, &params, &plan);
    free(weights);
    if (status || upconv_plan_info_get(plan, &info)) {
        printf("FAILED %s %s: %s\n", name, solver, upconv_last_error());
        upconv_plan_destroy(plan);
        return false;
    }
    where at = {name, info.solver, info.config, 0, 0};
    for (uint32_t step = 0; step < info.dispatches; step++) {
        at.step = step;
        if (upconv_plan_statistics(plan, step, print_statistic, &at))
            break;
        if (step >= 3) // the packing of weights and the first of the others; further ones repeat programs
            break;
    }
    printf("plan %s %s:%s %s: %u dispatches, %d statistics, %.1f ms in the compiler\n", name, info.solver, info.config,
           frozen ? "frozen" : "given", (unsigned)info.dispatches, at.statistics, info.compile_ms);
    upconv_plan_destroy(plan);
    return true;
}

static bool check_notation(upconv_context *context, const char *text)
{
    static const char *const solvers[] = {"phase", "direct"};
    char name[64], notation[512];
    const size_t length = strcspn(text, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    if (text[length] != '=') {
        printf("FAILED %s is no NAME=PROBLEM\n", text);
        return false;
    }
    const char *const solver = strchr(text + length + 1, '=');
    snprintf(notation, sizeof notation, "%.*s", (int)strcspn(text + length + 1, "="), text + length + 1);
    const upconv_problem problem = test_problem(notation);
    if (solver)
        return check(context, name, &problem, solver[1] ? solver + 1 : NULL, true);
    bool ok = true;
    for (size_t s = 0; s < UPC_COUNT(solvers); s++)
        for (int frozen = 0; frozen < 2; frozen++)
            ok = check(context, name, &problem, solvers[s], frozen) && ok;
    return ok;
}

static int32_t knob_value(const upc_solver *solver, const upc_config *config, const char *name)
{
    for (int k = 0; k < solver->knob_count; k++) {
        if (strcmp(solver->knobs[k].name, name) == 0)
            return config->value[k];
    }
    return 1;
}

// Sums that an item keeps, for each step of its loop that is written out.
static int64_t weight_of(const upc_solver *solver, const upc_problem *problem, const upc_config *config)
{
    static const char *const names[] = {"tile", "oc", "unroll", "vec", "vectors", "rows", "columns"};
    const upc_axis *const axis = problem->axis;
    int64_t weight = 1;
    for (size_t i = 0; i < UPC_COUNT(names); i++)
        weight *= knob_value(solver, config, names[i]);
    const bool every_tap = strcmp(solver->name, "panels") == 0 && knob_value(solver, config, "taps");
    return every_tap ? weight * axis[0].kernel * axis[1].kernel * axis[2].kernel : weight;
}

typedef struct trial {
    upconv_context *context;
    const upc_solver *solver;
    const upconv_problem *given;
    const upc_problem *problem;
    bool large;
    uint64_t passed, failed;
} trial;

static void try_config(trial *t, const upc_config *config)
{
    char sentence[UPC_SENTENCE], text[256];
    if ((weight_of(t->solver, t->problem, config) > 24 && !t->large) ||
        t->solver->legal(t->problem, &t->context->facts, config, sentence))
        return;
    upc_text out = {text, sizeof text, 0};
    upc_text_add(&out, "%s:", t->solver->name);
    upc_config_print(t->solver, config, &out);
    check(t->context, "any", t->given, text, true) ? t->passed++ : t->failed++;
}

// Every value of every knob beside what the solver guesses otherwise, and some that are drawn.
static void try_solver(trial *t)
{
    const int drawn = t->large ? 12 : 4;
    const upc_solver *solver = t->solver;
    test_random random = {1};
    upc_config guess;
    solver->guess(t->problem, &t->context->facts, &guess);
    for (int k = 0; k < solver->knob_count; k++) {
        const bool group = strcmp(solver->knobs[k].name, "x") == 0 || strcmp(solver->knobs[k].name, "y") == 0;
        for (int v = 0; v < solver->knobs[k].count && !group; v++) { // the size of a work-group changes no code
            upc_config config = guess;
            config.value[k] = solver->knobs[k].values[v];
            try_config(t, &config);
        }
    }
    for (int i = 0; i < drawn; i++) {
        upc_config config = guess;
        for (int k = 0; k < solver->knob_count; k++)
            config.value[k] = test_pick(&random, solver->knobs[k].values, solver->knobs[k].count);
        try_config(t, &config);
    }
}

// One problem of every operation, and with --large more. Of what part has several, the part-th.
static void check_configs(upconv_context *context, const upc_solver *solver, bool large, int part, uint64_t *passed,
                          uint64_t *failed)
{
    static const char *const notations[][3] = {
        {"ic5oc19_ih9oh18kh4sh2ph1+relu", "ic8oc20_ih9oh18kh4sh2ph1+nc4hw4+f16", "ic5oc19_ih9oh18kh4sh2ph1+gelu"},
        {"resize:ic8ih9oh18+linear+nc4hw4+f16", "resize:ic5ih9oh20+cubic", "shuffle:ic20ih9sh2+gelu"},
        {"pool:ic8_ih9kh3sh2ph1", "pool:ic5_ih9kh2sh2+nhwc+f16+index:tensor", "pool:ic8_ih9kh2sh2+nc4hw4+index:image"},
        {"unpool:ic8_ih9kh3sh2ph1", "unpool:ic5_ih9kh2sh2+nhwc+f16+index:image", "unpool:ic8_ih9kh2sh2+nc4hw4+index:window"},
        {"gradfilter:ic5oc7_ih9oh18kh4sh2ph1", "gradfilter:ic8oc8_ih9oh18kh4sh2ph1+nc4hw4+f16", "gradfilter:g4ic8oc8_ih9kh3sh3+nhwc"},
        {"gradbias:ic5oc7_ih9oh18kh4sh2ph1", "gradbias:ic8oc8_ih9oh18kh4sh2ph1+nc4hw4+f16", "gradbias:ic5oc40_ih9oh18kh4sh2ph1+nhwc"},
        {"ic8oc12_ih9oh18kh4sh2ph1+i8+zero:3+nhwc", "ic5oc7_ih9oh18kh3sh2ph1+u8+single", "ic8oc8_ih9oh18kh4sh2ph1+i16+reduced+nc4hw4"},
    };
    char sentence[UPC_SENTENCE];
    for (size_t i = 0; i < UPC_COUNT(notations) * 3; i++) {
        const char *const notation = notations[i / 3][i % 3];
        if (!large && (int)(i % 3) != (i < 3 ? 0 : part % 3)) // few of other configurations: these take their time
            continue;
        const upconv_problem given = test_problem(notation);
        upc_problem problem;
        if (upc_problem_from(&given, &problem) || upc_solver_refuse(solver, &problem, &context->facts, sentence))
            continue;
        trial t = {context, solver, &given, &problem, large, 0, 0};
        try_solver(&t);
        *passed += t.passed;
        *failed += t.failed;
    }
}

static void print_log(void *user, upconv_log_level level, const char *message)
{
    (void)user;
    (void)level;
    fprintf(stderr, "upconv: %s\n", message);
}

int main(int argc, char **argv)
{
    upconv_context_params params = {sizeof params, .backend = UPCONV_BACKEND_VULKAN, .log = print_log, .statistics = 1};
    upconv_context *context = NULL;
    upconv_device_info info = {sizeof info};
    uint64_t passed = 0, failed = 0;
    const bool large = argc > 1 && strcmp(argv[1], "--large") == 0;
    if (upconv_context_create(&params, &context) || upconv_context_device(context, &info)) {
        printf("FAILED to open the device: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    // nothing can be executed, so nothing can be found right; what is said to be fast is taken for it, as on the device
    for (int type = UPCONV_U8; type <= UPCONV_I8; type++)
        upc_dot_assume(context, (upconv_type)type,
                       upc_phase_q_dot(&(upc_problem){.type = (upconv_type)type}, context->facts.dot_fast));
    printf("device %s, driver %s, %s\n", info.name, info.driver, info.api);
    const bool only = argc > 1 && strcmp(argv[1], "--only") == 0, parted = argc > 2 && strcmp(argv[1], "--part") == 0;
    const int part = parted ? atoi(argv[2]) : 0;
    for (size_t i = 0; i < UPC_COUNT(awkward) && !only; i++)
        check_notation(context, awkward[i]) ? passed++ : failed++;
    for (size_t i = 0; i < UPC_COUNT(others) && !only; i++)
        check_notation(context, others[i]) ? passed++ : failed++;
    for (size_t i = 0; i < UPC_COUNT(f16_sums) && info.f16_math && !only; i++)
        check_notation(context, f16_sums[i]) ? passed++ : failed++;
    for (size_t i = 0; i < UPC_COUNT(quantised) && !only; i++)
        check_notation(context, quantised[i]) ? passed++ : failed++;
    for (int i = parted ? 3 : large || only ? 2 : 1; i < argc; i++)
        check_notation(context, argv[i]) ? passed++ : failed++;
    for (int i = 0; i < upc_solver_count && !only; i++)
        check_configs(context, upc_solvers[i], large, part, &passed, &failed);
    // Behind these drivers every fence is signalled at once, also before the driver's own thread has looked at the submission;
    // taking things down then crashes inside v3dv. The operating system takes everything back.
    const int code = test_report(passed, failed, 0);
    fflush(NULL);
    _exit(code);
}
