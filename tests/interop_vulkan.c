// upconv on an app's own Vulkan device: the app owns instance, device, queue, buffers, command buffers, barriers and
// submissions; upconv records, or shares the queue under the app's lock.
#include "pooled.h"
#include "vulkan_app.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VK(call) assert_int_equal((call), VK_SUCCESS)
#define OK(call) do { if (call) fail_msg("%s: %s", #call, upconv_last_error()); } while (0)

enum { IN_FLIGHT = 4, GUARD = 64 };

// ------------------------------------------------------------------------------------------------------------- fixtures

static int open_app(void **state)
{
    static app a;
    char why[256];
    if (!test_backend_present(UPCONV_BACKEND_VULKAN, why, sizeof why)) {
        print_message("SKIPPED interop_vulkan: %s\n", why);
        *state = NULL;
        return 0;
    }
    pthread_mutex_init(&a.lock, NULL);
    if (!app_open_device(&a))
        return -1;
    const upconv_vk_params mine = app_lent(&a);
    if (upconv_vk_context_create(&mine, NULL, &a.context)) {
        print_error("%s\n", upconv_last_error());
        return -1;
    }
    *state = &a;
    return 0;
}

static int close_app(void **state)
{
    app *a = *state;
    if (!a)
        return 0;
    upconv_context_destroy(a->context);
    vkDestroyCommandPool(a->device, a->pool, NULL);
    vkDestroyDevice(a->device, NULL);
    vkDestroyInstance(a->instance, NULL);
    return a->locks == a->unlocks && a->held == 0 ? 0 : -1;
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
    app_buffer input, output, weights;
    upconv_io io;
} prepared;

// A case with its plan and the app's buffers, tensors at odd offsets within guards. frozen: weights belong to the plan.
static void prepare(app *a, prepared *p, const char *notation, const char *solver, bool frozen)
{
    test_random random = {99};
    const upconv_problem problem = test_problem(notation);
    memset(p, 0, sizeof *p);
    assert_true(test_case_init(&p->test, &problem, UPCONV_FILTER_IOK, false, true, &random));
    const upconv_plan_params params = {sizeof params, .weights = frozen ? p->test.weights : NULL, .solver = solver};
    OK(upconv_plan_create(a->context, &problem, &params, &p->plan));
    upconv_plan_info info = {sizeof info};
    OK(upconv_plan_info_get(p->plan, &info));
    assert_int_equal(info.backend, UPCONV_BACKEND_VULKAN);
    assert_string_equal(info.solver, solver);
    p->input = app_make_buffer(a, (size_t)p->test.sizes.input_bytes + GUARD);
    p->output = app_make_buffer(a, (size_t)p->test.sizes.output_bytes + 2 * GUARD);
    memcpy(p->input.mapped + 4, p->test.input, (size_t)p->test.sizes.input_bytes);
    p->io = (upconv_io){sizeof p->io};
    p->io.at[UPCONV_INPUT] = (upconv_binding){.buffer = p->input.imported, .offset = 4};
    p->io.at[UPCONV_OUTPUT] = (upconv_binding){.buffer = p->output.imported, .offset = GUARD};
    if (!frozen) {
        p->weights = app_make_buffer(a, (size_t)p->test.sizes.weights_bytes + GUARD);
        memcpy(p->weights.mapped + 12, p->test.weights, (size_t)p->test.sizes.weights_bytes);
        p->io.at[UPCONV_WEIGHTS] = (upconv_binding){.buffer = p->weights.imported, .offset = 12};
    }
}

static void release(app *a, prepared *p)
{
    upconv_plan_destroy(p->plan);
    app_free_buffer(a, &p->input);
    app_free_buffer(a, &p->output);
    if (p->weights.buffer)
        app_free_buffer(a, &p->weights);
    test_case_finish(&p->test);
}

static void expect_output(const test_case *test, const app_buffer *output)
{
    const size_t bytes = (size_t)test->sizes.output_bytes;
    float *values = malloc(bytes);
    assert_non_null(values);
    memcpy(values, output->mapped + GUARD, bytes);
    const int64_t wrong = test_case_compare(test, values);
    free(values);
    assert_int_equal(wrong, -1);
    for (size_t i = 0; i < output->bytes; i++) {
        if ((i < GUARD || i >= GUARD + bytes) && output->mapped[i] != 0xff)
            fail_msg("byte %zu outside of the output was changed", i);
    }
}

// ---------------------------------------------------------------------------------------------------------------- tests

static void record_one(app *a, const char *notation, const char *solver, bool frozen)
{
    prepared p;
    upconv_counters before = {sizeof before}, after = {sizeof after};
    prepare(a, &p, notation, solver, frozen);
    const int locks = a->locks;
    OK(upconv_context_counters(a->context, &before));
    VkCommandBuffer commands = app_begin_commands(a);
    upconv_vk_recording *recording = NULL;
    app_before_compute(commands);
    OK(upconv_vk_record(p.plan, commands, &p.io, &recording));
    app_after_compute(commands);
    OK(upconv_context_counters(a->context, &after));
    assert_int_equal(after.submissions, before.submissions); // it records, never submits
    assert_int_equal(a->locks, locks);
    assert_true(p.output.mapped[GUARD] == 0xff);
    app_run(a, commands);
    expect_output(&p.test, &p.output);
    upconv_vk_recording_destroy(recording);
    release(a, &p);
}

static void test_record_phase(void **state) { record_one(app_of(state), "ic5oc7_ih9oh18kh4sh2ph1", "phase", true); }

static void test_record_direct(void **state) { record_one(app_of(state), "g3ic6oc9_ih7oh15kh3sh2ph0dh1", "direct", true); }

static void test_record_weights_at_execution(void **state)
{
    record_one(app_of(state), "ic5oc7_ih9oh18kh4sh2ph1", "phase", false);
    record_one(app_of(state), "ic5oc7_ih9oh18kh4sh2ph1", "direct", false);
}

static void test_record_3d(void **state)
{
    record_one(app_of(state), "mb2_ic3oc2_id3od6kd2sd2pd0_ih4oh8kh2sh2ph0_iw5ow10kw2sw2pw0+relu", "phase", true);
}

// One command buffer, replayed with other inputs.
static void test_replay(void **state)
{
    app *a = app_of(state);
    prepared p;
    prepare(a, &p, "ic4oc4_ih6oh12kh4sh2ph1", "phase", true);
    VkCommandBuffer commands = app_begin_commands(a);
    upconv_vk_recording *recording = NULL;
    app_before_compute(commands);
    OK(upconv_vk_record(p.plan, commands, &p.io, &recording));
    app_after_compute(commands);
    app_run(a, commands);
    expect_output(&p.test, &p.output);
    memset(p.input.mapped + 4, 0, (size_t)p.test.sizes.input_bytes);
    app_await(a, app_submit(a, commands));
    for (uint64_t i = 0; i < p.test.sizes.output_elements; i++)
        assert_true(((const float *)(p.output.mapped + GUARD))[i] == 0);
    upconv_vk_recording_destroy(recording);
    release(a, &p);
}

// Two plans in one command buffer, the second reads what the first writes, with the app's barrier between.
static void test_chain(void **state)
{
    app *a = app_of(state);
    prepared first, second;
    prepare(a, &first, "ic4oc3_ih5oh10kh4sh2ph1", "phase", true);
    prepare(a, &second, "ic3oc2_ih10oh20kh2sh2ph0", "direct", true);
    // what the second must give for the first's output
    upconv_context *cpu = NULL;
    upconv_plan *plan = NULL;
    const size_t bytes = (size_t)second.test.sizes.output_bytes;
    float *expected = malloc(bytes), *between = malloc((size_t)first.test.sizes.output_bytes);
    assert_true(expected && between);
    for (uint64_t i = 0; i < first.test.sizes.output_elements; i++)
        between[i] = (float)first.test.expected[i];
    OK(test_context_create(UPCONV_BACKEND_CPU, NULL, &cpu));
    const upconv_plan_params params = {sizeof params, .weights = second.test.weights};
    OK(upconv_plan_create(cpu, &second.test.problem, &params, &plan));
    OK(upconv_execute(plan, between, expected));

    upconv_vk_recording *recordings[2] = {0};
    second.io.at[UPCONV_INPUT] = first.io.at[UPCONV_OUTPUT];
    VkCommandBuffer commands = app_begin_commands(a);
    app_before_compute(commands);
    OK(upconv_vk_record(first.plan, commands, &first.io, &recordings[0]));
    app_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    OK(upconv_vk_record(second.plan, commands, &second.io, &recordings[1]));
    app_after_compute(commands);
    app_run(a, commands);
    expect_output(&first.test, &first.output);
    assert_memory_equal(second.output.mapped + GUARD, expected, bytes);

    upconv_vk_recording_destroy(recordings[0]);
    upconv_vk_recording_destroy(recordings[1]);
    upconv_plan_destroy(plan);
    upconv_context_destroy(cpu);
    free(expected);
    free(between);
    release(a, &first);
    release(a, &second);
}

static upconv_plan *plan_of(app *a, const upconv_problem *problem, const char *solver)
{
    const upconv_plan_params params = {sizeof params, .solver = solver};
    upconv_plan *plan = NULL;
    OK(upconv_plan_create(a->context, problem, &params, &plan));
    return plan;
}

static void expect_bytes(const app_buffer *b, const void *expected, size_t bytes)
{
    assert_memory_equal(b->mapped + GUARD, expected, bytes);
    for (size_t i = 0; i < b->bytes; i++)
        if ((i < GUARD || i >= GUARD + bytes) && b->mapped[i] != 0xff)
            fail_msg("byte %zu outside of the tensor was changed", i);
}

// Pooling and unpooling in one command buffer: the indices are a tensor of the app's, which one writes and the other reads.
static void indices_between(app *a, const char *pool, const char *unpool, const char *solver)
{
    pooled p;
    assert_true(pooled_init(&p, pool, unpool));
    const size_t bytes[4] = {(size_t)p.pool_sizes.input_bytes, (size_t)p.pool_sizes.output_bytes,
                             (size_t)p.pool_sizes.indices_bytes, (size_t)p.unpool_sizes.output_bytes};
    upconv_plan *const plans[2] = {plan_of(a, &p.pool, "pool"), plan_of(a, &p.unpool, solver)};
    upconv_vk_recording *recordings[2] = {0}, *refused = NULL;
    app_buffer buffers[4];
    upconv_binding at[4];
    for (int i = 0; i < 4; i++) {
        buffers[i] = app_make_buffer(a, bytes[i] + 2 * GUARD);
        at[i] = (upconv_binding){.buffer = buffers[i].imported, .offset = GUARD};
    }
    memcpy(buffers[0].mapped + GUARD, p.input, bytes[0]);
    upconv_io first = {sizeof first}, second = {sizeof second};
    first.at[UPCONV_INPUT] = at[0], first.at[UPCONV_OUTPUT] = second.at[UPCONV_INPUT] = at[1];
    first.at[UPCONV_INDICES] = second.at[UPCONV_INDICES] = at[2], second.at[UPCONV_OUTPUT] = at[3];

    VkCommandBuffer commands = app_begin_commands(a);
    app_before_compute(commands);
    upconv_io without = first;
    without.at[UPCONV_INDICES] = (upconv_binding){0};
    assert_int_equal(upconv_vk_record(plans[0], commands, &without, &refused), UPCONV_ERROR_INVALID);
    without.at[UPCONV_INDICES] = (upconv_binding){.buffer = buffers[2].imported, .offset = 2 * GUARD + 4};
    assert_int_equal(upconv_vk_record(plans[0], commands, &without, &refused), UPCONV_ERROR_INVALID); // ends before they do
    assert_null(refused);
    OK(upconv_vk_record(plans[0], commands, &first, &recordings[0]));
    app_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    OK(upconv_vk_record(plans[1], commands, &second, &recordings[1]));
    app_after_compute(commands);
    app_run(a, commands);
    const void *const expected[4] = {p.input, p.pooled, p.indices, p.unpooled};
    for (int i = 0; i < 4; i++)
        expect_bytes(&buffers[i], expected[i], bytes[i]);

    for (int i = 0; i < 2; i++) {
        upconv_vk_recording_destroy(recordings[i]);
        upconv_plan_destroy(plans[i]);
    }
    for (int i = 0; i < 4; i++)
        app_free_buffer(a, &buffers[i]);
    pooled_finish(&p);
}

static void test_indices(void **state)
{
    app *a = app_of(state);
    indices_between(a, "pool:ic5_ih10kh2sh2", "unpool:ic5_ih5oh10kh2sh2", "unpool");
    indices_between(a, "pool:mb2_ic3_ih9oh5kh3sh2ph1+index:image", "unpool:mb2_ic3_ih5oh9kh3sh2ph1+index:image",
                    "owners");
    indices_between(a, "pool:ic6_iw12kw3sw3+index:window", "unpool:ic6_iw4ow12kw3sw3+index:window", "owners");
}

// Several recordings of one plan, each with its own workspace and descriptors, all in flight.
static void test_in_flight(void **state)
{
    app *a = app_of(state);
    prepared p;
    app_buffer outputs[IN_FLIGHT];
    upconv_vk_recording *recordings[IN_FLIGHT];
    VkCommandBuffer commands[IN_FLIGHT];
    VkFence fences[IN_FLIGHT];
    prepare(a, &p, "ic6oc5_ih12oh24kh4sh2ph1", "phase", false);
    for (int i = 0; i < IN_FLIGHT; i++) {
        outputs[i] = app_make_buffer(a, p.output.bytes);
        p.io.at[UPCONV_OUTPUT].buffer = outputs[i].imported;
        commands[i] = app_begin_commands(a);
        app_before_compute(commands[i]);
        OK(upconv_vk_record(p.plan, commands[i], &p.io, &recordings[i]));
        app_after_compute(commands[i]);
        VK(vkEndCommandBuffer(commands[i]));
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        fences[i] = app_submit(a, commands[i]);
    for (int i = 0; i < IN_FLIGHT; i++) {
        app_await(a, fences[i]);
        expect_output(&p.test, &outputs[i]);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        upconv_vk_recording_destroy(recordings[i]);
        app_free_buffer(a, &outputs[i]);
    }
    release(a, &p);
}

// upconv's own submissions and the app's on one queue: the order of submission is enough.
static void test_shared_queue(void **state)
{
    app *a = app_of(state);
    prepared p;
    upconv_ticket ticket;
    prepare(a, &p, "ic3oc4_ih8oh16kh4sh2ph1", "phase", true);
    app_buffer source = app_make_buffer(a, p.input.bytes), copy = app_make_buffer(a, p.output.bytes);
    memcpy(source.mapped, p.input.mapped, p.input.bytes);
    memset(p.input.mapped, 0xff, p.input.bytes);

    const int locks = a->locks;
    VkCommandBuffer before = app_begin_commands(a), after = app_begin_commands(a);
    const VkBufferCopy in = {.size = p.input.bytes}, out = {.size = p.output.bytes};
    vkCmdCopyBuffer(before, source.buffer, p.input.buffer, 1, &in);
    VK(vkEndCommandBuffer(before));
    vkCmdCopyBuffer(after, p.output.buffer, copy.buffer, 1, &out);
    app_barrier(after, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT);
    VK(vkEndCommandBuffer(after));
    VkFence first = app_submit(a, before);
    OK(upconv_submit(p.plan, &p.io, &ticket));
    VkFence last = app_submit(a, after);
    app_await(a, first);
    OK(upconv_wait(a->context, ticket, -1));
    app_await(a, last);
    expect_output(&p.test, &copy);
    assert_true(a->locks > locks);
    assert_int_equal(a->locks, a->unlocks);
    app_free_buffer(a, &source);
    app_free_buffer(a, &copy);
    release(a, &p);
}

typedef struct lock_worker {
    app *a;
    const prepared *p;
    upconv_status status;
    int64_t wrong;
} lock_worker;

static void *execute_often(void *argument)
{
    lock_worker *w = argument;
    float *output = malloc((size_t)w->p->test.sizes.output_bytes);
    for (int i = 0; i < 10 && output && !w->status && w->wrong < 0; i++) {
        w->status = upconv_execute(w->p->plan, w->p->test.input, output);
        w->wrong = w->status ? -1 : test_case_compare(&w->p->test, output);
    }
    free(output);
    return NULL;
}

// The lock is the app's, so its own submissions from other threads go between upconv's.
static void test_queue_lock(void **state)
{
    app *a = app_of(state);
    prepared p;
    pthread_t threads[2];
    prepare(a, &p, "ic3oc4_ih8oh16kh4sh2ph1", "phase", true);
    lock_worker workers[2] = {{a, &p, UPCONV_OK, -1}, {a, &p, UPCONV_OK, -1}};
    const int locks = a->locks;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, execute_often, &workers[i]), 0);
    for (int i = 0; i < 10; i++) {
        VkCommandBuffer commands = app_begin_commands(a);
        vkCmdFillBuffer(commands, p.output.buffer, 0, 16, 7);
        app_run(a, commands);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].status, UPCONV_OK);
        assert_int_equal(workers[i].wrong, -1);
    }
    assert_true(a->locks - locks >= 20);
    assert_int_equal(a->locks, a->unlocks);
    assert_int_equal(a->held, 0);
    release(a, &p);
}

static void test_refusals(void **state)
{
    app *a = app_of(state);
    upconv_context *context = NULL;
    upconv_buffer *imported = NULL;
    upconv_vk_recording *recording = NULL;
    upconv_vk_params mine = app_lent(a);
    void *pointer;
    assert_int_equal(upconv_vk_context_create(NULL, NULL, &context), UPCONV_ERROR_INVALID);
    mine.device = VK_NULL_HANDLE;
    assert_int_equal(upconv_vk_context_create(&mine, NULL, &context), UPCONV_ERROR_INVALID);
    mine = app_lent(a);
    mine.get_instance_proc_addr = NULL;
    assert_int_equal(upconv_vk_context_create(&mine, NULL, &context), UPCONV_ERROR_INVALID);
    assert_null(context);
    assert_int_equal(upconv_vk_buffer_import(a->context, VK_NULL_HANDLE, 16, &imported), UPCONV_ERROR_INVALID);
    assert_null(imported);

    prepared p;
    prepare(a, &p, "ic3oc4_ih8oh16kh4sh2ph1", "direct", true);
    assert_int_equal(upconv_buffer_map(p.input.imported, UPCONV_MAP_READ, &pointer), UPCONV_ERROR_INVALID);
    VkCommandBuffer commands = app_begin_commands(a);
    upconv_io io = p.io;
    io.at[UPCONV_OUTPUT].buffer = NULL;
    assert_int_equal(upconv_vk_record(p.plan, commands, &io, &recording), UPCONV_ERROR_INVALID);
    io = p.io;
    io.at[UPCONV_OUTPUT].offset = p.output.bytes - 4;
    assert_int_equal(upconv_vk_record(p.plan, commands, &io, &recording), UPCONV_ERROR_INVALID);
    io = p.io;
    io.at[UPCONV_INPUT].offset = 2;
    assert_int_equal(upconv_vk_record(p.plan, commands, &io, &recording), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_vk_record(p.plan, NULL, &p.io, &recording), UPCONV_ERROR_INVALID);
    assert_null(recording);
    VK(vkEndCommandBuffer(commands));
    upconv_vk_recording_destroy(NULL);
    release(a, &p);
}

// Of what the device can do, what the app says it has enabled; here only its word counts, and nothing is run.
static void test_enabled(void **state)
{
    app *a = app_of(state);
    upconv_vk_params mine = app_lent(a);
    upconv_context *context = NULL, *own = NULL;
    OK(test_context_create(UPCONV_BACKEND_VULKAN, NULL, &own));
    OK(upconv_vk_context_create(&mine, NULL, &context));
    assert_int_equal(context->facts.dot_takes, 0);
    upconv_context_destroy(context);
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
        .shaderIntegerDotProduct = VK_TRUE};
    static const char *const names[] = {"VK_KHR_shader_integer_dot_product"};
    const VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &dot};
    mine.features = &features;
    OK(upconv_vk_context_create(&mine, NULL, &context));
    assert_int_equal(context->facts.dot_takes, 0); // the feature without its extension, under 1.1
    upconv_context_destroy(context);
    mine.extensions = names;
    mine.extension_count = 1;
    OK(upconv_vk_context_create(&mine, NULL, &context));
    assert_int_equal(context->facts.dot_takes, own->facts.dot_takes);
    upconv_context_destroy(context);
    upconv_context_destroy(own);
}

// A device made under Vulkan 1.0, with nothing enabled and no lock.
static void test_vulkan_10(void **state)
{
    app *a = app_of(state);
    upconv_vk_params mine = app_lent(a);
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    test_case test;
    test_random random = {5};
    const upconv_problem problem = test_problem("ic3oc4_ih8oh16kh4sh2ph1");
    mine.api_version = 0;
    mine.lock_queue = mine.unlock_queue = NULL;
    assert_true(test_case_init(&test, &problem, UPCONV_FILTER_IOK, true, true, &random));
    OK(upconv_vk_context_create(&mine, NULL, &context));
    const upconv_plan_params params = {sizeof params, .weights = test.weights, .bias = test.bias};
    float *output = malloc((size_t)test.sizes.output_bytes);
    assert_non_null(output);
    OK(upconv_plan_create(context, &problem, &params, &plan));
    OK(upconv_execute(plan, test.input, output));
    assert_int_equal(test_case_compare(&test, output), -1);
    free(output);
    upconv_plan_destroy(plan);
    upconv_context_destroy(context);
    test_case_finish(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_phase),
        cmocka_unit_test(test_record_direct),
        cmocka_unit_test(test_record_weights_at_execution),
        cmocka_unit_test(test_record_3d),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_shared_queue),
        cmocka_unit_test(test_queue_lock),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_enabled),
        cmocka_unit_test(test_vulkan_10),
    };
    return cmocka_run_group_tests(tests, open_app, close_app);
}
