#include "fake_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *fake_alloc(void *user, size_t size)
{
    fake_context *fake = user;
    const long number = atomic_fetch_add(&fake->allocations, 1) + 1;
    void *memory = number == atomic_load(&fake->fail_at) ? NULL : malloc(size);
    if (memory)
        atomic_fetch_add(&fake->live, 1);
    return memory;
}

static void fake_release(void *user, void *memory)
{
    fake_context *fake = user;
    if (memory)
        atomic_fetch_sub(&fake->live, 1);
    free(memory);
}

static void fake_log(void *user, upconv_log_level level, const char *message)
{
    fake_context *fake = user;
    (void)level;
    if (atomic_fetch_add(&fake->log_lines, 1) < 1000) // threads in tests of the log itself run one at a time
        snprintf(fake->last_log, sizeof fake->last_log, "%s", message);
}

static void *fake_driver_cache_get(upc_device *device, size_t *size)
{
    fake_context *fake = (fake_context *)((char *)device - offsetof(fake_context, device));
    void *bytes = fake->driver_cache_size ? upc_alloc(device->env, fake->driver_cache_size) : NULL;
    if (!bytes)
        return NULL;
    memcpy(bytes, fake->driver_cache, fake->driver_cache_size);
    *size = fake->driver_cache_size;
    return bytes;
}

static bool fake_driver_cache_set(upc_device *device, const void *bytes, size_t size)
{
    fake_context *fake = (fake_context *)((char *)device - offsetof(fake_context, device));
    if (fake->driver_refuses || size > sizeof fake->driver_cache)
        return false;
    memcpy(fake->driver_cache, bytes, size);
    fake->driver_cache_size = size;
    return true;
}

bool fake_context_init(fake_context *fake, upconv_backend backend, const char *name, const char *driver)
{
    memset(fake, 0, sizeof *fake);
    const upconv_allocator allocator = {fake, fake_alloc, fake_release};
    const upconv_context_params params = {.allocator = &allocator, .log = fake_log, .log_user = fake};
    upc_env_init(&fake->context.env, &params);
    fake->backend.id = backend;
    fake->backend.name = "fake";
    fake->backend.driver_cache_get = fake_driver_cache_get;
    fake->backend.driver_cache_set = fake_driver_cache_set;
    fake->device.backend = &fake->backend;
    fake->device.env = &fake->context.env;
    fake->context.backend = &fake->backend;
    fake->context.device = &fake->device;
    upc_facts_smallest(&fake->context.facts);
    upconv_device_info *info = &fake->context.facts.info;
    info->backend = backend;
    info->vendor_id = 0x5143;
    info->device_id = 0x43051401;
    snprintf(info->name, sizeof info->name, "%s", name);
    snprintf(info->driver, sizeof info->driver, "%s", driver);
    if (upc_cache_create(&fake->context.env) != UPCONV_OK)
        return false;
    return upc_tuning_create(&fake->context.env, &fake->context.tuning) == UPCONV_OK;
}

void fake_context_finish(fake_context *fake)
{
    upc_tuning_destroy(fake->context.tuning);
    upc_cache_destroy(&fake->context.env);
}

int fake_file_write(void *user, const void *data, size_t size)
{
    fake_file *file = user;
    if (++file->calls == file->stop_at)
        return 1;
    unsigned char *larger = realloc(file->data, file->size + size);
    if (!larger)
        return 1;
    memcpy(larger + file->size, data, size);
    file->data = larger;
    file->size += size;
    return 0;
}

void fake_file_finish(fake_file *file)
{
    free(file->data);
    memset(file, 0, sizeof *file);
}
