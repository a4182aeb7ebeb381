// The Vulkan backend's own types. Each file of this folder is one idea: loader.c opens libvulkan, facts.c
// reads a physical device, device.c opens and closes one, memory.c, program.c and compile.c make objects,
// launch.c writes command buffers, submit.c keeps what is in flight, interop.c lends all of it to the app.
#ifndef UPC_VK_H
#define UPC_VK_H

#include <pthread.h>

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan.h>

#include "../backend.h"

// -------------------------------------------------------------------------------------------------- loader.c

// Every function used: X(name, whether nothing works without it).
// clang-format off
#define UPC_VK_GLOBAL(X)                                                                                     \
    X(CreateInstance, 1) X(EnumerateInstanceExtensionProperties, 1) X(EnumerateInstanceVersion, 0)
#define UPC_VK_INSTANCE(X)                                                                                   \
    X(DestroyInstance, 1) X(EnumeratePhysicalDevices, 1) X(GetPhysicalDeviceProperties, 1)                   \
    X(GetPhysicalDeviceMemoryProperties, 1) X(GetPhysicalDeviceQueueFamilyProperties, 1)                     \
    X(EnumerateDeviceExtensionProperties, 1) X(CreateDevice, 1) X(GetDeviceProcAddr, 1)                      \
    X(GetPhysicalDeviceProperties2, 0) X(GetPhysicalDeviceFeatures2, 0)                                      \
    X(GetPhysicalDeviceProperties2KHR, 0) X(GetPhysicalDeviceFeatures2KHR, 0)
#define UPC_VK_DEVICE(X)                                                                                     \
    X(DestroyDevice, 1) X(GetDeviceQueue, 1) X(QueueSubmit, 1) X(AllocateMemory, 1) X(FreeMemory, 1)         \
    X(MapMemory, 1) X(FlushMappedMemoryRanges, 1) X(InvalidateMappedMemoryRanges, 1)                         \
    X(BindBufferMemory, 1) X(GetBufferMemoryRequirements, 1) X(CreateBuffer, 1) X(DestroyBuffer, 1)          \
    X(CreateBufferView, 1) X(DestroyBufferView, 1)                                                           \
    X(CreateFence, 1) X(DestroyFence, 1) X(ResetFences, 1) X(GetFenceStatus, 1) X(WaitForFences, 1)          \
    X(CreateQueryPool, 1) X(DestroyQueryPool, 1) X(GetQueryPoolResults, 1) X(CreateShaderModule, 1)          \
    X(DestroyShaderModule, 1) X(CreatePipelineCache, 1) X(DestroyPipelineCache, 1)                           \
    X(GetPipelineCacheData, 1) X(MergePipelineCaches, 1) X(CreateComputePipelines, 1)                        \
    X(DestroyPipeline, 1) X(CreatePipelineLayout, 1) X(DestroyPipelineLayout, 1)                             \
    X(CreateDescriptorSetLayout, 1) X(DestroyDescriptorSetLayout, 1) X(CreateDescriptorPool, 1)              \
    X(DestroyDescriptorPool, 1) X(ResetDescriptorPool, 1) X(AllocateDescriptorSets, 1)                       \
    X(UpdateDescriptorSets, 1) X(CreateCommandPool, 1) X(DestroyCommandPool, 1) X(ResetCommandPool, 1)       \
    X(AllocateCommandBuffers, 1) X(BeginCommandBuffer, 1) X(EndCommandBuffer, 1) X(CmdBindPipeline, 1)       \
    X(CmdBindDescriptorSets, 1) X(CmdDispatch, 1) X(CmdCopyBuffer, 1) X(CmdPipelineBarrier, 1)               \
    X(CmdPushConstants, 1) X(CmdResetQueryPool, 1) X(CmdWriteTimestamp, 1)                                   \
    X(GetPipelineExecutablePropertiesKHR, 0) X(GetPipelineExecutableStatisticsKHR, 0)
// clang-format on

typedef struct upc_vk_api {
    void *library; // ours to close; NULL when the app gave the functions
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
#define UPC_VK_MEMBER(name, required) PFN_vk##name name;
    UPC_VK_GLOBAL(UPC_VK_MEMBER)
    UPC_VK_INSTANCE(UPC_VK_MEMBER)
    UPC_VK_DEVICE(UPC_VK_MEMBER)
#undef UPC_VK_MEMBER
} upc_vk_api;

// Opens libvulkan and loads what needs no instance. NO_DEVICE with a sentence.
upconv_status upc_vk_api_open(upc_vk_api *vk);
void upc_vk_api_close(upc_vk_api *vk);
upconv_status upc_vk_api_load_instance(upc_vk_api *vk, VkInstance instance);
upconv_status upc_vk_api_load_device(upc_vk_api *vk, VkDevice device);

const char *upc_vk_result_name(VkResult result);

// --------------------------------------------------------------------------------------------------- facts.c

// Extensions that are asked for or looked at: X(name here, name there, version whose core has it or 0).
#define UPC_VK_EXTENSIONS(X)                                                                                 \
    X(STORAGE_CLASS, "VK_KHR_storage_buffer_storage_class", VK_API_VERSION_1_1)                              \
    X(STORAGE_16BIT, "VK_KHR_16bit_storage", VK_API_VERSION_1_1)                                             \
    X(FLOAT16_INT8, "VK_KHR_shader_float16_int8", VK_API_VERSION_1_2)                                        \
    X(DRIVER_PROPERTIES, "VK_KHR_driver_properties", VK_API_VERSION_1_2)                                     \
    X(MAINTENANCE3, "VK_KHR_maintenance3", VK_API_VERSION_1_1)                                               \
    X(INTEGER_DOT, "VK_KHR_shader_integer_dot_product", VK_API_VERSION_1_3)                                  \
    X(EXECUTABLES, "VK_KHR_pipeline_executable_properties", 0)                                               \
    X(PORTABILITY, "VK_KHR_portability_subset", 0)                                                           \
    X(CORES_AMD, "VK_AMD_shader_core_properties", 0)                                                         \
    X(CORES_ARM, "VK_ARM_shader_core_builtins", 0)                                                           \
    X(CORES_NV, "VK_NV_shader_sm_builtins", 0)
typedef enum upc_vk_extension {
#define UPC_VK_ENUM(name, text, core) UPC_VK_##name,
    UPC_VK_EXTENSIONS(UPC_VK_ENUM)
#undef UPC_VK_ENUM
        UPC_VK_EXTENSION_COUNT
} upc_vk_extension;
extern const char *const upc_vk_extension_names[UPC_VK_EXTENSION_COUNT];

typedef struct upc_vk_physical {
    VkPhysicalDevice handle;
    uint32_t version;                  // that may be used: the lower of the instance's and the device's
    bool has[UPC_VK_EXTENSION_COUNT];  // the device lists the extension
    bool core[UPC_VK_EXTENSION_COUNT]; // the version includes it
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family, timestamp_bits;          // the compute queue's
    bool storage_16bit, float16, executables, integer_dot; // features, as supported or (app's device) as enabled
    bool direct;                              // memory is mapped as it is, without a copy
    uint64_t max_allocation;
    upc_facts facts;
} upc_vk_physical;

// Chain of feature structs, kept together while it is used.
typedef struct upc_vk_features {
    VkPhysicalDeviceFeatures2 all;
    VkPhysicalDevice16BitStorageFeatures storage;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables;
} upc_vk_features;
void upc_vk_features_chain(upc_vk_features *features, const upc_vk_physical *physical);

// false: the device has no compute queue. family: UINT32_MAX, or the one to look at.
// HOST_MEMORY aside, nothing fails: what cannot be read keeps the smallest device's value. Facts with quirks
// applied.
upconv_status upc_vk_physical_read(upc_env *env, const upc_vk_api *vk, VkPhysicalDevice handle,
                                   uint32_t instance_version, uint32_t family, upc_vk_physical *physical,
                                   bool *usable);
// The usable devices of an instance, processors last; their position is facts.info.index. upc_free
// *physicals.
upconv_status upc_vk_physicals(upc_env *env, const upc_vk_api *vk, VkInstance instance, uint32_t version,
                               upc_vk_physical **physicals, uint32_t *count);

// -------------------------------------------------------------------------------------------------- device.c

typedef struct upc_vk_memory {
    upc_memory base;
    VkBuffer buffer;
    VkDeviceMemory memory; // VK_NULL_HANDLE: imported
    bool visible, coherent, cached;
    void *pointer;                 // of the whole, once mapped; stays mapped
    struct upc_vk_memory *staging; // while mapped by way of a copy
    uint32_t map_flags;
} upc_vk_memory;

typedef struct upc_vk_program {
    upc_program base;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    uint32_t binding_count, arg_count;
    uint8_t kind[UPC_LAUNCH_BINDINGS];
} upc_vk_program;

// Descriptors, workspace and references of one command buffer's launches.
typedef struct upc_vk_job {
    VkDescriptorPool pool;
    uint32_t set_capacity, descriptor_capacity;
    upc_memory *workspace;
    upc_memory **memories;
    size_t memory_count, memory_capacity;
    upc_program **programs;
    size_t program_count, program_capacity;
    VkBufferView *views;
    size_t view_count, view_capacity;
} upc_vk_job;

// What one submission needs. In flight, or idle on the device's free list.
typedef struct upc_vk_slot {
    struct upc_vk_slot *next;
    upc_vk_job job;
    VkCommandPool commands_pool;
    VkCommandBuffer commands;
    VkFence fence;
    VkQueryPool queries; // two time stamps; VK_NULL_HANDLE without
    upconv_ticket ticket;
    uint64_t submitted_ns;
    int waiters; // threads blocked on the fence
    bool ended;  // its end has been seen; leaves the list when nobody waits
} upc_vk_slot;

enum { UPC_VK_TIMES = 256 };

typedef struct upc_vk_device {
    upc_device base;
    upc_vk_api vk;
    VkInstance instance;
    VkDevice device;
    VkQueue queue;
    bool own; // instance and device are ours
    upc_vk_physical physical;
    bool statistics;    // pipelines are made with statistics
    bool glslang;       // compile.c has been started for this device
    bool force_staging; // tests: map as if memory were not visible
    bool abandoned;     // closing while work may run: handles are left to the driver
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *lock_user;
    _Atomic uint32_t allocations;

    pthread_rwlock_t pipeline_lock; // writers merge into the cache
    VkPipelineCache pipeline_cache;

    pthread_mutex_t queue_lock;       // order of submissions; taken before `lock`
    pthread_mutex_t lock;             // all below
    upc_vk_slot *idle, *first, *last; // in flight: first is the oldest
    upconv_ticket issued;
    struct {
        upconv_ticket ticket;
        uint64_t time_ns;
    } times[UPC_VK_TIMES];
} upc_vk_device;

// The open device. OK, or the sticky state with a sentence.
upconv_status upc_vk_check(upc_device *device);
// A failed call: sets the sticky state when the device was lost. `other` is the status for results that say
// nothing.
upconv_status upc_vk_failed(upc_device *device, VkResult result, upconv_status other, const char *call);
void upc_vk_set_state(upc_device *device, upconv_status state);

// The app's objects in `device` (vk, instance, device, queue, physical, locks), the rest zero: makes the
// parts that are not handles of the app. On failure the struct is freed.
upconv_status upc_vk_device_finish_open(upc_vk_device *device, upc_env *env);
void upc_vk_close(upc_device *device, int64_t timeout_ns);

// -------------------------------------------------------------------------------------------------- memory.c

upconv_status upc_vk_memory_create(upc_device *device, uint64_t bytes, upc_memory **memory);
void upc_vk_memory_destroy(upc_memory *memory);
upconv_status upc_vk_memory_map(upc_memory *memory, uint32_t flags, int64_t timeout_ns, void **pointer);
upconv_status upc_vk_memory_unmap(upc_memory *memory, int64_t timeout_ns);
upconv_status upc_vk_memory_import(upc_device *device, VkBuffer buffer, uint64_t bytes, upc_memory **memory);

// -------------------------------------------------------------------------------------- program.c, compile.c

upconv_status upc_vk_program_create(upc_device *device, const upc_program_source *source,
                                    upc_program **program);
void upc_vk_program_destroy(upc_program *program);
void upc_vk_program_statistics(upc_program *program,
                               void (*visit)(void *user, const char *name, double value), void *user);
void *upc_vk_driver_cache_get(upc_device *device, size_t *size);
bool upc_vk_driver_cache_set(upc_device *device, const void *bytes, size_t size);
VkDescriptorType upc_vk_descriptor_type(uint8_t kind); // of a upc_bind_kind
// The key under which a program's SPIR-V is in the cache.
void upc_vk_cache_key(const upc_vk_device *device, const upc_program_source *source, uint64_t key[2]);

// GLSL to SPIR-V. *words is upc_freed by the caller. Counts env->counts.source_compiles.
upconv_status upc_vk_compile(upc_vk_device *device, const char *name, const char *text, uint32_t **words,
                             size_t *size);
// Of SPIR-V made by upc_vk_compile here; 0: this build has no compiler and takes what it is given.
uint64_t upc_vk_compiler_id(void);
const char *upc_vk_compiler_name(void);
void upc_vk_compiler_stop(upc_vk_device *device);

// -------------------------------------------------------------------------------------------------- launch.c

// Room for the launches and references to what they use.
upconv_status upc_vk_job_prepare(upc_vk_device *device, upc_vk_job *job, const upc_launch *launches,
                                 uint32_t count, uint64_t workspace_bytes);
// Binds and dispatches; barriers only between launches.
upconv_status upc_vk_job_record(upc_vk_device *device, upc_vk_job *job, VkCommandBuffer commands,
                                const upc_launch *launches, uint32_t count);
upconv_status upc_vk_job_retain(upc_vk_device *device, upc_vk_job *job, upc_memory *memory);
void upc_vk_job_release(const upc_vk_device *device, upc_vk_job *job); // gives the references back; keeps pool and workspace
void upc_vk_job_finish(upc_vk_device *device, upc_vk_job *job); // everything

// -------------------------------------------------------------------------------------------------- submit.c

upconv_status upc_vk_submit(upc_device *device, const upc_work *work, upconv_ticket *ticket);
upconv_status upc_vk_copy(upc_vk_device *device, upc_vk_memory *from, upc_vk_memory *to, int64_t timeout_ns);
upconv_status upc_vk_wait(upc_device *device, upconv_ticket ticket, int64_t timeout_ns);
upconv_status upc_vk_ticket_time(upc_device *device, upconv_ticket ticket, uint64_t *time_ns);
// Waits for everything in flight, at most timeout_ns; true: nothing is in flight any more.
bool upc_vk_drain(upc_vk_device *device, int64_t timeout_ns);
// Gives idle workspaces back to the driver; true when there were any.
bool upc_vk_trim(upc_vk_device *device);
void upc_vk_slots_finish(upc_vk_device *device);

extern const upc_backend upc_backend_vulkan;

#endif
