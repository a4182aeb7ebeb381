// Runs one case with every tensor inside a larger region whose other bytes must not change, over poisoned memory,
// twice.
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GUARD = 512, WORKSPACE_ALIGNMENT = 256 };

// How the tensors are given to the library.
typedef enum way {
    WAY_EXECUTE, // upconv_execute on host pointers
    WAY_HOST,    // upconv_execute_io, all in host memory
    WAY_MIXED,   // upconv_execute_io, each role in host memory or in a buffer
    WAY_BUFFERS, // upconv_submit, a buffer for each role
    WAY_ARENA,   // upconv_submit, one buffer for all roles
    WAY_COUNT
} way;

typedef struct region {
    size_t bytes;
    unsigned char *expected, *memory; // what it holds before; host memory, also to read a buffer back into
    upconv_buffer *buffer;            // NULL: host memory is what the library sees
    bool host;
} region;

typedef struct placed {
    int region; // -1: this role is not given
    size_t offset, bytes, element;
} placed;

typedef struct runner {
    upconv_context *context;
    const test_case *test;
    test_random *random;
    upconv_plan *plan;
    way how;
    region regions[UPCONV_ROLE_COUNT];
    int region_count;
    placed at[UPCONV_ROLE_COUNT];
    unsigned char *marks; // of the output's bytes: which may be written
    float *first; // output of the first pass
    char *why;
    size_t why_size;
} runner;

static bool fail(runner *run, const char *format, ...) UPC_PRINTF(2, 3);
static bool fail(runner *run, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(run->why, run->why_size, format, list);
    va_end(list);
    return false;
}

// Every word of memory that nobody gave a value is a NaN, as f32 and as f16, that differs from its neighbours: reading
// it spoils the result.
static void poison(unsigned char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint32_t word = 0x7fc07e00u | (uint32_t)(i / 4 & 0x1ff);
        memory[i] = (unsigned char)(word >> 8 * (i % 4));
    }
}

// Bytes in front of a tensor or behind it.
static size_t guard(runner *run, size_t element)
{
    return element * (size_t)test_between(run->random, 1, MAX_GUARD / (int)element);
}

static void role_sizes(const test_case *test, upconv_role role, size_t *bytes, size_t *element, size_t *alignment)
{
    *bytes = (size_t)test_case_bytes(test, role);
    *element = role == UPCONV_WEIGHTS ? (test->weights_type == UPCONV_F16 ? 2 : 4) : 4;
    *alignment = *element;
    const bool filter = role == UPCONV_OUTPUT && test_op_takes(test->problem.op, UPCONV_OUTPUT_GRAD); // or a bias
    if (!filter &&
        (role == UPCONV_INPUT || role == UPCONV_OUTPUT || role == UPCONV_RESIDUAL || role == UPCONV_OUTPUT_GRAD)) {
        *element = test->problem.type == UPCONV_F16 ? 2 : 4;
        *alignment = test_alignment(&test->problem, role == UPCONV_INPUT);
    }
}

// Gives a role its place: a region of its own, or the next piece of the arena. host: in host memory.
static void place(runner *run, upconv_role role, size_t bytes, size_t element, size_t alignment, bool host)
{
    const bool arena = run->how == WAY_ARENA;
    if (!arena || run->region_count == 0)
        run->regions[run->region_count++] = (region){.host = host};
    region *r = &run->regions[run->region_count - 1];
    size_t offset = (r->bytes + guard(run, element) + alignment - 1) / alignment * alignment;
    if (!host && !arena && test_chance(run->random, 20))
        offset = 0; // at times at the very start
    r->bytes = offset + bytes + guard(run, element);
    run->at[role] = (placed){run->region_count - 1, offset, bytes, element};
}

static void place_role(runner *run, upconv_role role)
{
    const bool host = run->how == WAY_EXECUTE || run->how == WAY_HOST ||
                      (run->how == WAY_MIXED && test_chance(run->random, 50));
    size_t bytes, element, alignment;
    role_sizes(run->test, role, &bytes, &element, &alignment);
    place(run, role, bytes, element, alignment, host);
}

// The output may overwrite the residual, except where its sums go through the output before they are whole.
static bool may_be_in_place(const runner *run)
{
    const upc_recipe *recipe = &run->plan->recipe;
    for (size_t i = 0; i < recipe->program_count; i++)
        for (uint32_t j = 0; j < recipe->programs[i].param_count; j++)
            if (!strcmp(recipe->programs[i].params[j].name, "ACCUMULATE") && recipe->programs[i].params[j].value)
                return false;
    return true;
}

static void place_residual(runner *run)
{
    if (may_be_in_place(run) && test_chance(run->random, 40))
        run->at[UPCONV_RESIDUAL] = run->at[UPCONV_OUTPUT];
    else
        place_role(run, UPCONV_RESIDUAL);
}

static bool allocate(runner *run)
{
    for (int i = 0; i < run->region_count; i++) {
        region *r = &run->regions[i];
        r->memory = malloc(r->bytes);
        r->expected = malloc(r->bytes);
        if (!r->memory || !r->expected)
            return fail(run, "no memory for a region of %zu bytes", r->bytes);
        poison(r->expected, r->bytes);
        if (!r->host && upconv_buffer_create(run->context, r->bytes, &r->buffer))
            return fail(run, "upconv_buffer_create: %s", upconv_last_error());
    }
    return true;
}

static void contents(runner *run, upconv_role role)
{
    const placed *p = &run->at[role];
    if (p->region >= 0)
        test_case_lay(run->test, role, run->regions[p->region].expected + p->offset);
}

static bool upload(runner *run)
{
    for (int i = 0; i < run->region_count; i++) {
        region *r = &run->regions[i];
        void *pointer = r->memory;
        if (r->buffer && upconv_buffer_map(r->buffer, UPCONV_MAP_WRITE, &pointer))
            return fail(run, "upconv_buffer_map: %s", upconv_last_error());
        memcpy(pointer, r->expected, r->bytes);
        if (r->buffer && upconv_buffer_unmap(r->buffer))
            return fail(run, "upconv_buffer_unmap: %s", upconv_last_error());
    }
    return true;
}

static bool download(runner *run)
{
    for (int i = 0; i < run->region_count; i++) {
        region *r = &run->regions[i];
        void *pointer;
        if (!r->buffer)
            continue;
        if (upconv_buffer_map(r->buffer, UPCONV_MAP_READ, &pointer))
            return fail(run, "upconv_buffer_map: %s", upconv_last_error());
        memcpy(r->memory, pointer, r->bytes);
        if (upconv_buffer_unmap(r->buffer))
            return fail(run, "upconv_buffer_unmap: %s", upconv_last_error());
    }
    return true;
}

static bool execute(runner *run)
{
    upconv_io io = {sizeof io};
    for (int role = 0; role < UPCONV_ROLE_COUNT; role++) {
        const placed *p = &run->at[role];
        if (p->region < 0)
            continue;
        region *r = &run->regions[p->region];
        if (r->buffer)
            io.at[role] = (upconv_binding){.buffer = r->buffer, .offset = p->offset};
        else
            io.at[role] = (upconv_binding){.host = r->memory + p->offset};
    }
    if (run->how == WAY_EXECUTE) {
        if (upconv_execute(run->plan, io.at[UPCONV_INPUT].host, io.at[UPCONV_OUTPUT].host))
            return fail(run, "upconv_execute: %s", upconv_last_error());
    } else if (run->how == WAY_HOST || run->how == WAY_MIXED) {
        if (upconv_execute_io(run->plan, &io))
            return fail(run, "upconv_execute_io: %s", upconv_last_error());
    } else {
        upconv_ticket ticket;
        if (upconv_submit(run->plan, &io, &ticket))
            return fail(run, "upconv_submit: %s", upconv_last_error());
        if (upconv_wait(run->context, ticket, -1))
            return fail(run, "upconv_wait: %s", upconv_last_error());
    }
    return true;
}

static bool may_change(const runner *run, int index, size_t at)
{
    const placed *out = &run->at[UPCONV_OUTPUT], *work = &run->at[UPCONV_WORKSPACE];
    if (out->region == index && at >= out->offset && at < out->offset + out->bytes)
        return run->marks[at - out->offset];
    return work->region == index && at >= work->offset && at < work->offset + work->bytes;
}

static bool check_canaries(runner *run)
{
    static const char *const names[] = {"input", "output", "weights", "bias", "slopes", "residual", "indices",
                                        "workspace", "gradient"};
    for (int i = 0; i < run->region_count; i++) {
        const region *r = &run->regions[i];
        for (size_t at = 0; at < r->bytes; at++) {
            if (r->memory[at] == r->expected[at] || may_change(run, i, at))
                continue;
            int role = 0;
            while (role < UPCONV_ROLE_COUNT - 1 && run->at[role].region != i)
                role++;
            return fail(run, "byte %zu of the region of the %s was changed (its tensor: %zu bytes from %zu)", at,
                        names[role], run->at[role].bytes, run->at[role].offset);
        }
    }
    return true;
}

static bool check_output(runner *run, int pass)
{
    const placed *p = &run->at[UPCONV_OUTPUT];
    const unsigned char *bytes = run->regions[p->region].memory + p->offset;
    const size_t logical = (size_t)run->test->sizes.output_elements * sizeof(float);
    float *output = malloc(logical);
    if (!output)
        return fail(run, "no memory for %zu bytes of output", logical);
    test_case_unlay(run->test, bytes, output);
    const int64_t wrong = test_case_compare(run->test, output);
    if (wrong >= 0) {
        fail(run, "pass %d: output %lld of %llu is %.9g instead of %.9g (bound %g)", pass, (long long)wrong,
             (unsigned long long)run->test->sizes.output_elements, (double)output[wrong], run->test->expected[wrong],
             test_case_bound(run->test, (uint64_t)wrong));
        free(output);
        return false;
    }
    if (!run->first) {
        run->first = output;
        return true;
    }
    const bool same = memcmp(run->first, output, logical) == 0;
    free(output);
    return same || fail(run, "the second run gave other bits than the first");
}

static void exact_one(void *user, int64_t at, uint64_t logical)
{
    (void)logical;
    ((unsigned char *)user)[at] = 1;
}

// What fills up blocks of four channels comes back to host memory as zeros.
static bool check_filling(runner *run)
{
    const placed *p = &run->at[UPCONV_OUTPUT];
    const region *r = &run->regions[p->region];
    const size_t size = run->test->problem.type == UPCONV_F16 ? 2 : 4;
    if (!r->host || run->test->problem.out_layout != UPCONV_NC4HW4 ||
        test_op_takes(run->test->problem.op, UPCONV_OUTPUT_GRAD))
        return true;
    unsigned char *exact = calloc(p->bytes / size, 1);
    if (!exact)
        return fail(run, "no memory for marks");
    test_each_place(&run->test->problem, false, exact_one, exact);
    bool zeros = true;
    for (size_t at = 0; at < p->bytes && zeros; at++)
        if (run->marks[at] && !exact[at / size] && r->memory[p->offset + at])
            zeros = fail(run, "byte %zu of the output fills up a block and is %d instead of 0", at,
                         r->memory[p->offset + at]);
    free(exact);
    return zeros;
}

#define FAILED(run, ...) (fail(run, __VA_ARGS__), RANDOM_FAILED)

// Whether what was asked for is what the plan runs.
static bool check_plan(runner *run, const char *forced, upconv_plan_info *info)
{
    if (upconv_plan_info_get(run->plan, info))
        return fail(run, "upconv_plan_info_get: %s", upconv_last_error());
    const size_t name = strcspn(forced, ":");
    const char *config = forced[name] ? forced + name + 1 : info->config;
    return (strlen(info->solver) == name && !strncmp(info->solver, forced, name) && !strcmp(info->config, config)) ||
           fail(run, "%s was asked for and %s:%s ran", forced, info->solver, info->config);
}

// Plans with what is frozen, and places what is not.
static random_verdict plan(runner *run, const char *forced)
{
    const test_case *test = run->test;
    const bool prelu = test->problem.act == UPCONV_ACT_PRELU;
    const bool simple = run->how == WAY_EXECUTE;
    const bool weighted = test->sizes.weights_elements > 0;
    const bool frozen_weights = weighted && (simple || test_chance(run->random, 60));
    const bool frozen_bias = test->has_bias && (simple || test_chance(run->random, 50));
    const bool frozen_slopes = prelu && (simple || test_chance(run->random, 50));
    void *weights = malloc((size_t)UPC_MAX(test_case_bytes(test, UPCONV_WEIGHTS), 1));
    if (!weights)
        return FAILED(run, "no memory for the weights");
    test_case_lay(test, UPCONV_WEIGHTS, weights);
    upconv_plan_params params = {sizeof params, .weights_type = test->weights_type};
    params.weights = frozen_weights ? weights : NULL;
    params.bias = frozen_bias ? test->bias : NULL;
    params.slopes = frozen_slopes ? test->slopes : NULL;
    params.order = test->order;
    params.solver = forced;
    params.workspace_limit = UINT64_MAX;
    const upconv_status status = upconv_plan_create(run->context, &test->problem, &params, &run->plan);
    free(weights);
    if (status) {
        fail(run, "upconv_plan_create: %s: %s", upconv_status_name(status), upconv_last_error());
        return status == UPCONV_ERROR_UNSUPPORTED ? RANDOM_REFUSED : RANDOM_FAILED;
    }
    upconv_plan_info info = {sizeof info};
    if (!check_plan(run, forced, &info))
        return RANDOM_FAILED;
    for (int role = 0; role < UPCONV_ROLE_COUNT; role++)
        if (test_op_takes(test->problem.op, (upconv_role)role))
            place_role(run, (upconv_role)role);
    if (test->problem.residual)
        place_residual(run);
    if (weighted && !frozen_weights)
        place_role(run, UPCONV_WEIGHTS);
    if (test->has_bias && !frozen_bias)
        place_role(run, UPCONV_BIAS);
    if (prelu && !frozen_slopes)
        place_role(run, UPCONV_SLOPES);
    if (info.workspace_bytes && run->how >= WAY_BUFFERS && test_chance(run->random, 50))
        place(run, UPCONV_WORKSPACE, (size_t)info.workspace_bytes, 4, WORKSPACE_ALIGNMENT, false);
    return RANDOM_PASSED;
}

static bool run_twice(runner *run)
{
    static const upconv_role given[] = {UPCONV_INPUT, UPCONV_WEIGHTS, UPCONV_BIAS, UPCONV_SLOPES, UPCONV_RESIDUAL,
                                        UPCONV_OUTPUT_GRAD};
    if (!(run->marks = calloc(run->at[UPCONV_OUTPUT].bytes, 1)))
        return fail(run, "no memory for marks");
    test_case_mark(run->test, run->marks);
    if (!allocate(run))
        return false;
    for (size_t i = 0; i < UPC_COUNT(given); i++)
        contents(run, given[i]);
    for (int pass = 1; pass <= 2; pass++) {
        if (!upload(run) || !execute(run) || !download(run) || !check_canaries(run) || !check_filling(run) ||
            !check_output(run, pass))
            return false;
    }
    return true;
}

random_verdict random_run(upconv_context *context, const test_case *test, const char *forced, test_random *random,
                          char *why, size_t size)
{
    test_case own = *test;
    own.transformed = strncmp(forced, "winograd", 8) ? 0 : test_case_most(test);
    runner run = {.context = context, .test = &own, .random = random, .why = why, .why_size = size};
    const bool more = test->problem.residual || test_op_takes(test->problem.op, UPCONV_OUTPUT_GRAD);
    run.how = (way)test_between(random, more ? WAY_HOST : WAY_EXECUTE, WAY_COUNT - 1);
    for (int role = 0; role < UPCONV_ROLE_COUNT; role++)
        run.at[role].region = -1;
    random_verdict verdict = plan(&run, forced);
    if (verdict == RANDOM_PASSED && !run_twice(&run))
        verdict = RANDOM_FAILED;
    for (int i = 0; i < run.region_count; i++) {
        free(run.regions[i].memory);
        free(run.regions[i].expected);
        upconv_buffer_destroy(run.regions[i].buffer);
    }
    upconv_plan_destroy(run.plan);
    free(run.first);
    free(run.marks);
    return verdict;
}
