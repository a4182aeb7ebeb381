#include "vulkan_app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define VK(call) assert_int_equal((call), VK_SUCCESS)

static void lock_queue(void *user)
{
    app *a = user;
    pthread_mutex_lock(&a->lock);
    a->locks++;
    a->held++;
}

static void unlock_queue(void *user)
{
    app *a = user;
    a->unlocks++;
    a->held--;
    pthread_mutex_unlock(&a->lock);
}

static bool find_memory(app *a)
{
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(a->physical, &memory);
    for (a->memory_type = 0; a->memory_type < memory.memoryTypeCount; a->memory_type++) {
        if ((memory.memoryTypes[a->memory_type].propertyFlags & wanted) == wanted)
            return true;
    }
    return false;
}

bool app_open_device(app *a)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                           .pApplicationInfo = &application};
    uint32_t devices = 1, families = 16;
    VkQueueFamilyProperties family[16];
    if (vkCreateInstance(&instance, NULL, &a->instance) ||
        vkEnumeratePhysicalDevices(a->instance, &devices, &a->physical) < 0 || devices == 0 || !find_memory(a))
        return false;
    vkGetPhysicalDeviceQueueFamilyProperties(a->physical, &families, family);
    for (a->family = 0; a->family < families && !(family[a->family].queueFlags & VK_QUEUE_COMPUTE_BIT);)
        a->family++;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = a->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = a->family};
    if (a->family == families || vkCreateDevice(a->physical, &device, NULL, &a->device))
        return false;
    vkGetDeviceQueue(a->device, a->family, 0, &a->queue);
    return !vkCreateCommandPool(a->device, &pool, NULL, &a->pool);
}

upconv_vk_params app_lent(app *a)
{
    upconv_vk_params mine = {sizeof mine};
    mine.get_instance_proc_addr = vkGetInstanceProcAddr;
    mine.instance = a->instance;
    mine.physical_device = a->physical;
    mine.device = a->device;
    mine.queue = a->queue;
    mine.queue_family = a->family;
    mine.api_version = VK_API_VERSION_1_1;
    mine.lock_queue = lock_queue;
    mine.unlock_queue = unlock_queue;
    mine.lock_user = a;
    return mine;
}

app_buffer app_make_buffer(app *a, size_t bytes)
{
    app_buffer b = {.bytes = bytes};
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = bytes,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkMemoryRequirements needs;
    VK(vkCreateBuffer(a->device, &info, NULL, &b.buffer));
    vkGetBufferMemoryRequirements(a->device, b.buffer, &needs);
    const VkMemoryAllocateInfo memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                         .allocationSize = needs.size,
                                         .memoryTypeIndex = a->memory_type};
    VK(vkAllocateMemory(a->device, &memory, NULL, &b.memory));
    VK(vkBindBufferMemory(a->device, b.buffer, b.memory, 0));
    VK(vkMapMemory(a->device, b.memory, 0, VK_WHOLE_SIZE, 0, (void **)&b.mapped));
    memset(b.mapped, 0xff, bytes); // NaNs
    if (upconv_vk_buffer_import(a->context, b.buffer, bytes, &b.imported))
        fail_msg("a buffer of %zu bytes: %s", bytes, upconv_last_error());
    return b;
}

void app_free_buffer(app *a, app_buffer *b)
{
    upconv_buffer_destroy(b->imported);
    vkDestroyBuffer(a->device, b->buffer, NULL);
    vkFreeMemory(a->device, b->memory, NULL);
    *b = (app_buffer){0};
}

VkCommandBuffer app_begin_commands(app *a)
{
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = a->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkCommandBuffer commands;
    VK(vkAllocateCommandBuffers(a->device, &info, &commands));
    VK(vkBeginCommandBuffer(commands, &begin));
    return commands;
}

void app_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags made, VkPipelineStageFlags to,
                    VkAccessFlags used)
{
    const VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = made, .dstAccessMask = used};
    vkCmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

void app_before_compute(VkCommandBuffer commands)
{
    app_barrier(commands, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_SHADER_READ_BIT);
}

void app_after_compute(VkCommandBuffer commands)
{
    app_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT);
}

VkFence app_submit(app *a, VkCommandBuffer commands)
{
    const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    const VkSubmitInfo work = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    VkFence fence;
    VK(vkCreateFence(a->device, &info, NULL, &fence));
    pthread_mutex_lock(&a->lock);
    const VkResult result = vkQueueSubmit(a->queue, 1, &work, fence);
    pthread_mutex_unlock(&a->lock);
    VK(result);
    return fence;
}

void app_await(app *a, VkFence fence)
{
    VK(vkWaitForFences(a->device, 1, &fence, VK_TRUE, 60000000000u));
    vkDestroyFence(a->device, fence, NULL);
}

void app_run(app *a, VkCommandBuffer commands)
{
    VK(vkEndCommandBuffer(commands));
    app_await(a, app_submit(a, commands));
}
