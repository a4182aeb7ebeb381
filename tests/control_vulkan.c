// A Vulkan program with a hazard on purpose: two transfers write the same buffer with no barrier between them. Shows that
// the synchronisation checks of the validation layer are at work before their silence is taken as proof.
#include <stdio.h>
#include <vulkan/vulkan.h>

static VkDevice open_device(VkInstance instance, VkPhysicalDevice *physical, uint32_t *family)
{
    uint32_t count = 1, families = 16;
    VkQueueFamilyProperties properties[16];
    if (vkEnumeratePhysicalDevices(instance, &count, physical) < 0 || count == 0)
        return VK_NULL_HANDLE;
    vkGetPhysicalDeviceQueueFamilyProperties(*physical, &families, properties);
    for (*family = 0; *family < families && !(properties[*family].queueFlags & VK_QUEUE_COMPUTE_BIT);)
        ++*family;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = *family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
    VkDevice device = VK_NULL_HANDLE;
    return vkCreateDevice(*physical, &info, NULL, &device) ? VK_NULL_HANDLE : device;
}

static VkDeviceMemory bind_memory(VkDevice device, VkBuffer buffer)
{
    VkMemoryRequirements needs;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1))
        type++;
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    if (!vkAllocateMemory(device, &info, NULL, &memory))
        vkBindBufferMemory(device, buffer, memory, 0);
    return memory;
}

static void record_hazard(VkDevice device, uint32_t family, VkBuffer buffer)
{
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer commands;
    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                               .queueFamilyIndex = family};
    if (vkCreateCommandPool(device, &pool_info, NULL, &pool))
        return;
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    if (!vkAllocateCommandBuffers(device, &info, &commands) && !vkBeginCommandBuffer(commands, &begin)) {
        vkCmdFillBuffer(commands, buffer, 0, 256, 1);
        vkCmdFillBuffer(commands, buffer, 0, 256, 2); // the hazard
        vkEndCommandBuffer(commands);
    }
    vkDestroyCommandPool(device, pool, NULL);
}

int main(void)
{
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
    VkInstance instance;
    VkPhysicalDevice physical;
    uint32_t family;
    if (vkCreateInstance(&info, NULL, &instance))
        return printf("no Vulkan instance\n"), 1;
    VkDevice device = open_device(instance, &physical, &family);
    const VkBufferCreateInfo buffer_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 256, .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkBuffer buffer = VK_NULL_HANDLE;
    if (!device || vkCreateBuffer(device, &buffer_info, NULL, &buffer))
        return printf("no Vulkan device\n"), 1;
    VkDeviceMemory memory = bind_memory(device, buffer);
    record_hazard(device, family, buffer);
    vkDestroyBuffer(device, buffer, NULL);
    vkFreeMemory(device, memory, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
    return 0;
}
