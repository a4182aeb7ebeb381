#include "util.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void upc_log(const upc_env *env, upconv_log_level level, const char *format, ...)
{
    if (!env->log && (int)level > env->stderr_level)
        return;
    char line[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (env->log)
        env->log(env->log_user, level, line);
    if ((int)level <= env->stderr_level)
        fprintf(stderr, "upconv: %s\n", line); // the user asked for it with UPCONV_LOG
}

uint64_t upc_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int upc_processors(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 64 ? 64 : (int)count;
}

static void *read_whole(const upc_env *env, FILE *file, size_t *size)
{
    if (fseek(file, 0, SEEK_END))
        return NULL;
    const long length = ftell(file);
    if (length < 0 || fseek(file, 0, SEEK_SET))
        return NULL;
    char *bytes = upc_alloc(env, (size_t)length + 1);
    if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        upc_free(env, bytes);
        return NULL;
    }
    *size = (size_t)length;
    return bytes;
}

char *upc_read_file(const upc_env *env, const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *bytes = read_whole(env, file, size);
    fclose(file);
    return bytes;
}

// FNV-1a, with a final mix so that short keys spread over all bits.
uint64_t upc_hash(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ hash >> 29;
}

bool upc_mul_u64(uint64_t *product, uint64_t a, uint64_t b) { return !__builtin_mul_overflow(a, b, product); }
