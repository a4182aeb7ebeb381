// Programs: from a binary that an earlier process left, else from source.
#include "cl.h"

#include <string.h>

// Contraction to mad is wanted; relaxed mathematics is not: NaN and infinity must come through.
const char upc_cl_build_options[] = "-cl-std=CL1.2 -cl-mad-enable -w";

static const char entry_point[] = "upc_main";

// Compilers of OpenCL 3.0 may have products of four bytes in the newer language alone.
static const char *options_of(const upc_cl_device *device, const upc_program_source *source)
{
    static const char newer[] = "-cl-std=CL3.0 -cl-mad-enable -w";
    return source->dot && !strncmp(device->base.facts.info.api, "OpenCL 3.", 9) ? newer : upc_cl_build_options;
}

// ---------------------------------------------------------------------------------------------------------- build log

// The driver's log, or NULL: without memory, or when it has none. upc_free it.
static char *build_log(upc_cl_device *device, cl_program program)
{
    size_t size = 0;
    if (device->cl.GetProgramBuildInfo(program, device->where.device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
            CL_SUCCESS ||
        size < 2)
        return NULL;
    char *log = upc_alloc(device->base.env, size + 1);
    if (log && device->cl.GetProgramBuildInfo(program, device->where.device, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
                   CL_SUCCESS)
        log[0] = 0;
    return log;
}

// The part of a build log that says what is wrong: from the line of the first error.
static const char *log_gist(const char *log)
{
    const char *at = strstr(log, "error");
    while (at && at > log && at[-1] != '\n')
        at--;
    return at ? at : log;
}

// The whole log, in pieces that fit in a line of upconv's, cut where its own lines end.
static void log_whole(const upc_env *env, const char *log)
{
    enum { PIECE = 1500 };
    while (*log) {
        size_t size = strlen(log);
        if (size > PIECE) {
            size = PIECE;
            while (size > 0 && log[size - 1] != '\n')
                size--;
            size = size ? size : PIECE;
        }
        const size_t printed = log[size - 1] == '\n' ? size - 1 : size;
        if (printed)
            upc_log(env, UPCONV_LOG_ERROR, "%.*s", (int)printed, log);
        log += size;
    }
}

static upconv_status build_fail(upc_cl_device *device, cl_program program, cl_int error, const char *name)
{
    if (error == CL_DEVICE_NOT_AVAILABLE || error == CL_OUT_OF_HOST_MEMORY)
        return upc_cl_fail(device, error, UPCONV_ERROR_COMPILE, "building the kernel %s", name);
    char *log = build_log(device, program);
    upc_log(device->base.env, UPCONV_LOG_ERROR, "%s does not build the kernel %s: %s%s", device->base.facts.info.name,
            name, upc_cl_error_name(error), log ? "; its build log:" : "");
    if (log)
        log_whole(device->base.env, log);
    const char *gist = log ? log_gist(log) : "no build log";
    const upconv_status status =
        upc_fail(UPCONV_ERROR_COMPILE, "%s does not build the kernel %s (%s): %.*s", device->base.facts.info.name, name,
                 upc_cl_error_name(error), (int)UPC_MIN(strcspn(gist, "\n"), (size_t)300), gist);
    upc_free(device->base.env, log);
    return status;
}

// ------------------------------------------------------------------------------------------------------------ kernels

// The device's limits; the kernel's own come after its build.
static upconv_status local_check(upc_cl_device *device, const upc_program_source *source)
{
    const upc_facts *facts = &device->base.facts;
    uint64_t items = 1;
    bool legal = true;
    for (int i = 0; i < 3; i++) {
        legal = legal && source->local[i] > 0 && source->local[i] <= facts->group_axis[i];
        items *= source->local[i];
    }
    if (legal && items <= facts->info.limits.group_size)
        return UPCONV_OK;
    return upc_fail(UPCONV_ERROR_COMPILE,
                    "the kernel %s has work-groups of %u x %u x %u items; %s has at most %u, and at "
                    "most %u x %u x %u by axis",
                    source->name, (unsigned)source->local[0], (unsigned)source->local[1], (unsigned)source->local[2],
                    facts->info.name, (unsigned)facts->info.limits.group_size, (unsigned)facts->group_axis[0],
                    (unsigned)facts->group_axis[1], (unsigned)facts->group_axis[2]);
}

// What enqueueing will rely on.
static upconv_status kernel_check(upc_cl_device *device, cl_kernel kernel, const upc_program_source *source)
{
    const upc_cl *cl = &device->cl;
    cl_uint args = 0;
    const cl_uint wanted = source->binding_count * 2 + source->arg_count;
    const cl_int error = cl->GetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof args, &args, NULL);
    if (error != CL_SUCCESS || args != wanted)
        return upc_fail(UPCONV_ERROR_COMPILE, "the kernel %s has %u arguments where %u are to be given", source->name,
                        (unsigned)args, (unsigned)wanted);
    size_t most = 0;
    const size_t items = (size_t)source->local[0] * source->local[1] * source->local[2];
    if (cl->GetKernelWorkGroupInfo(kernel, device->where.device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL) ==
            CL_SUCCESS &&
        most > 0 && items > most)
        return upc_fail(UPCONV_ERROR_COMPILE,
                        "the kernel %s runs with at most %zu items in a work-group on %s, not %zu", source->name, most,
                        device->base.facts.info.name, items);
    return UPCONV_OK;
}

// Takes over `built`, also when it fails.
static upconv_status program_finish(upc_cl_device *device, cl_program built, const upc_program_source *source,
                                    upc_program **created)
{
    const upc_cl *cl = &device->cl;
    cl_int error = CL_SUCCESS;
    upconv_status status = UPCONV_OK;
    cl_kernel kernel = cl->CreateKernel(built, entry_point, &error);
    upc_cl_program *program = NULL;
    if (!kernel)
        status = upc_cl_fail(device, error, UPCONV_ERROR_COMPILE, "the kernel %s has no usable entry point %s",
                             source->name, entry_point);
    if (status == UPCONV_OK)
        status = kernel_check(device, kernel, source);
    if (status == UPCONV_OK) {
        program = upc_alloc(device->base.env, sizeof *program);
        if (!program)
            status = upc_no_memory(sizeof *program);
    }
    if (status != UPCONV_OK) {
        if (kernel)
            cl->ReleaseKernel(kernel);
        cl->ReleaseProgram(built);
        return status;
    }
    program->base.device = &device->base;
    atomic_init(&program->base.references, 1);
    program->program = built;
    program->kernel = kernel;
    for (int i = 0; i < 3; i++)
        program->local[i] = source->local[i];
    program->binding_count = source->binding_count;
    program->arg_count = source->arg_count;
    *created = &program->base;
    return UPCONV_OK;
}

// ----------------------------------------------------------------------------------------------------------- binaries

// COMPILE: the driver refuses the binary.
static upconv_status program_load(upc_cl_device *device, const void *bytes, size_t size,
                                  const upc_program_source *source, upc_program **created)
{
    const upc_cl *cl = &device->cl;
    const unsigned char *binary = bytes;
    cl_int error = CL_SUCCESS, verdict = CL_SUCCESS;
    cl_program program =
        cl->CreateProgramWithBinary(device->context, 1, &device->where.device, &size, &binary, &verdict, &error);
    if (!program || error != CL_SUCCESS || verdict != CL_SUCCESS) {
        if (program)
            cl->ReleaseProgram(program);
        return upc_cl_fail(device, error != CL_SUCCESS ? error : verdict, UPCONV_ERROR_COMPILE,
                           "loading the kernel %s from the program cache", source->name);
    }
    error = cl->BuildProgram(program, 1, &device->where.device, options_of(device, source), NULL, NULL);
    if (error != CL_SUCCESS) {
        const upconv_status status = upc_cl_fail(device, error, UPCONV_ERROR_COMPILE,
                                                 "building the kernel %s from the program cache", source->name);
        cl->ReleaseProgram(program);
        return status;
    }
    return program_finish(device, program, source, created);
}

// From the cache. COMPILE: it has nothing that can be used.
static upconv_status program_find(upc_cl_device *device, const uint64_t key[2], const upc_program_source *source,
                                  upc_program **created)
{
    upc_env *env = device->base.env;
    size_t size = 0;
    void *bytes = upc_cache_find(env, key, &size);
    if (!bytes)
        return UPCONV_ERROR_COMPILE;
    upconv_status status = program_load(device, bytes, size, source, created);
    upc_free(env, bytes);
    if (status == UPCONV_OK) {
        atomic_fetch_add(&env->counts.binary_loads, 1);
    } else if (status != UPCONV_ERROR_HOST_MEMORY && status != UPCONV_ERROR_DEVICE_LOST) {
        upc_log(env, UPCONV_LOG_WARNING, "skipping a cached program: %s; it is built from source", upc_last_error());
        atomic_fetch_add(&env->counts.skipped_blobs, 1);
        upc_cache_drop(env, key);
        status = UPCONV_ERROR_COMPILE;
    }
    return status;
}

enum { MOST_DEVICES = 64 }; // of one context

// Our device's place among a program's, which are all of an app's context; -1: not found.
static int program_place(upc_cl_device *device, cl_program program, size_t *count)
{
    cl_device_id ids[MOST_DEVICES] = {NULL};
    size_t size = 0;
    if (device->cl.GetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof ids, ids, &size) != CL_SUCCESS)
        return -1;
    *count = size / sizeof *ids;
    for (size_t i = 0; i < *count; i++)
        if (ids[i] == device->where.device)
            return (int)i;
    return -1;
}

// Stores what the driver made of a source. That it cannot be had costs a later process time, nothing else.
static void program_store(upc_cl_device *device, cl_program program, const uint64_t key[2], const char *name)
{
    const upc_cl *cl = &device->cl;
    upc_env *env = device->base.env;
    size_t sizes[MOST_DEVICES] = {0}, count = 0;
    unsigned char *binaries[MOST_DEVICES] = {NULL}; // NULL: not wanted
    if (!env->cache)
        return;
    const int place = program_place(device, program, &count);
    if (place < 0 || cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof sizes, sizes, NULL) != CL_SUCCESS ||
        sizes[place] == 0) {
        upc_log(env, UPCONV_LOG_INFO, "the driver gives no binary of the kernel %s", name);
        return;
    }
    binaries[place] = upc_alloc(env, sizes[place]);
    if (binaries[place] &&
        cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries, NULL) == CL_SUCCESS)
        upc_cache_store(env, key, binaries[place], sizes[place]);
    else
        upc_log(env, UPCONV_LOG_INFO, "the binary of the kernel %s (%zu bytes) could not be read", name, sizes[place]);
    upc_free(env, binaries[place]);
}

// ------------------------------------------------------------------------------------------------------------- source

static upconv_status program_build(upc_cl_device *device, const uint64_t key[2], const upc_program_source *source,
                                   upc_program **created)
{
    const upc_cl *cl = &device->cl;
    upc_env *env = device->base.env;
    const uint64_t start = upc_now_ns();
    cl_int error = CL_SUCCESS;
    cl_program program = cl->CreateProgramWithSource(device->context, 1, (const char *[]){source->text}, NULL, &error);
    if (!program)
        return upc_cl_fail(device, error, UPCONV_ERROR_COMPILE, "giving the driver the kernel %s", source->name);
    atomic_fetch_add(&env->counts.source_compiles, 1);
    error = cl->BuildProgram(program, 1, &device->where.device, options_of(device, source), NULL, NULL);
    if (error != CL_SUCCESS) {
        const upconv_status status = build_fail(device, program, error, source->name);
        cl->ReleaseProgram(program);
        return status;
    }
    const upconv_status status = program_finish(device, program, source, created);
    if (status != UPCONV_OK)
        return status;
    program_store(device, program, key, source->name);
    upc_log(env, UPCONV_LOG_DEBUG, "the kernel %s was built from source in %.1f ms", source->name,
            (double)(upc_now_ns() - start) * 1e-6);
    return UPCONV_OK;
}

upconv_status upc_cl_program_create(upc_device *base, const upc_program_source *source, upc_program **created)
{
    upc_cl_device *device = upc_cl_device_of(base);
    upconv_status status = upc_cl_check(device);
    if (status == UPCONV_OK)
        status = local_check(device, source);
    if (status != UPCONV_OK)
        return status;
    const uint64_t parts[4] = {source->key[0], source->key[1], device->identity[0], device->identity[1]};
    const uint64_t key[2] = {upc_hash(parts, sizeof parts, 1), upc_hash(parts, sizeof parts, 2)};
    status = program_find(device, key, source, created);
    if (status == UPCONV_ERROR_COMPILE)
        status = program_build(device, key, source, created);
    return status;
}

void upc_cl_program_destroy(upc_program *base)
{
    if (!base)
        return;
    upc_cl_program *program = (upc_cl_program *)base;
    upc_cl_device *device = upc_cl_device_of(base->device);
    if (atomic_load(&device->base.state) == UPCONV_OK) {
        device->cl.ReleaseKernel(program->kernel);
        device->cl.ReleaseProgram(program->program);
    }
    upc_free(device->base.env, program);
}

void upc_cl_program_statistics(upc_program *base, void (*visit)(void *user, const char *name, double value), void *user)
{
    const upc_cl_program *program = (const upc_cl_program *)base;
    const upc_cl_device *device = upc_cl_device_of(base->device);
    static const struct {
        cl_kernel_work_group_info what;
        bool wide; // cl_ulong, else size_t
        const char *name;
    } all[] = {
        {CL_KERNEL_PRIVATE_MEM_SIZE, true, "Private memory size"},
        {CL_KERNEL_LOCAL_MEM_SIZE, true, "Local memory size"},
        {CL_KERNEL_WORK_GROUP_SIZE, false, "Largest work-group"},
        {CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, false, "Preferred work-group multiple"},
    };
    if (atomic_load(&device->base.state) != UPCONV_OK)
        return;
    for (size_t i = 0; i < UPC_COUNT(all); i++) {
        cl_ulong wide = 0;
        size_t narrow = 0;
        const cl_int error = device->cl.GetKernelWorkGroupInfo(
            program->kernel, device->where.device, all[i].what, all[i].wide ? sizeof wide : sizeof narrow,
            all[i].wide ? (void *)&wide : (void *)&narrow, NULL);
        if (error == CL_SUCCESS)
            visit(user, all[i].name, all[i].wide ? (double)wide : (double)narrow);
    }
}

// OpenCL has no cache of the driver's that could be saved: its binaries are in upconv's.
void *upc_cl_driver_cache_get(upc_device *device, size_t *size)
{
    (void)device;
    *size = 0;
    return NULL;
}

bool upc_cl_driver_cache_set(upc_device *device, const void *bytes, size_t size)
{
    (void)device;
    (void)bytes;
    (void)size;
    return false;
}
