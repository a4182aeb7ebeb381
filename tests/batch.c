// Plans made many at once, and threads that want the same program. batch BACKEND [ROUNDS]
// Run under ThreadSanitizer too.
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 3, CREW = 4 };

static const char *const problems[] = {
    "ic3oc5_ih9oh18kh4sh2ph1",
    "g4ic4oc4_ih7oh13kh3sh2ph1+relu",
    "ic7oc2_iw19ow57kw3sw3pw0",
    "ic6oc9_ih5kh2sh2+tanh",
    "mb2_ic2oc3_id3od6kd2sd2pd0_ih4oh8kh2sh2ph0_iw5ow10kw2sw2pw0",
};
enum { PROBLEMS = UPC_COUNT(problems), ITEMS = PROBLEMS * COPIES };

typedef struct fixture {
    upconv_backend backend;
    test_case cases[PROBLEMS];
    upconv_plan_params params[ITEMS];
    upconv_plan_item items[ITEMS];
    uint64_t passed, failed;
} fixture;

static void expect(fixture *f, bool holds, const char *what)
{
    if (!holds)
        printf("FAILED %s (%s)\n", what, upconv_last_error());
    f->passed += holds;
    f->failed += !holds;
}

// COPIES of every problem; those on a GPU with programs of their own for the half of them.
static void fill(fixture *f)
{
    for (int i = 0; i < ITEMS; i++) {
        const test_case *test = &f->cases[i % PROBLEMS];
        f->params[i] =
            (upconv_plan_params){sizeof f->params[i], .weights = test->weights, .order = test->order,
                                 .bias = test->has_bias ? test->bias : NULL, .solver = i % 2 ? "phase" : "direct"};
        f->items[i] = (upconv_plan_item){.problem = &test->problem, .params = &f->params[i]};
    }
}

static void destroy(fixture *f)
{
    for (int i = 0; i < ITEMS; i++) {
        upconv_plan_destroy(f->items[i].plan);
        f->items[i].plan = NULL;
    }
}

static bool right(const fixture *f, int i)
{
    const test_case *test = &f->cases[i % PROBLEMS];
    float *output = malloc((size_t)test->sizes.output_bytes);
    const bool fine =
        output && !upconv_execute(f->items[i].plan, test->input, output) && test_case_compare(test, output) < 0;
    free(output);
    return fine;
}

static uint64_t programs_made(upconv_context *context)
{
    upconv_counters counters = {sizeof counters};
    upconv_context_counters(context, &counters);
    return counters.source_compiles + counters.binary_loads;
}

// As many programs as one by one, and the same results.
static void makes_all(fixture *f, int32_t threads)
{
    upconv_context *one = NULL, *many = NULL;
    expect(f, !test_context_create(f->backend, NULL, &one) && !test_context_create(f->backend, NULL, &many),
           "contexts");
    fill(f);
    for (int i = 0; i < ITEMS; i++) {
        upconv_plan *plan = NULL;
        expect(f, !upconv_plan_create(one, f->items[i].problem, f->items[i].params, &plan), "a plan by itself");
        upconv_plan_destroy(plan);
    }
    expect(f, !upconv_plan_create_many(many, f->items, ITEMS, threads), "plans at once");
    expect(f, programs_made(one) == programs_made(many), "each program is compiled once");
    for (int i = 0; i < ITEMS; i++) {
        upconv_plan_info info = {sizeof info};
        expect(f, !f->items[i].status && f->items[i].plan && right(f, i), "a plan of many works");
        expect(f, f->items[i].plan && !upconv_plan_info_get(f->items[i].plan, &info) && info.plan_ms >= info.compile_ms,
               "and says how long it took");
    }
    expect(f, !upconv_plan_create_many(many, NULL, 0, threads), "no plan at all");
    destroy(f);
    upconv_context_destroy(one);
    upconv_context_destroy(many);
}

static void keeps_the_good(fixture *f, upconv_context *context)
{
    fill(f);
    upconv_problem illegal = f->cases[0].problem;
    illegal.stride[0] = -1;
    f->items[2].problem = &illegal;
    f->params[5].solver = "gem";
    f->params[6].effort = UPCONV_KNOWN;
    f->params[6].solver = NULL;
    f->params[7].slopes = f->cases[0].weights;
    upconv_plan *const poison = (upconv_plan *)(void *)f;
    for (int i = 0; i < ITEMS; i++)
        f->items[i].plan = poison;
    expect(f, upconv_plan_create_many(context, f->items, ITEMS, 2) == UPCONV_ERROR_INVALID,
           "the first failure is returned");
    expect(f, strstr(upconv_last_error(), "items[2]") && strstr(upconv_last_error(), "stride"), "and its sentence");
    for (int i = 0; i < ITEMS; i++) {
        const upconv_status wanted = i == 2 || i == 5 || i == 7 ? UPCONV_ERROR_INVALID
                                     : i == 6                   ? UPCONV_ERROR_UNSUPPORTED
                                                                : UPCONV_OK;
        expect(f, f->items[i].status == wanted, "the item's own status");
        expect(f, wanted ? !f->items[i].plan : f->items[i].plan != poison && right(f, i),
               "bad ones have no plan, good ones work");
    }
    destroy(f);
}

static void refuses_nonsense(fixture *f, upconv_context *context)
{
    fill(f);
    expect(f, upconv_plan_create_many(NULL, f->items, ITEMS, 1) == UPCONV_ERROR_INVALID, "no context");
    expect(f, upconv_plan_create_many(context, NULL, 1, 1) == UPCONV_ERROR_INVALID, "no items");
    expect(f, upconv_plan_create_many(context, f->items, ITEMS, -1) == UPCONV_ERROR_INVALID, "threads below zero");
    f->items[3].problem = NULL;
    f->items[0].status = UPCONV_ERROR_DATA;
    expect(f, upconv_plan_create_many(context, f->items, ITEMS, 1) == UPCONV_ERROR_INVALID,
           "an item without a problem");
    expect(f, f->items[0].status == UPCONV_ERROR_DATA && strstr(upconv_last_error(), "items[3]"),
           "nothing is written then");
}

// ------------------------------------------------------------------------------------------------------ without memory

typedef struct meter {
    _Atomic long asked, fail_at, live;
} meter;

static void *meter_alloc(void *user, size_t size)
{
    meter *m = user;
    const long number = atomic_fetch_add(&m->asked, 1) + 1;
    void *memory = number == m->fail_at ? NULL : malloc(size);
    if (memory)
        atomic_fetch_add(&m->live, 1);
    return memory;
}

static void meter_release(void *user, void *memory)
{
    meter *m = user;
    if (memory)
        atomic_fetch_sub(&m->live, 1);
    free(memory);
}

// Fails each allocation in turn, with the programs ready: whatever fails, the others are made, and nothing is lost.
static void survives_without_memory(fixture *f)
{
    meter m = {0};
    const upconv_allocator allocator = {&m, meter_alloc, meter_release};
    const upconv_context_params params = {sizeof params, .backend = f->backend, .allocator = &allocator};
    upconv_context *context = NULL;
    fill(f);
    expect(f, !upconv_context_create(&params, &context) && !upconv_plan_create_many(context, f->items, ITEMS, 2),
           "a context");
    destroy(f);
    long failures = 0;
    for (long at = 1;; at++) {
        m.asked = 0;
        m.fail_at = at;
        const upconv_status status = upconv_plan_create_many(context, f->items, ITEMS, 2);
        const bool reached = m.asked >= at;
        m.fail_at = 0;
        bool consistent = true, first = true;
        for (int i = 0; i < ITEMS; i++) {
            const upconv_plan_item *item = &f->items[i];
            consistent = consistent && (item->status == UPCONV_OK) == (item->plan != NULL) &&
                         (item->status == UPCONV_OK || item->status == UPCONV_ERROR_HOST_MEMORY);
            if (item->status && first) {
                consistent = consistent && item->status == status;
                first = false;
                failures++;
            }
        }
        consistent = consistent && first == (status == UPCONV_OK);
        if (!consistent)
            expect(f, false, "statuses and plans agree");
        destroy(f);
        if (!reached)
            break;
    }
    expect(f, failures > ITEMS, "allocations did fail");
    expect(f, !upconv_plan_create_many(context, f->items, ITEMS, 2) && right(f, 0),
           "and the context is as good as before");
    destroy(f);
    upconv_context_destroy(context);
    expect(f, m.live == 0, "all memory was given back");
}

// --------------------------------------------------------------------------------------------------------- one program

typedef struct rival {
    fixture *f;
    upconv_context *context;
    pthread_barrier_t *start;
    upconv_plan *plan;
    pthread_t thread;
} rival;

static void *plan_one(void *data)
{
    rival *self = data;
    pthread_barrier_wait(self->start);
    if (upconv_plan_create(self->context, self->f->items[1].problem, self->f->items[1].params, &self->plan))
        self->plan = NULL;
    return NULL;
}

// All at the same time on a fresh context: the program is compiled by one of them.
static void compiles_once(fixture *f)
{
    upconv_context *alone = NULL, *context = NULL;
    upconv_plan *plan = NULL;
    pthread_barrier_t start;
    rival crew[CREW];
    fill(f);
    expect(f,
           !test_context_create(f->backend, NULL, &alone) && !test_context_create(f->backend, NULL, &context) &&
               !upconv_plan_create(alone, f->items[1].problem, f->items[1].params, &plan),
           "a plan alone");
    pthread_barrier_init(&start, NULL, CREW);
    for (int i = 0; i < CREW; i++) {
        crew[i] = (rival){.f = f, .context = context, .start = &start};
        if (pthread_create(&crew[i].thread, NULL, plan_one, &crew[i]))
            abort(); // a barrier that waits for ever
    }
    for (int i = 0; i < CREW; i++) {
        pthread_join(crew[i].thread, NULL);
        expect(f, crew[i].plan != NULL, "a plan wanted by many");
        upconv_plan_destroy(crew[i].plan);
    }
    expect(f, programs_made(context) == programs_made(alone), "its program is compiled once");
    pthread_barrier_destroy(&start);
    upconv_plan_destroy(plan);
    upconv_context_destroy(alone);
    upconv_context_destroy(context);
}

int main(int argc, char **argv)
{
    static fixture f;
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &f.backend)) {
        fprintf(stderr, "usage: batch vulkan|opencl|cpu [ROUNDS]\n");
        return 2;
    }
    if (!test_backend_present(f.backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    test_random random = {99};
    for (int i = 0; i < PROBLEMS; i++) {
        const upconv_problem problem = test_problem(problems[i]);
        if (!test_case_init(&f.cases[i], &problem, (upconv_filter_order)(i % 3), i % 2 == 0, true, &random))
            return test_report(0, 1, 0);
    }
    upconv_context *context = NULL;
    for (int round = 0; round < (argc > 2 ? atoi(argv[2]) : 1); round++) {
        makes_all(&f, CREW);
        makes_all(&f, 0);
        compiles_once(&f);
        survives_without_memory(&f);
        expect(&f, !test_context_create(f.backend, NULL, &context), "a context");
        keeps_the_good(&f, context);
        refuses_nonsense(&f, context);
        upconv_context_destroy(context);
    }
    for (int i = 0; i < PROBLEMS; i++)
        test_case_finish(&f.cases[i]);
    return test_report(f.passed, f.failed, 0);
}
