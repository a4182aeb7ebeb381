// Matrix products at the OpenCL backend's seam: through CLBlast where it is there, and what happens when it
// fails or does not fit.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../api/internal.h"
#include "../backends/opencl/cl.h"

enum { ELEMENTS = 310000, GAP = 3 };

static const int64_t second = 1000000000;

typedef struct fixture {
    upc_env env;
    upc_device *device;
    upc_memory *memory[UPC_GEMM_BINDINGS];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    upc_env_init(&f->env, NULL);
    if (upc_cl_open(&f->env, 0, &f->device))
        return 0; // no device: the tests skip
    for (int i = 0; i < UPC_GEMM_BINDINGS; i++)
        if (upc_cl_memory_create(f->device, ELEMENTS * sizeof(float), &f->memory[i]))
            return -1;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < UPC_GEMM_BINDINGS; i++)
        upc_memory_release(f->memory[i]);
    if (f->device)
        upc_cl_close(f->device, 10 * second);
    free(f);
    return 0;
}

#define NEED_CLBLAST(f)                                                                                                \
    if (!(f)->device || !(f)->device->facts.gemm)                                                                      \
    skip()

static float *map(upc_memory *memory, uint32_t flags)
{
    void *pointer = NULL;
    assert_int_equal(upc_cl_memory_map(memory, flags, 10 * second, &pointer), UPCONV_OK);
    return pointer;
}

static void unmap(upc_memory *memory) { assert_int_equal(upc_cl_memory_unmap(memory, 10 * second), UPCONV_OK); }

static float integer(int which, uint32_t i) { return (float)((i * 7919u + (uint32_t)which * 31u) % 9) - 4; }

// c holds what no result may show unless it is added to; so do the gaps between rows.
static void fill(fixture *f, const upc_gemm *gemm)
{
    for (int which = 0; which < UPC_GEMM_BINDINGS; which++) {
        float *values = map(f->memory[which], UPCONV_MAP_WRITE);
        for (uint32_t i = 0; i < ELEMENTS; i++)
            values[i] = which == UPC_GEMM_C && !gemm->accumulate ? NAN : integer(which, i);
        unmap(f->memory[which]);
    }
}

static upc_launch launch_of(const fixture *f, const upc_gemm *gemm, const uint64_t at[UPC_GEMM_BINDINGS])
{
    upc_launch launch = {.gemm = *gemm, .bound_count = UPC_GEMM_BINDINGS};
    for (int i = 0; i < UPC_GEMM_BINDINGS; i++)
        launch.bound[i] = (upc_bound){f->memory[i], at[i] * 4, (ELEMENTS - at[i]) * 4};
    return launch;
}

static float expected(const upc_gemm *g, const uint64_t at[UPC_GEMM_BINDINGS], uint32_t row, uint32_t column)
{
    float sum = 0;
    for (uint32_t k = 0; k < g->k; k++) {
        const uint64_t a = at[UPC_GEMM_A] + (g->a_transposed ? k * g->lda + row : row * g->lda + k);
        const uint64_t b = at[UPC_GEMM_B] + (g->b_transposed ? column * g->ldb + k : k * g->ldb + column);
        sum += integer(UPC_GEMM_A, (uint32_t)a) * integer(UPC_GEMM_B, (uint32_t)b);
    }
    const uint64_t c = at[UPC_GEMM_C] + row * g->ldc + column;
    return g->accumulate ? sum + integer(UPC_GEMM_C, (uint32_t)c) : sum;
}

static void check(fixture *f, const upc_gemm *g, const uint64_t at[UPC_GEMM_BINDINGS])
{
    const float *c = map(f->memory[UPC_GEMM_C], UPCONV_MAP_READ);
    const uint64_t first = at[UPC_GEMM_C];
    for (uint64_t i = 0; i < ELEMENTS; i++) {
        const uint64_t row = (i - first) / g->ldc, column = (i - first) % g->ldc;
        if (i >= first && row < g->m && column < g->n)
            assert_true(c[i] == expected(g, at, (uint32_t)row, (uint32_t)column));
        else
            assert_true(g->accumulate ? c[i] == integer(UPC_GEMM_C, (uint32_t)i) : isnan(c[i]));
    }
    unmap(f->memory[UPC_GEMM_C]);
}

static void run(fixture *f, const upc_launch *launch)
{
    upconv_ticket ticket;
    uint64_t ns = 0;
    const uint64_t start = upc_now_ns();
    assert_int_equal(upc_cl_submit(f->device, &(upc_work){launch, 1, 0}, &ticket), UPCONV_OK);
    assert_int_equal(upc_cl_wait(f->device, ticket, 60 * second), UPCONV_OK);
    const uint64_t waited = upc_now_ns() - start;
    assert_int_equal(upc_cl_ticket_time(f->device, ticket, &ns), UPCONV_OK);
    assert_true(ns > 0 && ns <= waited);
}

// All transposes, with and without a sum, sizes of both of CLBlast's ways, at odd places, in the buffers
// themselves and in windows of them, as where 32-bit indices end.
static void products(void **state)
{
    fixture *f = *state;
    NEED_CLBLAST(f);
    static const uint32_t sizes[][3] = {{1, 1, 1}, {5, 3, 2}, {1, 130, 7}, {97, 1, 65}, {33, 70, 19}, {530, 519, 523}};
    for (size_t i = 0; i < UPC_COUNT(sizes) * 8; i++) {
        const uint32_t *size = sizes[i / 8];
        upc_gemm gemm = {.m = size[0], .n = size[1], .k = size[2], .a_transposed = i & 1, .b_transposed = i & 2,
                         .accumulate = i & 4};
        gemm.lda = (gemm.a_transposed ? gemm.m : gemm.k) + GAP;
        gemm.ldb = (gemm.b_transposed ? gemm.k : gemm.n) + GAP;
        gemm.ldc = gemm.n + GAP;
        const uint64_t at[UPC_GEMM_BINDINGS] = {5, 2000, 17};
        if (i / 8 % 2)
            upc_cl_device_of(f->device)->reach = 4096;
        const upc_launch launch = launch_of(f, &gemm, at);
        fill(f, &gemm);
        run(f, &launch);
        check(f, &gemm, at);
    }
}

// ------------------------------------------------------------------------------------------------------------- failures

static int fake_code;

static int fake_sgemm(int layout, int a_transpose, int b_transpose, size_t m, size_t n, size_t k, float alpha, cl_mem a,
                      size_t a_offset, size_t a_ld, cl_mem b, size_t b_offset, size_t b_ld, float beta, cl_mem c,
                      size_t c_offset, size_t c_ld, cl_command_queue *queue, cl_event *event)
{
    (void)layout, (void)a_transpose, (void)b_transpose, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)a_offset;
    (void)a_ld, (void)b, (void)b_offset, (void)b_ld, (void)beta, (void)c, (void)c_offset, (void)c_ld, (void)queue,
        (void)event;
    return fake_code;
}

// Every error is a status whose sentence has the number, and the device works afterwards.
static void errors(void **state)
{
    fixture *f = *state;
    NEED_CLBLAST(f);
    static const struct {
        int code;
        upconv_status status;
        const char *part;
    } table[] = {
        {-1009, UPCONV_ERROR_COMPILE, "C's buffer is too small (-1009)"},
        {-2040, UPCONV_ERROR_COMPILE, "(-2040)"},
        {CL_OUT_OF_HOST_MEMORY, UPCONV_ERROR_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY (-6)"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, UPCONV_ERROR_GPU_MEMORY, "(-4)"},
        {-11, UPCONV_ERROR_COMPILE, "CL_BUILD_PROGRAM_FAILURE (-11)"},
        {-7777, UPCONV_ERROR_COMPILE, "(-7777)"},
    };
    upc_cl_device *device = upc_cl_device_of(f->device);
    upc_cl_sgemm_fn *const real = device->blas.sgemm;
    const upc_gemm gemm = {.m = 4, .n = 5, .k = 6, .lda = 6, .ldb = 5, .ldc = 5};
    const uint64_t at[UPC_GEMM_BINDINGS] = {0, 0, 0};
    const upc_launch launches[2] = {launch_of(f, &gemm, at), launch_of(f, &gemm, at)};
    for (size_t i = 0; i < UPC_COUNT(table); i++) {
        upconv_ticket ticket = 77;
        fake_code = table[i].code;
        device->blas.sgemm = fake_sgemm;
        assert_int_equal(upc_cl_submit(f->device, &(upc_work){launches, 2, 256}, &ticket), table[i].status);
        assert_non_null(strstr(upc_last_error(), table[i].part));
        assert_non_null(strstr(upc_last_error(), "CLBlast: a product of 4 x 5 x 6"));
        assert_int_equal(ticket, 77);
        device->blas.sgemm = real;
        fill(f, &gemm);
        run(f, &launches[0]);
        check(f, &gemm, at);
    }
}

// CLBlast is not taken when it would call another OpenCL library than ours.
static void another_opencl(void **state)
{
    fixture *f = *state;
    NEED_CLBLAST(f);
    upc_cl cl = upc_cl_device_of(f->device)->cl;
    upc_cl_blas blas;
    char reason[200] = "";
    upc_text why = {reason, sizeof reason, 0};
    assert_true(upc_cl_blas_load(&blas, &cl, &why));
    assert_string_equal(reason, "");
    upc_cl_blas_unload(&blas, true);
    cl.EnqueueNDRangeKernel = NULL;
    assert_false(upc_cl_blas_load(&blas, &cl, &why));
    assert_non_null(strstr(reason, "another OpenCL library"));
    assert_null(blas.library);
    upc_cl_blas_unload(&blas, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(products, setup, teardown),
        cmocka_unit_test_setup_teardown(errors, setup, teardown),
        cmocka_unit_test_setup_teardown(another_opencl, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
