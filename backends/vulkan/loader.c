// Opens libvulkan at run time and fills in tables of functions, one table a device, so nothing is global.
#include "vk.h"

#include <dlfcn.h>
#include <string.h>

typedef struct vk_entry {
    const char *name;
    size_t offset;
    int required;
} vk_entry;

#define ENTRY(name, required) {"vk" #name, offsetof(upc_vk_api, name), required},
static const vk_entry global_entries[] = {UPC_VK_GLOBAL(ENTRY)};
static const vk_entry instance_entries[] = {UPC_VK_INSTANCE(ENTRY)};
static const vk_entry device_entries[] = {UPC_VK_DEVICE(ENTRY)};
#undef ENTRY

static const char *const library_names[] = {
#ifdef __APPLE__
    "libvulkan.1.dylib",
    "libvulkan.dylib",
    "libMoltenVK.dylib",
#else
    "libvulkan.so.1", "libvulkan.so", // the second is Android's
#endif
};

static upconv_status store(upc_vk_api *vk, const vk_entry *entry, PFN_vkVoidFunction function)
{
    if (!function && entry->required)
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "the Vulkan driver has no function %s", entry->name);
    memcpy((char *)vk + entry->offset, &function, sizeof function);
    return UPCONV_OK;
}

static upconv_status load_by_instance(upc_vk_api *vk, VkInstance instance, const vk_entry *entries,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const upconv_status status =
            store(vk, &entries[i], vk->GetInstanceProcAddr(instance, entries[i].name));
        if (status)
            return status;
    }
    return UPCONV_OK;
}

upconv_status upc_vk_api_open(upc_vk_api *vk)
{
    memset(vk, 0, sizeof *vk);
    for (size_t i = 0; i < UPC_COUNT(library_names) && !vk->library; i++)
        vk->library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
    if (!vk->library)
        return upc_fail(UPCONV_ERROR_NO_DEVICE, "no Vulkan loader: %s cannot be opened", library_names[0]);
    void *const symbol = dlsym(vk->library, "vkGetInstanceProcAddr");
    memcpy(&vk->GetInstanceProcAddr, &symbol, sizeof symbol);
    const upconv_status status =
        symbol ? load_by_instance(vk, VK_NULL_HANDLE, global_entries, UPC_COUNT(global_entries))
               : upc_fail(UPCONV_ERROR_NO_DEVICE, "the Vulkan loader has no function vkGetInstanceProcAddr");
    if (status)
        upc_vk_api_close(vk);
    return status;
}

void upc_vk_api_close(upc_vk_api *vk)
{
    if (vk->library)
        dlclose(vk->library);
    vk->library = NULL;
}

upconv_status upc_vk_api_load_instance(upc_vk_api *vk, VkInstance instance)
{
    return load_by_instance(vk, instance, instance_entries, UPC_COUNT(instance_entries));
}

upconv_status upc_vk_api_load_device(upc_vk_api *vk, VkDevice device)
{
    for (size_t i = 0; i < UPC_COUNT(device_entries); i++) {
        const vk_entry *const entry = &device_entries[i];
        const upconv_status status = store(vk, entry, vk->GetDeviceProcAddr(device, entry->name));
        if (status)
            return status;
    }
    return UPCONV_OK;
}

const char *upc_vk_result_name(VkResult result)
{
    static const struct {
        VkResult result;
        const char *name;
    } names[] = {
        {VK_NOT_READY, "VK_NOT_READY"},
        {VK_TIMEOUT, "VK_TIMEOUT"},
        {VK_INCOMPLETE, "VK_INCOMPLETE"},
        {VK_ERROR_OUT_OF_HOST_MEMORY, "VK_ERROR_OUT_OF_HOST_MEMORY"},
        {VK_ERROR_OUT_OF_DEVICE_MEMORY, "VK_ERROR_OUT_OF_DEVICE_MEMORY"},
        {VK_ERROR_INITIALIZATION_FAILED, "VK_ERROR_INITIALIZATION_FAILED"},
        {VK_ERROR_DEVICE_LOST, "VK_ERROR_DEVICE_LOST"},
        {VK_ERROR_MEMORY_MAP_FAILED, "VK_ERROR_MEMORY_MAP_FAILED"},
        {VK_ERROR_LAYER_NOT_PRESENT, "VK_ERROR_LAYER_NOT_PRESENT"},
        {VK_ERROR_EXTENSION_NOT_PRESENT, "VK_ERROR_EXTENSION_NOT_PRESENT"},
        {VK_ERROR_FEATURE_NOT_PRESENT, "VK_ERROR_FEATURE_NOT_PRESENT"},
        {VK_ERROR_INCOMPATIBLE_DRIVER, "VK_ERROR_INCOMPATIBLE_DRIVER"},
        {VK_ERROR_TOO_MANY_OBJECTS, "VK_ERROR_TOO_MANY_OBJECTS"},
        {VK_ERROR_FRAGMENTED_POOL, "VK_ERROR_FRAGMENTED_POOL"},
        {VK_ERROR_OUT_OF_POOL_MEMORY, "VK_ERROR_OUT_OF_POOL_MEMORY"},
        {VK_ERROR_UNKNOWN, "VK_ERROR_UNKNOWN"},
    };
    for (size_t i = 0; i < UPC_COUNT(names); i++)
        if (names[i].result == result)
            return names[i].name;
    return "an unknown VkResult";
}
