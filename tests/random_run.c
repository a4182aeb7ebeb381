// Runs one case with every tensor inside a larger region whose other bytes must not change, over poisoned memory, twice.
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
    size_t offset, bytes;
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

// Every word of memory that nobody gave a value is a NaN that tells where it is: reading it spoils the result.
static void poison(unsigned char *memory, size_t bytes)
{
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        const uint32_t word = 0x7fc00000u | (uint32_t)(i / 4 & 0x3fffff);
        memcpy(memory + i, &word, 4);
    }
}

static size_t guard(runner *run) { return 4 * (size_t)test_between(run->random, 1, MAX_GUARD / 4); }

// Gives a role its place: a region of its own, or the next piece of the arena. host: in host memory.
static void place(runner *run, upconv_role role, size_t bytes, bool host)
{
    const bool arena = run->how == WAY_ARENA;
    if (!arena || run->region_count == 0)
        run->regions[run->region_count++] = (region){.host = host};
    region *r = &run->regions[run->region_count - 1];
    size_t offset = r->bytes + guard(run);
    if (role == UPCONV_WORKSPACE)
        offset = (offset + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
    if (!host && !arena && test_chance(run->random, 20))
        offset = 0; // at times at the very start
    r->bytes = offset + bytes + guard(run);
    run->at[role] = (placed){run->region_count - 1, offset, bytes};
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

static void contents(runner *run, upconv_role role, const void *data)
{
    const placed *p = &run->at[role];
    if (p->region >= 0)
        memcpy(run->regions[p->region].expected + p->offset, data, p->bytes);
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
    static const upconv_role written[] = {UPCONV_OUTPUT, UPCONV_WORKSPACE};
    for (size_t i = 0; i < UPC_COUNT(written); i++) {
        const placed *p = &run->at[written[i]];
        if (p->region == index && at >= p->offset && at < p->offset + p->bytes)
            return true;
    }
    return false;
}

static bool check_canaries(runner *run)
{
    static const char *const names[] = {"input", "output", "weights", "bias", "slopes", "residual", "indices", "workspace"};
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
    float *output = malloc(p->bytes);
    if (!output)
        return fail(run, "no memory for %zu bytes of output", p->bytes);
    memcpy(output, bytes, p->bytes);
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
    const bool same = memcmp(run->first, output, p->bytes) == 0;
    free(output);
    return same || fail(run, "the second run gave other bits than the first");
}

#define FAILED(run, ...) (fail(run, __VA_ARGS__), RANDOM_FAILED)

// Plans with what is frozen, and places what is not.
static random_verdict plan(runner *run, const char *forced)
{
    const test_case *test = run->test;
    const bool prelu = test->problem.act == UPCONV_ACT_PRELU;
    const bool simple = run->how == WAY_EXECUTE;
    const bool frozen_weights = simple || test_chance(run->random, 60);
    const bool frozen_bias = test->has_bias && (simple || test_chance(run->random, 50));
    const bool frozen_slopes = prelu && (simple || test_chance(run->random, 50));
    upconv_plan_params params = {sizeof params};
    params.weights = frozen_weights ? test->weights : NULL;
    params.bias = frozen_bias ? test->bias : NULL;
    params.slopes = frozen_slopes ? test->slopes : NULL;
    params.order = test->order;
    params.solver = forced;
    params.workspace_limit = UINT64_MAX;
    const upconv_status status = upconv_plan_create(run->context, &test->problem, &params, &run->plan);
    if (status) {
        fail(run, "upconv_plan_create: %s: %s", upconv_status_name(status), upconv_last_error());
        return status == UPCONV_ERROR_UNSUPPORTED ? RANDOM_REFUSED : RANDOM_FAILED;
    }
    upconv_plan_info info = {sizeof info};
    if (upconv_plan_info_get(run->plan, &info))
        return FAILED(run, "upconv_plan_info_get: %s", upconv_last_error());
    const size_t name = strcspn(forced, ":");
    const char *config = forced[name] ? forced + name + 1 : info.config;
    if (strlen(info.solver) != name || strncmp(info.solver, forced, name) || strcmp(info.config, config))
        return FAILED(run, "%s was asked for and %s:%s ran", forced, info.solver, info.config);

    const bool host = run->how == WAY_EXECUTE || run->how == WAY_HOST;
#define HOST (host || (run->how == WAY_MIXED && test_chance(run->random, 50)))
    place(run, UPCONV_INPUT, (size_t)test->sizes.input_bytes, HOST);
    place(run, UPCONV_OUTPUT, (size_t)test->sizes.output_bytes, HOST);
    if (!frozen_weights)
        place(run, UPCONV_WEIGHTS, (size_t)test->sizes.weights_bytes, HOST);
    if (test->has_bias && !frozen_bias)
        place(run, UPCONV_BIAS, (size_t)test->sizes.bias_bytes, HOST);
    if (prelu && !frozen_slopes)
        place(run, UPCONV_SLOPES, (size_t)test->sizes.bias_bytes, HOST);
    if (info.workspace_bytes && run->how >= WAY_BUFFERS && test_chance(run->random, 50))
        place(run, UPCONV_WORKSPACE, (size_t)info.workspace_bytes, false);
#undef HOST
    return RANDOM_PASSED;
}

static bool run_twice(runner *run)
{
    const test_case *test = run->test;
    if (!allocate(run))
        return false;
    contents(run, UPCONV_INPUT, test->input);
    contents(run, UPCONV_WEIGHTS, test->weights);
    contents(run, UPCONV_BIAS, test->bias);
    contents(run, UPCONV_SLOPES, test->slopes);
    for (int pass = 1; pass <= 2; pass++) {
        if (!upload(run) || !execute(run) || !download(run) || !check_canaries(run) || !check_output(run, pass))
            return false;
    }
    return true;
}

random_verdict random_run(upconv_context *context, const test_case *test, const char *forced, test_random *random,
                          char *why, size_t size)
{
    runner run = {.context = context, .test = test, .random = random, .why = why, .why_size = size};
    run.how = (way)test_between(random, 0, WAY_COUNT - 1);
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
    return verdict;
}
