#include "util.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void default_release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

void upc_env_init(upc_env *env, const upconv_context_params *params)
{
    memset(env, 0, sizeof *env);
    env->allocator = (upconv_allocator){NULL, default_alloc, default_release};
    if (params && params->allocator)
        env->allocator = *params->allocator;
    if (params) {
        env->log = params->log;
        env->log_user = params->log_user;
        env->statistics = params->statistics != 0;
    }
    const char *level = getenv("UPCONV_LOG");
    env->stderr_level = level ? atoi(level) : 0;
}

void *upc_alloc(const upc_env *env, size_t size)
{
    void *memory = env->allocator.alloc(env->allocator.user, size ? size : 1);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *upc_alloc_array(const upc_env *env, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    return upc_alloc(env, count * size);
}

void upc_free(const upc_env *env, void *memory)
{
    if (memory)
        env->allocator.release(env->allocator.user, memory);
}

char *upc_strdup(const upc_env *env, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = upc_alloc(env, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

bool upc_grow(const upc_env *env, void **array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 8;
    if (wanted < needed)
        wanted = needed;
    void *larger = upc_alloc_array(env, wanted, size);
    if (!larger)
        return false;
    if (*array)
        memcpy(larger, *array, *capacity * size);
    upc_free(env, *array);
    *array = larger;
    *capacity = wanted;
    return true;
}

upconv_status upc_params_copy(void *ours, size_t our_size, const void *theirs, size_t first, const char *name)
{
    memset(ours, 0, our_size);
    if (!theirs)
        return UPCONV_OK;
    size_t size;
    memcpy(&size, theirs, sizeof size);
    if (size == 0)
        size = first;
    if (size < sizeof size)
        return upc_fail(UPCONV_ERROR_INVALID, "%s.struct_size is %zu; it must be sizeof the struct, or 0", name, size);
    if (size > our_size) {
        const unsigned char *tail = (const unsigned char *)theirs;
        for (size_t i = our_size; i < size; i++)
            if (tail[i])
                return upc_fail(UPCONV_ERROR_INVALID,
                                "%s.struct_size is %zu and sets fields that this version (%zu bytes) does not know",
                                name, size, our_size);
        size = our_size;
    }
    memcpy(ours, theirs, size);
    memcpy(ours, &our_size, sizeof our_size);
    return UPCONV_OK;
}

void upc_params_return(void *theirs, const void *ours, size_t our_size, size_t first)
{
    size_t size;
    memcpy(&size, theirs, sizeof size);
    const size_t keep = size;
    if (size == 0)
        size = first;
    memcpy(theirs, ours, UPC_MIN(size, our_size));
    memcpy(theirs, &keep, sizeof keep);
}
