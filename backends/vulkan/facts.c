// What a physical device says of itself: extensions, features, limits, turned into facts.
#include "vk.h"

#include <stdio.h>
#include <string.h>

const char *const upc_vk_extension_names[UPC_VK_EXTENSION_COUNT] = {
#define NAME(name, text, core) text,
    UPC_VK_EXTENSIONS(NAME)
#undef NAME
};
static const uint32_t extension_cores[UPC_VK_EXTENSION_COUNT] = {
#define CORE(name, text, core) core,
    UPC_VK_EXTENSIONS(CORE)
#undef CORE
};

static const struct {
    uint32_t id;
    const char *name;
} vendors[] = {
    {0x1002, "AMD"},          {0x1010, "Imagination"}, {0x106b, "Apple"},     {0x10de, "NVIDIA"},
    {0x13b5, "Arm"},          {0x144d, "Samsung"},     {0x14e4, "Broadcom"},  {0x19e5, "Huawei"},
    {0x1ae0, "Google"},       {0x5143, "Qualcomm"},    {0x8086, "Intel"},     {0x10001, "Vivante"},
    {0x10002, "VeriSilicon"}, {0x10003, "Kazan"},      {0x10004, "Codeplay"}, {0x10005, "Mesa"},
    {0x10006, "PoCL"},
};

// What one look at the device answers; chained only where the device knows the struct.
typedef struct vk_answers {
    VkPhysicalDeviceProperties2 all;
    VkPhysicalDeviceMaintenance3Properties maintenance3;
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceShaderIntegerDotProductProperties dot;
    VkPhysicalDeviceShaderCorePropertiesAMD amd;
    VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM arm;
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nv;
} vk_answers;

static void chain(void **head, void *item, VkStructureType type, bool known)
{
    VkBaseOutStructure *const base = item;
    if (!known)
        return;
    base->sType = type;
    base->pNext = *head;
    *head = base;
}

static bool knows(const upc_vk_physical *physical, upc_vk_extension extension)
{
    return physical->has[extension] || physical->core[extension];
}

static bool can_ask(const upc_vk_api *vk, const upc_vk_physical *physical)
{
    return (physical->version >= VK_API_VERSION_1_1 && vk->GetPhysicalDeviceProperties2 &&
            vk->GetPhysicalDeviceFeatures2) ||
           (vk->GetPhysicalDeviceProperties2KHR && vk->GetPhysicalDeviceFeatures2KHR);
}

static void ask_properties(const upc_vk_api *vk, const upc_vk_physical *physical, vk_answers *answers)
{
    memset(answers, 0, sizeof *answers);
    answers->all.properties = physical->properties;
    if (!can_ask(vk, physical))
        return;
    void **const head = &answers->all.pNext;
    answers->all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    chain(head, &answers->maintenance3, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
          knows(physical, UPC_VK_MAINTENANCE3));
    chain(head, &answers->subgroup, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
          physical->version >= VK_API_VERSION_1_1);
    chain(head, &answers->driver, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
          knows(physical, UPC_VK_DRIVER_PROPERTIES));
    chain(head, &answers->dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES,
          knows(physical, UPC_VK_INTEGER_DOT));
    chain(head, &answers->amd, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD,
          physical->has[UPC_VK_CORES_AMD]);
    chain(head, &answers->arm, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM,
          physical->has[UPC_VK_CORES_ARM]);
    chain(head, &answers->nv, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV,
          physical->has[UPC_VK_CORES_NV]);
    if (physical->version >= VK_API_VERSION_1_1 && vk->GetPhysicalDeviceProperties2)
        vk->GetPhysicalDeviceProperties2(physical->handle, &answers->all);
    else
        vk->GetPhysicalDeviceProperties2KHR(physical->handle, &answers->all);
}

void upc_vk_features_chain(upc_vk_features *features, const upc_vk_physical *physical)
{
    memset(features, 0, sizeof *features);
    void **const head = &features->all.pNext;
    features->all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    // VK_KHR_16bit_storage stands on VK_KHR_storage_buffer_storage_class.
    chain(head, &features->storage, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
          knows(physical, UPC_VK_STORAGE_16BIT) && knows(physical, UPC_VK_STORAGE_CLASS));
    chain(head, &features->float16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
          knows(physical, UPC_VK_FLOAT16_INT8));
    chain(head, &features->dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
          knows(physical, UPC_VK_INTEGER_DOT));
    chain(head, &features->executables,
          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
          physical->has[UPC_VK_EXECUTABLES]);
}

static void ask_features(const upc_vk_api *vk, upc_vk_physical *physical)
{
    if (!can_ask(vk, physical))
        return;
    upc_vk_features features;
    upc_vk_features_chain(&features, physical);
    if (physical->version >= VK_API_VERSION_1_1 && vk->GetPhysicalDeviceFeatures2)
        vk->GetPhysicalDeviceFeatures2(physical->handle, &features.all);
    else
        vk->GetPhysicalDeviceFeatures2KHR(physical->handle, &features.all);
    physical->storage_16bit = features.storage.storageBuffer16BitAccess;
    physical->float16 = features.float16.shaderFloat16;
    physical->executables = features.executables.pipelineExecutableInfo;
    physical->integer_dot = features.dot.shaderIntegerDotProduct;
}

static upconv_status read_extensions(upc_env *env, const upc_vk_api *vk, upc_vk_physical *physical)
{
    for (int i = 0; i < UPC_VK_EXTENSION_COUNT; i++)
        physical->core[i] = extension_cores[i] && physical->version >= extension_cores[i];
    uint32_t count = 0;
    if (vk->EnumerateDeviceExtensionProperties(physical->handle, NULL, &count, NULL))
        return UPCONV_OK;
    VkExtensionProperties *const list = upc_alloc_array(env, count, sizeof *list);
    if (!list)
        return upc_no_memory(count * sizeof *list);
    const VkResult result = vk->EnumerateDeviceExtensionProperties(physical->handle, NULL, &count, list);
    for (uint32_t i = 0; i < count && result >= VK_SUCCESS; i++)
        for (int j = 0; j < UPC_VK_EXTENSION_COUNT; j++)
            physical->has[j] |= strcmp(list[i].extensionName, upc_vk_extension_names[j]) == 0;
    upc_free(env, list);
    return UPCONV_OK;
}

// The first family that computes, or the first of those with a clock.
static upconv_status choose_family(upc_env *env, const upc_vk_api *vk, uint32_t wanted,
                                   upc_vk_physical *physical, bool *found)
{
    uint32_t count = 0;
    vk->GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, NULL);
    VkQueueFamilyProperties *const list = upc_alloc_array(env, count, sizeof *list);
    if (!list)
        return upc_no_memory(count * sizeof *list);
    vk->GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, list);
    *found = false;
    for (uint32_t i = 0; i < count; i++) {
        const bool computes = (list[i].queueFlags & VK_QUEUE_COMPUTE_BIT) && list[i].queueCount > 0;
        const bool better = !*found || (!physical->timestamp_bits && list[i].timestampValidBits);
        if (!computes || !better || (wanted != UINT32_MAX && wanted != i))
            continue;
        *found = true;
        physical->family = i;
        physical->timestamp_bits = list[i].timestampValidBits;
    }
    upc_free(env, list);
    return UPCONV_OK;
}

static upconv_device_kind device_kind(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return UPCONV_DEVICE_CPU;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return UPCONV_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return UPCONV_DEVICE_DISCRETE;
    default:
        return UPCONV_DEVICE_OTHER;
    }
}

// Direct: the device's own memory can be mapped, and reading it is not slow (as it is through a discrete
// device's bus).
static void look_at_memory(upc_vk_physical *physical)
{
    const upconv_device_kind kind = device_kind(physical->properties.deviceType);
    const VkMemoryPropertyFlags shared =
        VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < physical->memory.memoryTypeCount; i++) {
        const VkMemoryType *const type = &physical->memory.memoryTypes[i];
        const uint64_t heap = physical->memory.memoryHeaps[type->heapIndex].size;
        if (!(type->propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT))
            continue;
        largest = UPC_MAX(largest, heap);
        const bool both = (type->propertyFlags & shared) == shared;
        const bool cached = type->propertyFlags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
        if (both && (kind == UPCONV_DEVICE_CPU || kind == UPCONV_DEVICE_INTEGRATED ||
                     (kind == UPCONV_DEVICE_OTHER && cached)))
            physical->direct = true;
    }
    physical->facts.info.memory_bytes = largest;
    physical->facts.info.unified_memory = physical->direct;
}

static void fill_limits(upc_vk_physical *physical, const vk_answers *answers)
{
    const VkPhysicalDeviceLimits *const limits = &physical->properties.limits;
    upc_facts *const facts = &physical->facts;
    upconv_limits *const mine = &facts->info.limits;
    const uint64_t alignment = UPC_MAX(limits->minStorageBufferOffsetAlignment, 4);

    facts->info.offset_alignment = (uint32_t)alignment;
    // A window that starts off the alignment is bound from the aligned place before it, so that much must be
    // to spare.
    mine->binding_bytes = (limits->maxStorageBufferRange - (alignment - 4)) & ~(uint64_t)3;
    // Without VK_KHR_maintenance3 there is no telling; 1 GiB is what that extension guarantees.
    physical->max_allocation = answers->maintenance3.maxMemoryAllocationSize;
    if (!physical->max_allocation)
        physical->max_allocation = (uint64_t)1 << 30;
    mine->alloc_bytes = physical->max_allocation;
    if (facts->info.memory_bytes)
        mine->alloc_bytes = UPC_MIN(mine->alloc_bytes, facts->info.memory_bytes);
    mine->alloc_bytes &= ~(uint64_t)255; // drivers like to say 2^32 - 1
    mine->group_count =
        UPC_MIN(limits->maxComputeWorkGroupCount[0],
                UPC_MIN(limits->maxComputeWorkGroupCount[1], limits->maxComputeWorkGroupCount[2]));
    mine->group_size = limits->maxComputeWorkGroupInvocations;
    mine->shared_bytes = limits->maxComputeSharedMemorySize;
    for (int i = 0; i < 3; i++)
        facts->group_axis[i] = limits->maxComputeWorkGroupSize[i];
    facts->push_bytes = limits->maxPushConstantsSize;
}

static void fill_names(upc_vk_physical *physical, const vk_answers *answers)
{
    const VkPhysicalDeviceProperties *const properties = &physical->properties;
    upconv_device_info *const info = &physical->facts.info;
    snprintf(info->name, sizeof info->name, "%.127s", properties->deviceName);
    snprintf(info->vendor, sizeof info->vendor, "vendor 0x%04x", properties->vendorID);
    for (size_t i = 0; i < UPC_COUNT(vendors); i++)
        if (vendors[i].id == properties->vendorID)
            snprintf(info->vendor, sizeof info->vendor, "%s", vendors[i].name);
    // The number is kept beside the text: vendors change the one without the other.
    upc_text driver = {info->driver, sizeof info->driver, 0};
    if (answers->driver.driverName[0])
        upc_text_add(&driver, "%.100s %.100s ", answers->driver.driverName, answers->driver.driverInfo);
    upc_text_add(&driver, "0x%08x", properties->driverVersion);
    snprintf(info->api, sizeof info->api, "Vulkan %u.%u.%u", VK_API_VERSION_MAJOR(properties->apiVersion),
             VK_API_VERSION_MINOR(properties->apiVersion), VK_API_VERSION_PATCH(properties->apiVersion));
}

// A device that has the feature takes all forms, and may run some of them in many instructions.
static void fill_dot(upc_vk_physical *physical, const VkPhysicalDeviceShaderIntegerDotProductProperties *dot)
{
    upc_facts *const facts = &physical->facts;
    if (!physical->integer_dot)
        return;
    facts->dot_takes = 1u << UPC_DOT_SIGNED | 1u << UPC_DOT_UNSIGNED | 1u << UPC_DOT_MIXED;
    facts->dot_fast =
        (uint8_t)((dot->integerDotProduct4x8BitPackedSignedAccelerated ? 1u << UPC_DOT_SIGNED : 0) |
                  (dot->integerDotProduct4x8BitPackedUnsignedAccelerated ? 1u << UPC_DOT_UNSIGNED : 0) |
                  (dot->integerDotProduct4x8BitPackedMixedSignednessAccelerated ? 1u << UPC_DOT_MIXED : 0));
    facts->info.int8_dot = facts->dot_fast != 0;
}

static void fill_facts(upc_vk_physical *physical, const vk_answers *answers)
{
    upc_facts *const facts = &physical->facts;
    upconv_device_info *const info = &facts->info;
    info->struct_size = sizeof *info;
    info->limits.struct_size = sizeof info->limits;
    info->backend = UPCONV_BACKEND_VULKAN;
    info->kind = device_kind(physical->properties.deviceType);
    info->vendor_id = physical->properties.vendorID;
    info->device_id = physical->properties.deviceID;
    info->subgroup_size = answers->subgroup.subgroupSize;
    facts->subgroup_shuffle = info->subgroup_size > 0 &&
                              (answers->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                              (answers->subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0;
    facts->texel_elements = physical->properties.limits.maxTexelBufferElements;
    info->compute_units = answers->amd.shaderEngineCount * answers->amd.shaderArraysPerEngineCount *
                          answers->amd.computeUnitsPerShaderArray;
    if (!info->compute_units)
        info->compute_units = UPC_MAX(answers->arm.shaderCoreCount, answers->nv.shaderSMCount);
    // Arithmetic in f16 without 16-bit storage is known to be broken, and no kernel has a use for it.
    info->f16_storage = physical->storage_16bit;
    info->f16_math = physical->storage_16bit && physical->float16;
    fill_dot(physical, &answers->dot);
    info->timestamps = physical->timestamp_bits > 0 && physical->properties.limits.timestampPeriod > 0;
    look_at_memory(physical);
    fill_limits(physical, answers);
    fill_names(physical, answers);
}

upconv_status upc_vk_physical_read(upc_env *env, const upc_vk_api *vk, VkPhysicalDevice handle,
                                   uint32_t instance_version, uint32_t family, upc_vk_physical *physical,
                                   bool *usable)
{
    memset(physical, 0, sizeof *physical);
    physical->handle = handle;
    upc_facts_smallest(&physical->facts);
    vk->GetPhysicalDeviceProperties(handle, &physical->properties);
    vk->GetPhysicalDeviceMemoryProperties(handle, &physical->memory);
    const uint32_t theirs = physical->properties.apiVersion;
    physical->version = UPC_MIN(instance_version, VK_MAKE_API_VERSION(0, VK_API_VERSION_MAJOR(theirs),
                                                                      VK_API_VERSION_MINOR(theirs), 0));
    upconv_status status = choose_family(env, vk, family, physical, usable);
    if (!status)
        status = read_extensions(env, vk, physical);
    if (status || !*usable)
        return status;

    vk_answers answers;
    ask_features(vk, physical);
    ask_properties(vk, physical, &answers);
    fill_facts(physical, &answers);
    upc_facts_finish(&physical->facts);
    return UPCONV_OK;
}

// A processor that poses as a GPU is the last thing to run on, whatever order the loader gives.
static void sort_processors_last(upc_vk_physical *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = i; j > 0; j--) {
            const bool wrong = list[j - 1].facts.info.kind == UPCONV_DEVICE_CPU &&
                               list[j].facts.info.kind != UPCONV_DEVICE_CPU;
            if (!wrong)
                break;
            const upc_vk_physical other = list[j];
            list[j] = list[j - 1];
            list[j - 1] = other;
        }
    }
}

static upconv_status handles(upc_env *env, const upc_vk_api *vk, VkInstance instance, VkPhysicalDevice **list,
                             uint32_t *count)
{
    VkResult result = vk->EnumeratePhysicalDevices(instance, count, NULL);
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return upc_fail(UPCONV_ERROR_HOST_MEMORY, "the Vulkan driver is out of host memory");
    if (result < VK_SUCCESS)
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "no Vulkan device: vkEnumeratePhysicalDevices gives %s",
                        upc_vk_result_name(result));
    *list = upc_alloc_array(env, *count, sizeof **list);
    if (!*list)
        return upc_no_memory(*count * sizeof **list);
    result = *count ? vk->EnumeratePhysicalDevices(instance, count, *list) : VK_SUCCESS;
    if (result >= VK_SUCCESS)
        return UPCONV_OK;
    upc_free(env, *list);
    return upc_fail(UPCONV_ERROR_NO_DEVICE, "no Vulkan device: vkEnumeratePhysicalDevices gives %s",
                    upc_vk_result_name(result));
}

upconv_status upc_vk_physicals(upc_env *env, const upc_vk_api *vk, VkInstance instance, uint32_t version,
                               upc_vk_physical **physicals, uint32_t *count)
{
    VkPhysicalDevice *list = NULL;
    uint32_t found = 0, kept = 0;
    upconv_status status = handles(env, vk, instance, &list, &found);
    if (status)
        return status;
    upc_vk_physical *const all = upc_alloc_array(env, found, sizeof *all);
    if (!all)
        status = upc_no_memory(found * sizeof *all);
    for (uint32_t i = 0; i < found && !status; i++) {
        bool usable = false;
        status = upc_vk_physical_read(env, vk, list[i], version, UINT32_MAX, &all[kept], &usable);
        kept += usable && !status;
    }
    upc_free(env, list);
    if (status) {
        upc_free(env, all);
        return status;
    }
    sort_processors_last(all, kept);
    for (uint32_t i = 0; i < kept; i++)
        all[i].facts.info.index = (int32_t)i;
    *physicals = all;
    *count = kept;
    return UPCONV_OK;
}
