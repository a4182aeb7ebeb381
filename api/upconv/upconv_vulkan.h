// upconv on the app's own Vulkan device. Include <vulkan/vulkan.h> comes with it; upconv itself never links libvulkan.
#ifndef UPCONV_VULKAN_H
#define UPCONV_VULKAN_H

#include <upconv/upconv.h>
#include <vulkan/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the app lends. All handles stay the app's and outlive the context.
typedef struct upconv_vk_params {
    size_t struct_size;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; // required
    VkInstance instance;                              // required
    VkPhysicalDevice physical_device;                 // required
    VkDevice device;                                  // required
    VkQueue queue;                                    // required; must do compute
    uint32_t queue_family;                            // of queue
    uint32_t api_version;                             // the instance's apiVersion, or the device's if lower; 0: 1.0
    const char *const *extensions;                    // device extensions that the app enabled
    uint32_t extension_count;
    const VkPhysicalDeviceFeatures2 *features;        // what the app enabled, with its pNext chain; NULL: nothing
    // A queue is used by one thread at a time. If the app submits to it too, upconv calls these around its own use;
    // NULL: only upconv uses the queue while the context lives. May be called from any thread, never nested.
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *lock_user;
} upconv_vk_params;

// A context on the app's device. params as in upconv_context_create; its backend and device are ignored, as are UPCONV_BACKEND
// and UPCONV_DEVICE.
UPCONV_API upconv_status upconv_vk_context_create(const upconv_vk_params *mine, const upconv_context_params *params,
                                                  upconv_context **context);

// Makes a buffer of the app's (usage: storage buffer) known to upconv. It stays the app's and outlives the import; the app
// orders its own accesses against upconv's: what upconv submits begins and ends with a barrier over all compute and
// transfer work of the queue, so on the same queue submission order is enough. Cannot be mapped through upconv.
UPCONV_API upconv_status upconv_vk_buffer_import(upconv_context *context, VkBuffer buffer, uint64_t bytes,
                                                 upconv_buffer **imported);

typedef struct upconv_vk_recording upconv_vk_recording; // descriptors and workspace of one recording

// Records the plan into the app's command buffer (in the recording state, outside a render pass, from a pool of a
// family that does compute). Never submits. Binds its own pipelines, descriptor sets and push constants; pipeline
// barriers between its own dispatches are recorded, those before the first and after the last are the app's: inputs must
// be visible to VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT / VK_ACCESS_SHADER_READ_BIT, outputs are written by
// VK_ACCESS_SHADER_WRITE_BIT there. The recording lives until the command buffer is no longer executed; then the app
// destroys it, before the plan. Not thread-safe for one command buffer.
UPCONV_API upconv_status upconv_vk_record(upconv_plan *plan, VkCommandBuffer command_buffer, const upconv_io *io,
                                          upconv_vk_recording **recording);
UPCONV_API void upconv_vk_recording_destroy(upconv_vk_recording *recording);

#ifdef __cplusplus
}
#endif
#endif
