// Random problems of max pooling and unpooling through every solver that takes them, in buffers with canaries around
// and between the elements, and through host memory; results are exact.
//
//     random_pool --backend B [--solver S] [--count N] [--seed S] [--size N] [--limits binding=BYTES,groups=N,macs=N,alloc=BYTES,f16=0]
//
// A failure prints the problem and the seed.
#include "pool_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, MOST_PRINTED = 20 };

typedef struct options {
    upconv_backend backend;
    const char *solver;
    uint64_t count, seed;
    int size;
    bool limited, no_f16;
    uint32_t vectors; // floats of a vector register, as if the processor behind the device were another; 0: its own
    upconv_limits limits;
} options;

static bool parse_options(int argc, char **argv, options *opt)
{
    bool backend = false;
    *opt = (options){.count = 100, .seed = 1, .size = 4000};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--backend"))
            backend = test_backend_parse(value, &opt->backend);
        else if (!strcmp(name, "--solver"))
            opt->solver = value;
        else if (!strcmp(name, "--count"))
            opt->count = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--seed"))
            opt->seed = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--size"))
            opt->size = atoi(value);
        else if (!strcmp(name, "--vectors"))
            opt->vectors = (uint32_t)atoi(value);
        else if (strcmp(name, "--limits") ||
                 !(opt->limited = test_limits_parse(value, &opt->limits, &opt->no_f16)))
            return false;
    }
    return backend && argc % 2 == 1 && opt->size > 0;
}

// ---------------------------------------------------------------------------------------------------------- one tensor

// A tensor between guards, as the library sees it, what it holds before, and which bytes may change.
typedef struct region {
    size_t bytes, offset;
    unsigned char *before, *memory, *marks;
    upconv_buffer *buffer;
} region;

typedef struct laying {
    const int32_t *from;
    int32_t *to;
    const unsigned char *laid;
} laying;

static void lay_one(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    l->to[at] = l->from[logical];
}

static void unlay_one(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    memcpy(&l->to[logical], l->laid + 4 * (size_t)at, sizeof *l->to);
}

static bool region_init(region *r, size_t bytes, size_t element, test_random *random)
{
    r->offset = GUARD + 4 * element * (size_t)test_between(random, 0, 3);
    r->bytes = r->offset + bytes + GUARD;
    r->before = malloc(r->bytes);
    r->memory = malloc(r->bytes);
    r->marks = calloc(r->bytes, 1);
    if (!r->before || !r->memory || !r->marks)
        return false;
    memset(r->before, 0x7f, r->bytes); // a NaN of either type; an index that leads nowhere
    return true;
}

static void region_finish(region *r)
{
    upconv_buffer_destroy(r->buffer);
    free(r->before);
    free(r->memory);
    free(r->marks);
}

enum { INPUT, OUTPUT, INDICES, REGIONS };
static const upconv_role roles[REGIONS] = {UPCONV_INPUT, UPCONV_OUTPUT, UPCONV_INDICES};

static bool regions_init(const pool_case *test, region regions[REGIONS], test_random *random)
{
    const upconv_problem *p = &test->problem, index = pool_case_index_problem(test);
    const size_t element = p->type == UPCONV_F16 ? 2 : 4;
    const bool pool = p->op == UPCONV_MAX_POOL;
    if (!region_init(&regions[INPUT], (size_t)test->sizes.input_bytes, element, random) ||
        !region_init(&regions[OUTPUT], (size_t)test->sizes.output_bytes, element, random) ||
        !region_init(&regions[INDICES], (size_t)test->sizes.indices_bytes, 4, random))
        return false;
    test_lay(p, true, test->input, regions[INPUT].before + regions[INPUT].offset);
    test_mark(p, regions[OUTPUT].marks + regions[OUTPUT].offset);
    if (pool) {
        test_mark(&index, regions[INDICES].marks + regions[INDICES].offset);
    } else {
        laying l = {.from = test->indices,
                    .to = (int32_t *)(void *)(regions[INDICES].before + regions[INDICES].offset)};
        test_each_place(&index, true, lay_one, &l);
    }
    return true;
}

// ------------------------------------------------------------------------------------------------------------- one run

static bool through_buffers(upconv_context *context, upconv_plan *plan, region regions[REGIONS])
{
    upconv_io io = {sizeof io};
    upconv_ticket ticket;
    void *pointer;
    for (int i = 0; i < REGIONS; i++) {
        region *r = &regions[i];
        if (!r->buffer && upconv_buffer_create(context, r->bytes, &r->buffer))
            return false;
        if (upconv_buffer_map(r->buffer, UPCONV_MAP_WRITE, &pointer))
            return false;
        memcpy(pointer, r->before, r->bytes);
        if (upconv_buffer_unmap(r->buffer))
            return false;
        io.at[roles[i]] = (upconv_binding){.buffer = r->buffer, .offset = r->offset};
    }
    if (upconv_submit(plan, &io, &ticket) || upconv_wait(context, ticket, -1))
        return false;
    for (int i = 0; i < REGIONS; i++) {
        if (upconv_buffer_map(regions[i].buffer, UPCONV_MAP_READ, &pointer))
            return false;
        memcpy(regions[i].memory, pointer, regions[i].bytes);
        if (upconv_buffer_unmap(regions[i].buffer))
            return false;
    }
    return true;
}

static bool through_host(upconv_plan *plan, region regions[REGIONS])
{
    upconv_io io = {sizeof io};
    for (int i = 0; i < REGIONS; i++) {
        memcpy(regions[i].memory, regions[i].before, regions[i].bytes);
        io.at[roles[i]].host = regions[i].memory + regions[i].offset;
    }
    return !upconv_execute_io(plan, &io);
}

static bool compare(const pool_case *test, const region regions[REGIONS], char *why, size_t size)
{
    const upconv_problem *p = &test->problem, index = pool_case_index_problem(test);
    for (int i = 0; i < REGIONS; i++)
        for (size_t b = 0; b < regions[i].bytes; b++)
            if (!regions[i].marks[b] && regions[i].memory[b] != regions[i].before[b]) {
                snprintf(why, size, "%s: byte %zu (%zu is the first, %zu in all) was written",
                         i == INPUT    ? "input"
                         : i == OUTPUT ? "output"
                                       : "indices",
                         b, regions[i].offset, regions[i].bytes);
                return false;
            }
    float *output = malloc((size_t)test->sizes.output_elements * sizeof *output);
    int32_t *indices = malloc((size_t)test->sizes.output_elements * sizeof *indices);
    bool good = output && indices;
    if (good)
        test_unlay(p, false, regions[OUTPUT].memory + regions[OUTPUT].offset, output);
    laying l = {.to = indices, .laid = regions[INDICES].memory + regions[INDICES].offset};
    if (good && p->op == UPCONV_MAX_POOL)
        test_each_place(&index, false, unlay_one, &l);
    for (uint64_t i = 0; i < test->sizes.output_elements && good; i++) {
        const float wanted = test->expected[i];
        const bool right = p->op != UPCONV_MAX_POOL || indices[i] == test->indices[i];
        good = right && (output[i] == wanted || (isnan(output[i]) && isnan(wanted)));
        if (!good)
            snprintf(why, size, "output %" PRIu64 " is %.9g instead of %.9g, index %d instead of %d", i,
                     (double)output[i], (double)wanted, right ? 0 : indices[i], right ? 0 : test->indices[i]);
    }
    free(output);
    free(indices);
    return good;
}

typedef enum verdict { PASSED, FAILED, REFUSED } verdict;

static verdict run(upconv_context *context, const pool_case *test, const char *solver, test_random *random, char *why,
                   size_t size)
{
    const upconv_plan_params params = {.struct_size = sizeof params, .solver = solver};
    upconv_plan *plan = NULL;
    region regions[REGIONS];
    memset(regions, 0, sizeof regions);
    const upconv_status status = upconv_plan_create(context, &test->problem, &params, &plan);
    verdict v = status == UPCONV_OK ? PASSED : status == UPCONV_ERROR_UNSUPPORTED ? REFUSED : FAILED;
    if (status)
        snprintf(why, size, "%s", upconv_last_error());
    if (v == PASSED && !regions_init(test, regions, random)) {
        snprintf(why, size, "no memory");
        v = FAILED;
    }
    for (int pass = 0; pass < 3 && v == PASSED; pass++) { // the second time with what the first left in the workspace
        if (!(pass < 2 ? through_buffers(context, plan, regions) : through_host(plan, regions))) {
            snprintf(why, size, "pass %d: %s", pass, upconv_last_error());
            v = FAILED;
        } else if (!compare(test, regions, why, size)) {
            v = FAILED;
        }
    }
    for (int i = 0; i < REGIONS; i++)
        region_finish(&regions[i]);
    upconv_plan_destroy(plan);
    return v;
}

// A configuration that is legal: the solver's guess with some knobs drawn anew. Few different ones, because each is a
// program.
static void choose(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts, test_random *random,
                   char *text, size_t size)
{
    char sentence[UPC_SENTENCE];
    upc_config config, drawn;
    solver->guess(problem, facts, &config);
    for (int tries = 0; tries < 4; tries++) {
        drawn = config;
        for (int k = 0; k < solver->knob_count; k++)
            if (test_chance(random, 40) && strcmp(solver->knobs[k].name, "spec"))
                drawn.value[k] =
                    solver->knobs[k].values[test_between(random, 0, UPC_MIN(solver->knobs[k].count, 4) - 1)];
            else if (!strcmp(solver->knobs[k].name, "spec"))
                drawn.value[k] = test_chance(random, 5);
        if (!solver->legal(problem, facts, &drawn, sentence)) {
            config = drawn;
            break;
        }
    }
    upc_text forced = {text, size, 0};
    upc_text_add(&forced, "%s%s", solver->name, solver->knob_count ? ":" : "");
    upc_config_print(solver, &config, &forced);
}

typedef struct suite {
    options opt;
    upconv_context *context;
    uint64_t passed, failed, skipped, ran, refused;
} suite;

static void report_failure(suite *s, const pool_case *test, uint64_t seed, const char *forced, const char *why)
{
    char text[1024];
    if (s->failed++ >= MOST_PRINTED)
        return;
    upconv_problem_print(&test->problem, text, sizeof text, NULL);
    printf("FAILED %s, %s, seed %" PRIu64 ": %s\n", text, forced, seed, why);
}

// One problem through every solver.
static void run_seed(suite *s, uint64_t seed)
{
    test_random random = {seed};
    pool_case test;
    upc_problem problem;
    char why[512] = "", forced[256] = "none";
    if (!pool_case_init(&test, &random, s->opt.size) || upc_problem_from(&test.problem, &problem)) {
        printf("FAILED seed %" PRIu64 "\n", seed);
        s->failed++;
        return;
    }
    verdict v = REFUSED;
    bool any = false;
    for (int i = 0; i < upc_solver_count && v != FAILED; i++) {
        const upc_solver *solver = upc_solvers[i];
        char sentence[UPC_SENTENCE];
        if ((s->opt.solver && strcmp(s->opt.solver, solver->name)) || !upc_solver_does(solver, problem.op) ||
            upc_solver_refuse(solver, &problem, &s->context->facts, sentence))
            continue;
        choose(solver, &problem, &s->context->facts, &random, forced, sizeof forced);
        v = run(s->context, &test, forced, &random, why, sizeof why);
        any = any || v == PASSED;
        s->ran += v == PASSED;
        s->refused += v == REFUSED;
        if (v == REFUSED && !s->opt.limited)
            v = FAILED; // it did not refuse when it was asked
    }
    if (v == FAILED || (!any && !s->opt.limited && !s->opt.solver))
        report_failure(s, &test, seed, forced, why);
    else if (any || s->opt.solver)
        s->passed++;
    else
        s->skipped++;
    if (v == REFUSED && !any)
        printf("refused, seed %" PRIu64 ": %s\n", seed, why);
    pool_case_finish(&test);
}

int main(int argc, char **argv)
{
    suite s = {0};
    char why[512];
    if (!parse_options(argc, argv, &s.opt)) {
        fprintf(stderr,
                "usage: random_pool --backend vulkan|opencl|cpu [--solver S] [--count N] [--seed S] [--size N]\n"
                "                   [--limits binding=BYTES,alloc=BYTES,groups=N,size=N,macs=N,f16=0] [--vectors N]\n");
        return 2;
    }
    if (!test_backend_present(s.opt.backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, s.opt.count);
    }
    if (test_context_create(s.opt.backend, s.opt.limited ? &s.opt.limits : NULL, &s.context)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        return test_report(0, s.opt.count, 0);
    }
    if (s.opt.no_f16)
        s.context->facts.info.f16_storage = s.context->facts.info.f16_math = 0;
    if (s.opt.vectors)
        test_vectors(s.context, s.opt.vectors);
    for (uint64_t i = 0; i < s.opt.count; i++)
        run_seed(&s, s.opt.seed + i);
    printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " runs, %" PRIu64 " refused\n", s.opt.seed,
           s.opt.seed + s.opt.count - 1, s.ran, s.refused);
    upconv_context_destroy(s.context);
    return test_report(s.passed, s.failed, s.skipped);
}
