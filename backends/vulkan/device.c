// Instances and devices: what is there, opening one, closing it even when it hangs.
#include "vk.h"

#include <stdio.h>
#include <string.h>

// -------------------------------------------------------------------------------------------------- statuses

upconv_status upc_vk_check(upc_device *device)
{
    const upconv_status state = (upconv_status)atomic_load(&device->state);
    if (state == UPCONV_ERROR_DEVICE_LOST)
        return upc_fail(state, "the device was lost earlier; this context can only be destroyed");
    if (state)
        return upc_fail(state,
                        "the device did not answer in time earlier; this context can only be destroyed");
    return UPCONV_OK;
}

void upc_vk_set_state(upc_device *device, upconv_status state)
{
    int ok = UPCONV_OK; // the first misfortune stays
    if (atomic_compare_exchange_strong(&device->state, &ok, (int)state))
        upc_log(device->env, UPCONV_LOG_ERROR, "vulkan: %s",
                state == UPCONV_ERROR_DEVICE_LOST ? "the device was lost"
                                                  : "the device does not answer in time");
}

upconv_status upc_vk_failed(upc_device *device, VkResult result, upconv_status other, const char *call)
{
    upconv_status status = other;
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        status = UPCONV_ERROR_HOST_MEMORY;
        break;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_MEMORY_MAP_FAILED:
        status = UPCONV_ERROR_GPU_MEMORY;
        break;
    case VK_ERROR_DEVICE_LOST:
        status = UPCONV_ERROR_DEVICE_LOST;
        break;
    default:
        break;
    }
    if (status == UPCONV_ERROR_DEVICE_LOST)
        upc_vk_set_state(device, status);
    return upc_fail(status, "%s gives %s", call, upc_vk_result_name(result));
}

// ------------------------------------------------------------------------------------------------- instances

typedef struct vk_instance {
    upc_vk_api vk;
    VkInstance handle;
    uint32_t version;
} vk_instance;

static void close_instance(vk_instance *instance)
{
    if (instance->handle)
        instance->vk.DestroyInstance(instance->handle, NULL);
    upc_vk_api_close(&instance->vk);
    memset(instance, 0, sizeof *instance);
}

// Names of the wanted extensions that the loader has.
static upconv_status choose_extensions(upc_env *env, const upc_vk_api *vk, const char **names,
                                       uint32_t *count)
{
    static const char *const wanted[] = {VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME,
                                         VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME};
    uint32_t found = 0;
    *count = 0;
    if (vk->EnumerateInstanceExtensionProperties(NULL, &found, NULL))
        return UPCONV_OK;
    VkExtensionProperties *const list = upc_alloc_array(env, found, sizeof *list);
    if (!list)
        return upc_no_memory(found * sizeof *list);
    if (vk->EnumerateInstanceExtensionProperties(NULL, &found, list) < VK_SUCCESS)
        found = 0;
    for (size_t i = 0; i < UPC_COUNT(wanted); i++) {
        bool has = false;
        for (uint32_t j = 0; j < found; j++)
            has |= strcmp(list[j].extensionName, wanted[i]) == 0;
        if (has)
            names[(*count)++] = wanted[i];
    }
    upc_free(env, list);
    return UPCONV_OK;
}

static upconv_status open_instance(upc_env *env, vk_instance *instance)
{
    memset(instance, 0, sizeof *instance);
    upconv_status status = upc_vk_api_open(&instance->vk);
    if (status)
        return status;
    upc_vk_api *const vk = &instance->vk;
    uint32_t version = VK_API_VERSION_1_0; // a loader without the function is 1.0
    if (vk->EnumerateInstanceVersion && vk->EnumerateInstanceVersion(&version))
        version = VK_API_VERSION_1_0;
    instance->version = VK_MAKE_API_VERSION(0, 1, UPC_MIN(VK_API_VERSION_MINOR(version), 3), 0);

    const char *names[2];
    uint32_t name_count = 0;
    status = choose_extensions(env, vk, names, &name_count);
    if (status) {
        close_instance(instance);
        return status;
    }
    VkInstanceCreateFlags flags = 0;
    for (uint32_t i = 0; i < name_count; i++)
        if (strcmp(names[i], VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME) == 0)
            flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    const VkApplicationInfo application = {
        VK_STRUCTURE_TYPE_APPLICATION_INFO, NULL, NULL, 0, "upconv", 1, instance->version};
    const VkInstanceCreateInfo info = {
        VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, NULL, flags, &application, 0, NULL, name_count, names};
    const VkResult result = vk->CreateInstance(&info, NULL, &instance->handle);
    if (result) {
        instance->handle = VK_NULL_HANDLE;
        status =
            result == VK_ERROR_OUT_OF_HOST_MEMORY
                ? upc_fail(UPCONV_ERROR_HOST_MEMORY, "the Vulkan loader is out of host memory")
                : upc_fail(UPCONV_ERROR_NO_DEVICE, "no Vulkan driver works here: vkCreateInstance gives %s",
                           upc_vk_result_name(result));
    } else {
        status = upc_vk_api_load_instance(vk, instance->handle);
    }
    if (status)
        close_instance(instance);
    return status;
}

static void describe(upc_env *env, upconv_backend_info *info)
{
    vk_instance instance;
    upc_vk_api vk;
    const bool loaded = upc_vk_api_open(&vk) == UPCONV_OK;
    if (loaded)
        upc_vk_api_close(&vk);
    info->loaded = loaded;
    info->devices = 0;
    upc_vk_physical *physicals = NULL;
    uint32_t count = 0;
    upconv_status status = open_instance(env, &instance);
    if (!status) {
        status = upc_vk_physicals(env, &instance.vk, instance.handle, instance.version, &physicals, &count);
        if (!status && !count)
            status =
                upc_fail(UPCONV_ERROR_NO_DEVICE, "the Vulkan loader finds no device with a compute queue");
    }
    if (status)
        snprintf(info->detail, sizeof info->detail, "%s", upc_last_error());
    else
        snprintf(info->detail, sizeof info->detail, "instance Vulkan 1.%u, headers 1.%u.%u, %s",
                 VK_API_VERSION_MINOR(instance.version), VK_API_VERSION_MINOR(VK_HEADER_VERSION_COMPLETE),
                 VK_API_VERSION_PATCH(VK_HEADER_VERSION_COMPLETE), upc_vk_compiler_name());
    info->devices = (int32_t)count;
    upc_free(env, physicals);
    if (instance.handle)
        close_instance(&instance);
}

// Opens an instance and copies out the index-th device.
static upconv_status find_physical(upc_env *env, int index, vk_instance *instance, upc_vk_physical *physical)
{
    upc_vk_physical *physicals = NULL;
    uint32_t count = 0;
    upconv_status status = open_instance(env, instance);
    if (status)
        return status;
    status = upc_vk_physicals(env, &instance->vk, instance->handle, instance->version, &physicals, &count);
    if (!status && (index < 0 || (uint32_t)index >= count))
        status =
            upc_fail(UPCONV_ERROR_NO_DEVICE, "no Vulkan device %d: there are %u", index, (unsigned)count);
    if (!status)
        *physical = physicals[index];
    upc_free(env, physicals);
    if (status)
        close_instance(instance);
    return status;
}

static upconv_status facts_at(upc_env *env, int index, upc_facts *facts)
{
    vk_instance instance;
    upc_vk_physical physical;
    const upconv_status status = find_physical(env, index, &instance, &physical);
    if (status)
        return status;
    *facts = physical.facts;
    close_instance(&instance);
    return UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------- devices

static upconv_status create_handle(upc_vk_device *device, upc_env *env)
{
    upc_vk_physical *const physical = &device->physical;
    const char *names[UPC_VK_EXTENSION_COUNT];
    uint32_t count = 0;
    if (!env->statistics || !physical->executables)
        physical->has[UPC_VK_EXECUTABLES] = physical->executables = false;
    static const upc_vk_extension wanted[] = {UPC_VK_STORAGE_CLASS, UPC_VK_STORAGE_16BIT, UPC_VK_FLOAT16_INT8,
                                              UPC_VK_INTEGER_DOT, UPC_VK_EXECUTABLES, UPC_VK_PORTABILITY};
    for (size_t i = 0; i < UPC_COUNT(wanted); i++)
        if (physical->has[wanted[i]] && !physical->core[wanted[i]])
            names[count++] = upc_vk_extension_names[wanted[i]];

    upc_vk_features features;
    upc_vk_features_chain(&features, physical);
    features.storage.storageBuffer16BitAccess = physical->storage_16bit;
    features.float16.shaderFloat16 = physical->float16;
    features.executables.pipelineExecutableInfo = physical->executables;
    features.dot.shaderIntegerDotProduct = physical->integer_dot;
    const bool any = physical->storage_16bit || physical->float16 || physical->executables || physical->integer_dot;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, NULL, 0, physical->family, 1, &priority};
    const VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     any ? &features.all : NULL,
                                     0,
                                     1,
                                     &queue,
                                     0,
                                     NULL,
                                     count,
                                     names,
                                     NULL};
    const VkResult result = device->vk.CreateDevice(physical->handle, &info, NULL, &device->device);
    if (result) {
        device->device = VK_NULL_HANDLE;
        return upc_vk_failed(&device->base, result, UPCONV_ERROR_NO_DEVICE, "vkCreateDevice");
    }
    const upconv_status status = upc_vk_api_load_device(&device->vk, device->device);
    if (status)
        return status; // the caller cannot destroy it without the function; GetDeviceProcAddr without it is
                       // no driver
    device->vk.GetDeviceQueue(device->device, physical->family, 0, &device->queue);
    device->statistics = physical->executables;
    return UPCONV_OK;
}

static void destroy_handles(upc_vk_device *device)
{
    if (device->device && device->vk.DestroyDevice)
        device->vk.DestroyDevice(device->device, NULL);
    if (device->instance && device->vk.DestroyInstance)
        device->vk.DestroyInstance(device->instance, NULL);
    upc_vk_api_close(&device->vk);
}

upconv_status upc_vk_device_finish_open(upc_vk_device *device, upc_env *env)
{
    device->base.backend = &upc_backend_vulkan;
    device->base.env = env;
    device->base.facts = device->physical.facts;
    atomic_init(&device->base.state, UPCONV_OK);
    const VkPipelineCacheCreateInfo info = {VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    const VkResult result =
        device->vk.CreatePipelineCache(device->device, &info, NULL, &device->pipeline_cache);
    if (result) {
        const upconv_status status =
            upc_vk_failed(&device->base, result, UPCONV_ERROR_NO_DEVICE, "vkCreatePipelineCache");
        if (device->own)
            destroy_handles(device);
        upc_free(env, device);
        return status;
    }
    pthread_rwlock_init(&device->pipeline_lock, NULL);
    pthread_mutex_init(&device->queue_lock, NULL);
    pthread_mutex_init(&device->lock, NULL);
    upc_log(env, UPCONV_LOG_INFO, "vulkan: %s, %s, %s", device->physical.facts.info.name,
            device->physical.facts.info.api, device->physical.facts.info.driver);
    return UPCONV_OK;
}

static upconv_status open_device(upc_env *env, int index, upc_device **opened)
{
    upc_vk_device *const device = upc_alloc(env, sizeof *device);
    if (!device)
        return upc_no_memory(sizeof *device);
    vk_instance instance;
    upconv_status status = find_physical(env, index, &instance, &device->physical);
    if (status) {
        upc_free(env, device);
        return status;
    }
    device->base.env = env;
    device->own = true;
    device->vk = instance.vk;
    device->instance = instance.handle;
    status = create_handle(device, env);
    if (status) {
        destroy_handles(device);
        upc_free(env, device);
        return status;
    }
    status = upc_vk_device_finish_open(device, env);
    if (!status)
        *opened = &device->base;
    return status;
}

void upc_vk_close(upc_device *base, int64_t timeout_ns)
{
    if (!base)
        return;
    upc_vk_device *const device = (upc_vk_device *)base;
    upc_env *const env = base->env;
    device->abandoned = !upc_vk_drain(device, timeout_ns);
    if (device->abandoned)
        upc_log(env, UPCONV_LOG_WARNING, "vulkan: %s still has work; its objects are left to the driver",
                device->physical.facts.info.name);
    upc_vk_slots_finish(device);
    upc_vk_compiler_stop(device);
    if (!device->abandoned) {
        device->vk.DestroyPipelineCache(device->device, device->pipeline_cache, NULL);
        if (device->own)
            destroy_handles(device);
    }
    pthread_rwlock_destroy(&device->pipeline_lock);
    pthread_mutex_destroy(&device->queue_lock);
    pthread_mutex_destroy(&device->lock);
    upc_free(env, device);
}

const upc_backend upc_backend_vulkan = {
    .id = UPCONV_BACKEND_VULKAN,
    .name = "vulkan",
    .describe = describe,
    .facts_at = facts_at,
    .open = open_device,
    .close = upc_vk_close,
    .memory_create = upc_vk_memory_create,
    .memory_destroy = upc_vk_memory_destroy,
    .memory_map = upc_vk_memory_map,
    .memory_unmap = upc_vk_memory_unmap,
    .program_create = upc_vk_program_create,
    .program_destroy = upc_vk_program_destroy,
    .program_statistics = upc_vk_program_statistics,
    .submit = upc_vk_submit,
    .wait = upc_vk_wait,
    .ticket_time = upc_vk_ticket_time,
    .driver_cache_get = upc_vk_driver_cache_get,
    .driver_cache_set = upc_vk_driver_cache_set,
};
