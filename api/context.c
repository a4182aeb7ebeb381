// Opening devices: enumeration, contexts, and what a context reports.
#include "internal.h"
#include "shipped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>


static const char *const backend_names[UPCONV_BACKEND_COUNT] = {"any", "vulkan", "opencl", "cpu"};

#ifdef UPC_STATIC
static const char not_built[] = "not in this build, which is fully static and cannot load drivers";
#else
static const char not_built[] = "not in this build";
#endif

upconv_status upconv_device_at(int32_t index, upconv_device_info *info)
{
    if (!info)
        return upc_fail(UPCONV_ERROR_INVALID, "info is NULL");
    if (index < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "index is %d; it must not be negative", index);
    upc_env env;
    upc_env_init(&env, NULL);
    int32_t left = index;
    for (int b = 0; b < upc_backend_count; b++) {
        upc_facts facts;
        upconv_status status;
        for (int i = 0; (status = upc_backends[b]->facts_at(&env, i, &facts)) == UPCONV_OK; i++) {
            if (left-- > 0)
                continue;
            facts.info.index = i;
            upc_params_return(info, &facts.info, sizeof facts.info, sizeof facts.info);
            return UPCONV_OK;
        }
        if (status == UPCONV_ERROR_HOST_MEMORY)
            return status;
    }
    return upc_fail(UPCONV_ERROR_NO_DEVICE, "there is no device number %d on this machine", index);
}

upconv_status upconv_backend_at(int32_t index, upconv_backend_info *info)
{
    if (!info)
        return upc_fail(UPCONV_ERROR_INVALID, "info is NULL");
    if (index < 0 || index >= UPCONV_BACKEND_COUNT - 1)
        return upc_fail(UPCONV_ERROR_INVALID, "index is %d; there are %d backends", index, UPCONV_BACKEND_COUNT - 1);
    upconv_backend_info found = {.backend = (upconv_backend)(index + 1)};
    snprintf(found.name, sizeof found.name, "%s", backend_names[found.backend]);
    snprintf(found.detail, sizeof found.detail, "%s", not_built);
    upc_env env;
    upc_env_init(&env, NULL);
    for (int b = 0; b < upc_backend_count; b++)
        if (upc_backends[b]->id == found.backend) {
            found.built = 1;
            found.detail[0] = 0;
            upc_backends[b]->describe(&env, &found);
        }
    upc_params_return(info, &found, sizeof found, sizeof found);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------------ creation

static upconv_status check(const upconv_context_params *params)
{
    if ((int)params->backend < 0 || params->backend >= UPCONV_BACKEND_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "params.backend is %d; it must be below %d", (int)params->backend,
                        (int)UPCONV_BACKEND_COUNT);
    if (params->allocator && (!params->allocator->alloc || !params->allocator->release))
        return upc_fail(UPCONV_ERROR_INVALID, "params.allocator: alloc and release must both be set");
    if (params->timeout_ns < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "params.timeout_ns is %lld; it must not be negative",
                        (long long)params->timeout_ns);
    if (params->statistics > 1)
        return upc_fail(UPCONV_ERROR_INVALID, "params.statistics is %u; it must be 0 or 1", params->statistics);
    if (params->own_records_only > 1)
        return upc_fail(UPCONV_ERROR_INVALID, "params.own_records_only is %u; it must be 0 or 1",
                        params->own_records_only);
    return UPCONV_OK;
}

static upconv_status read_environment(upconv_context *context)
{
    static const char *const names[] = {"UPCONV_SHADERS", "UPCONV_SOLVER"};
    char **const to[] = {&context->env.shaders, &context->forced_solver};
    for (size_t i = 0; i < UPC_COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            continue;
        if (!(*to[i] = upc_strdup(&context->env, value)))
            return upc_no_memory(strlen(value) + 1);
        upc_log(&context->env, UPCONV_LOG_INFO, "%s=%s acts on this context", names[i], value);
    }
    return UPCONV_OK;
}

// Whether the records that came with the library are to be used.
static bool ships(const upconv_context *context, const upconv_context_params *params)
{
    const char *value = getenv("UPCONV_SHIPPED");
    if (!value || strcmp(value, "0"))
        return !params->own_records_only;
    upc_log(&context->env, UPCONV_LOG_INFO, "UPCONV_SHIPPED=0 acts on this context");
    return false;
}

upconv_status upc_context_prepare(const upconv_context_params *given, upconv_context **context)
{
    upconv_context_params params;
    upconv_status status = upc_params_copy(&params, sizeof params, given, sizeof params, "params");
    if (status || (status = check(&params)))
        return status;
    upc_env env;
    upc_env_init(&env, &params);
    upconv_context *made = upc_alloc(&env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    upc_env_init(&made->env, &params);
    made->timeout_ns = params.timeout_ns ? params.timeout_ns : 60000000000;
    pthread_mutex_init(&made->staging_lock, NULL);
    pthread_mutex_init(&made->dots.lock, NULL);
    if (!upc_programs_init(&made->programs)) {
        upconv_context_destroy(made);
        return upc_fail(UPCONV_ERROR_HOST_MEMORY, "out of host memory: no mutex for the programs of a context");
    }
    if ((status = read_environment(made)) || (status = upc_cache_create(&made->env)) ||
        (status = upc_tuning_create(&made->env, &made->tuning))) {
        upconv_context_destroy(made);
        return status;
    }
    if (ships(made, &params))
        upc_tuning_ship(made->tuning, &upc_shipped_records);
    *context = made;
    return UPCONV_OK;
}

static void lower_u64(uint64_t *limit, uint64_t to) { *limit = to && to < *limit ? to : *limit; }
static void lower_u32(uint32_t *limit, uint32_t to) { *limit = to && to < *limit ? to : *limit; }

static upconv_status lower(upc_facts *facts, const upconv_limits *given)
{
    upconv_limits limits;
    const upconv_status status = upc_params_copy(&limits, sizeof limits, given, sizeof limits, "params.limits");
    if (status)
        return status;
    lower_u64(&facts->info.limits.binding_bytes, limits.binding_bytes);
    lower_u64(&facts->info.limits.alloc_bytes, limits.alloc_bytes);
    lower_u32(&facts->info.limits.group_count, limits.group_count);
    lower_u32(&facts->info.limits.group_size, limits.group_size);
    lower_u32(&facts->info.limits.shared_bytes, limits.shared_bytes);
    lower_u64(&facts->info.limits.dispatch_macs, limits.dispatch_macs);
    return UPCONV_OK;
}

upconv_status upc_context_adopt(upconv_context *context, const upc_backend *backend, upc_device *device,
                                const upconv_context_params *given)
{
    upconv_context_params params;
    context->backend = backend;
    context->device = device;
    context->facts = device->facts;
    upconv_status status = upc_params_copy(&params, sizeof params, given, sizeof params, "params");
    if (!status)
        status = lower(&context->facts, params.limits);
    if (!status)
        upc_log(&context->env, UPCONV_LOG_INFO, "%s: %s (%s)", backend->name, context->facts.info.name,
                context->facts.info.driver);
    return status;
}

// The index of the device that is wanted. Looks only for a name, because looking loads the drivers; whether there is a
// device of that number, opening it will say. NO_DEVICE: this backend has none of that name.
static upconv_status find_device(upc_env *env, const upc_backend *backend, const char *wanted, int *index)
{
    upc_facts facts;
    upconv_status status;
    *index = 0;
    if (!wanted || !*wanted)
        return UPCONV_OK;
    char *end;
    const long number = strtol(wanted, &end, 10);
    if (!*end) {
        *index = (int)number;
        return number >= 0 && number < 4096 ? UPCONV_OK
                                            : upc_fail(UPCONV_ERROR_NO_DEVICE, "no device has number %ld", number);
    }
    for (; (status = backend->facts_at(env, *index, &facts)) == UPCONV_OK; ++*index)
        for (const char *at = facts.info.name; *at; at++)
            if (!strncasecmp(at, wanted, strlen(wanted)))
                return UPCONV_OK;
    return status;
}

static upconv_status open_any(upconv_context *context, upconv_backend wanted, const char *name,
                              const upconv_context_params *params)
{
    char why[400] = "";
    for (int b = 0; b < upc_backend_count; b++) {
        const upc_backend *backend = upc_backends[b];
        if (wanted != UPCONV_BACKEND_ANY && backend->id != wanted)
            continue;
        int index;
        upc_device *device;
        upconv_status status = find_device(&context->env, backend, name, &index);
        if (!status)
            status = backend->open(&context->env, index, &device);
        if (status == UPCONV_ERROR_NO_DEVICE) {
            snprintf(why, sizeof why, "%s", upc_last_error());
            continue;
        }
        if (status == UPCONV_OK) {
            device->facts.info.index = index;
            return upc_context_adopt(context, backend, device, params);
        }
        if (wanted != UPCONV_BACKEND_ANY || status == UPCONV_ERROR_HOST_MEMORY)
            return status;
        upc_log(&context->env, UPCONV_LOG_WARNING, "%s: %s; the next backend is tried", backend->name,
                upc_last_error());
    }
    if (name && *name)
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "no device of backend %s is number or name \"%s\"%s%s",
                        backend_names[wanted], name, *why ? ": " : "", why);
    return upc_fail(UPCONV_ERROR_NO_DEVICE, "backend %s has no device: %s", backend_names[wanted],
                    *why ? why : not_built);
}

// UPCONV_BACKEND and UPCONV_DEVICE are stronger than the params.
static upconv_status read_choice(upconv_context *context, upconv_backend *backend, const char **device)
{
    const char *value = getenv("UPCONV_BACKEND");
    if (value && *value) {
        for (int b = 0; b < UPCONV_BACKEND_COUNT; b++)
            if (!strcmp(value, backend_names[b])) {
                *backend = (upconv_backend)b;
                upc_log(&context->env, UPCONV_LOG_INFO, "UPCONV_BACKEND=%s acts on this context", value);
                goto device;
            }
        return upc_fail(UPCONV_ERROR_INVALID, "UPCONV_BACKEND is \"%s\"; it must be any, vulkan, opencl or cpu", value);
    }
device:
    value = getenv("UPCONV_DEVICE");
    if (value && *value) {
        *device = value;
        upc_log(&context->env, UPCONV_LOG_INFO, "UPCONV_DEVICE=%s acts on this context", value);
    }
    return UPCONV_OK;
}

upconv_status upconv_context_create(const upconv_context_params *given, upconv_context **context)
{
    if (!context)
        return upc_fail(UPCONV_ERROR_INVALID, "context is NULL");
    upconv_context *made;
    upconv_status status = upc_context_prepare(given, &made);
    if (status)
        return status;
    upconv_context_params params;
    upc_params_copy(&params, sizeof params, given, sizeof params, "params");
    status = read_choice(made, &params.backend, &params.device);
    if (!status)
        status = open_any(made, params.backend, params.device, given);
    if (status) {
        upconv_context_destroy(made);
        return status;
    }
    *context = made;
    return UPCONV_OK;
}

void upconv_context_destroy(upconv_context *context)
{
    if (!context)
        return;
    upc_env *env = &context->env;
    upc_programs_finish(&context->programs, env);
    upc_free(env, context->listener.heard);
    for (size_t i = 0; i < context->staging_count; i++)
        upc_memory_release(context->staging[i]);
    if (context->device)
        context->backend->close(context->device, context->timeout_ns);
    upc_free(env, context->staging);
    upc_free(env, context->forced_solver);
    upc_tuning_destroy(context->tuning);
    upc_cache_destroy(env);
    upc_free(env, env->shaders);
    pthread_mutex_destroy(&context->staging_lock);
    pthread_mutex_destroy(&context->dots.lock);
    const upc_env last = {.allocator = env->allocator};
    upc_free(&last, context);
}

upconv_status upconv_context_device(const upconv_context *context, upconv_device_info *info)
{
    if (!context || !info)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "info" : "context");
    upc_params_return(info, &context->facts.info, sizeof *info, sizeof *info);
    return UPCONV_OK;
}

upconv_status upconv_context_counters(const upconv_context *context, upconv_counters *counters)
{
    if (!context || !counters)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", context ? "counters" : "context");
    const upc_counts *counts = &context->env.counts;
    const upconv_counters now = {
        .source_compiles = counts->source_compiles, .binary_loads = counts->binary_loads,
        .programs_shared = counts->programs_shared, .submissions = counts->submissions,
        .dispatches = counts->dispatches, .host_steps = counts->host_steps, .records_used = counts->records_used,
        .skipped_blobs = counts->skipped_blobs,
    };
    upc_params_return(counters, &now, sizeof now, sizeof now);
    return UPCONV_OK;
}
