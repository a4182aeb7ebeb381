// The backends of this build, in order of preference.
#include "backend.h"

extern const upc_backend upc_backend_cpu;
#ifdef HAVE_VULKAN
extern const upc_backend upc_backend_vulkan;
#endif
#ifdef HAVE_OPENCL
extern const upc_backend upc_backend_opencl;
#endif

const upc_backend *const upc_backends[] = {
#ifdef HAVE_VULKAN
    &upc_backend_vulkan,
#endif
#ifdef HAVE_OPENCL
    &upc_backend_opencl,
#endif
    &upc_backend_cpu,
};
const int upc_backend_count = UPC_COUNT(upc_backends);
