// Random problems against the definition and against the reference solver, every solver forced in turn.
//
//     random --backend B [--solver S[:config]] [--count N] [--seed S] [--configs N] [--size N] [--variety few|plain|any]
//            [--tries N] [--op WORD] [--sums f16] [--limits binding=BYTES,groups=N,macs=N,alloc=BYTES,f16=0]
//            [--problem NOTATION] [--vectors N]
//
// --tries: a problem is done once so many solvers have run it (0, the default: all that take it); each problem begins with
// another solver.
// --variety: which types, layouts, pitches and residuals: in a few combinations, so that programs are shared (the
// default); none but f32 and dense NCHW; or any.
// --op: of another operation than transposed convolution, by its word in the notation: resize, zeros, shuffle, ...
// --limits: what the device shall have at most; f16=0: no 16-bit storage, as if its driver had none.
// --problem: this one instead of those drawn; what goes into its tensors is drawn. --vectors: floats of a vector register, as if the
// processor behind the device were another.
// --sums f16: every problem is of type f16 and adds up in f16, which solvers may refuse.
// --size: at most so many outputs (default 20,000), as many inputs and 20 times as many multiplications.
// --configs: how many configurations of a solver are drawn for each activation (0: any number); programs are shared.
// Small integers are compared exactly. A failure prints the problem and a command line that runs it alone.
#include "../api/ops.h"
#include "random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SOLVERS = 32, MAX_PRINTED = 20 };

typedef struct options {
    upconv_backend backend;
    const char *solver, *limits_text, *notation;
    uint32_t vectors;
    uint64_t count, seed;
    upconv_limits limits;
    int configs, size, tries;
    bool any_refusal; // lowered limits: a solver may refuse what it otherwise must do
    random_variety variety;
    bool f16_sums, no_f16;
    upconv_op op;
} options;

static const char *const varieties[RANDOM_VARIETIES] = {"few", "plain", "any"};

typedef struct suite {
    options opt;
    upconv_context *context, *cpu;
    upconv_problem problem; // --problem
    random_pool pools[MAX_SOLVERS];
    int pool_count;
    uint64_t passed, failed, skipped, anew; // anew: problems beyond lowered limits, in whose place another was drawn
} suite;

static bool parse_op(const char *word, upconv_op *op)
{
    for (int i = 0; i < UPCONV_OP_COUNT; i++) {
        const upc_op *known = upc_op_of((upconv_op)i);
        if (!known->built || !known->word || strcmp(known->word, word))
            continue;
        *op = (upconv_op)i;
        return true;
    }
    return false;
}

static bool parse_options(int argc, char **argv, options *opt)
{
    bool backend = false;
    *opt = (options){.count = 100, .seed = 1, .configs = 2, .size = RANDOM_SIZE};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--backend") == 0) {
            if (!(backend = test_backend_parse(value, &opt->backend)))
                return false;
        } else if (strcmp(name, "--solver") == 0) {
            opt->solver = value;
        } else if (strcmp(name, "--count") == 0) {
            opt->count = strtoull(value, NULL, 10);
        } else if (strcmp(name, "--seed") == 0) {
            opt->seed = strtoull(value, NULL, 10);
        } else if (strcmp(name, "--configs") == 0) {
            opt->configs = atoi(value);
        } else if (strcmp(name, "--tries") == 0) {
            opt->tries = atoi(value);
        } else if (strcmp(name, "--op") == 0) {
            if (!parse_op(value, &opt->op))
                return false;
        } else if (strcmp(name, "--sums") == 0) {
            if (strcmp(value, "f16") != 0)
                return false;
            opt->f16_sums = true;
        } else if (strcmp(name, "--size") == 0) {
            if ((opt->size = atoi(value)) < 1)
                return false;
        } else if (strcmp(name, "--variety") == 0) {
            while (opt->variety < RANDOM_VARIETIES && strcmp(value, varieties[opt->variety]))
                opt->variety++;
            if (opt->variety == RANDOM_VARIETIES)
                return false;
        } else if (strcmp(name, "--problem") == 0) {
            opt->notation = value;
        } else if (strcmp(name, "--vectors") == 0) {
            opt->vectors = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--limits") == 0) {
            opt->limits_text = value;
            opt->any_refusal = true;
            if (!test_limits_parse(value, &opt->limits, &opt->no_f16))
                return false;
        } else {
            return false;
        }
    }
    return backend && argc % 2 == 1;
}

static void print_failure(const suite *s, uint64_t seed, const random_draw *draw, const char *forced, const char *why)
{
    static const char *const orders[UPCONV_FILTER_COUNT] = {"IOK", "KOI", "OIK", "KIO", "OKI", "IKO"};
    char text[512];
    upconv_problem_print(&draw->problem, text, sizeof text, NULL);
    printf("FAILED %s, filter %s %s, %s, %s, %s: %s\n", text, orders[draw->order],
           draw->weights_type == UPCONV_F16 ? "f16" : "f32", draw->has_bias ? "bias" : "no bias",
           draw->integers ? "integers" : "fractions", forced, why);
    const char *word = s->opt.notation ? NULL : upc_op_of(s->opt.op)->word;
    printf("  again: random --backend %s --solver %s --seed %" PRIu64 " --count 1 --size %d --variety %s%s%s%s%s%s\n",
           test_backend_name(s->opt.backend), forced, seed, s->opt.size, varieties[s->opt.variety],
           s->opt.f16_sums ? " --sums f16" : "", word ? " --op " : "", word ? word : "",
           s->opt.limits_text ? " --limits " : "", s->opt.limits_text ? s->opt.limits_text : "");
    if (s->opt.notation || s->opt.vectors)
        printf("  with --vectors %u%s%s\n", s->opt.vectors, s->opt.notation ? " --problem " : "",
               s->opt.notation ? s->opt.notation : "");
}

// The reference solver and the definition, two ways to the same numbers, must agree before anything is measured by
// them.
static bool reference_agrees(const suite *s, const test_case *test, char *why, size_t size)
{
    upconv_plan_params params = {sizeof params, .order = test->order, .weights_type = test->weights_type};
    params.bias = test->has_bias ? test->bias : NULL;
    params.slopes = test->problem.act == UPCONV_ACT_PRELU ? test->slopes : NULL;
    static const upconv_role roles[] = {UPCONV_INPUT, UPCONV_WEIGHTS, UPCONV_RESIDUAL, UPCONV_OUTPUT_GRAD,
                                        UPCONV_OUTPUT};
    upconv_plan *plan = NULL;
    upconv_io io = {sizeof io};
    float *output = malloc((size_t)test->sizes.output_elements * sizeof *output);
    bool ok = output != NULL;
    for (size_t i = 0; i < UPC_COUNT(roles) && ok; i++) {
        const upconv_role role = roles[i];
        if (role == UPCONV_RESIDUAL   ? !test->problem.residual
            : role == UPCONV_WEIGHTS ? !test->sizes.weights_elements
                                     : !test_op_takes(test->problem.op, role))
            continue;
        ok = (io.at[role].host = malloc((size_t)test_case_bytes(test, role))) != NULL;
        if (ok && role != UPCONV_OUTPUT)
            test_case_lay(test, role, io.at[role].host);
    }
    int64_t wrong = -1;
    ok = ok && !upconv_plan_create(s->cpu, &test->problem, &params, &plan) && !upconv_execute_io(plan, &io);
    if (ok)
        test_case_unlay(test, io.at[UPCONV_OUTPUT].host, output);
    if (!ok)
        snprintf(why, size, "reference: %s", upconv_last_error());
    else if ((wrong = test_case_compare(test, output)) >= 0)
        snprintf(why, size, "reference: output %" PRId64 " is %.9g instead of %.9g", wrong, (double)output[wrong],
                 test->expected[wrong]);
    upconv_plan_destroy(plan);
    for (size_t i = 0; i < UPC_COUNT(roles); i++)
        free(io.at[roles[i]].host);
    free(output);
    return ok && wrong < 0;
}

// These take any problem of their operations everywhere, the reference any on the CPU; sums in f16 are for phase, where the device has
// them.
static bool must_not_refuse(const suite *s, const upc_solver *solver)
{
    if (s->opt.any_refusal)
        return false;
    if (s->opt.f16_sums)
        return strcmp(solver->name, "phase") == 0 && s->context->facts.info.f16_math;
    static const char *const names[] = {"direct", "phase", "sample"}, *const gpu[] = {"outer", "sums"};
    const bool cpu = s->opt.backend == UPCONV_BACKEND_CPU;
    bool must = cpu && strcmp(solver->name, "reference") == 0;
    for (size_t i = 0; i < UPC_COUNT(names); i++)
        must = must || strcmp(solver->name, names[i]) == 0;
    for (size_t i = 0; i < UPC_COUNT(gpu); i++)
        must = must || (!cpu && strcmp(solver->name, gpu[i]) == 0);
    return must;
}

// Runs one solver on the case.
static random_verdict run_solver(suite *s, random_pool *pool, const test_case *test, uint64_t seed, char *forced,
                                 size_t forced_size, char *why, size_t why_size)
{
    // Configuration and placement are drawn apart from the problem, so that --solver does not change either.
    test_random choice = {seed ^ 0x5bd1e995u}, placement = {seed ^ 0x27d4eb2fu};
    char sentence[UPC_SENTENCE];
    upc_problem canonical;
    if (upc_problem_from(&test->problem, &canonical)) {
        snprintf(why, why_size, "%s", upconv_last_error());
        return RANDOM_FAILED;
    }
    const char *refusal = upc_solver_refuse(pool->solver, &canonical, &s->context->facts, sentence);
    if (refusal) {
        snprintf(why, why_size, "%s", refusal);
        pool->refused++;
        return must_not_refuse(s, pool->solver) && upc_solver_does(pool->solver, canonical.op) ? RANDOM_FAILED
                                                                                               : RANDOM_REFUSED;
    }
    if (s->opt.solver)
        snprintf(forced, forced_size, "%s", s->opt.solver);
    else
        random_pool_choose(pool, &canonical, &s->context->facts, &choice, forced, forced_size);
    random_verdict verdict = random_run(s->context, test, forced, &placement, why, why_size);
    if (verdict == RANDOM_REFUSED && !s->opt.any_refusal)
        verdict = RANDOM_FAILED; // it did not refuse when it was asked
    if (verdict == RANDOM_REFUSED)
        pool->refused++;
    else
        pool->ran++;
    return verdict;
}

static bool solver_wanted(const suite *s, const upc_solver *solver)
{
    const size_t length = strlen(solver->name);
    if (!upc_solver_does(solver, s->opt.op))
        return false;
    return !s->opt.solver || (strncmp(s->opt.solver, solver->name, length) == 0 &&
                              (s->opt.solver[length] == '\0' || s->opt.solver[length] == ':'));
}

// One problem through every solver. false: none takes it under the limits that were asked for.
static bool run_problem(suite *s, uint64_t seed)
{
    test_random random = {seed};
    random_draw draw;
    test_case test;
    char why[512] = "", refusal[512] = "", forced[256] = "reference";
    random_draw_problem(&random, s->opt.size, s->opt.variety, s->opt.op, &draw);
    if (s->opt.notation)
        draw.problem = s->problem;
    if (s->opt.f16_sums) {
        draw.problem.type = draw.problem.sum_type = UPCONV_F16;
    }
    bool ok = test_case_init_typed(&test, &draw.problem, draw.order, draw.weights_type, draw.has_bias, draw.integers,
                                   &random);
    if (!ok)
        snprintf(why, sizeof why, "%s", upconv_last_error());
    test.partial = s->opt.limits_text ? draw.problem.in_channels : 0;
    ok = ok && (s->opt.backend == UPCONV_BACKEND_CPU || s->opt.f16_sums || reference_agrees(s, &test, why, sizeof why));
    int ran = 0;
    for (int i = 0; i < s->pool_count && ok && (!s->opt.tries || ran < s->opt.tries); i++) {
        random_pool *pool = &s->pools[(seed + (uint64_t)i) % (uint64_t)s->pool_count];
        snprintf(forced, sizeof forced, "%s", pool->solver->name);
        const random_verdict verdict = run_solver(s, pool, &test, seed, forced, sizeof forced, why, sizeof why);
        ok = verdict != RANDOM_FAILED;
        ran += verdict == RANDOM_PASSED;
        if (verdict == RANDOM_REFUSED && !refusal[0])
            snprintf(refusal, sizeof refusal, "%s", why);
    }
    if (!ok) {
        if (s->failed++ < MAX_PRINTED)
            print_failure(s, seed, &draw, forced, why);
    } else if (ran) {
        s->passed++;
    } else if (s->anew < MAX_PRINTED) {
        char text[512];
        upconv_problem_print(&draw.problem, text, sizeof text, NULL);
        printf("refused: %s: %s\n", text, refusal);
    }
    test_case_finish(&test);
    return !ok || ran;
}

// The problem of a seed; where no solver takes it under lowered limits (each with a sentence), another in its place.
// Without lowered limits every problem must be taken.
static void run_seed(suite *s, uint64_t seed)
{
    for (uint64_t attempt = 0; attempt < 20; attempt++) {
        if (run_problem(s, seed + attempt * 1000003))
            return;
        if (s->opt.f16_sums && !s->context->facts.info.f16_math) { // then every solver must say no
            s->passed++;
            return;
        }
        if (!s->opt.limits_text && !s->opt.solver) {
            printf("FAILED seed %" PRIu64 ": no solver takes it\n", seed);
            s->failed++;
            return;
        }
        s->anew++;
    }
    s->skipped++;
}

static void print_summary(const suite *s)
{
    upconv_counters counters = {sizeof counters};
    upconv_context_counters(s->context, &counters);
    printf("seeds %" PRIu64 " to %" PRIu64 ":", s->opt.seed, s->opt.seed + s->opt.count - 1);
    for (int i = 0; i < s->pool_count; i++) {
        const random_pool *pool = &s->pools[i];
        if (pool->ran || pool->refused)
            printf(" %s ran %" PRIu64 " refused %" PRIu64 ",", pool->solver->name, pool->ran, pool->refused);
    }
    printf(" %" PRIu64 " programs compiled, %" PRIu64 " dispatches, %" PRIu64 " problems refused and drawn anew\n",
           counters.source_compiles, counters.dispatches, s->anew);
}

int main(int argc, char **argv)
{
    suite s = {0};
    char why[512];
    if (!parse_options(argc, argv, &s.opt)) {
        fprintf(stderr, "usage: random --backend vulkan|opencl|cpu [--solver S[:config]] [--count N] [--seed S]\n"
                        "              [--limits binding=BYTES,alloc=BYTES,groups=N,size=N,shared=BYTES,macs=N,f16=0] "
                        "[--configs N] [--size N] [--variety few|plain|any] [--tries N] "
                        "[--op WORD] [--sums f16] [--problem NOTATION] [--vectors N]\n");
        return 2;
    }
    s.problem.struct_size = sizeof s.problem;
    if (s.opt.notation && upconv_problem_parse(s.opt.notation, &s.problem, NULL)) {
        fprintf(stderr, "--problem: %s\n", upconv_last_error());
        return 2;
    }
    if (s.opt.notation)
        s.opt.op = s.problem.op;
    if (!test_backend_present(s.opt.backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, s.opt.count);
    }
    if (test_context_create(s.opt.backend, s.opt.limits_text ? &s.opt.limits : NULL, &s.context) ||
        test_context_create(UPCONV_BACKEND_CPU, NULL, &s.cpu)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        upconv_context_destroy(s.context);
        return test_report(0, s.opt.count, 0);
    }
    if (s.opt.no_f16)
        s.context->facts.info.f16_storage = s.context->facts.info.f16_math = 0;
    if (s.opt.vectors)
        test_vectors(s.context, s.opt.vectors);
    for (int i = 0; i < upc_solver_count && s.pool_count < MAX_SOLVERS; i++) {
        if (solver_wanted(&s, upc_solvers[i]))
            s.pools[s.pool_count++] = (random_pool){.solver = upc_solvers[i], .limit = s.opt.configs};
    }
    if (s.pool_count == 0) {
        printf("FAILED there is no solver %s\n", s.opt.solver);
        s.failed = s.opt.count;
    }
    for (uint64_t i = 0; i < s.opt.count && s.pool_count; i++)
        run_seed(&s, s.opt.seed + i);
    print_summary(&s);
    upconv_context_destroy(s.context);
    upconv_context_destroy(s.cpu);
    return test_report(s.passed, s.failed, s.skipped);
}
