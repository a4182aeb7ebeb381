#include "opencl_fixture.h"

#include <stdlib.h>
#include <string.h>

static const char scale_text[] =
    "__kernel void upc_main(__global const float *restrict x, __global float *restrict y, int bx, int by, int n, int "
    "s)\n"
    "{ int i = (int)get_global_id(0); if (i < n) y[by / 2 + i] = x[bx / 2 + i] * (float)s + (float)i; }\n";

const upc_program_source scale_source = {
    .name = "scale", .text = scale_text, .key = {1, 2}, .local = {64, 1, 1}, .binding_count = 2, .arg_count = 2};

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

void env_start(fixture *f)
{
    memset(f, 0, sizeof *f);
    const upconv_allocator allocator = {f, counting_alloc, counting_release};
    const upconv_context_params params = {.allocator = &allocator, .log = keep_errors, .log_user = f};
    upc_env_init(&f->env, &params);
}

upconv_status memory_fill(upc_memory *memory, float first)
{
    void *pointer = NULL;
    const upconv_status status = upc_cl_memory_map(memory, UPCONV_MAP_WRITE, 10ll * SECOND, &pointer);
    if (status != UPCONV_OK)
        return status;
    for (uint64_t i = 0; i < memory->bytes / sizeof(float); i++)
        ((float *)pointer)[i] = first + (float)(i % 100);
    return upc_cl_memory_unmap(memory, 10ll * SECOND);
}

upconv_status things_make(fixture *f)
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

void things_drop(fixture *f)
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

int setup(void **state)
{
    fixture *f = malloc(sizeof *f);
    env_start(f);
    *state = f;
    if (upc_cl_open(&f->env, 0, &f->device) != UPCONV_OK)
        return 0; // no device: the tests skip
    return things_make(f) == UPCONV_OK ? 0 : -1;
}

int teardown(void **state)
{
    fixture *f = *state;
    things_drop(f);
    const long live = atomic_load(&f->live);
    free(f);
    return live == 0 ? 0 : -1;
}

upc_launch scale_launch(const fixture *f, upc_memory *from, uint64_t from_at, upc_memory *to, uint64_t to_at,
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

upconv_status submit_one(fixture *f, upconv_ticket *ticket)
{
    static const int32_t args[2] = {COUNT, 3};
    const upc_launch launch = scale_launch(f, f->x, 0, f->y, 0, args);
    return upc_cl_submit(f->device, &(upc_work){&launch, 1, 0}, ticket);
}

void expect_scaled(upc_memory *y, size_t at, float scale)
{
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(y, UPCONV_MAP_READ, 10ll * SECOND, &pointer), UPCONV_OK);
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        wrong += ((const float *)pointer)[at + (size_t)i] != (float)(i % 100) * scale + (float)i;
    assert_int_equal(upc_cl_memory_unmap(y, 10ll * SECOND), UPCONV_OK);
    assert_int_equal(wrong, 0);
}
