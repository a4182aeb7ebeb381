// upconv on the app's own device: contexts, buffers, recording into the app's command buffer.
#include "vk.h"

#include <string.h>

#include <upconv/upconv_vulkan.h>

#include "../../api/internal.h"

// --------------------------------------------------------------------------------------------------- context

static upconv_status check_params(const upconv_vk_params *mine)
{
    const struct {
        bool given;
        const char *name;
    } needed[] = {
        {mine->get_instance_proc_addr != NULL, "get_instance_proc_addr"},
        {mine->instance != VK_NULL_HANDLE, "instance"},
        {mine->physical_device != VK_NULL_HANDLE, "physical_device"},
        {mine->device != VK_NULL_HANDLE, "device"},
        {mine->queue != VK_NULL_HANDLE, "queue"},
        {mine->extensions || !mine->extension_count, "extensions"},
    };
    for (size_t i = 0; i < UPC_COUNT(needed); i++)
        if (!needed[i].given)
            return upc_fail(UPCONV_ERROR_INVALID, "upconv_vk_params.%s is NULL", needed[i].name);
    if (!mine->lock_queue != !mine->unlock_queue)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "upconv_vk_params has one of lock_queue and unlock_queue without the other");
    return UPCONV_OK;
}

static bool enabled(const upconv_vk_params *mine, const upc_vk_physical *physical, upc_vk_extension extension)
{
    for (uint32_t i = 0; i < mine->extension_count; i++)
        if (mine->extensions[i] && strcmp(mine->extensions[i], upc_vk_extension_names[extension]) == 0)
            return true;
    return physical->core[extension];
}

// Leaves of what the device can do only what the app has enabled.
static void keep_enabled(const upconv_vk_params *mine, upc_vk_physical *physical)
{
    bool storage = false, float16 = false, executables = false, dot = false;
    const VkBaseInStructure *at = (const VkBaseInStructure *)mine->features;
    for (; at; at = at->pNext) {
        switch (at->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
            storage |= ((const VkPhysicalDevice16BitStorageFeatures *)at)->storageBuffer16BitAccess;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
            storage |= ((const VkPhysicalDeviceVulkan11Features *)at)->storageBuffer16BitAccess;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
            float16 |= ((const VkPhysicalDeviceShaderFloat16Int8Features *)at)->shaderFloat16;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
            float16 |= ((const VkPhysicalDeviceVulkan12Features *)at)->shaderFloat16;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES:
            dot |= ((const VkPhysicalDeviceShaderIntegerDotProductFeatures *)at)->shaderIntegerDotProduct;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES:
            dot |= ((const VkPhysicalDeviceVulkan13Features *)at)->shaderIntegerDotProduct;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR:
            executables |=
                ((const VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR *)at)->pipelineExecutableInfo;
            break;
        default:
            break;
        }
    }
    physical->storage_16bit &= storage && enabled(mine, physical, UPC_VK_STORAGE_16BIT) &&
                               enabled(mine, physical, UPC_VK_STORAGE_CLASS);
    physical->float16 &= float16 && enabled(mine, physical, UPC_VK_FLOAT16_INT8);
    physical->executables &= executables && enabled(mine, physical, UPC_VK_EXECUTABLES);
    physical->integer_dot &= dot && enabled(mine, physical, UPC_VK_INTEGER_DOT);
    if (!physical->integer_dot)
        physical->facts.info.int8_dot = physical->facts.dot_takes = physical->facts.dot_fast = 0;
    upconv_device_info *const info = &physical->facts.info;
    info->f16_storage = info->f16_storage && physical->storage_16bit;
    info->f16_math = info->f16_math && physical->storage_16bit && physical->float16;
}

// A device of ours around the app's handles.
static upconv_status adopt_device(upc_env *env, const upconv_vk_params *mine, upc_device **adopted)
{
    upc_vk_device *const device = upc_alloc(env, sizeof *device);
    if (!device)
        return upc_no_memory(sizeof *device);
    bool usable = false;
    const uint32_t given = mine->api_version ? mine->api_version : VK_API_VERSION_1_0;
    const uint32_t version =
        VK_MAKE_API_VERSION(0, VK_API_VERSION_MAJOR(given), VK_API_VERSION_MINOR(given), 0);
    device->vk.GetInstanceProcAddr = mine->get_instance_proc_addr;
    upconv_status status = upc_vk_api_load_instance(&device->vk, mine->instance);
    if (!status)
        status = upc_vk_api_load_device(&device->vk, mine->device);
    if (!status)
        status = upc_vk_physical_read(env, &device->vk, mine->physical_device, version, mine->queue_family,
                                      &device->physical, &usable);
    if (!status && !usable)
        status = upc_fail(UPCONV_ERROR_INVALID, "queue family %u of the app's device does no compute",
                          (unsigned)mine->queue_family);
    if (status) {
        upc_free(env, device);
        return status;
    }
    keep_enabled(mine, &device->physical);
    device->instance = mine->instance;
    device->device = mine->device;
    device->queue = mine->queue;
    device->lock_queue = mine->lock_queue;
    device->unlock_queue = mine->unlock_queue;
    device->lock_user = mine->lock_user;
    device->statistics = env->statistics && device->physical.executables;
    status = upc_vk_device_finish_open(device, env); // frees it on failure
    if (!status)
        *adopted = &device->base;
    return status;
}

upconv_status upconv_vk_context_create(const upconv_vk_params *given, const upconv_context_params *params,
                                       upconv_context **context)
{
    if (!given || !context)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", given ? "context" : "mine");
    upconv_vk_params mine;
    upconv_status status = upc_params_copy(&mine, sizeof mine, given, sizeof mine, "upconv_vk_params");
    if (!status)
        status = check_params(&mine);
    if (status)
        return status;
    upconv_context *made = NULL;
    upc_device *device = NULL;
    status = upc_context_prepare(params, &made);
    if (status)
        return status;
    status = adopt_device(&made->env, &mine, &device);
    if (!status)
        status = upc_context_adopt(made, &upc_backend_vulkan, device, params);
    if (status) {
        upconv_context_destroy(made);
        return status;
    }
    *context = made;
    return UPCONV_OK;
}

upconv_status upconv_vk_buffer_import(upconv_context *context, VkBuffer buffer, uint64_t bytes,
                                      upconv_buffer **imported)
{
    if (!context || !buffer || !imported)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL",
                        !context  ? "context"
                        : !buffer ? "buffer"
                                  : "imported");
    if (context->backend != &upc_backend_vulkan)
        return upc_fail(UPCONV_ERROR_INVALID, "the context runs on %s, not on Vulkan",
                        context->backend->name);
    if (!bytes)
        return upc_fail(UPCONV_ERROR_INVALID, "bytes is 0; an imported buffer has at least one");
    upc_memory *memory = NULL;
    const upconv_status status = upc_vk_memory_import(context->device, buffer, bytes, &memory);
    return status ? status : upc_buffer_wrap(context, memory, imported);
}

// ------------------------------------------------------------------------------------------------- recording

struct upconv_vk_recording {
    upc_vk_device *device;
    upc_vk_job job;
};

upconv_status upconv_vk_record(upconv_plan *plan, VkCommandBuffer command_buffer, const upconv_io *io,
                               upconv_vk_recording **recording)
{
    if (!plan || !command_buffer || !io || !recording)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL",
                        !plan             ? "plan"
                        : !command_buffer ? "command_buffer"
                        : !io             ? "io"
                                          : "recording");
    if (plan->context->backend != &upc_backend_vulkan)
        return upc_fail(UPCONV_ERROR_INVALID, "the plan runs on %s, not on Vulkan",
                        plan->context->backend->name);
    upc_vk_device *const device = (upc_vk_device *)plan->context->device;
    upc_env *const env = &plan->context->env;
    upconv_status status = upc_vk_check(&device->base);
    if (status)
        return status;
    upc_launch *launches = NULL;
    status = upc_plan_launches(plan, io, &launches);
    if (status)
        return status;
    const uint32_t count = (uint32_t)plan->recipe.step_count;
    uint64_t workspace = 0; // none of our own where io names one
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < launches[i].bound_count; j++)
            if (!launches[i].bound[j].memory)
                workspace = plan->recipe.workspace_bytes;

    upconv_vk_recording *const made = upc_alloc(env, sizeof *made);
    if (!made)
        status = upc_no_memory(sizeof *made);
    if (!status) {
        made->device = device;
        status = upc_vk_job_prepare(device, &made->job, launches, count, workspace);
    }
    if (!status)
        status = upc_vk_job_record(device, &made->job, command_buffer, launches, count);
    upc_free(env, launches);
    if (status) {
        upconv_vk_recording_destroy(made);
        return status;
    }
    *recording = made;
    return UPCONV_OK;
}

void upconv_vk_recording_destroy(upconv_vk_recording *recording)
{
    if (!recording)
        return;
    upc_vk_device *const device = recording->device;
    upc_vk_job_finish(device, &recording->job);
    upc_free(device->base.env, recording);
}
