// Device memory: one buffer and one allocation each. Mapped as it is where the device shares memory with the
// host, by way of a copy elsewhere.
#include "vk.h"

#include <string.h>

// Kinds of memory in order of preference; later ones are for when the earlier are missing or full.
#define LOCAL    VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define VISIBLE  VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT
#define CACHED   VK_MEMORY_PROPERTY_HOST_CACHED_BIT
#define COHERENT VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
static const VkMemoryPropertyFlags direct_kinds[] = {LOCAL | VISIBLE | CACHED | COHERENT,
                                                     LOCAL | VISIBLE | CACHED,
                                                     LOCAL | VISIBLE,
                                                     VISIBLE | CACHED,
                                                     VISIBLE,
                                                     0};
static const VkMemoryPropertyFlags copied_kinds[] = {LOCAL, VISIBLE, 0};
static const VkMemoryPropertyFlags staging_kinds[] = {VISIBLE | CACHED | COHERENT, VISIBLE | CACHED, VISIBLE};
#define FLAGS_NEVER (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT)

static VkMemoryPropertyFlags type_flags(const upc_vk_device *device, uint32_t type)
{
    return device->physical.memory.memoryTypes[type].propertyFlags;
}

static VkResult allocate_of_type(upc_vk_device *device, upc_vk_memory *memory, uint64_t bytes, uint32_t type)
{
    // Counted here too: past the limit some drivers crash instead of saying so.
    const uint32_t limit = device->physical.properties.limits.maxMemoryAllocationCount;
    if (atomic_fetch_add(&device->allocations, 1) >= limit) {
        atomic_fetch_sub(&device->allocations, 1);
        return VK_ERROR_TOO_MANY_OBJECTS;
    }
    const VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, NULL, bytes, type};
    const VkResult result = device->vk.AllocateMemory(device->device, &info, NULL, &memory->memory);
    if (result) {
        memory->memory = VK_NULL_HANDLE;
        atomic_fetch_sub(&device->allocations, 1);
        return result;
    }
    const VkMemoryPropertyFlags flags = type_flags(device, type);
    memory->visible = flags & VISIBLE;
    memory->cached = flags & CACHED;
    memory->coherent = flags & COHERENT;
    return VK_SUCCESS;
}

// Tries every type of every kind in turn, each type once.
static VkResult allocate(upc_vk_device *device, upc_vk_memory *memory, const VkMemoryRequirements *needs,
                         const VkMemoryPropertyFlags *kinds, size_t kind_count)
{
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    uint32_t tried = 0;
    for (size_t i = 0; i < kind_count; i++) {
        for (uint32_t type = 0; type < device->physical.memory.memoryTypeCount; type++) {
            const uint32_t bit = (uint32_t)1 << type;
            const VkMemoryPropertyFlags flags = type_flags(device, type);
            if (!(needs->memoryTypeBits & bit) || (tried & bit) || (flags & kinds[i]) != kinds[i] ||
                (flags & FLAGS_NEVER))
                continue;
            tried |= bit;
            result = allocate_of_type(device, memory, needs->size, type);
            if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY)
                return result;
        }
    }
    return result;
}

static VkResult make(upc_vk_device *device, upc_vk_memory *memory, const VkMemoryPropertyFlags *kinds,
                     size_t kind_count)
{
    const upc_vk_api *const vk = &device->vk;
    const VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     NULL,
                                     0,
                                     upc_round_up(memory->base.bytes, 16),
                                     VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                         VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                         VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
                                     VK_SHARING_MODE_EXCLUSIVE,
                                     0,
                                     NULL};
    VkResult result = vk->CreateBuffer(device->device, &info, NULL, &memory->buffer);
    if (result) {
        memory->buffer = VK_NULL_HANDLE;
        return result;
    }
    VkMemoryRequirements needs;
    vk->GetBufferMemoryRequirements(device->device, memory->buffer, &needs);
    result = allocate(device, memory, &needs, kinds, kind_count);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && upc_vk_trim(device))
        result = allocate(device, memory, &needs, kinds, kind_count);
    if (!result)
        result = vk->BindBufferMemory(device->device, memory->buffer, memory->memory, 0);
    return result;
}

static void unmake(upc_vk_device *device, upc_vk_memory *memory)
{
    if (device->abandoned || !memory->memory)
        return;
    device->vk.DestroyBuffer(device->device, memory->buffer, NULL);
    device->vk.FreeMemory(device->device, memory->memory, NULL);
    atomic_fetch_sub(&device->allocations, 1);
}

static upconv_status create(upc_vk_device *device, uint64_t bytes, const VkMemoryPropertyFlags *kinds,
                            size_t kind_count, upc_vk_memory **created)
{
    upc_env *const env = device->base.env;
    upc_vk_memory *const memory = upc_alloc(env, sizeof *memory);
    if (!memory)
        return upc_no_memory(sizeof *memory);
    memory->base.device = &device->base;
    memory->base.bytes = bytes;
    atomic_init(&memory->base.references, 1);
    const VkResult result = make(device, memory, kinds, kind_count);
    if (!result) {
        *created = memory;
        return UPCONV_OK;
    }
    if (!memory->memory && memory->buffer)
        device->vk.DestroyBuffer(device->device, memory->buffer, NULL);
    unmake(device, memory);
    upc_free(env, memory);
    const upconv_status status =
        upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkAllocateMemory");
    if (status == UPCONV_ERROR_GPU_MEMORY)
        return upc_fail(status,
                        "no device memory for a buffer of %llu bytes (%s, %u allocations live, limit %u)",
                        (unsigned long long)bytes, upc_vk_result_name(result),
                        (unsigned)atomic_load(&device->allocations),
                        (unsigned)device->physical.properties.limits.maxMemoryAllocationCount);
    return status;
}

upconv_status upc_vk_memory_create(upc_device *base, uint64_t bytes, upc_memory **memory)
{
    upc_vk_device *const device = (upc_vk_device *)base;
    upconv_status status = upc_vk_check(base);
    if (status)
        return status;
    if (bytes > base->facts.info.limits.alloc_bytes)
        return upc_fail(UPCONV_ERROR_GPU_MEMORY,
                        "a buffer of %llu bytes is more than the device's %llu in one piece",
                        (unsigned long long)bytes, (unsigned long long)base->facts.info.limits.alloc_bytes);
    upc_vk_memory *created = NULL;
    if (device->physical.direct)
        status = create(device, bytes, direct_kinds, UPC_COUNT(direct_kinds), &created);
    else
        status = create(device, bytes, copied_kinds, UPC_COUNT(copied_kinds), &created);
    if (!status)
        *memory = &created->base;
    return status;
}

void upc_vk_memory_destroy(upc_memory *base)
{
    if (!base)
        return;
    upc_vk_memory *const memory = (upc_vk_memory *)base;
    upc_vk_device *const device = (upc_vk_device *)base->device;
    if (memory->staging) // destroyed while mapped
        upc_memory_release(&memory->staging->base);
    unmake(device, memory);
    upc_free(base->device->env, memory);
}

// The app's buffer stays the app's: only the struct is ours.
upconv_status upc_vk_memory_import(upc_device *device, VkBuffer buffer, uint64_t bytes, upc_memory **imported)
{
    upc_vk_memory *const memory = upc_alloc(device->env, sizeof *memory);
    if (!memory)
        return upc_no_memory(sizeof *memory);
    memory->base.device = device;
    memory->base.bytes = bytes;
    memory->base.imported = true;
    atomic_init(&memory->base.references, 1);
    memory->buffer = buffer;
    *imported = &memory->base;
    return UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------- mapping

static upconv_status host_pointer(upc_vk_device *device, upc_vk_memory *memory)
{
    if (memory->pointer)
        return UPCONV_OK;
    const VkResult result =
        device->vk.MapMemory(device->device, memory->memory, 0, VK_WHOLE_SIZE, 0, &memory->pointer);
    if (!result)
        return UPCONV_OK;
    memory->pointer = NULL;
    return upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "vkMapMemory");
}

// Before the host reads what the device wrote, and after the host wrote what the device will read.
static upconv_status synchronise(upc_vk_device *device, upc_vk_memory *memory, bool flush)
{
    if (memory->coherent)
        return UPCONV_OK;
    const VkMappedMemoryRange range = {VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, NULL, memory->memory, 0,
                                       VK_WHOLE_SIZE};
    const VkResult result = flush ? device->vk.FlushMappedMemoryRanges(device->device, 1, &range)
                                  : device->vk.InvalidateMappedMemoryRanges(device->device, 1, &range);
    return result ? upc_vk_failed(&device->base, result, UPCONV_ERROR_GPU_MEMORY, "flushing mapped memory")
                  : UPCONV_OK;
}

static bool is_direct(const upc_vk_device *device, const upc_vk_memory *memory)
{
    // Visible memory on a discrete device may be uncached, where reading is slower than a copy by far.
    return memory->visible && !device->force_staging && (device->physical.direct || memory->cached);
}

upconv_status upc_vk_memory_map(upc_memory *base, uint32_t flags, int64_t timeout_ns, void **pointer)
{
    upc_vk_memory *const memory = (upc_vk_memory *)base;
    upc_vk_device *const device = (upc_vk_device *)base->device;
    upconv_status status = upc_vk_check(base->device);
    if (status)
        return status;
    if (base->imported)
        return upc_fail(UPCONV_ERROR_INVALID, "a buffer imported from the app cannot be mapped");
    upc_vk_memory *mapped = memory;
    if (!is_direct(device, memory)) {
        status = create(device, base->bytes, staging_kinds, UPC_COUNT(staging_kinds), &mapped);
        if (!status && (flags & UPCONV_MAP_READ))
            status = upc_vk_copy(device, memory, mapped, timeout_ns);
    }
    if (!status)
        status = host_pointer(device, mapped);
    if (!status && (flags & UPCONV_MAP_READ))
        status = synchronise(device, mapped, false);
    if (status) {
        if (mapped && mapped != memory)
            upc_memory_release(&mapped->base);
        return status;
    }
    memory->map_flags = flags;
    memory->staging = mapped == memory ? NULL : mapped;
    *pointer = mapped->pointer;
    return UPCONV_OK;
}

upconv_status upc_vk_memory_unmap(upc_memory *base, int64_t timeout_ns)
{
    upc_vk_memory *const memory = (upc_vk_memory *)base;
    upc_vk_device *const device = (upc_vk_device *)base->device;
    upc_vk_memory *const staging = memory->staging;
    upconv_status status = upc_vk_check(base->device);
    if (!status && (memory->map_flags & UPCONV_MAP_WRITE)) {
        status = synchronise(device, staging ? staging : memory, true);
        if (!status && staging)
            status = upc_vk_copy(device, staging, memory, timeout_ns);
    }
    memory->staging = NULL;
    if (staging)
        upc_memory_release(&staging->base);
    return status;
}
