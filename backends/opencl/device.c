// Platforms, devices, and what it takes to open and close one.
#include "cl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

upconv_status upc_cl_check(upc_cl_device *device)
{
    const upconv_status state = (upconv_status)atomic_load(&device->base.state);
    if (state == UPCONV_OK)
        return UPCONV_OK;
    if (state == UPCONV_ERROR_TIMEOUT)
        return upc_fail(state, "the OpenCL device %s hung in an earlier call; the context can only be destroyed",
                        device->base.facts.info.name);
    return upc_fail(state, "the OpenCL device %s was lost in an earlier call; the context can only be destroyed",
                    device->base.facts.info.name);
}

upconv_status upc_cl_stick(upc_cl_device *device, upconv_status status)
{
    int state = UPCONV_OK;
    if (atomic_compare_exchange_strong(&device->base.state, &state, (int)status)) {
        upc_log(device->base.env, UPCONV_LOG_ERROR, "OpenCL device %s: %s; the context can only be destroyed now",
                device->base.facts.info.name, status == UPCONV_ERROR_TIMEOUT ? "it hangs" : "it was lost");
        return status;
    }
    return (upconv_status)state;
}

// What an error says of itself, whichever call it came from.
static const struct {
    cl_int error;
    upconv_status status;
} error_statuses[] = {
    {CL_DEVICE_NOT_AVAILABLE, UPCONV_ERROR_DEVICE_LOST},
    {CL_INVALID_CONTEXT, UPCONV_ERROR_DEVICE_LOST}, // drivers whose device has gone say these of objects that were valid
    {CL_INVALID_COMMAND_QUEUE, UPCONV_ERROR_DEVICE_LOST},
    {CL_OUT_OF_HOST_MEMORY, UPCONV_ERROR_HOST_MEMORY},
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, UPCONV_ERROR_GPU_MEMORY},
    {CL_OUT_OF_RESOURCES, UPCONV_ERROR_GPU_MEMORY},
    {CL_INVALID_BUFFER_SIZE, UPCONV_ERROR_GPU_MEMORY},
    {CL_MAP_FAILURE, UPCONV_ERROR_GPU_MEMORY},
};

upconv_status upc_cl_fail(upc_cl_device *device, cl_int error, upconv_status otherwise, const char *format, ...)
{
    upconv_status status = otherwise;
    for (size_t i = 0; i < UPC_COUNT(error_statuses); i++)
        if (error_statuses[i].error == error)
            status = error_statuses[i].status;
    if (status == UPCONV_ERROR_DEVICE_LOST)
        status = upc_cl_stick(device, status);
    char doing[256];
    va_list list;
    va_start(list, format);
    vsnprintf(doing, sizeof doing, format, list);
    va_end(list);
    return upc_fail(status, "%s: %s (%d)", doing, upc_cl_error_name(error), (int)error);
}

void upc_cl_nap(uint64_t waited_ns)
{
    // An eighth of the time waited so far: a long wait costs little, a short one ends soon after the work does.
    uint64_t ns = waited_ns / 8;
    ns = UPC_MIN(UPC_MAX(ns, 20000u), 1000000u);
    nanosleep(&(struct timespec){0, (long)ns}, NULL);
}

upconv_status upc_cl_event_wait(upc_cl_device *device, cl_event event, int64_t timeout_ns)
{
    const uint64_t start = upc_now_ns();
    for (;;) {
        const uint64_t waited = upc_now_ns() - start; // before asking, so that the last question comes after the time-out
        cl_int state = CL_QUEUED;
        const cl_int error =
            device->cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        if (error != CL_SUCCESS)
            return upc_cl_fail(device, error, UPCONV_ERROR_DEVICE_LOST, "asking for an event's status");
        if (state == CL_COMPLETE)
            return UPCONV_OK;
        if (state < 0)
            return upc_cl_fail(device, state, UPCONV_ERROR_DEVICE_LOST, "a command ended with an error");
        if (timeout_ns <= 0 || waited >= (uint64_t)timeout_ns)
            return upc_fail(UPCONV_ERROR_TIMEOUT, "an OpenCL command has not ended after %.3f s",
                            (double)waited * 1e-9);
        upc_cl_nap(waited);
    }
}

// ------------------------------------------------------------------------------------------------------- enumeration

typedef struct device_list {
    upc_cl_where *at;
    size_t count, capacity;
} device_list;

static bool list_has(const device_list *list, cl_device_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].device == id)
            return true;
    return false;
}

// Appends the usable devices of one platform that are of `type`.
static upconv_status platform_devices(const upc_env *env, const upc_cl *cl, cl_platform_id platform,
                                      cl_device_type type, device_list *list, upc_text *why)
{
    cl_uint count = 0;
    if (cl->GetDeviceIDs(platform, type, 0, NULL, &count) != CL_SUCCESS || count == 0)
        return UPCONV_OK; // CL_DEVICE_NOT_FOUND, or a platform that does not work: the others may
    cl_device_id *ids = upc_alloc_array(env, count, sizeof *ids);
    if (!ids)
        return upc_no_memory(count * sizeof *ids);
    upconv_status status = UPCONV_OK;
    if (cl->GetDeviceIDs(platform, type, count, ids, NULL) != CL_SUCCESS)
        count = 0;
    for (cl_uint i = 0; i < count && status == UPCONV_OK; i++) {
        if (list_has(list, ids[i]) || !upc_cl_usable(cl, ids[i], why))
            continue;
        if (upc_grow(env, (void **)&list->at, &list->capacity, list->count + 1, sizeof *list->at))
            list->at[list->count++] = (upc_cl_where){platform, ids[i]};
        else
            status = upc_no_memory((list->count + 1) * sizeof *list->at);
    }
    upc_free(env, ids);
    return status;
}

// All usable devices, GPUs first: the first device is what an app gets that does not ask. HOST_MEMORY only.
static upconv_status devices_find(const upc_env *env, const upc_cl *cl, device_list *list, upc_text *why)
{
    static const cl_device_type order[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU};
    memset(list, 0, sizeof *list);
    cl_uint count = 0;
    const cl_int error = cl->GetPlatformIDs(0, NULL, &count);
    if (error != CL_SUCCESS || count == 0) {
        upc_text_add(why, "%s has no platform (%s)", cl->name, upc_cl_error_name(error));
        return UPCONV_OK;
    }
    cl_platform_id *platforms = upc_alloc_array(env, count, sizeof *platforms);
    if (!platforms)
        return upc_no_memory(count * sizeof *platforms);
    upconv_status status = UPCONV_OK;
    if (cl->GetPlatformIDs(count, platforms, NULL) != CL_SUCCESS)
        count = 0;
    for (size_t k = 0; k < UPC_COUNT(order); k++)
        for (cl_uint i = 0; i < count && status == UPCONV_OK; i++)
            status = platform_devices(env, cl, platforms[i], order[k], list, why);
    if (list->count == 0)
        upc_text_add(why, "%u platform%s, no usable device", (unsigned)count, count == 1 ? "" : "s");
    upc_free(env, platforms);
    if (status != UPCONV_OK) {
        upc_free(env, list->at);
        memset(list, 0, sizeof *list);
    }
    return status;
}

void upc_cl_describe(upc_env *env, upconv_backend_info *info)
{
    upc_cl cl;
    upc_text detail = {info->detail, sizeof info->detail, 0};
    char reason[256] = "";
    upc_text why = {reason, sizeof reason, 0};
    info->loaded = upc_cl_load(&cl, &why);
    info->devices = 0;
    if (!info->loaded) {
        upc_text_add(&detail, "%s", reason);
        return;
    }
    device_list list;
    if (devices_find(env, &cl, &list, &why) != UPCONV_OK)
        upc_text_add(&why, "%s", upc_last_error());
    info->devices = (int32_t)list.count;
    upc_text_add(&detail, "%s", cl.name);
    cl_platform_id shown = NULL;
    for (size_t i = 0; i < list.count; i++)
        if (list.at[i].platform != shown) {
            upc_text_add(&detail, "; ");
            upc_cl_platform_print(&cl, list.at[i].platform, &detail);
            shown = list.at[i].platform;
        }
    if (reason[0])
        upc_text_add(&detail, "; %s", reason);
    char no_blas[128] = "";
    upc_cl_blas blas;
    upc_text why_no_blas = {no_blas, sizeof no_blas, 0};
    upc_text_add(&detail, "; CLBlast: ");
    if (upc_cl_blas_load(&blas, &cl, &why_no_blas))
        upc_text_add(&detail, "%s", blas.name);
    else
        upc_text_add(&detail, "none (%s)", no_blas);
    upc_cl_blas_unload(&blas, true);
    upc_free(env, list.at);
    upc_cl_unload(&cl);
}

// Loads the library and finds the index-th device.
static upconv_status device_locate(const upc_env *env, int index, upc_cl *cl, upc_cl_where *where)
{
    char reason[256] = "";
    upc_text why = {reason, sizeof reason, 0};
    if (!upc_cl_load(cl, &why))
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "%s", reason);
    device_list list;
    upconv_status status = devices_find(env, cl, &list, &why);
    if (status == UPCONV_OK && (index < 0 || (size_t)index >= list.count))
        status = upc_fail(UPCONV_ERROR_NO_DEVICE, "there is no OpenCL device %d: %s has %zu%s%s", index, cl->name,
                          list.count, reason[0] ? "; " : "", reason);
    if (status == UPCONV_OK)
        *where = list.at[index];
    upc_free(env, list.at);
    if (status != UPCONV_OK)
        upc_cl_unload(cl);
    return status;
}

upconv_status upc_cl_facts_at(upc_env *env, int index, upc_facts *facts)
{
    upc_cl cl;
    upc_cl_where where;
    const upconv_status status = device_locate(env, index, &cl, &where);
    if (status != UPCONV_OK)
        return status;
    upc_cl_facts_read(&cl, &where, index, facts);
    upc_cl_unload(&cl);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------ open and close

// The parts that do not depend on whose the OpenCL objects are. Takes the library over, also when it fails.
static upc_cl_device *device_make(upc_env *env, upc_cl *cl, const upc_cl_where *where, int index)
{
    upc_cl_device *device = upc_alloc(env, sizeof *device);
    if (!device) {
        upc_no_memory(sizeof *device);
        upc_cl_unload(cl);
        return NULL;
    }
    device->base.backend = &upc_backend_opencl;
    device->base.env = env;
    atomic_init(&device->base.state, UPCONV_OK);
    device->cl = *cl;
    device->where = *where;
    device->reach = (uint64_t)1 << 32;
    upc_cl_facts_read(cl, where, index, &device->base.facts);
    upc_cl_identity(cl, where, upc_cl_build_options, device->identity);
    device->sub_alignment = device->base.facts.info.offset_alignment;
    char reason[128] = "";
    upc_text why = {reason, sizeof reason, 0};
    device->base.facts.gemm = upc_cl_blas_load(&device->blas, &device->cl, &why);
    if (!device->base.facts.gemm)
        upc_log(env, UPCONV_LOG_INFO, "no CLBlast: %s", reason);
    pthread_mutex_init(&device->queue_lock, NULL);
    pthread_mutex_init(&device->list_lock, NULL);
    return device;
}

// Gives OpenCL its objects back, where that is safe, and frees the rest.
static void device_free(upc_cl_device *device, bool safe)
{
    const upc_env *env = device->base.env;
    const upc_cl *cl = &device->cl;
    upc_cl_blas_unload(&device->blas, safe);
    if (safe) {
        if (device->map_queue)
            cl->ReleaseCommandQueue(device->map_queue);
        if (device->queue)
            cl->ReleaseCommandQueue(device->queue);
        if (device->context)
            cl->ReleaseContext(device->context);
    }
    upc_cl_unload(&device->cl);
    pthread_mutex_destroy(&device->queue_lock);
    pthread_mutex_destroy(&device->list_lock);
    upc_free(env, device);
}

static upconv_status queue_make(upc_cl_device *device, cl_command_queue_properties properties, cl_command_queue *queue)
{
    cl_int error = CL_SUCCESS;
    *queue = device->cl.CreateCommandQueue(device->context, device->where.device, properties, &error);
    if (*queue)
        return UPCONV_OK;
    return upc_cl_fail(device, error, UPCONV_ERROR_NO_DEVICE, "making a command queue on %s",
                       device->base.facts.info.name);
}

static upconv_status own_queues(upc_cl_device *device)
{
    upconv_status status = queue_make(device, CL_QUEUE_PROFILING_ENABLE, &device->queue);
    if (status == UPCONV_OK)
        status = queue_make(device, 0, &device->map_queue);
    device->profiling = true;
    return status;
}

upconv_status upc_cl_open(upc_env *env, int index, upc_device **opened)
{
    upc_cl cl;
    upc_cl_where where;
    upconv_status status = device_locate(env, index, &cl, &where);
    if (status != UPCONV_OK)
        return status;
    upc_cl_device *device = device_make(env, &cl, &where, index);
    if (!device)
        return UPCONV_ERROR_HOST_MEMORY;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)where.platform, 0};
    cl_int error = CL_SUCCESS;
    device->context = device->cl.CreateContext(properties, 1, &where.device, NULL, NULL, &error);
    if (!device->context)
        status = upc_cl_fail(device, error, UPCONV_ERROR_NO_DEVICE, "making an OpenCL context on %s",
                             device->base.facts.info.name);
    if (status == UPCONV_OK)
        status = own_queues(device);
    if (status != UPCONV_OK) {
        device_free(device, true);
        return status;
    }
    *opened = &device->base;
    return UPCONV_OK;
}

// Checks what the app lends and takes it into the device, retained.
static upconv_status lent_take(upc_cl_device *device, const upconv_cl_params *lent)
{
    const upc_cl *cl = &device->cl;
    cl_int error = cl->RetainContext(lent->context);
    if (error != CL_SUCCESS)
        return upc_fail(UPCONV_ERROR_INVALID, "upconv_cl_params.context is no OpenCL context: %s",
                        upc_cl_error_name(error));
    device->context = lent->context;
    if (!lent->queue)
        return own_queues(device);
    cl_context context = NULL;
    cl_device_id id = NULL;
    cl_command_queue_properties properties = 0;
    error = cl->GetCommandQueueInfo(lent->queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetCommandQueueInfo(lent->queue, CL_QUEUE_DEVICE, sizeof id, &id, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetCommandQueueInfo(lent->queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (error != CL_SUCCESS || context != lent->context || id != lent->device)
        return upc_fail(UPCONV_ERROR_INVALID, "upconv_cl_params.queue is no queue of that context and device");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return upc_fail(UPCONV_ERROR_INVALID, "upconv_cl_params.queue is out of order; submissions need one in order");
    // Once for each of the two places that release it.
    cl->RetainCommandQueue(lent->queue);
    device->queue = lent->queue;
    cl->RetainCommandQueue(lent->queue);
    device->map_queue = lent->queue;
    device->profiling = (properties & CL_QUEUE_PROFILING_ENABLE) != 0;
    if (!device->profiling)
        device->base.facts.info.timestamps = 0;
    return UPCONV_OK;
}

// The number that the app's device has in our enumeration (-1: none), and its platform.
static upconv_status lent_locate(const upc_env *env, const upc_cl *cl, cl_device_id id, upc_cl_where *where, int *index)
{
    *where = (upc_cl_where){NULL, id};
    *index = -1;
    upc_cl_device_value(cl, id, CL_DEVICE_PLATFORM, &where->platform, sizeof where->platform);
    device_list list;
    upc_text nowhere = {NULL, 0, 0};
    const upconv_status status = devices_find(env, cl, &list, &nowhere);
    for (size_t i = 0; i < list.count; i++)
        if (list.at[i].device == id)
            *index = (int)i;
    upc_free(env, list.at);
    return status;
}

static bool context_has(const upc_cl *cl, cl_context context, cl_device_id id)
{
    cl_device_id ids[64] = {NULL};
    size_t size = 0;
    if (cl->GetContextInfo(context, CL_CONTEXT_DEVICES, sizeof ids, ids, &size) != CL_SUCCESS)
        return false;
    for (size_t i = 0; i < size / sizeof *ids; i++)
        if (ids[i] == id)
            return true;
    return false;
}

// Everything that can be said of the loan before a device is made for it.
static upconv_status lent_check(const upc_env *env, const upc_cl *cl, const upconv_cl_params *lent, upc_cl_where *where,
                                int *index)
{
    char reason[256] = "";
    upc_text why = {reason, sizeof reason, 0};
    if (!context_has(cl, lent->context, lent->device))
        return upc_fail(UPCONV_ERROR_INVALID, "upconv_cl_params.device is no device of upconv_cl_params.context");
    if (!upc_cl_usable(cl, lent->device, &why))
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "upconv_cl_params.device cannot be used: %s", reason);
    return lent_locate(env, cl, lent->device, where, index);
}

upconv_status upc_cl_open_lent(upc_env *env, const upconv_cl_params *lent, upc_device **opened)
{
    if (!lent->context || !lent->device)
        return upc_fail(UPCONV_ERROR_INVALID, "upconv_cl_params.%s is NULL; it is required",
                        lent->context ? "device" : "context");
    upc_cl cl;
    upc_cl_where where;
    int index = -1;
    char reason[256] = "";
    upc_text why = {reason, sizeof reason, 0};
    if (!upc_cl_load(&cl, &why))
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "%s", reason);
    upconv_status status = lent_check(env, &cl, lent, &where, &index);
    if (status != UPCONV_OK) {
        upc_cl_unload(&cl);
        return status;
    }
    upc_cl_device *device = device_make(env, &cl, &where, index);
    if (!device)
        return UPCONV_ERROR_HOST_MEMORY;
    status = lent_take(device, lent);
    if (status != UPCONV_OK) {
        device_free(device, true);
        return status;
    }
    *opened = &device->base;
    return UPCONV_OK;
}

void upc_cl_close(upc_device *base, int64_t timeout_ns)
{
    upc_cl_device *device = upc_cl_device_of(base);
    if (atomic_load(&base->state) == UPCONV_OK)
        upc_cl_drain(device, timeout_ns);
    const bool safe = atomic_load(&base->state) == UPCONV_OK;
    if (!safe)
        upc_log(base->env, UPCONV_LOG_WARNING,
                "OpenCL device %s does not answer: its context, queues, programs and memory are left to the driver",
                base->facts.info.name);
    upc_cl_slots_destroy(device);
    device_free(device, safe);
}

const upc_backend upc_backend_opencl = {
    .id = UPCONV_BACKEND_OPENCL,
    .name = "opencl",
    .describe = upc_cl_describe,
    .facts_at = upc_cl_facts_at,
    .open = upc_cl_open,
    .close = upc_cl_close,
    .memory_create = upc_cl_memory_create,
    .memory_destroy = upc_cl_memory_destroy,
    .memory_map = upc_cl_memory_map,
    .memory_unmap = upc_cl_memory_unmap,
    .program_create = upc_cl_program_create,
    .program_destroy = upc_cl_program_destroy,
    .program_statistics = upc_cl_program_statistics,
    .submit = upc_cl_submit,
    .wait = upc_cl_wait,
    .ticket_time = upc_cl_ticket_time,
    .driver_cache_get = upc_cl_driver_cache_get,
    .driver_cache_set = upc_cl_driver_cache_set,
};
