// The app's side of tests of upconv on a Vulkan device that is not its own: device, queue and its lock, buffers, command buffers,
// barriers and submissions. What fails ends the test at hand.
#ifndef UPC_VULKAN_APP_H
#define UPC_VULKAN_APP_H

#include <upconv/upconv_vulkan.h>

#include <pthread.h>
#include <stdbool.h>

typedef struct app {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t family, memory_type;
    VkCommandPool pool;
    pthread_mutex_t lock;
    int locks, unlocks, held; // under the lock
    upconv_context *context;
} app;

typedef struct app_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    unsigned char *mapped;
    size_t bytes;
    upconv_buffer *imported;
} app_buffer;

bool app_open_device(app *a);                     // false: there is none that computes
upconv_vk_params app_lent(app *a);                // what upconv is given of it
app_buffer app_make_buffer(app *a, size_t bytes); // imported into the context of upconv, mapped, filled with NaNs
void app_free_buffer(app *a, app_buffer *b);
VkCommandBuffer app_begin_commands(app *a);
void app_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags made, VkPipelineStageFlags to,
                 VkAccessFlags used);
void app_before_compute(VkCommandBuffer commands);
void app_after_compute(VkCommandBuffer commands);
VkFence app_submit(app *a, VkCommandBuffer commands); // under the lock
void app_await(app *a, VkFence fence);            // and destroys the fence
void app_run(app *a, VkCommandBuffer commands);   // ends, submits and waits

#endif
