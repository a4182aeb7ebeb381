// The OpenCL backend at the seam: what is peculiar to OpenCL, and faults that no driver has on request. The table of the
// driver's functions belongs to the device, so a test replaces what shall fail.
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../api/internal.h"
#include "../backends/opencl/cl.h"
#include "leaks.h"

enum { SECOND = 1000000000, COUNT = 1000 };

// y[i] = x[i] * scale + i, on one axis of 64 items.
static const char scale_text[] =
    "__kernel void upc_main(__global const float *restrict x, __global float *restrict y, int bx, int by, int n, int s)\n"
    "{ int i = (int)get_global_id(0); if (i < n) y[by + i] = x[bx + i] * (float)s + (float)i; }\n";

static const upc_program_source scale_source = {
    .name = "scale", .text = scale_text, .key = {1, 2}, .local = {64, 1, 1}, .binding_count = 2, .arg_count = 2};

// ------------------------------------------------------------------------------------------------------------ fixture

typedef struct fixture {
    upc_env env;
    upc_device *device;
    upc_memory *x, *y;
    upc_program *program;
    atomic_long allocations, fail_at; // fail_at: the allocation that fails, from 1; 0: none
    atomic_long live;
    char error_log[65536]; // written by one thread at a time in these tests
} fixture;

static void *counting_alloc(void *user, size_t size)
{
    fixture *f = user;
    const long number = atomic_fetch_add(&f->allocations, 1) + 1;
    if (number == atomic_load(&f->fail_at))
        return NULL;
    void *memory = malloc(size);
    if (memory)
        atomic_fetch_add(&f->live, 1);
    return memory;
}

static void counting_release(void *user, void *memory)
{
    fixture *f = user;
    if (memory)
        atomic_fetch_sub(&f->live, 1);
    free(memory);
}

static void keep_errors(void *user, upconv_log_level level, const char *message)
{
    fixture *f = user;
    if (level == UPCONV_LOG_ERROR)
        strncat(f->error_log, message, sizeof f->error_log - strlen(f->error_log) - 1);
}

static void env_start(fixture *f)
{
    memset(f, 0, sizeof *f);
    const upconv_allocator allocator = {f, counting_alloc, counting_release};
    const upconv_context_params params = {.allocator = &allocator, .log = keep_errors, .log_user = f};
    upc_env_init(&f->env, &params);
}

static upconv_status memory_fill(upc_memory *memory, float first)
{
    void *pointer = NULL;
    const upconv_status status = upc_cl_memory_map(memory, UPCONV_MAP_WRITE, 10ll * SECOND, &pointer);
    if (status != UPCONV_OK)
        return status;
    for (uint64_t i = 0; i < memory->bytes / sizeof(float); i++)
        ((float *)pointer)[i] = first + (float)(i % 100);
    return upc_cl_memory_unmap(memory, 10ll * SECOND);
}

static upconv_status things_make(fixture *f)
{
    upconv_status status = upc_cl_memory_create(f->device, COUNT * sizeof(float), &f->x);
    if (status == UPCONV_OK)
        status = upc_cl_memory_create(f->device, 4 * COUNT * sizeof(float), &f->y);
    if (status == UPCONV_OK)
        status = upc_cl_program_create(f->device, &scale_source, &f->program);
    if (status == UPCONV_OK)
        status = memory_fill(f->x, 0);
    if (status == UPCONV_OK)
        status = memory_fill(f->y, -1000);
    return status;
}

static void things_drop(fixture *f)
{
    upc_memory_release(f->x);
    upc_memory_release(f->y);
    upc_program_release(f->program);
    if (f->device)
        upc_cl_close(f->device, 10ll * SECOND);
    f->x = f->y = NULL;
    f->program = NULL;
    f->device = NULL;
}

static int setup(void **state)
{
    fixture *f = malloc(sizeof *f);
    env_start(f);
    *state = f;
    if (upc_cl_open(&f->env, 0, &f->device) != UPCONV_OK)
        return 0; // no device: the tests skip
    return things_make(f) == UPCONV_OK ? 0 : -1;
}

static int teardown(void **state)
{
    fixture *f = *state;
    things_drop(f);
    const long live = atomic_load(&f->live);
    free(f);
    return live == 0 ? 0 : -1;
}

#define NEED_DEVICE(f)                                                                                                 \
    if (!(f)->device)                                                                                                  \
    skip()

static upc_launch scale_launch(const fixture *f, upc_memory *from, uint64_t from_at, upc_memory *to, uint64_t to_at,
                               const int32_t args[2])
{
    return (upc_launch){.program = f->program,
                        .groups = {(COUNT + 63) / 64, 1, 1},
                        .bound = {{from, from_at, COUNT * sizeof(float)}, {to, to_at, COUNT * sizeof(float)}},
                        .bound_count = 2,
                        .args = args,
                        .arg_count = 2,
                        .barrier = true};
}

static upconv_status submit_one(fixture *f, upconv_ticket *ticket)
{
    static const int32_t args[2] = {COUNT, 3};
    const upc_launch launch = scale_launch(f, f->x, 0, f->y, 0, args);
    return upc_cl_submit(f->device, &(upc_work){&launch, 1, 0}, ticket);
}

// y[at + i] == (i % 100) * scale + i
static void expect_scaled(upc_memory *y, size_t at, float scale)
{
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        wrong += ((const float *)pointer)[at + (size_t)i] != (float)(i % 100) * scale + (float)i;
    assert_int_equal(upc_cl_memory_unmap(y, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(wrong, 0);
}

// ----------------------------------------------------------------------------------------------------------- ordinary

static void test_facts(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    const upconv_device_info *info = &f->device->facts.info;
    assert_true(info->name[0] && info->vendor[0] && info->driver[0]);
    assert_memory_equal(info->api, "OpenCL ", 7);
    assert_true(info->limits.group_size > 0 && info->limits.shared_bytes > 0);
    assert_true(info->limits.binding_bytes <= ((uint64_t)1 << 33) - 4096);
    assert_true((uint64_t)info->limits.group_count * info->limits.group_size <= INT32_MAX);
    assert_true(info->offset_alignment >= 4);
    upc_facts facts;
    assert_int_equal(upc_cl_facts_at(&f->env, 0, &facts), UPCONV_OK);
    assert_string_equal(facts.info.name, info->name);
    assert_int_equal(upc_cl_facts_at(&f->env, 1000, &facts), UPCONV_ERROR_NO_DEVICE);
    assert_int_equal(upc_cl_facts_at(&f->env, -1, &facts), UPCONV_ERROR_NO_DEVICE);
    upconv_backend_info backend = {0};
    upc_cl_describe(&f->env, &backend);
    assert_true(backend.loaded && backend.devices >= 1 && backend.detail[0]);
}

static void test_workspace_and_offsets(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    const int32_t first[2] = {COUNT, 2}, second[2] = {COUNT, 5};
    const uint64_t middle = 52; // of the workspace, and no multiple of any alignment but 4
    const upc_launch launches[2] = {scale_launch(f, f->x, 0, NULL, middle, first),
                                    scale_launch(f, NULL, middle, f->y, 4 * COUNT, second)};
    upconv_ticket ticket = 0;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){launches, 2, 8 * COUNT}, &ticket), UPCONV_OK);
    assert_int_equal(ticket, 1);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(f->y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    const float *y = pointer;
    assert_true(y[COUNT - 1] == -1000 + (COUNT - 1) % 100 && y[2 * COUNT] == -1000);
    for (int i = 0; i < COUNT; i++)
        assert_true(y[COUNT + i] == ((float)(i % 100) * 2 + (float)i) * 5 + (float)i);
    assert_int_equal(upc_cl_memory_unmap(f->y, 10ll * SECOND), UPCONV_OK);
    uint64_t ns = 0;
    assert_int_equal(upc_cl_ticket_time(f->device, ticket, &ns), UPCONV_OK);
    assert_true(ns > 0 && ns < 10ull * SECOND);
}

static void test_tickets(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    enum { MANY = 300 };
    upconv_ticket ticket = 0;
    uint64_t ns;
    assert_int_equal(upc_cl_wait(f->device, 1, 0), UPCONV_ERROR_INVALID);
    for (int i = 1; i <= MANY; i++) {
        assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
        assert_int_equal(ticket, i);
    }
    assert_int_equal(upc_cl_wait(f->device, MANY + 1, 0), UPCONV_ERROR_INVALID);
    assert_int_equal(upc_cl_wait(f->device, MANY, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, 1, 0), UPCONV_OK);
    assert_int_equal(upc_cl_ticket_time(f->device, MANY, &ns), UPCONV_OK);
    assert_int_equal(upc_cl_ticket_time(f->device, MANY - 255, &ns), UPCONV_OK);
    assert_int_equal(upc_cl_ticket_time(f->device, MANY - 256, &ns), UPCONV_ERROR_INVALID);
    assert_int_equal(upc_cl_ticket_time(f->device, MANY + 1, &ns), UPCONV_ERROR_INVALID);
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){NULL, 0, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    expect_scaled(f->y, 0, 3);
}

// Memory and programs may be released while they are in use.
static void test_held(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    upconv_ticket ticket = 0;
    for (int i = 0; i < 20; i++)
        assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    upc_memory_release(f->x);
    upc_program_release(f->program);
    f->x = NULL;
    f->program = NULL;
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    expect_scaled(f->y, 0, 3);
}

// ------------------------------------------------------------------------------------------------------------ windows

static void test_sub_buffers(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    upc_cl_device *device = upc_cl_device_of(f->device);
    device->reach = 4 * COUNT; // as if a base reached no further
    const int32_t args[2] = {COUNT, 7};
    const upc_launch launches[3] = {scale_launch(f, f->x, 0, f->y, 4 * 333, args),
                                    scale_launch(f, f->x, 0, NULL, 4 * 77, args),
                                    scale_launch(f, f->x, 0, f->y, 4 * 2500, args)};
    upconv_ticket ticket = 0;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){launches, 3, 8 * COUNT}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    expect_scaled(f->y, 333, 7);
    expect_scaled(f->y, 2500, 7);
}

static void test_import(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    upc_cl_device *device = upc_cl_device_of(f->device);
    const upc_cl *cl = &device->cl;
    cl_int error = CL_SUCCESS;
    cl_mem whole = cl->CreateBuffer(device->context, CL_MEM_READ_WRITE, 65536, NULL, &error);
    const cl_buffer_region region = {4096, 32768};
    cl_mem part = cl->CreateSubBuffer(whole, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    assert_non_null(part);
    upc_memory *memory = NULL;
    assert_int_equal(upc_cl_memory_import(device, part, &memory), UPCONV_OK);
    assert_true(memory->imported && memory->bytes == 32768);
    cl->ReleaseMemObject(part);
    // Once through the object itself, once through a sub-buffer of what it is a part of.
    const int32_t args[2] = {COUNT, 4}, again[2] = {COUNT, 1};
    const upc_launch launch = scale_launch(f, f->x, 0, memory, 4 * 1111, args);
    upconv_ticket ticket = 0;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){&launch, 1, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    device->reach = 0;
    const upc_launch back = scale_launch(f, memory, 4 * 1111, f->y, 0, again);
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){&back, 1, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(f->y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    for (int i = 0; i < COUNT; i++)
        assert_true(((const float *)pointer)[i] == (float)(i % 100) * 4 + 2 * (float)i);
    assert_int_equal(upc_cl_memory_unmap(f->y, 10ll * SECOND), UPCONV_OK);
    upc_memory_release(memory);
    cl->ReleaseMemObject(whole);
}

static void test_too_large(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    upc_memory *memory = NULL;
    assert_int_equal(upc_cl_memory_create(f->device, (uint64_t)1 << 50, &memory), UPCONV_ERROR_GPU_MEMORY);
    upconv_ticket ticket;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){NULL, 0, (uint64_t)1 << 50}, &ticket), UPCONV_ERROR_GPU_MEMORY);
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
}

// ----------------------------------------------------------------------------------------------------------- programs

static void test_compile_errors(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"__kernel void upc_main(__global float *x) { x[0] = nonsense_here; }\n", "nonsense_here"},
        {"__kernel void upc_other(__global float *x) { x[0] = 1.0f; }\n", "upc_main"},
        {"__kernel void upc_main(__global float *x) { x[0] = 1.0f; }\n", "1 arguments where 6"},
    };
    for (size_t i = 0; i < UPC_COUNT(bad); i++) {
        upc_program_source source = scale_source;
        source.text = bad[i].text;
        upc_program *program = NULL;
        assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_ERROR_COMPILE);
        assert_non_null(strstr(upc_last_error(), bad[i].said));
        assert_null(program);
    }
    assert_non_null(strstr(f->error_log, "nonsense_here"));
    assert_int_equal(f->device->state, UPCONV_OK);
}

// A build log longer than a line of upconv's log still comes whole.
static void test_long_build_log(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    char text[8192];
    upc_text all = {text, sizeof text, 0};
    upc_text_add(&all, "__kernel void upc_main(__global float *x) {\n");
    for (int i = 0; i < 15; i++)
        upc_text_add(&all, "    x[%d] = a_name_that_is_long_enough_to_fill_lines_and_declared_nowhere_%d;\n", i, i);
    upc_text_add(&all, "}\n");
    upc_program_source source = scale_source;
    source.text = text;
    upc_program *program = NULL;
    assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_ERROR_COMPILE);
    assert_true(strlen(f->error_log) > 1500);
    for (int i = 0; i < 15; i++) {
        char name[80];
        snprintf(name, sizeof name, "a_name_that_is_long_enough_to_fill_lines_and_declared_nowhere_%d", i);
        assert_non_null(strstr(f->error_log, name));
    }
}

static void test_cache(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    assert_int_equal(upc_cache_create(&f->env), UPCONV_OK);
    upc_counts *counts = &f->env.counts;
    upc_program *program = NULL;
    upc_program_source source = scale_source;
    source.key[0] = 99;
    assert_int_equal(counts->source_compiles, 1);
    assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_OK);
    assert_int_equal(counts->source_compiles, 2);
    upc_program_release(program);
    assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_OK);
    assert_int_equal(counts->source_compiles, 2);
    assert_int_equal(counts->binary_loads, 1);
    upc_program_release(f->program);
    f->program = program;
    upconv_ticket ticket;
    assert_int_equal(submit_one(f, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    expect_scaled(f->y, 0, 3);
    // A binary that the driver refuses.
    const upc_cl_device *device = upc_cl_device_of(f->device);
    const uint64_t parts[4] = {98, source.key[1], device->identity[0], device->identity[1]};
    const uint64_t key[2] = {upc_hash(parts, sizeof parts, 1), upc_hash(parts, sizeof parts, 2)};
    upc_cache_store(&f->env, key, "this is no program", 18);
    source.key[0] = 98;
    upc_program *other = NULL;
    assert_int_equal(upc_cl_program_create(f->device, &source, &other), UPCONV_OK);
    assert_int_equal(counts->skipped_blobs, 1);
    assert_int_equal(counts->source_compiles, 3);
    upc_program_release(other);
    assert_int_equal(upc_cl_program_create(f->device, &source, &other), UPCONV_OK);
    assert_int_equal(counts->binary_loads, 2);
    upc_program_release(other);
    upc_cache_destroy(&f->env);
}

static void visit_statistic(void *user, const char *name, double value)
{
    assert_true(name[0] && value >= 0);
    ++*(int *)user;
}

static void test_statistics(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    int visited = 0;
    upc_cl_program_statistics(f->program, visit_statistic, &visited);
    assert_true(visited > 0);
}

// No option may have taken infinities and NaN away.
static void test_special_values(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    static const char text[] =
        "__kernel void upc_main(__global const float *x, __global float *y, int bx, int by)\n"
        "{ y[by] = x[bx] * 0.0f; y[by + 1] = isnan(x[bx] - x[bx]) ? 1.0f : 0.0f; y[by + 2] = max(x[bx + 1], 1.0f);\n"
        "  y[by + 3] = x[bx] > 3.0e38f ? 1.0f : 0.0f; y[by + 4] = 1.0f / (1.0f + exp(x[bx])); }\n";
    const upc_program_source source = {.name = "special", .text = text, .key = {5, 5}, .local = {1, 1, 1}, .binding_count = 2};
    upc_program *program = NULL;
    assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_OK);
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(f->x, UPCONV_MAP_WRITE, 10ll * SECOND, &pointer), UPCONV_OK);
    for (int i = 0; i < COUNT; i++)
        ((float *)pointer)[i] = i ? -INFINITY : INFINITY;
    assert_int_equal(upc_cl_memory_unmap(f->x, 10ll * SECOND), UPCONV_OK);
    const upc_launch launch = {.program = program, .groups = {1, 1, 1}, .bound = {{f->x, 0, 8}, {f->y, 0, 20}}, .bound_count = 2};
    upconv_ticket ticket;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){&launch, 1, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(upc_cl_memory_map(f->y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    const float *y = pointer;
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == 1 && y[3] == 1 && y[4] == 0);
    assert_int_equal(upc_cl_memory_unmap(f->y, 10ll * SECOND), UPCONV_OK);
    upc_program_release(program);
}

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

// ------------------------------------------------------------------------------------------------- memory and threads

// Whichever allocation fails: HOST_MEMORY, and nothing is lost.
static void test_allocations(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    things_drop(f);
    assert_int_equal(f->live, 0);
    bool whole = false;
    for (long at = 1; !whole && at < 200; at++) {
        atomic_store(&f->allocations, 0);
        atomic_store(&f->fail_at, at);
        upconv_ticket ticket = 0;
        upconv_status status = upc_cl_open(&f->env, 0, &f->device);
        if (status == UPCONV_OK)
            status = things_make(f);
        if (status == UPCONV_OK)
            status = submit_one(f, &ticket);
        if (status == UPCONV_OK)
            status = submit_one(f, &ticket);
        if (status == UPCONV_OK)
            status = upc_cl_wait(f->device, ticket, 10ll * SECOND);
        whole = atomic_load(&f->allocations) < at;
        assert_int_equal(status, whole ? UPCONV_OK : UPCONV_ERROR_HOST_MEMORY);
        things_drop(f);
        assert_int_equal(f->live, 0);
    }
    assert_true(whole);
    atomic_store(&f->fail_at, 0);
}

enum { THREADS = 4, ROUNDS = 40 };

typedef struct worker {
    fixture *f;
    upc_memory *y;
    int32_t scale;
    bool right;
} worker;

static void *work(void *user)
{
    worker *w = user;
    w->right = true;
    for (int round = 0; round < ROUNDS && w->right; round++) {
        const int32_t args[2] = {COUNT, w->scale + round}, one[2] = {COUNT, 1};
        const upc_launch launches[2] = {scale_launch(w->f, w->f->x, 0, NULL, 0, args),
                                        scale_launch(w->f, NULL, 0, w->y, 0, one)};
        upconv_ticket ticket = 0;
        void *pointer = NULL;
        if (upc_cl_submit(w->f->device, &(upc_work){launches, 2, 4 * COUNT}, &ticket) != UPCONV_OK ||
            upc_cl_wait(w->f->device, ticket, 60ll * SECOND) != UPCONV_OK ||
            upc_cl_memory_map(w->y, UPCONV_MAP_READ, 60ll * SECOND, &pointer) != UPCONV_OK) {
            w->right = false;
            break;
        }
        for (int i = 0; i < COUNT; i++)
            if (((const float *)pointer)[i] != (float)(i % 100) * (float)(w->scale + round) + 2 * (float)i)
                w->right = false;
        if (upc_cl_memory_unmap(w->y, 60ll * SECOND) != UPCONV_OK)
            w->right = false;
    }
    return NULL;
}

// One program, one device, several threads: arguments must not mix, and each submission has its own workspace.
static void test_threads(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.f = f, .scale = 100 * i};
        assert_int_equal(upc_cl_memory_create(f->device, 4 * COUNT, &workers[i].y), UPCONV_OK);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        upc_memory_release(workers[i].y);
        assert_true(workers[i].right);
    }
}

// opencl_backend [PATTERN]: only the tests whose name it matches.
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define DOOMED(name) cmocka_unit_test_setup_teardown(name, setup, teardown_doomed)
    const struct CMUnitTest tests[] = {
        TEST(test_facts),
        TEST(test_workspace_and_offsets),
        TEST(test_tickets),
        TEST(test_held),
        TEST(test_sub_buffers),
        TEST(test_import),
        TEST(test_too_large),
        TEST(test_compile_errors),
        TEST(test_long_build_log),
        TEST(test_cache),
        TEST(test_statistics),
        TEST(test_special_values),
        TEST(test_enqueue_faults),
        DOOMED(test_lost_at_enqueue),
        DOOMED(test_lost_while_running),
        TEST(test_lent),
        TEST(test_lent_refused),
        TEST(test_hang),
        TEST(test_allocations),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
