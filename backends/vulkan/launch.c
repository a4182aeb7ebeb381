// Launches into a command buffer: descriptors, push constants, dispatches, and references to all that they
// use until the work has ended.
#include "vk.h"

#include <string.h>

upconv_status upc_vk_job_retain(upc_vk_device *device, upc_vk_job *job, upc_memory *memory)
{
    // The same few buffers come again and again; looking back a little keeps the list short.
    const size_t from = job->memory_count > 8 ? job->memory_count - 8 : 0;
    for (size_t i = from; i < job->memory_count; i++)
        if (job->memories[i] == memory)
            return UPCONV_OK;
    if (!upc_grow(device->base.env, (void **)&job->memories, &job->memory_capacity, job->memory_count + 1,
                  sizeof *job->memories))
        return upc_no_memory((job->memory_count + 1) * sizeof *job->memories);
    upc_memory_retain(memory);
    job->memories[job->memory_count++] = memory;
    return UPCONV_OK;
}

static upconv_status retain_program(upc_vk_device *device, upc_vk_job *job, upc_program *program)
{
    if (job->program_count && job->programs[job->program_count - 1] == program)
        return UPCONV_OK;
    if (!upc_grow(device->base.env, (void **)&job->programs, &job->program_capacity, job->program_count + 1,
                  sizeof *job->programs))
        return upc_no_memory((job->program_count + 1) * sizeof *job->programs);
    upc_program_retain(program);
    job->programs[job->program_count++] = program;
    return UPCONV_OK;
}

static upconv_status retain_launch(upc_vk_device *device, upc_vk_job *job, const upc_launch *launch)
{
    if (!launch->program)
        return upc_fail(UPCONV_ERROR_INVALID, "a host step cannot run on the Vulkan backend");
    upconv_status status = retain_program(device, job, launch->program);
    for (uint32_t i = 0; i < launch->bound_count && !status; i++)
        if (launch->bound[i].memory)
            status = upc_vk_job_retain(device, job, launch->bound[i].memory);
    return status;
}

static upconv_status fit_pool(upc_vk_device *device, upc_vk_job *job, uint32_t sets, uint32_t descriptors)
{
    const upc_vk_api *const vk = &device->vk;
    if (job->pool && sets <= job->set_capacity && descriptors <= job->descriptor_capacity) {
        const VkResult result = vk->ResetDescriptorPool(device->device, job->pool, 0);
        return result ? upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkResetDescriptorPool")
                      : UPCONV_OK;
    }
    vk->DestroyDescriptorPool(device->device, job->pool, NULL);
    job->pool = VK_NULL_HANDLE;
    job->set_capacity = UPC_MAX(sets, 4);
    job->descriptor_capacity = UPC_MAX(descriptors, job->set_capacity * UPC_LAUNCH_BINDINGS);
    const VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, job->descriptor_capacity},
                                          {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, job->descriptor_capacity}};
    const VkDescriptorPoolCreateInfo info = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, job->set_capacity, UPC_COUNT(sizes), sizes};
    const VkResult result = vk->CreateDescriptorPool(device->device, &info, NULL, &job->pool);
    if (!result)
        return UPCONV_OK;
    job->pool = VK_NULL_HANDLE;
    return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkCreateDescriptorPool");
}

static upconv_status fit_workspace(upc_vk_device *device, upc_vk_job *job, uint64_t bytes)
{
    if (!bytes || (job->workspace && job->workspace->bytes >= bytes))
        return UPCONV_OK;
    upc_memory_release(job->workspace);
    job->workspace = NULL;
    return upc_vk_memory_create(&device->base, bytes, &job->workspace);
}

upconv_status upc_vk_job_prepare(upc_vk_device *device, upc_vk_job *job, const upc_launch *launches,
                                 uint32_t count, uint64_t workspace_bytes)
{
    upconv_status status = UPCONV_OK;
    uint32_t descriptors = 0;
    for (uint32_t i = 0; i < count && !status; i++) {
        status = retain_launch(device, job, &launches[i]);
        descriptors += launches[i].bound_count;
    }
    if (!status)
        status = fit_pool(device, job, count, descriptors);
    if (!status)
        status = fit_workspace(device, job, workspace_bytes);
    return status;
}

VkDescriptorType upc_vk_descriptor_type(uint8_t kind)
{
    return kind == UPC_BIND_BUFFER ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
}

static const struct {
    VkFormat format;
    uint32_t bytes;
} texels[UPC_BIND_KIND_COUNT] = {
    [UPC_BIND_TEXEL1_F32] = {VK_FORMAT_R32_SFLOAT, 4},
    [UPC_BIND_TEXEL4_F32] = {VK_FORMAT_R32G32B32A32_SFLOAT, 16},
    [UPC_BIND_TEXEL1_F16] = {VK_FORMAT_R16_SFLOAT, 2},
    [UPC_BIND_TEXEL4_F16] = {VK_FORMAT_R16G16B16A16_SFLOAT, 8},
};

// A view of whole texels over a window, which the job destroys.
static upconv_status make_view(upc_vk_device *device, upc_vk_job *job, uint8_t kind,
                               const VkDescriptorBufferInfo *window, VkBufferView *view)
{
    const uint64_t bytes = upc_round_up(window->range, texels[kind].bytes);
    const uint32_t most = device->physical.properties.limits.maxTexelBufferElements;
    if (window->offset % texels[kind].bytes || bytes / texels[kind].bytes > most)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "a texel buffer of %llu bytes at byte %llu: the device takes %u elements of %u bytes",
                        (unsigned long long)bytes, (unsigned long long)window->offset, (unsigned)most,
                        (unsigned)texels[kind].bytes);
    if (!upc_grow(device->base.env, (void **)&job->views, &job->view_capacity, job->view_count + 1, sizeof *job->views))
        return upc_no_memory((job->view_count + 1) * sizeof *job->views);
    const VkBufferViewCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO, NULL, 0, window->buffer,
                                         texels[kind].format, window->offset, bytes};
    const VkResult result = device->vk.CreateBufferView(device->device, &info, NULL, view);
    if (result)
        return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkCreateBufferView");
    job->views[job->view_count++] = *view;
    return UPCONV_OK;
}

// Where a window ends: at a whole word, because kernels without 16-bit storage reach the last of an odd number of halves through its
// word. Our own buffers have room for that; of an imported one only its owner knows. 0: the word is not there.
static uint64_t window_end(const upc_vk_device *device, const upc_vk_memory *memory, uint64_t end)
{
    const uint64_t whole = upc_round_up(end, 4);
    if (memory->memory || whole <= memory->base.bytes)
        return whole;
    return device->physical.storage_16bit ? end : 0;
}

// Descriptors of one launch; the part of each offset that the device cannot bind goes to bases, in units of
// 2 bytes.
static upconv_status bind(upc_vk_device *device, upc_vk_job *job, const upc_launch *launch,
                          VkDescriptorSet set, int32_t *bases)
{
    const VkPhysicalDeviceLimits *const limits = &device->physical.properties.limits;
    const uint8_t *const kinds = ((const upc_vk_program *)launch->program)->kind;
    VkBufferView views[UPC_LAUNCH_BINDINGS];
    VkDescriptorBufferInfo infos[UPC_LAUNCH_BINDINGS];
    VkWriteDescriptorSet writes[UPC_LAUNCH_BINDINGS];
    for (uint32_t i = 0; i < launch->bound_count; i++) {
        const upc_bound *const bound = &launch->bound[i];
        const upc_vk_memory *const memory =
            (const upc_vk_memory *)(bound->memory ? bound->memory : job->workspace);
        const bool texel = kinds[i] != UPC_BIND_BUFFER;
        const uint64_t alignment = texel ? UPC_MAX(limits->minTexelBufferOffsetAlignment, 16)
                                         : UPC_MAX(limits->minStorageBufferOffsetAlignment, 4);
        const uint64_t rest = bound->offset % alignment;
        if (!memory)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "binding %u has no buffer, and the work asks for no workspace", (unsigned)i);
        const uint64_t start = bound->offset - rest, end = window_end(device, memory, bound->offset + bound->range);
        if (!end)
            return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                            "binding %u ends at byte %llu of an imported buffer of %llu; the device reaches "
                            "16-bit elements by whole words of 4 bytes, so the buffer must go on to a multiple of 4",
                            (unsigned)i, (unsigned long long)(bound->offset + bound->range),
                            (unsigned long long)memory->base.bytes);
        if (!texel && end - start > limits->maxStorageBufferRange)
            return upc_fail(UPCONV_ERROR_UNSUPPORTED, "binding %u covers %llu bytes; the device binds %u", (unsigned)i,
                            (unsigned long long)(end - start), (unsigned)limits->maxStorageBufferRange);
        bases[i] = (int32_t)(rest / 2);
        infos[i] = (VkDescriptorBufferInfo){memory->buffer, start, end - start};
        const upconv_status status = texel ? make_view(device, job, kinds[i], &infos[i], &views[i]) : UPCONV_OK;
        if (status)
            return status;
        writes[i] = (VkWriteDescriptorSet){VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, set, i, 0, 1,
                                           upc_vk_descriptor_type(kinds[i]), NULL, &infos[i], &views[i]};
    }
    device->vk.UpdateDescriptorSets(device->device, launch->bound_count, writes, 0, NULL);
    return UPCONV_OK;
}

enum { PUSH_MOST = 64 }; // integers

static upconv_status record_one(upc_vk_device *device, upc_vk_job *job, VkCommandBuffer commands,
                                const upc_launch *launch)
{
    const upc_vk_api *const vk = &device->vk;
    const upc_vk_program *const program = (const upc_vk_program *)launch->program;
    const uint32_t count = launch->bound_count + launch->arg_count;
    int32_t push[PUSH_MOST];
    if (launch->bound_count != program->binding_count || launch->arg_count != program->arg_count ||
        count > PUSH_MOST)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "a launch has %u buffers and %u arguments; its kernel takes %u and %u",
                        (unsigned)launch->bound_count, (unsigned)launch->arg_count,
                        (unsigned)program->binding_count, (unsigned)program->arg_count);
    const VkDescriptorSetAllocateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, NULL, job->pool,
                                              1, &program->set_layout};
    VkDescriptorSet set;
    const VkResult result = vk->AllocateDescriptorSets(device->device, &info, &set);
    if (result)
        return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkAllocateDescriptorSets");
    const upconv_status status = bind(device, job, launch, set, push);
    if (status)
        return status;
    if (launch->arg_count)
        memcpy(push + launch->bound_count, launch->args, launch->arg_count * sizeof *push);
    if (launch->barrier) {
        const VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                         VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
        vk->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                               VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
    }
    vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, program->pipeline);
    vk->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, program->layout, 0, 1, &set, 0, NULL);
    if (count)
        vk->CmdPushConstants(commands, program->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, count * 4, push);
    vk->CmdDispatch(commands, launch->groups[0], launch->groups[1], launch->groups[2]);
    return UPCONV_OK;
}

upconv_status upc_vk_job_record(upc_vk_device *device, upc_vk_job *job, VkCommandBuffer commands,
                                const upc_launch *launches, uint32_t count)
{
    upconv_status status = UPCONV_OK;
    for (uint32_t i = 0; i < count && !status; i++)
        status = record_one(device, job, commands, &launches[i]);
    return status;
}

void upc_vk_job_release(const upc_vk_device *device, upc_vk_job *job)
{
    for (size_t i = 0; i < job->view_count && !device->abandoned; i++)
        device->vk.DestroyBufferView(device->device, job->views[i], NULL);
    job->view_count = 0;
    for (size_t i = 0; i < job->memory_count; i++)
        upc_memory_release(job->memories[i]);
    for (size_t i = 0; i < job->program_count; i++)
        upc_program_release(job->programs[i]);
    job->memory_count = 0;
    job->program_count = 0;
}

void upc_vk_job_finish(upc_vk_device *device, upc_vk_job *job)
{
    upc_vk_job_release(device, job);
    upc_memory_release(job->workspace);
    if (!device->abandoned)
        device->vk.DestroyDescriptorPool(device->device, job->pool, NULL);
    upc_free(device->base.env, job->memories);
    upc_free(device->base.env, job->programs);
    upc_free(device->base.env, job->views);
    memset(job, 0, sizeof *job);
}
