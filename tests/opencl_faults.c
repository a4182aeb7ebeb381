// Faults that no driver has on request, and devices that are the app's. The table of the driver's functions belongs to the device,
// so a test replaces what shall fail.
#include "opencl_fixture.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leaks.h"

// ------------------------------------------------------------------------------------------------------------- faults

static _Thread_local int enqueues_until_fault;
static _Thread_local cl_int fault;
static __typeof__(clEnqueueNDRangeKernel) *real_enqueue;

static cl_int CL_API_CALL faulty_enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                         const size_t *global, const size_t *local, cl_uint count,
                                         const cl_event *waits, cl_event *event)
{
    if (enqueues_until_fault-- == 0)
        return fault;
    return real_enqueue(queue, kernel, dims, offset, global, local, count, waits, event);
}

static upconv_status submit_with_fault(fixture *f, int at, cl_int error, upconv_ticket *ticket)
{
    upc_cl_device *device = upc_cl_device_of(f->device);
    const int32_t args[2] = {COUNT, 3};
    const upc_launch one = scale_launch(f, f->x, 0, f->y, 0, args);
    const upc_launch launches[3] = {one, one, one};
    real_enqueue = device->cl.EnqueueNDRangeKernel;
    device->cl.EnqueueNDRangeKernel = faulty_enqueue;
    enqueues_until_fault = at;
    fault = error;
    const upconv_status status = upc_cl_submit(f->device, &(upc_work){launches, 3, 64}, ticket);
    device->cl.EnqueueNDRangeKernel = real_enqueue;
    return status;
}

static void test_enqueue_faults(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    upconv_ticket ticket = 0;
    for (int at = 0; at < 3; at++) {
        assert_int_equal(submit_with_fault(f, at, CL_OUT_OF_RESOURCES, &ticket), UPCONV_ERROR_GPU_MEMORY);
        assert_int_equal(submit_with_fault(f, at, CL_OUT_OF_HOST_MEMORY, &ticket), UPCONV_ERROR_HOST_MEMORY);
        assert_int_equal(submit_with_fault(f, at, CL_INVALID_WORK_GROUP_SIZE, &ticket), UPCONV_ERROR_COMPILE);
    }
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    assert_int_equal(ticket, 1); // a failed submission has none
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    expect_scaled(f->y, 0, 3);
}

static void expect_stuck(fixture *f, upconv_status status)
{
    upconv_ticket ticket = 7;
    void *pointer = NULL;
    upc_memory *memory = NULL;
    upc_program *program = NULL;
    uint64_t ns;
    assert_int_equal(f->device->state, status);
    assert_int_equal(submit_one(f, &ticket), status);
    assert_int_equal(upc_cl_wait(f->device, 1, 0), status);
    assert_int_equal(upc_cl_ticket_time(f->device, 1, &ns), status);
    assert_int_equal(upc_cl_memory_map(f->y, UPCONV_MAP_READ, SECOND, &pointer), status);
    assert_int_equal(upc_cl_memory_create(f->device, 64, &memory), status);
    assert_int_equal(upc_cl_program_create(f->device, &scale_source, &program), status);
    assert_true(ticket == 7 && !pointer && !memory && !program && upc_last_error()[0]);
}

// A device that will be lost: what it leaves to the driver is no leak of ours.
static void reopen_doomed(fixture *f)
{
    things_drop(f);
    test_leaks_pass();
    assert_int_equal(upc_cl_open(&f->env, 0, &f->device), UPCONV_OK);
    assert_int_equal(things_make(f), UPCONV_OK);
}

static int teardown_doomed(void **state)
{
    if (((fixture *)*state)->device)
        test_leaks_count();
    return teardown(state);
}

static void test_lost_at_enqueue(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    reopen_doomed(f);
    upconv_ticket ticket = 0;
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(submit_with_fault(f, 1, CL_DEVICE_NOT_AVAILABLE, &ticket), UPCONV_ERROR_DEVICE_LOST);
    expect_stuck(f, UPCONV_ERROR_DEVICE_LOST);
}

static cl_int CL_API_CALL failed_event(cl_event event, cl_event_info what, size_t size, void *value, size_t *given)
{
    (void)event, (void)what, (void)given;
    const cl_int state = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    memcpy(value, &state, size);
    return CL_SUCCESS;
}

static void test_lost_while_running(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    reopen_doomed(f);
    upc_cl_device *device = upc_cl_device_of(f->device);
    upconv_ticket ticket = 0;
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    device->cl.GetEventInfo = failed_event;
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_ERROR_DEVICE_LOST);
    assert_non_null(strstr(upc_last_error(), "submission 1"));
    expect_stuck(f, UPCONV_ERROR_DEVICE_LOST);
}

// ---------------------------------------------------------------------------------------------------- an app's objects

// What an app would have; the library is upconv's own opening of it.
typedef struct app {
    upc_cl cl;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    cl_event gate; // a user event that holds the queue up until it is set
} app;

static bool app_open(app *a, const fixture *f, cl_command_queue_properties properties)
{
    char why[256];
    cl_int error = CL_SUCCESS;
    memset(a, 0, sizeof *a);
    if (!upc_cl_load(&a->cl, &(upc_text){why, sizeof why, 0}))
        return false;
    a->device = upc_cl_device_of(f->device)->where.device;
    a->context = a->cl.CreateContext(NULL, 1, &a->device, NULL, NULL, &error);
    a->queue = a->cl.CreateCommandQueue(a->context, a->device, properties, &error);
    return a->queue != NULL;
}

static void app_close(app *a)
{
    a->cl.ReleaseCommandQueue(a->queue);
    a->cl.ReleaseContext(a->context);
    upc_cl_unload(&a->cl);
}

static void reopen_lent(fixture *f, const app *a, bool with_queue)
{
    things_drop(f);
    const upconv_cl_params lent = {.context = a->context, .device = a->device, .queue = with_queue ? a->queue : NULL};
    assert_int_equal(upc_cl_open_lent(&f->env, &lent, &f->device), UPCONV_OK);
    assert_int_equal(things_make(f), UPCONV_OK);
}

static void test_lent(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    for (int with_queue = 0; with_queue < 2; with_queue++) {
        app a;
        assert_true(app_open(&a, f, 0));
        reopen_lent(f, &a, with_queue);
        assert_int_equal(f->device->facts.info.index, 0);
        assert_int_equal(f->device->facts.info.timestamps, !with_queue);
        upconv_ticket ticket;
        uint64_t ns = 0;
        assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
        assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
        assert_int_equal(upc_cl_ticket_time(f->device, ticket, &ns), UPCONV_OK);
        assert_true(ns > 0);
        expect_scaled(f->y, 0, 3);
        app_close(&a); // upconv keeps what it uses
        expect_scaled(f->y, 0, 3);
    }
}

static void test_lent_refused(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    app a;
    upc_device *device = NULL;
    assert_true(app_open(&a, f, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
    const upconv_cl_params bad[] = {
        {.context = a.context, .device = a.device, .queue = a.queue},
        {.context = upc_cl_device_of(f->device)->context, .device = a.device, .queue = a.queue},
        {.context = a.context},
        {.device = a.device},
    };
    for (size_t i = 0; i < UPC_COUNT(bad); i++) {
        assert_int_equal(upc_cl_open_lent(&f->env, &bad[i], &device), UPCONV_ERROR_INVALID);
        assert_null(device);
    }
    app_close(&a);
}

typedef cl_int(CL_API_CALL *set_status_fn)(cl_event event, cl_int status);
typedef cl_event(CL_API_CALL *user_event_fn)(cl_context context, cl_int *error);

// A device that hangs: the app's queue waits for an event that nobody sets.
static void test_hang(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    app a;
    test_leaks_pass();
    assert_true(app_open(&a, f, 0));
    void *const found[2] = {dlsym(a.cl.library, "clCreateUserEvent"), dlsym(a.cl.library, "clSetUserEventStatus")};
    user_event_fn create;
    set_status_fn set;
    memcpy(&create, &found[0], sizeof create);
    memcpy(&set, &found[1], sizeof set);
    assert_true(create && set);
    reopen_lent(f, &a, true);
    cl_int error;
    cl_event gate = create(a.context, &error);
    assert_int_equal(a.cl.EnqueueMarkerWithWaitList(a.queue, 1, &gate, NULL), CL_SUCCESS);
    upconv_ticket ticket;
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 0), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(f->device->state, UPCONV_OK); // 0 only asks
    const uint64_t start = upc_now_ns();
    assert_int_equal(upc_cl_wait(f->device, ticket, SECOND / 5), UPCONV_ERROR_TIMEOUT);
    expect_stuck(f, UPCONV_ERROR_TIMEOUT);
    things_drop(f);
    assert_true(upc_now_ns() - start < 2ull * SECOND);
    assert_int_equal(f->live, 0);
    set(gate, CL_COMPLETE); // so that the process can end
    a.cl.ReleaseEvent(gate);
    a.cl.ReleaseCommandQueue(a.queue);
    a.cl.ReleaseContext(a.context);
    upc_cl_unload(&a.cl);
    test_leaks_count();
}

// opencl_faults [PATTERN]: only the tests whose name it matches.
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define DOOMED(name) cmocka_unit_test_setup_teardown(name, setup, teardown_doomed)
    const struct CMUnitTest tests[] = {
        TEST(test_enqueue_faults),
        DOOMED(test_lost_at_enqueue),
        DOOMED(test_lost_while_running),
        TEST(test_lent),
        TEST(test_lent_refused),
        TEST(test_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
