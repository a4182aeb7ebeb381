// Buffers, and host access to them.
#include "cl.h"

#include <string.h>

upconv_status upc_cl_buffer(upc_cl_device *device, uint64_t bytes, const char *what, cl_mem *buffer)
{
    const uint64_t most = device->base.facts.info.limits.alloc_bytes;
    if (bytes > most || bytes > SIZE_MAX - 4)
        return upc_fail(UPCONV_ERROR_GPU_MEMORY, "%s of %llu bytes: %s allocates at most %llu in one piece", what,
                        (unsigned long long)bytes, device->base.facts.info.name, (unsigned long long)most);
    // Where memory is one, this makes mapping free (a must on Mali, PowerVR and Adreno).
    const cl_mem_flags host = device->base.facts.info.unified_memory ? CL_MEM_ALLOC_HOST_PTR : 0;
    cl_int error = CL_SUCCESS;
    *buffer = device->cl.CreateBuffer(device->context, CL_MEM_READ_WRITE | host, (size_t)upc_round_up(bytes, 4), NULL,
                                      &error);
    if (*buffer)
        return UPCONV_OK;
    return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "%s of %llu bytes", what, (unsigned long long)bytes);
}

static upc_cl_memory *memory_make(upc_cl_device *device, uint64_t bytes, bool imported)
{
    upc_cl_memory *memory = upc_alloc(device->base.env, sizeof *memory);
    if (!memory) {
        upc_no_memory(sizeof *memory);
        return NULL;
    }
    memory->base.device = &device->base;
    memory->base.bytes = bytes;
    memory->base.imported = imported;
    atomic_init(&memory->base.references, 1);
    return memory;
}

upconv_status upc_cl_memory_create(upc_device *base, uint64_t bytes, upc_memory **created)
{
    upc_cl_device *device = upc_cl_device_of(base);
    upconv_status status = upc_cl_check(device);
    if (status != UPCONV_OK)
        return status;
    upc_cl_memory *memory = memory_make(device, bytes, false);
    if (!memory)
        return UPCONV_ERROR_HOST_MEMORY;
    status = upc_cl_buffer(device, bytes, "a buffer", &memory->buffer);
    if (status != UPCONV_OK) {
        upc_free(base->env, memory);
        return status;
    }
    memory->root = memory->buffer;
    *created = &memory->base;
    return UPCONV_OK;
}

void upc_cl_memory_destroy(upc_memory *base)
{
    if (!base)
        return;
    upc_cl_memory *memory = (upc_cl_memory *)base;
    upc_cl_device *device = upc_cl_device_of(base->device);
    const upc_cl *cl = &device->cl;
    // A driver whose device hangs may wait inside a release, so then the buffer stays with it.
    if (atomic_load(&device->base.state) == UPCONV_OK) {
        if (memory->mapped) {
            cl->EnqueueUnmapMemObject(device->map_queue, memory->buffer, memory->mapped, 0, NULL, NULL);
            cl->Flush(device->map_queue);
        }
        cl->ReleaseMemObject(memory->buffer);
    }
    upc_free(device->base.env, memory);
}

// Flushes the queue and waits for `event`, which is given up. A time-out sticks.
static upconv_status event_finish(upc_cl_device *device, cl_event event, int64_t timeout_ns, const char *what)
{
    upconv_status status = UPCONV_OK;
    const cl_int error = device->cl.Flush(device->map_queue);
    if (error != CL_SUCCESS)
        status = upc_cl_fail(device, error, UPCONV_ERROR_DEVICE_LOST, "flushing the queue while %s a buffer", what);
    if (status == UPCONV_OK)
        status = upc_cl_event_wait(device, event, timeout_ns);
    if (status == UPCONV_ERROR_TIMEOUT) {
        status = upc_cl_stick(device, status);
        return upc_fail(status, "%s a buffer has not ended after %.3f s: the device hangs", what,
                        (double)timeout_ns * 1e-9);
    }
    if (atomic_load(&device->base.state) == UPCONV_OK)
        device->cl.ReleaseEvent(event);
    return status;
}

upconv_status upc_cl_memory_map(upc_memory *base, uint32_t flags, int64_t timeout_ns, void **pointer)
{
    upc_cl_memory *memory = (upc_cl_memory *)base;
    upc_cl_device *device = upc_cl_device_of(base->device);
    upconv_status status = upc_cl_check(device);
    if (status != UPCONV_OK)
        return status;
    const bool read = (flags & UPCONV_MAP_READ) != 0, write = (flags & UPCONV_MAP_WRITE) != 0;
    const cl_map_flags how = (read ? CL_MAP_READ : 0) |
                             (write ? (read ? CL_MAP_WRITE : CL_MAP_WRITE_INVALIDATE_REGION) : 0);
    cl_int error = CL_SUCCESS;
    cl_event event = NULL;
    void *mapped = device->cl.EnqueueMapBuffer(device->map_queue, memory->buffer, CL_FALSE, how, 0,
                                               (size_t)base->bytes, 0, NULL, &event, &error);
    if (!mapped)
        return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "mapping a buffer of %llu bytes",
                           (unsigned long long)base->bytes);
    status = event_finish(device, event, timeout_ns, "mapping");
    if (status != UPCONV_OK)
        return status;
    memory->mapped = mapped;
    *pointer = mapped;
    return UPCONV_OK;
}

upconv_status upc_cl_memory_unmap(upc_memory *base, int64_t timeout_ns)
{
    upc_cl_memory *memory = (upc_cl_memory *)base;
    upc_cl_device *device = upc_cl_device_of(base->device);
    const upconv_status status = upc_cl_check(device);
    if (status != UPCONV_OK)
        return status;
    cl_event event = NULL;
    const cl_int error = device->cl.EnqueueUnmapMemObject(device->map_queue, memory->buffer, memory->mapped, 0, NULL,
                                                          &event);
    if (error != CL_SUCCESS)
        return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "unmapping a buffer of %llu bytes",
                           (unsigned long long)base->bytes);
    memory->mapped = NULL;
    return event_finish(device, event, timeout_ns, "unmapping");
}

upconv_status upc_cl_memory_import(upc_cl_device *device, cl_mem buffer, upc_memory **imported)
{
    const upc_cl *cl = &device->cl;
    upconv_status status = upc_cl_check(device);
    if (status != UPCONV_OK)
        return status;
    cl_mem_object_type type = 0;
    cl_context context = NULL;
    cl_mem root = NULL;
    size_t size = 0, offset = 0;
    cl_int error = cl->GetMemObjectInfo(buffer, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetMemObjectInfo(buffer, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetMemObjectInfo(buffer, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof root, &root, NULL);
    if (error == CL_SUCCESS)
        error = cl->GetMemObjectInfo(buffer, CL_MEM_OFFSET, sizeof offset, &offset, NULL);
    if (error != CL_SUCCESS)
        return upc_fail(UPCONV_ERROR_INVALID, "the buffer to import is no OpenCL buffer: %s", upc_cl_error_name(error));
    if (type != CL_MEM_OBJECT_BUFFER)
        return upc_fail(UPCONV_ERROR_INVALID, "the OpenCL object to import is no buffer (type 0x%x)", (unsigned)type);
    if (context != device->context)
        return upc_fail(UPCONV_ERROR_INVALID, "the buffer to import is of another cl_context than upconv's");
    upc_cl_memory *memory = memory_make(device, size, true);
    if (!memory)
        return UPCONV_ERROR_HOST_MEMORY;
    error = cl->RetainMemObject(buffer);
    if (error != CL_SUCCESS) {
        upc_free(device->base.env, memory);
        return upc_cl_fail(device, error, UPCONV_ERROR_INVALID, "retaining the buffer to import");
    }
    memory->buffer = buffer;
    memory->root = root ? root : buffer;
    memory->root_offset = root ? offset : 0;
    *imported = &memory->base;
    return UPCONV_OK;
}
