#include "util.h"

#include <stdio.h>

// The one piece of state outside objects: each thread's own sentence.
static _Thread_local char last_error[512];

upconv_status upc_fail(upconv_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(last_error, sizeof last_error, format, list);
    va_end(list);
    return status;
}

upconv_status upc_no_memory(size_t bytes)
{
    return upc_fail(UPCONV_ERROR_HOST_MEMORY, "out of host memory: the allocator has no %zu bytes", bytes);
}

const char *upc_last_error(void) { return last_error; }

const char *upconv_last_error(void) { return last_error; }

const char *upconv_status_name(upconv_status status)
{
    static const char *const names[] = {
        "UPCONV_OK",                  "UPCONV_ERROR_INVALID",     "UPCONV_ERROR_UNSUPPORTED",
        "UPCONV_ERROR_NO_DEVICE",     "UPCONV_ERROR_HOST_MEMORY", "UPCONV_ERROR_GPU_MEMORY",
        "UPCONV_ERROR_COMPILE",       "UPCONV_ERROR_DEVICE_LOST", "UPCONV_ERROR_TIMEOUT",
        "UPCONV_ERROR_DATA",
    };
    const int index = -(int)status;
    return index >= 0 && index < (int)UPC_COUNT(names) ? names[index] : "unknown status";
}

const char *upconv_version(void) { return UPC_VERSION; }
