// Programs: SPIR-V from the cache or from source, one compute pipeline each, and what the driver says of its
// machine code.
#include "vk.h"

#include <string.h>

// In front of the SPIR-V in the cache. The producer is not part of the key, so that a build without a
// compiler finds what another build made; one with a compiler takes only its own, for drivers are known to
// refuse one producer's and take another's.
typedef struct blob_header {
    uint32_t magic, version;
    uint64_t producer;
} blob_header;
enum { BLOB_MAGIC = 0x56435055, BLOB_VERSION = 1, SPIRV_MAGIC = 0x07230203, SPIRV_HEADER_WORDS = 5 };

void upc_vk_cache_key(const upc_vk_device *device, const upc_program_source *source, uint64_t key[2])
{
    // What the front end is told beside the text.
    const uint32_t target[2] = {BLOB_VERSION, device->physical.version < VK_API_VERSION_1_1 ? 10 : 11};
    for (int i = 0; i < 2; i++)
        key[i] = upc_hash(target, sizeof target, source->key[i] ^ (uint64_t)UPCONV_BACKEND_VULKAN);
}

static upconv_status check_against_limits(const upc_vk_device *device, const upc_program_source *source)
{
    const VkPhysicalDeviceLimits *const limits = &device->physical.properties.limits;
    const upc_facts *const facts = &device->base.facts;
    const uint64_t group = (uint64_t)source->local[0] * source->local[1] * source->local[2];
    const uint64_t push = ((uint64_t)source->binding_count + source->arg_count) * 4;
    if (push > facts->push_bytes)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "the kernel %s has %llu bytes of arguments; the device takes %u", source->name,
                        (unsigned long long)push, (unsigned)facts->push_bytes);
    uint32_t buffers = 0;
    for (uint32_t i = 0; i < source->binding_count && i < UPC_LAUNCH_BINDINGS; i++)
        buffers += source->kind[i] == UPC_BIND_BUFFER;
    if (source->binding_count > UPC_LAUNCH_BINDINGS || buffers > limits->maxPerStageDescriptorStorageBuffers ||
        source->binding_count - buffers > limits->maxPerStageDescriptorSampledImages ||
        source->binding_count > limits->maxPerStageResources)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "the kernel %s has %u buffers and %u texel buffers; the device takes %u and %u", source->name,
                        (unsigned)buffers, (unsigned)(source->binding_count - buffers),
                        (unsigned)limits->maxPerStageDescriptorStorageBuffers,
                        (unsigned)limits->maxPerStageDescriptorSampledImages);
    // Some drivers crash, or compute nonsense, when asked for more.
    if (!group || group > facts->info.limits.group_size)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "the kernel %s has work-groups of %llu; the device takes 1 to %u", source->name,
                        (unsigned long long)group, (unsigned)facts->info.limits.group_size);
    for (int i = 0; i < 3; i++)
        if (source->local[i] > facts->group_axis[i])
            return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                            "the kernel %s has work-groups of %u on axis %d; the device takes %u",
                            source->name, (unsigned)source->local[i], i, (unsigned)facts->group_axis[i]);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------- pipelines

static VkResult make_layouts(const upc_vk_device *device, upc_vk_program *program)
{
    const upc_vk_api *const vk = &device->vk;
    VkDescriptorSetLayoutBinding bindings[UPC_LAUNCH_BINDINGS];
    for (uint32_t i = 0; i < program->binding_count; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){i, upc_vk_descriptor_type(program->kind[i]), 1,
                                                     VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set_info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                      NULL, 0, program->binding_count, bindings};
    VkResult result = vk->CreateDescriptorSetLayout(device->device, &set_info, NULL, &program->set_layout);
    if (result) {
        program->set_layout = VK_NULL_HANDLE;
        return result;
    }
    const uint32_t push = (program->binding_count + program->arg_count) * 4;
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, push};
    const VkPipelineLayoutCreateInfo info = {
        VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, NULL, 0, 1, &program->set_layout, push > 0, &range};
    result = vk->CreatePipelineLayout(device->device, &info, NULL, &program->layout);
    if (result)
        program->layout = VK_NULL_HANDLE;
    return result;
}

static VkResult make_pipeline(upc_vk_device *device, upc_vk_program *program,
                              const upc_program_source *source, VkShaderModule module,
                              VkSpecializationMapEntry *entries, uint32_t *values)
{
    const uint32_t count = 3 + source->spec_count;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (VkSpecializationMapEntry){i, i * 4, 4};
        values[i] = i < 3 ? source->local[i] : (uint32_t)source->spec[i - 3];
    }
    const VkSpecializationInfo special = {count, entries, count * sizeof *values, values};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = device->statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0,
        .stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT,
                  module, "main", &special},
        .layout = program->layout,
        .basePipelineIndex = -1,
    };
    pthread_rwlock_rdlock(&device->pipeline_lock);
    const VkResult result = device->vk.CreateComputePipelines(device->device, device->pipeline_cache, 1,
                                                              &info, NULL, &program->pipeline);
    pthread_rwlock_unlock(&device->pipeline_lock);
    if (result)
        program->pipeline = VK_NULL_HANDLE;
    return result;
}

static void destroy_objects(const upc_vk_device *device, upc_vk_program *program)
{
    if (device->abandoned)
        return;
    device->vk.DestroyPipeline(device->device, program->pipeline, NULL);
    device->vk.DestroyPipelineLayout(device->device, program->layout, NULL);
    device->vk.DestroyDescriptorSetLayout(device->device, program->set_layout, NULL);
    program->pipeline = VK_NULL_HANDLE;
    program->layout = VK_NULL_HANDLE;
    program->set_layout = VK_NULL_HANDLE;
}

// Layouts and pipeline of SPIR-V. Whatever the driver answers, nothing is left behind on failure.
static upconv_status build(upc_vk_device *device, upc_vk_program *program, const upc_program_source *source,
                           const uint32_t *words, size_t size)
{
    upc_env *const env = device->base.env;
    const upc_vk_api *const vk = &device->vk;
    const size_t count = 3 + (size_t)source->spec_count;
    VkSpecializationMapEntry *const entries = upc_alloc_array(env, count, sizeof *entries);
    uint32_t *const values = upc_alloc_array(env, count, sizeof *values);
    upconv_status status = entries && values ? UPCONV_OK : upc_no_memory(count * sizeof *entries);
    VkShaderModule module = VK_NULL_HANDLE;
    if (!status) {
        const VkShaderModuleCreateInfo info = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0, size,
                                               words};
        VkResult result = vk->CreateShaderModule(device->device, &info, NULL, &module);
        if (result)
            module = VK_NULL_HANDLE;
        if (!result)
            result = make_layouts(device, program);
        if (!result)
            result = make_pipeline(device, program, source, module, entries, values);
        if (result) {
            status = upc_vk_failed(&device->base, result, UPCONV_ERROR_COMPILE, "vkCreateComputePipelines");
            if (status == UPCONV_ERROR_COMPILE)
                status = upc_fail(status, "the driver refuses the kernel %s: %s", source->name,
                                  upc_vk_result_name(result));
        }
    }
    if (module)
        vk->DestroyShaderModule(device->device, module, NULL);
    upc_free(env, entries);
    upc_free(env, values);
    if (status)
        destroy_objects(device, program);
    return status;
}

// ----------------------------------------------------------------------------------------------------- cache

// Whether the instructions follow each other up to the end: what a cut or shifted module fails.
static bool plausible_spirv(const uint32_t *words, size_t size)
{
    const size_t count = size / 4;
    if (size % 4 || count <= SPIRV_HEADER_WORDS || words[0] != SPIRV_MAGIC || words[1] >> 24 || words[4] != 0)
        return false;
    size_t at = SPIRV_HEADER_WORDS;
    while (at < count) {
        const uint32_t length = words[at] >> 16;
        if (!length || length > count - at)
            return false;
        at += length;
    }
    return true;
}

// OK: built. COMPILE: not in the cache, or not usable. Else what went wrong.
static upconv_status build_from_cache(upc_vk_device *device, upc_vk_program *program,
                                      const upc_program_source *source, const uint64_t key[2])
{
    upc_env *const env = device->base.env;
    size_t size = 0;
    unsigned char *const blob = upc_cache_find(env, key, &size);
    if (!blob)
        return UPCONV_ERROR_COMPILE;
    blob_header header = {0};
    if (size > sizeof header)
        memcpy(&header, blob, sizeof header);
    const uint32_t *const words = (const uint32_t *)(blob + sizeof header);
    upconv_status status = UPCONV_ERROR_COMPILE;
    if (header.magic != BLOB_MAGIC || header.version != BLOB_VERSION ||
        !plausible_spirv(words, size - sizeof header)) {
        upc_log(env, UPCONV_LOG_WARNING, "vulkan: the cached program of %s is damaged; it is skipped",
                source->name);
        atomic_fetch_add(&env->counts.skipped_blobs, 1);
        upc_cache_drop(env, key);
    } else if (upc_vk_compiler_id() && header.producer != upc_vk_compiler_id()) {
        upc_log(env, UPCONV_LOG_INFO,
                "vulkan: the cached program of %s is of another compiler; it is compiled anew", source->name);
        upc_cache_drop(env, key);
    } else {
        status = build(device, program, source, words, size - sizeof header);
        if (status == UPCONV_OK) {
            atomic_fetch_add(&env->counts.binary_loads, 1);
        } else if (status == UPCONV_ERROR_COMPILE) {
            upc_log(env, UPCONV_LOG_WARNING, "vulkan: cached program skipped: %s", upc_last_error());
            atomic_fetch_add(&env->counts.skipped_blobs, 1);
            upc_cache_drop(env, key);
        }
    }
    upc_free(env, blob);
    return status;
}

static upconv_status build_from_source(upc_vk_device *device, upc_vk_program *program,
                                       const upc_program_source *source, const uint64_t key[2])
{
    upc_env *const env = device->base.env;
    uint32_t *words = NULL;
    size_t size = 0;
    upconv_status status = upc_vk_compile(device, source->name, source->text, &words, &size);
    if (status)
        return status;
    status = build(device, program, source, words, size);
    const blob_header header = {BLOB_MAGIC, BLOB_VERSION, upc_vk_compiler_id()};
    unsigned char *const blob = status || !env->cache ? NULL : upc_alloc(env, sizeof header + size);
    if (blob) { // without memory it is just not cached
        memcpy(blob, &header, sizeof header);
        memcpy(blob + sizeof header, words, size);
        upc_cache_store(env, key, blob, sizeof header + size);
        upc_free(env, blob);
    }
    upc_free(env, words);
    return status;
}

upconv_status upc_vk_program_create(upc_device *base, const upc_program_source *source, upc_program **created)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    upconv_status status = upc_vk_check(base);
    if (!status)
        status = check_against_limits(device, source);
    if (status)
        return status;
    upc_vk_program *const program = upc_alloc(base->env, sizeof *program);
    if (!program)
        return upc_no_memory(sizeof *program);
    program->base.device = base;
    atomic_init(&program->base.references, 1);
    program->binding_count = source->binding_count;
    program->arg_count = source->arg_count;
    memcpy(program->kind, source->kind, sizeof program->kind);

    uint64_t key[2];
    upc_vk_cache_key(device, source, key);
    status = build_from_cache(device, program, source, key);
    if (status == UPCONV_ERROR_COMPILE)
        status = build_from_source(device, program, source, key);
    if (status) {
        upc_free(base->env, program);
        return status;
    }
    *created = &program->base;
    return UPCONV_OK;
}

void upc_vk_program_destroy(upc_program *base)
{
    if (!base)
        return;
    destroy_objects((upc_vk_device *)base->device, (upc_vk_program *)base);
    upc_free(base->device->env, base);
}

// ------------------------------------------------------------------------------------------------ statistics

static double statistic_value(const VkPipelineExecutableStatisticKHR *statistic)
{
    switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return statistic->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)statistic->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)statistic->value.u64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        return statistic->value.f64;
    default:
        return 0;
    }
}

static void visit_executable(upc_vk_device *device, VkPipeline pipeline, uint32_t index,
                             void (*visit)(void *user, const char *name, double value), void *user)
{
    const VkPipelineExecutableInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline,
                                              index};
    uint32_t count = 0;
    if (device->vk.GetPipelineExecutableStatisticsKHR(device->device, &info, &count, NULL))
        return;
    VkPipelineExecutableStatisticKHR *const list = upc_alloc_array(device->base.env, count, sizeof *list);
    for (uint32_t i = 0; list && i < count; i++)
        list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    if (list &&
        device->vk.GetPipelineExecutableStatisticsKHR(device->device, &info, &count, list) >= VK_SUCCESS)
        for (uint32_t i = 0; i < count; i++)
            visit(user, list[i].name, statistic_value(&list[i]));
    upc_free(device->base.env, list);
}

void upc_vk_program_statistics(upc_program *base, void (*visit)(void *user, const char *name, double value),
                               void *user)
{
    upc_vk_device *const device = (upc_vk_device *)base->device;
    const upc_vk_program *const program = (const upc_vk_program *)base;
    const upc_vk_api *const vk = &device->vk;
    if (!device->statistics || !vk->GetPipelineExecutablePropertiesKHR ||
        !vk->GetPipelineExecutableStatisticsKHR)
        return;
    const VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, program->pipeline};
    uint32_t count = 0;
    if (vk->GetPipelineExecutablePropertiesKHR(device->device, &info, &count, NULL))
        return;
    for (uint32_t i = 0; i < count; i++)
        visit_executable(device, program->pipeline, i, visit, user);
}

// ---------------------------------------------------------------------------------------- the driver's cache

void *upc_vk_driver_cache_get(upc_device *base, size_t *size)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    const upc_vk_api *const vk = &device->vk;
    size_t room = 0;
    if (atomic_load(&base->state) ||
        vk->GetPipelineCacheData(device->device, device->pipeline_cache, &room, NULL) ||
        room <= sizeof(VkPipelineCacheHeaderVersionOne))
        return NULL;
    void *const bytes = upc_alloc(base->env, room);
    // INCOMPLETE when another thread has just added to it: what came is still a whole cache.
    if (bytes &&
        vk->GetPipelineCacheData(device->device, device->pipeline_cache, &room, bytes) >= VK_SUCCESS) {
        *size = room;
        return bytes;
    }
    upc_free(base->env, bytes);
    return NULL;
}

bool upc_vk_driver_cache_set(upc_device *base, const void *bytes, size_t size)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    const upc_vk_api *const vk = &device->vk;
    const VkPhysicalDeviceProperties *const mine = &device->physical.properties;
    VkPipelineCacheHeaderVersionOne header;
    if (atomic_load(&base->state) || size < sizeof header)
        return false;
    // Drivers should check this, and some crash instead.
    memcpy(&header, bytes, sizeof header);
    if (header.headerSize < sizeof header || header.headerSize > size ||
        header.headerVersion != VK_PIPELINE_CACHE_HEADER_VERSION_ONE || header.vendorID != mine->vendorID ||
        header.deviceID != mine->deviceID ||
        memcmp(header.pipelineCacheUUID, mine->pipelineCacheUUID, VK_UUID_SIZE) != 0)
        return false;
    const VkPipelineCacheCreateInfo info = {VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, NULL, 0, size,
                                            bytes};
    VkPipelineCache read = VK_NULL_HANDLE;
    if (vk->CreatePipelineCache(device->device, &info, NULL, &read))
        return false;
    pthread_rwlock_wrlock(&device->pipeline_lock);
    const VkResult result = vk->MergePipelineCaches(device->device, device->pipeline_cache, 1, &read);
    pthread_rwlock_unlock(&device->pipeline_lock);
    vk->DestroyPipelineCache(device->device, read, NULL);
    return result == VK_SUCCESS;
}
