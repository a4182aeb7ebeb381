// Threads that plan, execute, submit and ask at once on one context. threads BACKEND [THREADS [ROUNDS]]
// Run under ThreadSanitizer for every backend; results are compared exactly.
#include "testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 32, IN_FLIGHT = 3 };

static const char *const problems[] = {
    "ic3oc5_ih9oh18kh4sh2ph1", "g4ic4oc4_ih7oh13kh3sh2ph1+relu", "ic7oc2_iw19ow57kw3sw3pw0",
    "mb2_ic2oc3_id3od6kd2sd2pd0_ih4oh8kh2sh2ph0_iw5ow10kw2sw2pw0", "g2ic6oc4_ih6oh16kh3sh2ph-1dh1+clamp:-5:5",
    // of other operations, by whatever solver is theirs
    "conv:ic5oc3_ih18kh4sh2ph1", "resize:ic3ih9oh20+linear", "shuffle:ic8ih5sh2+relu", "zeros:ic5ih7sh2",
    "gradfilter:ic3oc5_ih9oh18kh4sh2ph1", "gradbias:ic3oc5_ih9oh18kh4sh2ph1",
};
enum { PROBLEMS = UPC_COUNT(problems) };

typedef struct shared {
    upconv_context *context;
    test_case cases[PROBLEMS];
    upconv_plan *plans[PROBLEMS]; // used by all threads at once
    const char *const *solvers;
    int solver_count, rounds;
    _Atomic uint64_t passed, failed;
} shared;

typedef struct worker {
    shared *all;
    int number;
    pthread_t thread;
} worker;

static bool complain(shared *all, const char *what)
{
    printf("FAILED %s: %s\n", what, upconv_last_error());
    all->failed++;
    return false;
}

static bool check(shared *all, const test_case *test, const float *output, const char *what)
{
    const int64_t wrong = test_case_compare(test, output);
    if (wrong < 0) {
        all->passed++;
        return true;
    }
    printf("FAILED %s: output %" PRId64 " is %g instead of %g\n", what, wrong, (double)output[wrong],
           test->expected[wrong]);
    all->failed++;
    return false;
}

static upconv_buffer *filled_buffer(shared *all, const void *data, uint64_t bytes)
{
    upconv_buffer *buffer = NULL;
    void *pointer;
    if (upconv_buffer_create(all->context, bytes, &buffer) ||
        upconv_buffer_map(buffer, UPCONV_MAP_WRITE, &pointer)) {
        complain(all, "buffer");
        upconv_buffer_destroy(buffer);
        return NULL;
    }
    memcpy(pointer, data, (size_t)bytes);
    if (upconv_buffer_unmap(buffer))
        complain(all, "unmap");
    return buffer;
}

static const upconv_role given[] = {UPCONV_INPUT, UPCONV_OUTPUT_GRAD};

static bool takes(const test_case *test, upconv_role role) { return test_op_takes(test->problem.op, role); }

// What the problem is given, in a buffer each. false: said what failed.
static bool give_buffers(shared *all, const test_case *test, upconv_io *io)
{
    bool fine = true;
    for (size_t i = 0; i < UPC_COUNT(given) && fine; i++) {
        if (!takes(test, given[i]))
            continue;
        const uint64_t bytes = test_case_bytes(test, given[i]);
        void *data = malloc((size_t)bytes);
        if (data)
            test_case_lay(test, given[i], data);
        io->at[given[i]].buffer = data ? filled_buffer(all, data, bytes) : NULL;
        fine = io->at[given[i]].buffer != NULL;
        free(data);
    }
    return fine;
}

// Several submissions in flight, each into a buffer of its own.
static void submit(shared *all, upconv_plan *plan, const test_case *test)
{
    const uint64_t bytes = test->sizes.output_bytes;
    float *output = calloc(1, (size_t)bytes);
    upconv_io io = {sizeof io};
    upconv_buffer *outputs[IN_FLIGHT] = {0};
    upconv_ticket tickets[IN_FLIGHT];
    int submitted = 0;
    const bool ready = output && give_buffers(all, test, &io);
    for (; submitted < IN_FLIGHT && ready; submitted++) {
        outputs[submitted] = filled_buffer(all, output, bytes);
        io.at[UPCONV_OUTPUT] = (upconv_binding){.buffer = outputs[submitted]};
        if (!outputs[submitted] || upconv_submit(plan, &io, &tickets[submitted])) {
            complain(all, "submit");
            break;
        }
    }
    for (int i = 0; i < submitted; i++) {
        void *pointer;
        if (upconv_wait(all->context, tickets[i], -1) || upconv_buffer_map(outputs[i], UPCONV_MAP_READ, &pointer)) {
            complain(all, "wait");
            continue;
        }
        memcpy(output, pointer, (size_t)bytes);
        upconv_buffer_unmap(outputs[i]);
        check(all, test, output, "submission");
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        upconv_buffer_destroy(outputs[i]);
    for (size_t i = 0; i < UPC_COUNT(given); i++)
        upconv_buffer_destroy(io.at[given[i]].buffer);
    free(output);
}

static void execute(shared *all, upconv_plan *plan, const test_case *test)
{
    float *output = malloc((size_t)test->sizes.output_bytes);
    upconv_io io = {sizeof io, .at = {[UPCONV_OUTPUT] = {.host = output}}};
    bool ready = output != NULL;
    for (size_t i = 0; i < UPC_COUNT(given) && ready; i++) {
        if (!takes(test, given[i]))
            continue;
        ready = (io.at[given[i]].host = malloc((size_t)test_case_bytes(test, given[i]))) != NULL;
        if (ready)
            test_case_lay(test, given[i], io.at[given[i]].host);
    }
    if (!ready || upconv_execute_io(plan, &io))
        complain(all, "execute");
    else
        check(all, test, output, "execution");
    for (size_t i = 0; i < UPC_COUNT(given); i++)
        free(io.at[given[i]].host);
    free(output);
}

static upconv_plan *plan_of(shared *all, int which, const char *solver)
{
    const test_case *test = &all->cases[which];
    upconv_plan_params params = {sizeof params, .order = test->order};
    params.weights = test->sizes.weights_bytes ? test->weights : NULL;
    params.solver = test->problem.op == UPCONV_CONV_TRANSPOSE ? solver : NULL;
    params.bias = test->has_bias ? test->bias : NULL;
    upconv_plan *plan = NULL;
    if (upconv_plan_create(all->context, &test->problem, &params, &plan))
        complain(all, "plan");
    return plan;
}

static int discard(void *user, const void *data, size_t size)
{
    (void)data;
    *(size_t *)user += size;
    return 0;
}

// The calls that read what the others are changing.
static void ask(shared *all)
{
    char text[4096];
    size_t size = 0;
    upconv_counters counters = {sizeof counters};
    upconv_device_info info = {sizeof info};
    if (upconv_explain(all->context, &all->cases[0].problem, NULL, text, sizeof text, NULL) ||
        upconv_context_counters(all->context, &counters) || upconv_context_device(all->context, &info) ||
        upconv_cache_export(all->context, discard, &size) || upconv_tuning_export(all->context, discard, &size))
        complain(all, "questions");
}

static void *work(void *argument)
{
    const worker *self = argument;
    shared *all = self->all;
    test_random random = {(uint64_t)self->number + 77};
    for (int round = 0; round < all->rounds; round++) {
        const int which = test_between(&random, 0, PROBLEMS - 1);
        upconv_plan *own = plan_of(all, which, all->solvers[test_between(&random, 0, all->solver_count - 1)]);
        upconv_plan *plan = test_chance(&random, 50) && own ? own : all->plans[which];
        if (test_chance(&random, 50))
            submit(all, plan, &all->cases[which]);
        else
            execute(all, plan, &all->cases[which]);
        if (test_chance(&random, 25))
            ask(all);
        upconv_plan_destroy(own);
    }
    return NULL;
}

static void run(shared *all, int threads)
{
    worker workers[MAX_THREADS];
    int started = 0;
    for (; started < threads; started++) {
        workers[started] = (worker){.all = all, .number = started};
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]))
            break;
    }
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    if (started < threads)
        complain(all, "pthread_create");
}

int main(int argc, char **argv)
{
    static const char *const solvers[] = {"phase", "direct", "reference"};
    upconv_backend backend;
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: threads vulkan|opencl|cpu [THREADS [ROUNDS]]\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    shared all = {.solvers = solvers, .rounds = argc > 3 ? atoi(argv[3]) : 12};
    all.solver_count = backend == UPCONV_BACKEND_CPU ? 3 : 2; // the reference runs on the host only
    const int threads = argc > 2 ? atoi(argv[2]) : 6;
    if (test_context_create(backend, NULL, &all.context)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    test_random random = {4242};
    bool ready = true;
    for (int i = 0; i < PROBLEMS && ready; i++) {
        const upconv_problem problem = test_problem(problems[i]);
        ready = test_case_init(&all.cases[i], &problem, (upconv_filter_order)(i % 3),
                               i % 2 == 0 && problem.op == UPCONV_CONV_TRANSPOSE, true, &random) &&
                (all.plans[i] = plan_of(&all, i, NULL)) != NULL;
    }
    if (ready)
        run(&all, UPC_MIN(threads, MAX_THREADS));
    for (int i = 0; i < PROBLEMS; i++) {
        upconv_plan_destroy(all.plans[i]);
        test_case_finish(&all.cases[i]);
    }
    upconv_context_destroy(all.context);
    return test_report(all.passed, all.failed + !ready, 0);
}
