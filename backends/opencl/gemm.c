// Matrix products by CLBlast, where the library can be found at run time. Nothing links it, and its headers
// are not needed: the two functions used are declared in cl.h after its documentation.
#include "cl.h"

#include <dlfcn.h>
#include <string.h>

#ifdef HAVE_CLBLAST

// Values of CLBlast's enumerations.
enum { COLUMN_MAJOR = 102, PLAIN = 111, TRANSPOSED = 112 };

static const char *const library_names[] = {
#if defined(__APPLE__)
    "libclblast.1.dylib", "libclblast.dylib",
#elif defined(__ANDROID__)
    "libclblast.so",
#else
    "libclblast.so.1", "libclblast.so",
#endif
};

// CLBlast calls the OpenCL library that it is linked with, on objects of the one that we opened: only where
// they are the same.
static bool same_opencl(const upc_cl *cl, void *library)
{
    void *const theirs = dlsym(library, "clEnqueueNDRangeKernel");
    void *ours;
    memcpy(&ours, &cl->EnqueueNDRangeKernel, sizeof ours);
    return theirs == ours;
}

static bool library_take(upc_cl_blas *blas, const upc_cl *cl, void *library, const char *name, upc_text *why)
{
    void *const product = dlsym(library, "CLBlastSgemm"), *const clear = dlsym(library, "CLBlastClearCache");
    if (!product || !clear) {
        upc_text_add(why, "%s has no CLBlastSgemm", name);
        return false;
    }
    if (!same_opencl(cl, library)) {
        upc_text_add(why, "%s uses another OpenCL library than %s", name, cl->name);
        return false;
    }
    memcpy(&blas->sgemm, &product, sizeof product);
    memcpy(&blas->clear_cache, &clear, sizeof clear);
    blas->library = library;
    blas->name = name;
    return true;
}

bool upc_cl_blas_load(upc_cl_blas *blas, const upc_cl *cl, upc_text *why)
{
    memset(blas, 0, sizeof *blas);
    const size_t before = why->length;
    for (size_t i = 0; i < UPC_COUNT(library_names); i++) {
        // NODELETE: it keeps programs and has destructors of its own
        void *library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (library && library_take(blas, cl, library, library_names[i], why))
            return true;
        if (library)
            dlclose(library);
        if (why->length > before)
            return false;
    }
    upc_text_add(why, "%s was not found", library_names[0]);
    return false;
}

void upc_cl_blas_unload(upc_cl_blas *blas, bool safe)
{
    // The programs that it keeps hold their context. It has one store of them for the whole process: others compile again.
    if (blas->used && safe)
        blas->clear_cache();
    if (blas->library)
        dlclose(blas->library);
    memset(blas, 0, sizeof *blas);
}

// Its own errors; the others are OpenCL's.
static const struct {
    int code;
    const char *text;
} errors[] = {
    {-1022, "matrix A is no buffer"},        {-1021, "matrix B is no buffer"},
    {-1020, "matrix C is no buffer"},        {-1017, "a dimension is zero"},
    {-1016, "the rows of A are too short"},  {-1015, "the rows of B are too short"},
    {-1014, "the rows of C are too short"},  {-1011, "A's buffer is too small"},
    {-1010, "B's buffer is too small"},      {-1009, "C's buffer is too small"},
    {-2046, "the device has too little local memory"}, {-2041, "its database does not know the device"},
    {-2040, "an error that it does not name"}, {-2039, "an exception that it did not expect"},
};

static upconv_status product_fail(upc_cl_device *device, int code, const upc_gemm *gemm)
{
    for (size_t i = 0; i < UPC_COUNT(errors); i++)
        if (errors[i].code == code)
            return upc_fail(UPCONV_ERROR_COMPILE, "CLBlast: a product of %u x %u x %u: %s (%d)", gemm->m, gemm->n,
                            gemm->k, errors[i].text, code);
    return upc_cl_fail(device, code, UPCONV_ERROR_COMPILE, "CLBlast: a product of %u x %u x %u", gemm->m, gemm->n,
                       gemm->k);
}

// CLBlast waits for nothing but its own kernels, so what it has to wait for must stop the queue.
static upconv_status waits_enqueue(upc_cl_device *device, cl_command_queue queue, upc_cl_waits waits)
{
    if (waits.count == 0)
        return UPCONV_OK;
    const cl_int error = device->cl.EnqueueBarrierWithWaitList(queue, waits.count, waits.events, NULL);
    if (error != CL_SUCCESS)
        return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "enqueueing a barrier");
    return UPCONV_OK;
}

upconv_status upc_cl_product(upc_cl_device *device, cl_command_queue queue, const upc_gemm *gemm,
                             const upc_cl_window windows[UPC_GEMM_BINDINGS], upc_cl_waits waits, cl_event *event)
{
    const upc_cl_window *a = &windows[UPC_GEMM_A], *b = &windows[UPC_GEMM_B], *c = &windows[UPC_GEMM_C];
    const upconv_status status = waits_enqueue(device, queue, waits);
    if (status != UPCONV_OK)
        return status;
    device->blas.used = true;
    // Rows are columns to it, and the factors change places: said this way, the layouts of our matrices are those of its fastest
    // kernel, and nothing is transposed first.
    const int code = device->blas.sgemm(
        COLUMN_MAJOR, gemm->b_transposed ? TRANSPOSED : PLAIN, gemm->a_transposed ? TRANSPOSED : PLAIN, gemm->n,
        gemm->m, gemm->k, 1.0f, b->object, (size_t)b->base / 2, gemm->ldb, a->object, (size_t)a->base / 2, gemm->lda,
        gemm->accumulate ? 1.0f : 0.0f, c->object, (size_t)c->base / 2, gemm->ldc, &queue, event);
    return code == 0 ? UPCONV_OK : product_fail(device, code, gemm);
}

#else

bool upc_cl_blas_load(upc_cl_blas *blas, const upc_cl *cl, upc_text *why)
{
    (void)cl;
    memset(blas, 0, sizeof *blas);
    upc_text_add(why, "not in this build");
    return false;
}

void upc_cl_blas_unload(upc_cl_blas *blas, bool safe)
{
    (void)blas;
    (void)safe;
}

upconv_status upc_cl_product(upc_cl_device *device, cl_command_queue queue, const upc_gemm *gemm,
                             const upc_cl_window windows[UPC_GEMM_BINDINGS], upc_cl_waits waits, cl_event *event)
{
    (void)queue;
    (void)gemm;
    (void)windows;
    (void)waits;
    (void)event;
    return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s takes no matrix products: CLBlast is not in this build",
                    device->base.facts.info.name);
}

#endif
