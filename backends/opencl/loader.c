// Finds an OpenCL library at run time. Any may be missing, and on Android each vendor has its own name for it.
#include "cl.h"

#include <dlfcn.h>
#include <string.h>

static const char *const library_names[] = {
#if defined(__APPLE__)
    "/System/Library/Frameworks/OpenCL.framework/OpenCL",
#elif defined(__ANDROID__)
    // Relative names: absolute ones are outside of what an app's linker namespace may open.
    "libOpenCL.so", "libOpenCL-pixel.so", "libGLES_mali.so", "libPVROCL.so", "libOpenCL.so.1",
#else
    "libOpenCL.so.1", "libOpenCL.so", "libGLES_mali.so", "libmali.so", "libPVROCL.so",
#endif
};

#define UPC_CL_NAME(function) "cl" #function,
static const char *const function_names[] = {UPC_CL_FUNCTIONS(UPC_CL_NAME)};
#undef UPC_CL_NAME

typedef void *(*symbol_fn)(const char *name);

// Pixel phones export no OpenCL function: enableOpenCL() has to be called, then loadOpenCLPointer() gives them.
static symbol_fn pixel_lookup(void *library)
{
    void (*enable)(void) = NULL;
    symbol_fn lookup = NULL;
    void *const from[2] = {dlsym(library, "enableOpenCL"), dlsym(library, "loadOpenCLPointer")};
    if (!from[0] || !from[1])
        return NULL;
    memcpy(&enable, &from[0], sizeof enable);
    memcpy(&lookup, &from[1], sizeof lookup);
    enable();
    return lookup;
}

// The name of the first function that the library has not, or NULL when the table is complete.
static const char *table_fill(upc_cl *cl, void *library, symbol_fn lookup)
{
    void *found[UPC_COUNT(function_names)];
    for (size_t i = 0; i < UPC_COUNT(function_names); i++) {
        found[i] = lookup ? lookup(function_names[i]) : dlsym(library, function_names[i]);
        if (!found[i])
            return function_names[i];
    }
    size_t i = 0;
#define UPC_CL_FILL(function) memcpy(&cl->function, &found[i++], sizeof found[0]);
    UPC_CL_FUNCTIONS(UPC_CL_FILL)
#undef UPC_CL_FILL
    return NULL;
}

// true: the library is taken over. false: it has been closed, and `why` has a sentence when it looked like OpenCL.
static bool library_take(upc_cl *cl, void *library, const char *name, upc_text *why)
{
    const symbol_fn lookup = dlsym(library, "clGetPlatformIDs") ? NULL : pixel_lookup(library);
    if (!lookup && !dlsym(library, "clGetPlatformIDs")) {
        dlclose(library);
        return false;
    }
    const char *missing = table_fill(cl, library, lookup);
    if (missing) {
        upc_text_add(why, "%s has no %s: OpenCL 1.2 is needed; ", name, missing);
        dlclose(library);
        return false;
    }
    cl->library = library;
    upc_text text = {cl->name, sizeof cl->name, 0};
    upc_text_add(&text, "%s", name);
    return true;
}

bool upc_cl_load(upc_cl *cl, upc_text *why)
{
    memset(cl, 0, sizeof *cl);
    // What the process already has goes first: a library that the app is linked with, or a preloaded tool.
    void *library = dlopen(NULL, RTLD_NOW);
    if (library && library_take(cl, library, "the process's own OpenCL", why))
        return true;
    // NODELETE: drivers have threads and exit handlers that do not survive being unloaded.
    for (size_t i = 0; i < UPC_COUNT(library_names); i++) {
        library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (library && library_take(cl, library, library_names[i], why))
            return true;
    }
    if (why->length == 0) {
        upc_text_add(why, "no OpenCL library could be opened (tried");
        for (size_t i = 0; i < UPC_COUNT(library_names); i++)
            upc_text_add(why, "%s %s", i ? "," : "", library_names[i]);
        upc_text_add(why, ")");
    }
    return false;
}

void upc_cl_unload(upc_cl *cl)
{
    if (cl->library)
        dlclose(cl->library);
    memset(cl, 0, sizeof *cl);
}

#define UPC_CL_ERROR(name) {CL_##name, "CL_" #name}
static const struct {
    cl_int error;
    const char *name;
} error_names[] = {
    UPC_CL_ERROR(SUCCESS),
    UPC_CL_ERROR(DEVICE_NOT_FOUND),
    UPC_CL_ERROR(DEVICE_NOT_AVAILABLE),
    UPC_CL_ERROR(COMPILER_NOT_AVAILABLE),
    UPC_CL_ERROR(MEM_OBJECT_ALLOCATION_FAILURE),
    UPC_CL_ERROR(OUT_OF_RESOURCES),
    UPC_CL_ERROR(OUT_OF_HOST_MEMORY),
    UPC_CL_ERROR(PROFILING_INFO_NOT_AVAILABLE),
    UPC_CL_ERROR(BUILD_PROGRAM_FAILURE),
    UPC_CL_ERROR(MAP_FAILURE),
    UPC_CL_ERROR(MISALIGNED_SUB_BUFFER_OFFSET),
    UPC_CL_ERROR(EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    UPC_CL_ERROR(INVALID_VALUE),
    UPC_CL_ERROR(INVALID_PLATFORM),
    UPC_CL_ERROR(INVALID_DEVICE),
    UPC_CL_ERROR(INVALID_CONTEXT),
    UPC_CL_ERROR(INVALID_QUEUE_PROPERTIES),
    UPC_CL_ERROR(INVALID_COMMAND_QUEUE),
    UPC_CL_ERROR(INVALID_MEM_OBJECT),
    UPC_CL_ERROR(INVALID_BINARY),
    UPC_CL_ERROR(INVALID_BUILD_OPTIONS),
    UPC_CL_ERROR(INVALID_PROGRAM),
    UPC_CL_ERROR(INVALID_PROGRAM_EXECUTABLE),
    UPC_CL_ERROR(INVALID_KERNEL_NAME),
    UPC_CL_ERROR(INVALID_KERNEL_DEFINITION),
    UPC_CL_ERROR(INVALID_KERNEL),
    UPC_CL_ERROR(INVALID_ARG_INDEX),
    UPC_CL_ERROR(INVALID_ARG_VALUE),
    UPC_CL_ERROR(INVALID_ARG_SIZE),
    UPC_CL_ERROR(INVALID_KERNEL_ARGS),
    UPC_CL_ERROR(INVALID_WORK_DIMENSION),
    UPC_CL_ERROR(INVALID_WORK_GROUP_SIZE),
    UPC_CL_ERROR(INVALID_WORK_ITEM_SIZE),
    UPC_CL_ERROR(INVALID_GLOBAL_OFFSET),
    UPC_CL_ERROR(INVALID_EVENT_WAIT_LIST),
    UPC_CL_ERROR(INVALID_EVENT),
    UPC_CL_ERROR(INVALID_OPERATION),
    UPC_CL_ERROR(INVALID_BUFFER_SIZE),
    UPC_CL_ERROR(INVALID_GLOBAL_WORK_SIZE),
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
};
#undef UPC_CL_ERROR

const char *upc_cl_error_name(cl_int error)
{
    for (size_t i = 0; i < UPC_COUNT(error_names); i++)
        if (error_names[i].error == error)
            return error_names[i].name;
    return "an error that OpenCL does not name";
}
