// Random quantised problems against an oracle in integers, to the bit, with canaries around the tensors and between their elements.
//
// --dot 1: bytes only, four input channels of which lie side by side, and plans that multiply four of them at once where the device takes
// that. --dot 2: the same where the device does not, with what stands in for it in the shells that UPCONV_SHADERS names.
#include "../api/internal.h"
#include "../api/solvers/phase_q.h"
#include "quantised.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    upconv_backend backend;
    uint64_t count, seed;
    int size, dot;
    bool any_refusal;
    upconv_limits limits;
    uint32_t vectors; // see test_vectors; 0: its own
} options;

static bool parse_options(int argc, char **argv, options *opt)
{
    bool backend = false;
    *opt = (options){.count = 100, .seed = 1, .size = 3000};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--backend"))
            backend = test_backend_parse(value, &opt->backend);
        else if (!strcmp(name, "--count"))
            opt->count = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--seed"))
            opt->seed = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--size"))
            opt->size = atoi(value);
        else if (!strcmp(name, "--dot"))
            opt->dot = atoi(value);
        else if (!strcmp(name, "--vectors"))
            opt->vectors = (uint32_t)atoi(value);
        else if (!strcmp(name, "--limits"))
            opt->any_refusal = test_limits_parse(value, &opt->limits, NULL);
        else
            return false;
    }
    return backend && argc % 2 == 1 && opt->size > 0 && opt->dot >= 0 && opt->dot <= 2 &&
           (!opt->limits.struct_size || opt->any_refusal);
}

// A tensor's memory: a guard, the tensor, a guard.
typedef struct memory {
    unsigned char *bytes, *marks; // marks: what may change
    size_t before, tensor, whole;
} memory;

static bool memory_make(memory *m, uint64_t tensor, size_t alignment, test_random *random)
{
    m->before = alignment * (size_t)test_between(random, 0, 9);
    m->tensor = (size_t)tensor;
    m->whole = m->before + m->tensor + (size_t)(test_chance(random, 30) ? 0 : test_between(random, 1, 40)); // 0: nothing may be read behind
    m->bytes = malloc(m->whole);
    m->marks = calloc(1, m->whole);
    for (size_t i = 0; m->bytes && i < m->whole; i++)
        m->bytes[i] = (unsigned char)(i * 37 + 11);
    return m->bytes && m->marks;
}

typedef struct laying {
    const quantised_case *test;
    memory *m;
    int64_t wrong, found;
} laying;

static size_t item(const quantised_case *test) { return test->problem.type == UPCONV_I16 ? 2 : 1; }

static void lay(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    const int32_t value = l->test->input[logical];
    const int16_t half = (int16_t)value;
    unsigned char *to = l->m->bytes + l->m->before + (size_t)at * item(l->test);
    if (item(l->test) == 2)
        memcpy(to, &half, 2);
    else
        *to = (unsigned char)value;
}

static void mark(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    (void)logical;
    memset(l->m->marks + l->m->before + (size_t)at * item(l->test), 1, item(l->test));
}

static void compare(void *user, int64_t at, uint64_t logical)
{
    laying *l = user;
    const unsigned char *from = l->m->bytes + l->m->before + (size_t)at * item(l->test);
    int16_t half;
    memcpy(&half, from, item(l->test) == 2 ? 2 : 1);
    const upconv_type type = l->test->problem.type;
    const int64_t value = type == UPCONV_I16 ? half : type == UPCONV_I8 ? (int8_t)*from : *from;
    if (value != l->test->expected[logical] && l->wrong < 0) {
        l->wrong = (int64_t)logical;
        l->found = value;
    }
}

static size_t alignment(const quantised_case *test, bool in)
{
    upconv_problem like = test->problem; // f32 tells whether vectors are used: 16 bytes where they are
    like.type = UPCONV_F32;
    const size_t least = item(test) == 1 ? 4 : 2;
    return test_alignment(&like, in) == 16 ? 4 * item(test) : least;
}

typedef struct running {
    const options *opt;
    upconv_context *context;
    quantised_case *test;
    test_random *random;
    memory in, out;
    void *bias;
    unsigned char *weights;         // from WEIGHTS_AT on
    bool own_bias, own_weights;     // they belong to the plan
    char why[512];
    bool wide; // it is wide_q's plan
    bool dot;  // it multiplies four bytes at once
} running;

enum { WEIGHTS_AT = 4 }; // the least that a buffer's offset may be, beside 0

static bool wrong(running *r, const char *what)
{
    snprintf(r->why, sizeof r->why, "%s: %.400s", what, upconv_last_error());
    return false;
}

static bool fill(running *r, const memory *m, upconv_buffer **buffer)
{
    void *pointer;
    if (upconv_buffer_create(r->context, m->whole, buffer) || upconv_buffer_map(*buffer, UPCONV_MAP_WRITE, &pointer))
        return wrong(r, "buffer");
    memcpy(pointer, m->bytes, m->whole);
    return !upconv_buffer_unmap(*buffer) || wrong(r, "unmap");
}

static size_t bias_bytes(const running *r) { return (size_t)r->test->problem.out_channels * (r->test->bias_int64 ? 8 : 4); }

static bool through_buffers(running *r, upconv_plan *plan)
{
    upconv_buffer *in = NULL, *out = NULL, *bias = NULL, *weights = NULL;
    upconv_io io = {.struct_size = sizeof io};
    upconv_ticket ticket;
    void *pointer;
    const memory biases = {.bytes = r->bias, .whole = bias_bytes(r)};
    const memory given = {.bytes = r->weights, .whole = WEIGHTS_AT + (size_t)r->test->sizes.weights_elements};
    bool good = fill(r, &r->in, &in) && fill(r, &r->out, &out) && (r->own_bias || fill(r, &biases, &bias)) &&
                (r->own_weights || fill(r, &given, &weights));
    io.at[UPCONV_INPUT] = (upconv_binding){.buffer = in, .offset = r->in.before};
    io.at[UPCONV_OUTPUT] = (upconv_binding){.buffer = out, .offset = r->out.before};
    io.at[UPCONV_BIAS] = (upconv_binding){.buffer = bias};
    io.at[UPCONV_WEIGHTS] = (upconv_binding){.buffer = weights, .offset = weights ? WEIGHTS_AT : 0};
    if (good && (upconv_submit(plan, &io, &ticket) || upconv_wait(r->context, ticket, -1)))
        good = wrong(r, "submit");
    if (good && !upconv_buffer_map(out, UPCONV_MAP_READ, &pointer)) {
        memcpy(r->out.bytes, pointer, r->out.whole);
        upconv_buffer_unmap(out);
    }
    upconv_buffer_destroy(in);
    upconv_buffer_destroy(out);
    upconv_buffer_destroy(bias);
    upconv_buffer_destroy(weights);
    return good;
}

static bool through_host(running *r, upconv_plan *plan)
{
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].host = r->in.bytes + r->in.before;
    io.at[UPCONV_OUTPUT].host = r->out.bytes + r->out.before;
    io.at[UPCONV_BIAS].host = r->own_bias ? NULL : r->bias;
    io.at[UPCONV_WEIGHTS].host = r->own_weights ? NULL : r->weights + WEIGHTS_AT;
    return !upconv_execute_io(plan, &io) || wrong(r, "execute");
}

static bool check(running *r)
{
    laying l = {.test = r->test, .m = &r->out, .wrong = -1};
    test_each_place(&r->test->problem, false, mark, &l);
    test_each_place(&r->test->problem, false, compare, &l);
    if (l.wrong >= 0)
        snprintf(r->why, sizeof r->why, "output %lld is %lld, expected %lld", (long long)l.wrong, (long long)l.found,
                 (long long)r->test->expected[l.wrong]);
    const upconv_problem *p = &r->test->problem;
    // what fills up the last block of an NC4HW4 tensor may be written
    const bool filled = p->out_layout == UPCONV_NC4HW4 && p->out_channels % 4;
    for (size_t i = 0; i < r->out.whole && l.wrong < 0; i++) {
        const bool inside = i >= r->out.before && i < r->out.before + r->out.tensor;
        if (!r->out.marks[i] && r->out.bytes[i] != (unsigned char)(i * 37 + 11) && !(filled && inside)) {
            snprintf(r->why, sizeof r->why, "byte %zu, of no element, was written (tensor from %zu, %zu bytes)", i,
                     r->out.before, r->out.tensor);
            return false;
        }
    }
    return l.wrong < 0;
}

static void fill_arrays(running *r)
{
    const quantised_case *test = r->test;
    for (uint64_t i = 0; i < test->sizes.weights_elements; i++)
        r->weights[WEIGHTS_AT + i] = (uint8_t)test->weights[i];
    for (int c = 0; c < test->problem.out_channels; c++) {
        if (test->bias_int64)
            ((int64_t *)r->bias)[c] = test->bias ? test->bias[c] : 0;
        else
            ((int32_t *)r->bias)[c] = test->bias ? (int32_t)test->bias[c] : 0;
    }
}

// Whether wide_q can do it: on processors behind OpenCL, inputs of 16 bits without their zero point.
static bool for_processor(const running *r)
{
    const upconv_problem *p = &r->test->problem;
    upconv_device_info info = {.struct_size = sizeof info};
    return r->opt->backend == UPCONV_BACKEND_OPENCL && !upconv_context_device(r->context, &info) &&
           info.kind == UPCONV_DEVICE_CPU && (p->type != UPCONV_I16 || p->in_zero == 0);
}

// One of the products of four bytes that the device takes, where the problem has any.
static int draw_dot(const running *r)
{
    upc_problem problem;
    if (upc_problem_from(&r->test->problem, &problem) || !upc_phase_q_can_dot(&problem))
        return 0;
    for (int tries = 0; tries < 20; tries++) {
        const int form = test_between(r->random, 1, UPC_DOT_COUNT - 1);
        if (r->context->facts.dot_takes >> form & 1)
            return form;
    }
    return 0;
}

static void draw_solver(running *r, char *text, size_t size)
{
    static const int tiles[] = {1, 2, 4, 8}, more_tiles[] = {1, 2, 3, 5, 8}, widths[] = {4, 8, 16};
    const bool floats = r->test->problem.type != UPCONV_I16 && test_chance(r->random, 60);
    const int dot = r->opt->dot || test_chance(r->random, 50) ? draw_dot(r) : 0;
    const upconv_problem *p = &r->test->problem;
    const bool bytes = p->type != UPCONV_I16 && p->requant <= UPCONV_REQUANT_SINGLE &&
                       (p->weights_zero == 0 || p->weights_zero == 128) && test_chance(r->random, 70);
    if (!r->opt->dot && for_processor(r) && test_chance(r->random, 70))
        snprintf(text, size, "wide_q:bytes=%d,spec=%d,vec=%d,tile=%d,vectors=%d,along=%d,order=%d,stage=%d,x=%d", bytes,
                 test_chance(r->random, 20), test_pick(r->random, widths, 3),
                 test_pick(r->random, more_tiles, 5), (int)test_between(r->random, 1, 4), test_chance(r->random, 50),
                 test_chance(r->random, 50), test_chance(r->random, 50),
                 test_pick(r->random, tiles, 4));
    else
        snprintf(text, size, "phase_q:tile=%d,oc=%d,float=%d,spec=%d,dot=%d", test_pick(r->random, tiles, 4),
                 test_chance(r->random, 50) ? 4 : 8, floats, test_chance(r->random, 15), dot);
}

// Runs a plan, at times again with other weights, where they are given at execution.
static bool execute(running *r, upconv_plan *plan, bool host)
{
    for (int turn = 0; turn < 2; turn++) {
        if (!(host ? through_host(r, plan) : through_buffers(r, plan)) || !check(r))
            return false;
        if (r->own_weights || test_chance(r->random, 50))
            return true;
        if (!quantised_redraw_weights(r->test, r->random))
            return wrong(r, "other weights");
        fill_arrays(r);
    }
    return true;
}

// 1 passed, 0 failed, -1 refused.
static int run(running *r)
{
    const quantised_case *test = r->test;
    char solver[128];
    upconv_plan *plan = NULL;
    upconv_plan_params params = {.struct_size = sizeof params, .order = test->order, .weights_type = test->weights_type,
                                 .scale_count = test->scale_count, .bias_int64 = test->bias_int64};
    const bool host = test_chance(r->random, 40);
    r->own_bias = !test->bias || test_chance(r->random, 50);
    r->own_weights = test_chance(r->random, 60);
    fill_arrays(r);
    params.weights = r->own_weights ? r->weights + WEIGHTS_AT : NULL;
    params.bias = r->own_bias && test->bias ? r->bias : NULL;
    params.scales = test->real ? test->scales : NULL;
    params.multipliers = test->real ? NULL : test->multipliers;
    params.shifts = test->real ? NULL : test->shifts;
    draw_solver(r, solver, sizeof solver);
    if (r->opt->backend != UPCONV_BACKEND_CPU && (r->opt->dot || test_chance(r->random, 60)))
        params.solver = solver;
    upconv_status status = upconv_plan_create(r->context, &test->problem, &params, &plan);
    if (status == UPCONV_ERROR_UNSUPPORTED && strstr(upconv_last_error(), "own copy")) { // too large a shape was drawn
        params.solver = NULL;
        status = upconv_plan_create(r->context, &test->problem, &params, &plan);
    }
    if (status) {
        wrong(r, "plan");
        return status == UPCONV_ERROR_UNSUPPORTED && r->opt->any_refusal ? -1 : 0;
    }
    upconv_plan_info info = {.struct_size = sizeof info};
    r->wide = !upconv_plan_info_get(plan, &info) && !strcmp(info.solver, "wide_q");
    r->dot = info.config && strstr(info.config, "dot=") && !strstr(info.config, "dot=0");
    const bool good = execute(r, plan, host);
    upconv_plan_destroy(plan);
    return good;
}

static int try_one(const options *opt, upconv_context *context, uint64_t seed, uint64_t *wide, uint64_t *dots)
{
    test_random random = {seed * 2654435761u + 1};
    quantised_case test = {.fours = opt->dot != 0};
    int verdict = 0;
    running r = {.opt = opt, .context = context, .test = &test, .random = &random};
    if (quantised_draw(&test, opt->size, &random) &&
        memory_make(&r.in, test.sizes.input_bytes, alignment(&test, true), &random) &&
        memory_make(&r.out, test.sizes.output_bytes, alignment(&test, false), &random)) {
        laying l = {.test = &test, .m = &r.in};
        test_each_place(&test.problem, true, lay, &l);
        r.weights = malloc(WEIGHTS_AT + (size_t)test.sizes.weights_elements);
        r.bias = malloc((size_t)test.problem.out_channels * 8);
        verdict = r.weights && r.bias ? run(&r) : 0;
        *wide += r.wide;
        *dots += r.dot;
        char text[1024];
        if (!verdict && !upconv_problem_print(&test.problem, text, sizeof text, NULL))
            printf("FAILED %s, seed %" PRIu64 ", weights %d %s, %s: %s\n", text, seed, (int)test.weights_type,
                   r.own_weights ? "of the plan" : "given", test.real ? "scales" : "multipliers", r.why);
    }
    free(r.weights);
    free(r.bias);
    free(r.in.bytes);
    free(r.in.marks);
    free(r.out.bytes);
    free(r.out.marks);
    quantised_finish(&test);
    return verdict;
}

int main(int argc, char **argv)
{
    options opt;
    char why[256];
    upconv_context *context = NULL;
    if (!parse_options(argc, argv, &opt)) {
        fprintf(stderr,
                "usage: random_quantised --backend B [--count N] [--seed N] [--size N] [--dot 1|2] [--vectors N] "
                "[--limits binding=N,groups=N,macs=N,size=N]\n");
        return 2;
    }
    if (!test_backend_present(opt.backend, why, sizeof why)) {
        printf("%s\n", why);
        return test_report(0, 0, 1);
    }
    if (test_context_create(opt.backend, opt.any_refusal ? &opt.limits : NULL, &context)) {
        printf("FAILED: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    if (opt.dot && !context->facts.dot_takes && opt.dot == 1) {
        printf("%s has no products of four bytes\n", context->facts.info.name);
        upconv_context_destroy(context);
        return test_report(0, 0, 1);
    }
    if (opt.vectors)
        test_vectors(context, opt.vectors);
    if (opt.dot == 2)
        context->facts.dot_takes = (1u << UPC_DOT_COUNT) - 2;
    uint64_t passed = 0, failed = 0, refused = 0, wide = 0, dots = 0;
    for (uint64_t i = 0; i < opt.count; i++) {
        const int verdict = try_one(&opt, context, opt.seed + i, &wide, &dots);
        passed += verdict == 1;
        failed += verdict == 0;
        refused += verdict < 0;
    }
    upconv_context_destroy(context);
    printf("%" PRIu64 " plans of wide_q, %" PRIu64 " with products of four bytes, %" PRIu64
           " refused for their limits\n",
           wide, dots, refused);
    if (opt.dot && !dots) {
        printf("FAILED none of these plans multiplies four bytes at once\n");
        failed++;
    }
    if (opt.count && !passed && !failed) {
        printf("FAILED everything was refused\n");
        failed++;
    }
    return test_report(passed, failed, 0);
}
