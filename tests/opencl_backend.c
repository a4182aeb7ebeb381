// The OpenCL backend at the seam: what is peculiar to OpenCL.
#include "opencl_fixture.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leaks.h"

// ----------------------------------------------------------------------------------------------------------- ordinary

static void test_facts(void **state)
{
    fixture *f = *state;
    NEED_DEVICE(f);
    const upconv_device_info *info = &f->device->facts.info;
    assert_true(info->name[0] && info->vendor[0] && info->driver[0]);
    assert_memory_equal(info->api, "OpenCL ", 7);
    assert_true(info->limits.group_size > 0 && info->limits.shared_bytes > 0);
    assert_true(info->limits.binding_bytes <= ((uint64_t)1 << 32) - 4096);
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
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){NULL, 0, (uint64_t)1 << 50}, &ticket),
                     UPCONV_ERROR_GPU_MEMORY);
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
    const upc_program_source source = {
        .name = "special", .text = text, .key = {5, 5}, .local = {1, 1, 1}, .binding_count = 2};
    upc_program *program = NULL;
    assert_int_equal(upc_cl_program_create(f->device, &source, &program), UPCONV_OK);
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(f->x, UPCONV_MAP_WRITE, 10ll * SECOND, &pointer), UPCONV_OK);
    for (int i = 0; i < COUNT; i++)
        ((float *)pointer)[i] = i ? -INFINITY : INFINITY;
    assert_int_equal(upc_cl_memory_unmap(f->x, 10ll * SECOND), UPCONV_OK);
    const upc_launch launch = {
        .program = program, .groups = {1, 1, 1}, .bound = {{f->x, 0, 8}, {f->y, 0, 20}}, .bound_count = 2};
    upconv_ticket ticket;
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){&launch, 1, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(upc_cl_memory_map(f->y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    const float *y = pointer;
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == 1 && y[3] == 1 && y[4] == 0);
    assert_int_equal(upc_cl_memory_unmap(f->y, 10ll * SECOND), UPCONV_OK);
    upc_program_release(program);
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
        TEST(test_allocations),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
