// upconv on the app's own OpenCL context. upconv itself never links libOpenCL.
#ifndef UPCONV_OPENCL_H
#define UPCONV_OPENCL_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <upconv/upconv.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the app lends; retained by upconv while the context lives.
typedef struct upconv_cl_params {
    size_t struct_size;
    cl_context context;     // required
    cl_device_id device;    // required, of that context
    cl_command_queue queue; // in order; NULL: upconv makes one of its own. For upconv_execute, upconv_submit, maps and what plans look at
} upconv_cl_params;

// A context on the app's device. params as in upconv_context_create; its backend and device are ignored, as are UPCONV_BACKEND
// and UPCONV_DEVICE.
UPCONV_API upconv_status upconv_cl_context_create(const upconv_cl_params *mine, const upconv_context_params *params,
                                                  upconv_context **context);

// Makes a buffer of the app's known to upconv; retained until the import is destroyed. Cannot be mapped through upconv.
UPCONV_API upconv_status upconv_cl_buffer_import(upconv_context *context, cl_mem buffer, upconv_buffer **imported);

// Enqueues the plan on a queue of the same cl_context, in order or out of order; waits and event as in
// clEnqueueNDRangeKernel (event may be NULL; the app releases it). Does not flush. Counts as no ticket.
UPCONV_API upconv_status upconv_cl_enqueue(upconv_plan *plan, cl_command_queue queue, const upconv_io *io,
                                           cl_uint wait_count, const cl_event *waits, cl_event *event);

#ifdef __cplusplus
}
#endif
#endif
