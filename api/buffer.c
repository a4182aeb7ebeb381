#include "internal.h"

upconv_status upc_context_check(const upconv_context *context)
{
    const upconv_status state = (upconv_status)context->device->state;
    if (state == UPCONV_OK)
        return UPCONV_OK;
    return upc_fail(state, "%s: %s; destroy the context and create another", context->facts.info.name,
                    state == UPCONV_ERROR_TIMEOUT ? "a wait timed out and the device is taken to hang"
                                                  : "the device was lost");
}

upconv_status upc_buffer_wrap(upconv_context *context, upc_memory *memory, upconv_buffer **buffer)
{
    upconv_buffer *made = upc_alloc(&context->env, sizeof *made);
    if (!made) {
        upc_memory_release(memory);
        return upc_no_memory(sizeof *made);
    }
    made->context = context;
    made->memory = memory;
    pthread_mutex_init(&made->lock, NULL);
    *buffer = made;
    return UPCONV_OK;
}

upconv_status upconv_buffer_create(upconv_context *context, uint64_t bytes, upconv_buffer **buffer)
{
    if (!context || !buffer)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "buffer" : "context");
    if (!bytes)
        return upc_fail(UPCONV_ERROR_INVALID, "bytes is 0; it must be above 0");
    if (bytes > context->facts.info.limits.alloc_bytes)
        return upc_fail(UPCONV_ERROR_GPU_MEMORY, "bytes is %llu; %s gives at most %llu in one piece",
                        (unsigned long long)bytes, context->facts.info.name,
                        (unsigned long long)context->facts.info.limits.alloc_bytes);
    upconv_status status = upc_context_check(context);
    upc_memory *memory;
    if (status || (status = context->backend->memory_create(context->device, bytes, &memory)))
        return status;
    return upc_buffer_wrap(context, memory, buffer);
}

void upconv_buffer_destroy(upconv_buffer *buffer)
{
    if (!buffer)
        return;
    const upc_env *env = &buffer->context->env;
    if (buffer->mapped)
        buffer->context->backend->memory_unmap(buffer->memory, buffer->context->timeout_ns);
    upc_memory_release(buffer->memory);
    pthread_mutex_destroy(&buffer->lock);
    upc_free(env, buffer);
}

upconv_status upconv_buffer_map(upconv_buffer *buffer, uint32_t flags, void **pointer)
{
    if (!buffer || !pointer)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", buffer ? "pointer" : "buffer");
    if (!flags || flags > (UPCONV_MAP_READ | UPCONV_MAP_WRITE))
        return upc_fail(UPCONV_ERROR_INVALID, "flags is %u; it must be READ (1), WRITE (2) or both", flags);
    if (buffer->memory->imported)
        return upc_fail(UPCONV_ERROR_INVALID, "the buffer is imported; map it through the API that made it");
    upconv_status status = upc_context_check(buffer->context);
    if (status)
        return status;
    pthread_mutex_lock(&buffer->lock);
    if (buffer->mapped)
        status = upc_fail(UPCONV_ERROR_INVALID, "the buffer is mapped already");
    else
        status = buffer->context->backend->memory_map(buffer->memory, flags, buffer->context->timeout_ns, pointer);
    if (!status)
        buffer->mapped = true;
    pthread_mutex_unlock(&buffer->lock);
    return status;
}

upconv_status upconv_buffer_unmap(upconv_buffer *buffer)
{
    if (!buffer)
        return upc_fail(UPCONV_ERROR_INVALID, "buffer is NULL");
    upconv_status status = UPCONV_OK;
    pthread_mutex_lock(&buffer->lock);
    if (!buffer->mapped)
        status = upc_fail(UPCONV_ERROR_INVALID, "the buffer is not mapped");
    else
        status = buffer->context->backend->memory_unmap(buffer->memory, buffer->context->timeout_ns);
    buffer->mapped = false;
    pthread_mutex_unlock(&buffer->lock);
    return status;
}
