// upconv on an app's own OpenCL context: the app owns context, device, queues, buffers and events; upconv enqueues its plans
// there, or shares the app's queue.
#include "opencl_app.h"
#include "pooled.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CL(call) assert_int_equal((call), CL_SUCCESS)
#define OK(call) do { if (call) fail_msg("%s: %s", #call, upconv_last_error()); } while (0)

enum { IN_FLIGHT = 4, GUARD = 64, THREADS = 4 };

// ------------------------------------------------------------------------------------------------------------- fixtures

static int open_app(void **state)
{
    static app a;
    char why[256];
    *state = NULL;
    if (!test_backend_present(UPCONV_BACKEND_OPENCL, why, sizeof why)) {
        print_message("SKIPPED interop_opencl: %s\n", why);
        return 0;
    }
    if (!app_open_device(&a))
        return -1;
    if (app_lend(&a, NULL, NULL)) {
        print_error("%s\n", upconv_last_error());
        return -1;
    }
    *state = &a;
    return 0;
}

static int close_app(void **state)
{
    app *a = *state;
    if (a) {
        upconv_context_destroy(a->upconv);
        app_close_device(a);
    }
    return 0;
}

static app *app_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

typedef struct prepared {
    test_case test;
    upconv_plan *plan;
    upconv_plan_info info;
    app_buffer input, output, weights;
    upconv_io io;
} prepared;

// Products need CLBlast, which may be missing.
static bool can(const app *a, const char *solver)
{
    const upconv_problem problem = test_problem("ic1oc1_iw1kw1");
    const upconv_plan_params params = {sizeof params, .solver = solver};
    upconv_plan *plan = NULL;
    const upconv_status status = upconv_plan_create(a->upconv, &problem, &params, &plan);
    upconv_plan_destroy(plan);
    assert_true(status == UPCONV_OK || (!strcmp(solver, "gemm") && strstr(upconv_last_error(), "no CLBlast")));
    return status == UPCONV_OK;
}

// A case with its plan and the app's buffers, tensors at odd offsets within guards. frozen: weights belong to the plan.
static void prepare(const app *a, prepared *p, const char *notation, const char *solver, bool frozen)
{
    test_random random = {99};
    const upconv_problem problem = test_problem(notation);
    memset(p, 0, sizeof *p);
    assert_true(test_case_init(&p->test, &problem, UPCONV_FILTER_IOK, false, true, &random));
    const upconv_plan_params params = {sizeof params, .weights = frozen ? p->test.weights : NULL, .solver = solver};
    OK(upconv_plan_create(a->upconv, &problem, &params, &p->plan));
    p->info.struct_size = sizeof p->info;
    OK(upconv_plan_info_get(p->plan, &p->info));
    assert_int_equal(p->info.backend, UPCONV_BACKEND_OPENCL);
    assert_string_equal(p->info.solver, solver);
    p->input = app_make_buffer(a, (size_t)p->test.sizes.input_bytes + GUARD);
    p->output = app_make_buffer(a, (size_t)p->test.sizes.output_bytes + 2 * GUARD);
    app_write(a, &p->input, 4, p->test.input, (size_t)p->test.sizes.input_bytes);
    p->io = (upconv_io){sizeof p->io};
    p->io.at[UPCONV_INPUT] = (upconv_binding){.buffer = p->input.imported, .offset = 4};
    p->io.at[UPCONV_OUTPUT] = (upconv_binding){.buffer = p->output.imported, .offset = GUARD};
    if (!frozen) {
        p->weights = app_make_buffer(a, (size_t)p->test.sizes.weights_bytes + GUARD);
        app_write(a, &p->weights, 12, p->test.weights, (size_t)p->test.sizes.weights_bytes);
        p->io.at[UPCONV_WEIGHTS] = (upconv_binding){.buffer = p->weights.imported, .offset = 12};
    }
}

static void release(prepared *p)
{
    upconv_plan_destroy(p->plan);
    app_free_buffer(&p->input);
    app_free_buffer(&p->output);
    app_free_buffer(&p->weights);
    test_case_finish(&p->test);
}

// What the CPU backend makes of the same case; freed by the caller.
static float *cpu_output(const test_case *test, const float *input)
{
    upconv_context *cpu = NULL;
    upconv_plan *plan = NULL;
    float *output = malloc((size_t)test->sizes.output_bytes);
    assert_non_null(output);
    OK(test_context_create(UPCONV_BACKEND_CPU, NULL, &cpu));
    const upconv_plan_params params = {sizeof params, .weights = test->weights};
    OK(upconv_plan_create(cpu, &test->problem, &params, &plan));
    OK(upconv_execute(plan, input, output));
    upconv_plan_destroy(plan);
    upconv_context_destroy(cpu);
    return output;
}

// The output is exactly the CPU's, and no byte beside it has changed.
static void expect_bytes(const app *a, const app_buffer *output, const void *expected, size_t bytes)
{
    unsigned char *got = app_read(a, output);
    assert_memory_equal(got + GUARD, expected, bytes);
    for (size_t i = 0; i < output->bytes; i++)
        if ((i < GUARD || i >= GUARD + bytes) && got[i] != 0xff)
            fail_msg("byte %zu outside of the output was changed", i);
    free(got);
}

static void expect_output(const app *a, const prepared *p, const app_buffer *output)
{
    float *expected = cpu_output(&p->test, p->test.input);
    assert_int_equal(test_case_compare(&p->test, expected), -1); // the CPU itself is right
    expect_bytes(a, output, expected, (size_t)p->test.sizes.output_bytes);
    free(expected);
}

// -------------------------------------------------------------------------------------------------------------- enqueue

static const struct {
    const char *notation, *solver;
    bool frozen;
} cases[] = {
    {"ic5oc7_ih9oh18kh4sh2ph1", "phase", true},
    {"ic5oc7_ih9oh18kh4sh2ph1", "phase", false},
    {"ic5oc7_ih9oh18kh4sh2ph1", "direct", true},
    {"ic5oc7_ih9oh18kh4sh2ph1", "direct", false},
    {"g3ic6oc9_ih7oh15kh3sh2ph0dh1", "phase", true},
    {"mb2_ic3oc2_id3od6kd2sd2pd0_ih4oh8kh2sh2ph0_iw5ow10kw2sw2pw0+relu", "phase", true},
    {"g3ic6oc9_ih7oh15kh3sh2ph0dh1", "gemm", true},
    {"mb2_ic70oc50_ih9oh18kh4sh2ph1", "gemm", false},
};

static void test_in_order(void **state)
{
    const app *a = app_of(state);
    for (size_t i = 0; i < UPC_COUNT(cases); i++) {
        prepared p;
        upconv_counters before = {sizeof before}, after = {sizeof after};
        if (!can(a, cases[i].solver))
            continue;
        prepare(a, &p, cases[i].notation, cases[i].solver, cases[i].frozen);
        OK(upconv_context_counters(a->upconv, &before));
        OK(upconv_cl_enqueue(p.plan, a->in_order, &p.io, 0, NULL, NULL));
        OK(upconv_context_counters(a->upconv, &after));
        assert_int_equal(after.submissions, before.submissions); // counts as no ticket
        expect_output(a, &p, &p.output);                         // read on the same queue
        release(&p);
    }
}

// With events before and after, on queues of both kinds: nothing may run before the gate opens, and the event means the end.
static void test_events(void **state)
{
    const app *a = app_of(state);
    const cl_command_queue queues[2] = {a->in_order, a->out_of_order};
    for (size_t i = 0; i < UPC_COUNT(cases) * 2; i++) {
        prepared p;
        const cl_command_queue queue = queues[i & 1];
        if (!can(a, cases[i / 2].solver))
            continue;
        prepare(a, &p, cases[i / 2].notation, cases[i / 2].solver, cases[i / 2].frozen);
        cl_event gates[2] = {app_make_gate(a), app_make_gate(a)}, end = NULL;
        OK(upconv_cl_enqueue(p.plan, queue, &p.io, 2, gates, &end));
        assert_non_null(end);
        CL(clFlush(queue));
        app_open_gate(gates[0]);
        assert_true(app_state_of(end) > CL_COMPLETE);
        app_open_gate(gates[1]);
        app_await(end);
        expect_output(a, &p, &p.output);
        release(&p);
    }
}

// Many dispatches, some of which wait for others: a context with small limits splits and windows its work.
static void test_many_steps(void **state)
{
    app small = *app_of(state);
    const upconv_limits limits = {.group_count = 2, .binding_bytes = 4096};
    const upconv_context_params params = {sizeof params, .limits = &limits};
    OK(app_lend(&small, NULL, &params));
    const cl_command_queue queues[2] = {small.in_order, small.out_of_order};
    static const char *const solvers[] = {"phase", "direct", "gemm"};
    for (int i = 0; i < 6; i++) {
        prepared p;
        if (!can(&small, solvers[i / 2]))
            continue;
        prepare(&small, &p, i < 4 ? "ic12oc10_ih17oh34kh4sh2ph1" : "ic3oc10_ih17oh34kh4sh2ph1", solvers[i / 2], false);
        assert_true(p.info.dispatches > 2);
        cl_event end = NULL;
        OK(upconv_cl_enqueue(p.plan, queues[i & 1], &p.io, 0, NULL, &end));
        CL(clFlush(queues[i & 1]));
        app_await(end);
        expect_output(&small, &p, &p.output);
        release(&p);
    }
    upconv_context_destroy(small.upconv);
}

// Two plans, the second reads what the first writes; on the queue that is out of order the event is the only link.
static void test_chain(void **state)
{
    const app *a = app_of(state);
    const cl_command_queue queues[2] = {a->in_order, a->out_of_order};
    for (int i = 0; i < 2; i++) {
        prepared first, second;
        prepare(a, &first, "ic4oc3_ih5oh10kh4sh2ph1", "phase", false);
        prepare(a, &second, "ic3oc2_ih10oh20kh2sh2ph0", "direct", true);
        second.io.at[UPCONV_INPUT] = first.io.at[UPCONV_OUTPUT];
        float *between = cpu_output(&first.test, first.test.input), *expected = cpu_output(&second.test, between);
        cl_event middle = NULL, end = NULL;
        OK(upconv_cl_enqueue(first.plan, queues[i], &first.io, 0, NULL, i ? &middle : NULL));
        OK(upconv_cl_enqueue(second.plan, queues[i], &second.io, i ? 1 : 0, i ? &middle : NULL, &end));
        CL(clFlush(queues[i]));
        app_await(end);
        if (middle)
            clReleaseEvent(middle);
        expect_bytes(a, &first.output, between, (size_t)first.test.sizes.output_bytes);
        expect_bytes(a, &second.output, expected, (size_t)second.test.sizes.output_bytes);
        free(between);
        free(expected);
        release(&first);
        release(&second);
    }
}

static upconv_plan *plan_of(const app *a, const upconv_problem *problem, const char *solver)
{
    const upconv_plan_params params = {sizeof params, .solver = solver};
    upconv_plan *plan = NULL;
    OK(upconv_plan_create(a->upconv, problem, &params, &plan));
    return plan;
}

// Pooling, then unpooling: the indices are a tensor of the app's, which one writes and the other reads.
static void indices_between(const app *a, cl_command_queue queue, const char *pool, const char *unpool, const char *solver)
{
    pooled p;
    assert_true(pooled_init(&p, pool, unpool));
    const size_t bytes[4] = {(size_t)p.pool_sizes.input_bytes, (size_t)p.pool_sizes.output_bytes,
                             (size_t)p.pool_sizes.indices_bytes, (size_t)p.unpool_sizes.output_bytes};
    upconv_plan *const plans[2] = {plan_of(a, &p.pool, "pool"), plan_of(a, &p.unpool, solver)};
    app_buffer buffers[4];
    upconv_binding at[4];
    for (int i = 0; i < 4; i++) {
        buffers[i] = app_make_buffer(a, bytes[i] + 2 * GUARD);
        at[i] = (upconv_binding){.buffer = buffers[i].imported, .offset = GUARD};
    }
    app_write(a, &buffers[0], GUARD, p.input, bytes[0]);
    upconv_io first = {sizeof first}, second = {sizeof second};
    first.at[UPCONV_INPUT] = at[0], first.at[UPCONV_OUTPUT] = second.at[UPCONV_INPUT] = at[1];
    first.at[UPCONV_INDICES] = second.at[UPCONV_INDICES] = at[2], second.at[UPCONV_OUTPUT] = at[3];

    cl_event gate = app_make_gate(a), middle = NULL, end = NULL;
    upconv_io without = first;
    without.at[UPCONV_INDICES] = (upconv_binding){0};
    assert_int_equal(upconv_cl_enqueue(plans[0], queue, &without, 0, NULL, &end), UPCONV_ERROR_INVALID);
    without.at[UPCONV_INDICES] = (upconv_binding){.buffer = buffers[2].imported, .offset = 2 * GUARD + 4};
    assert_int_equal(upconv_cl_enqueue(plans[0], queue, &without, 0, NULL, &end), UPCONV_ERROR_INVALID); // ends before they do
    assert_null(end);
    OK(upconv_cl_enqueue(plans[0], queue, &first, 1, &gate, &middle));
    OK(upconv_cl_enqueue(plans[1], queue, &second, 1, &middle, &end));
    CL(clFlush(queue));
    app_open_gate(gate);
    app_await(end);
    clReleaseEvent(middle);
    const void *const expected[4] = {p.input, p.pooled, p.indices, p.unpooled};
    for (int i = 0; i < 4; i++) {
        expect_bytes(a, &buffers[i], expected[i], bytes[i]);
        app_free_buffer(&buffers[i]);
    }
    upconv_plan_destroy(plans[0]);
    upconv_plan_destroy(plans[1]);
    pooled_finish(&p);
}

static void test_indices(void **state)
{
    const app *a = app_of(state);
    indices_between(a, a->in_order, "pool:ic5_ih10kh2sh2", "unpool:ic5_ih5oh10kh2sh2", "unpool");
    indices_between(a, a->out_of_order, "pool:mb2_ic3_ih9oh5kh3sh2ph1+index:image", "unpool:mb2_ic3_ih5oh9kh3sh2ph1+index:image",
                    "owners");
    indices_between(a, a->out_of_order, "pool:ic6_iw12kw3sw3+index:window", "unpool:ic6_iw4ow12kw3sw3+index:window", "owners");
}

// One plan several times at once, each with a workspace of its own, then with the app's.
static void test_in_flight(void **state)
{
    const app *a = app_of(state);
    prepared p;
    app_buffer outputs[IN_FLIGHT], workspaces[IN_FLIGHT];
    cl_event ends[IN_FLIGHT], gate;
    prepare(a, &p, "ic6oc5_ih12oh24kh4sh2ph1", "phase", false);
    assert_true(p.info.workspace_bytes > 0); // the packed weights
    for (int round = 0; round < 2; round++) {
        gate = app_make_gate(a);
        for (int i = 0; i < IN_FLIGHT; i++) {
            outputs[i] = app_make_buffer(a, p.output.bytes);
            p.io.at[UPCONV_OUTPUT].buffer = outputs[i].imported;
            workspaces[i] = (app_buffer){0};
            if (round) {
                workspaces[i] = app_make_buffer(a, (size_t)p.info.workspace_bytes + 256);
                p.io.at[UPCONV_WORKSPACE] = (upconv_binding){.buffer = workspaces[i].imported, .offset = 256};
            }
            OK(upconv_cl_enqueue(p.plan, a->out_of_order, &p.io, 1, &gate, &ends[i]));
        }
        CL(clFlush(a->out_of_order));
        app_open_gate(gate);
        for (int i = 0; i < IN_FLIGHT; i++)
            app_await(ends[i]);
        for (int i = 0; i < IN_FLIGHT; i++) {
            expect_output(a, &p, &outputs[i]);
            app_free_buffer(&outputs[i]);
            app_free_buffer(&workspaces[i]);
        }
    }
    release(&p);
}

// Everything of upconv's is destroyed while the work still waits for its gate.
static void test_destroyed_early(void **state)
{
    const app *a = app_of(state);
    prepared p;
    prepare(a, &p, "ic6oc5_ih12oh24kh4sh2ph1", "phase", false);
    cl_event gate = app_make_gate(a), end = NULL;
    OK(upconv_cl_enqueue(p.plan, a->out_of_order, &p.io, 1, &gate, &end));
    CL(clFlush(a->out_of_order));
    upconv_plan_destroy(p.plan);
    upconv_buffer_destroy(p.input.imported);
    upconv_buffer_destroy(p.output.imported);
    upconv_buffer_destroy(p.weights.imported);
    p.plan = NULL;
    p.input.imported = p.output.imported = p.weights.imported = NULL;
    app_open_gate(gate);
    app_await(end);
    expect_output(a, &p, &p.output);
    release(&p);
}

typedef struct worker {
    const app *a;
    const prepared *p;
    app_buffer output;
    bool failed;
} worker;

static void *enqueue_often(void *user)
{
    worker *w = user;
    cl_int error;
    cl_command_queue queue = clCreateCommandQueue(w->a->context, w->a->device, 0, &error);
    upconv_io io = w->p->io;
    io.at[UPCONV_OUTPUT].buffer = w->output.imported;
    w->failed = !queue;
    for (int i = 0; i < 10 && !w->failed; i++)
        w->failed = upconv_cl_enqueue(w->p->plan, queue, &io, 0, NULL, NULL) != UPCONV_OK;
    if (queue) {
        clFinish(queue);
        clReleaseCommandQueue(queue);
    }
    return NULL;
}

// One plan from several threads, each on its own queue.
static void test_threads(void **state)
{
    const app *a = app_of(state);
    prepared p;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    prepare(a, &p, "ic6oc5_ih12oh24kh4sh2ph1", "phase", false);
    for (int i = 0; i < THREADS; i++)
        workers[i] = (worker){a, &p, app_make_buffer(a, p.output.bytes), false};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, enqueue_often, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_false(workers[i].failed);
        expect_output(a, &p, &workers[i].output);
        app_free_buffer(&workers[i].output);
    }
    release(&p);
}

// ---------------------------------------------------------------------------------------------------------- shared queue

// upconv submits on the app's queue; maps and executions go there too, and the app keeps using it.
static void test_lent_queue(void **state)
{
    app lent = *app_of(state);
    OK(app_lend(&lent, lent.in_order, NULL));
    upconv_device_info device = {sizeof device};
    OK(upconv_context_device(lent.upconv, &device));
    assert_int_equal(device.timestamps, 0); // the app's queue does not profile
    prepared p;
    prepare(&lent, &p, "ic5oc7_ih9oh18kh4sh2ph1", "phase", true);
    upconv_ticket ticket = 0;
    uint64_t ns = 0;
    OK(upconv_submit(p.plan, &p.io, &ticket));
    OK(upconv_wait(lent.upconv, ticket, -1));
    OK(upconv_ticket_time(lent.upconv, ticket, &ns));
    assert_true(ns > 0);
    expect_output(&lent, &p, &p.output);
    float *expected = cpu_output(&p.test, p.test.input), *output = malloc((size_t)p.test.sizes.output_bytes);
    assert_non_null(output);
    OK(upconv_execute(p.plan, p.test.input, output));
    assert_memory_equal(output, expected, (size_t)p.test.sizes.output_bytes);
    free(expected);
    free(output);
    release(&p);
    upconv_context_destroy(lent.upconv);
    CL(clFinish(lent.in_order)); // still the app's
}

// ------------------------------------------------------------------------------------------------------------- refusals

static void test_contexts_refused(void **state)
{
    app *a = app_of(state), other = {0};
    assert_true(app_open_device(&other));
    upconv_context *made = NULL;
    const upconv_cl_params bad[] = {
        {sizeof bad[0], NULL, a->device, NULL},
        {sizeof bad[0], a->context, NULL, NULL},
        {sizeof bad[0], a->context, a->device, a->out_of_order},
        {sizeof bad[0], a->context, a->device, other.in_order},
    };
    for (size_t i = 0; i < UPC_COUNT(bad); i++) {
        assert_int_equal(upconv_cl_context_create(&bad[i], NULL, &made), UPCONV_ERROR_INVALID);
        assert_true(!made && upconv_last_error()[0]);
    }
    assert_int_equal(upconv_cl_context_create(NULL, NULL, &made), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_context_create(&bad[0], NULL, NULL), UPCONV_ERROR_INVALID);
    app_close_device(&other);
}

static void test_imports_refused(void **state)
{
    app *a = app_of(state), other = {0};
    assert_true(app_open_device(&other));
    cl_int error;
    upconv_buffer *imported = NULL;
    cl_mem foreign = clCreateBuffer(other.context, CL_MEM_READ_WRITE, 64, NULL, &error);
    const cl_image_format format = {CL_RGBA, CL_FLOAT};
    const cl_image_desc shape = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 8};
    cl_mem image = clCreateImage(a->context, CL_MEM_READ_WRITE, &format, &shape, NULL, &error);
    assert_int_equal(upconv_cl_buffer_import(a->upconv, foreign, &imported), UPCONV_ERROR_INVALID);
    if (image)
        assert_int_equal(upconv_cl_buffer_import(a->upconv, image, &imported), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_buffer_import(a->upconv, NULL, &imported), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_buffer_import(NULL, foreign, &imported), UPCONV_ERROR_INVALID);
    upconv_context *cpu = NULL;
    OK(test_context_create(UPCONV_BACKEND_CPU, NULL, &cpu));
    assert_int_equal(upconv_cl_buffer_import(cpu, foreign, &imported), UPCONV_ERROR_INVALID);
    upconv_context_destroy(cpu);
    assert_null(imported);
    app_buffer own = app_make_buffer(a, 256);
    void *pointer = NULL;
    assert_int_equal(upconv_buffer_map(own.imported, UPCONV_MAP_READ, &pointer), UPCONV_ERROR_INVALID);
    app_free_buffer(&own);
    if (image)
        clReleaseMemObject(image);
    clReleaseMemObject(foreign);
    app_close_device(&other);
}

static void test_enqueues_refused(void **state)
{
    app *a = app_of(state), other = {0};
    assert_true(app_open_device(&other));
    prepared p;
    prepare(a, &p, "ic5oc7_ih9oh18kh4sh2ph1", "phase", true);
    cl_event end = NULL;
    upconv_io without = p.io;
    without.at[UPCONV_OUTPUT] = (upconv_binding){0};
    assert_int_equal(upconv_cl_enqueue(NULL, a->in_order, &p.io, 0, NULL, &end), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_enqueue(p.plan, NULL, &p.io, 0, NULL, &end), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_enqueue(p.plan, a->in_order, NULL, 0, NULL, &end), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_enqueue(p.plan, a->in_order, &without, 0, NULL, &end), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_enqueue(p.plan, a->in_order, &p.io, 1, NULL, &end), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_cl_enqueue(p.plan, other.in_order, &p.io, 0, NULL, &end), UPCONV_ERROR_INVALID);
    assert_null(end);
    release(&p);
    app_close_device(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_many_steps),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_destroyed_early),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_lent_queue),
        cmocka_unit_test(test_contexts_refused),
        cmocka_unit_test(test_imports_refused),
        cmocka_unit_test(test_enqueues_refused),
    };
    return cmocka_run_group_tests(tests, open_app, close_app);
}
