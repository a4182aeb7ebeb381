// One launch on a queue: arguments, then the enqueue.
#include "cl.h"

#include <string.h>

// The object as it is, when a 32-bit count of units of 2 bytes reaches the whole window; else a sub-buffer from the last place
// before the window where one may start.
static upconv_status window_find(upc_cl_device *device, const upc_bound *bound, cl_mem workspace,
                                 upc_cl_window *found, cl_mem *subs, size_t *sub_count)
{
    const upc_cl_memory *memory = (const upc_cl_memory *)bound->memory;
    const cl_mem object = memory ? memory->buffer : workspace;
    if (bound->offset + bound->range <= device->reach) {
        *found = (upc_cl_window){object, (cl_int)(bound->offset / 2)};
        return UPCONV_OK;
    }
    const cl_mem root = memory ? memory->root : workspace; // a sub-buffer can have none of its own
    const uint64_t start = bound->offset + (memory ? memory->root_offset : 0);
    const uint64_t origin = start / device->sub_alignment * device->sub_alignment;
    const cl_buffer_region region = {(size_t)origin, (size_t)(start - origin + bound->range)};
    cl_int error = CL_SUCCESS;
    const cl_mem sub = device->cl.CreateSubBuffer(root, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    if (!sub)
        return upc_cl_fail(device, error, UPCONV_ERROR_GPU_MEMORY, "a window of %llu bytes from byte %llu of a buffer",
                           (unsigned long long)region.size, (unsigned long long)region.origin);
    subs[(*sub_count)++] = sub;
    *found = (upc_cl_window){sub, (cl_int)((start - origin) / 2)};
    return UPCONV_OK;
}

static upconv_status arguments_set(upc_cl_device *device, const upc_cl_program *program, const upc_launch *launch,
                                   const upc_cl_window *windows)
{
    const upc_cl *cl = &device->cl;
    const uint32_t count = launch->bound_count;
    cl_int error = CL_SUCCESS;
    for (uint32_t i = 0; i < count && error == CL_SUCCESS; i++)
        error = cl->SetKernelArg(program->kernel, i, sizeof(cl_mem), &windows[i].object);
    for (uint32_t i = 0; i < count && error == CL_SUCCESS; i++)
        error = cl->SetKernelArg(program->kernel, count + i, sizeof(cl_int), &windows[i].base);
    for (uint32_t i = 0; i < launch->arg_count && error == CL_SUCCESS; i++) {
        const cl_int value = launch->args[i];
        error = cl->SetKernelArg(program->kernel, 2 * count + i, sizeof value, &value);
    }
    if (error != CL_SUCCESS)
        return upc_cl_fail(device, error, UPCONV_ERROR_COMPILE, "giving a kernel its arguments");
    return UPCONV_OK;
}

upconv_status upc_cl_launch(upc_cl_device *device, cl_command_queue queue, const upc_launch *launch, cl_mem workspace,
                            upc_cl_waits waits, cl_event *event, cl_mem *subs, size_t *sub_count)
{
    const upc_cl_program *program = (const upc_cl_program *)launch->program;
    upc_cl_window windows[UPC_LAUNCH_BINDINGS];
    upconv_status status = UPCONV_OK;
    for (uint32_t i = 0; i < launch->bound_count && status == UPCONV_OK; i++)
        status = window_find(device, &launch->bound[i], workspace, &windows[i], subs, sub_count);
    if (status == UPCONV_OK && launch->gemm.m)
        return upc_cl_product(device, queue, &launch->gemm, windows, waits, event);
    if (status == UPCONV_OK)
        status = arguments_set(device, program, launch, windows);
    if (status != UPCONV_OK)
        return status;
    size_t global[3];
    for (int i = 0; i < 3; i++)
        global[i] = (size_t)launch->groups[i] * program->local[i];
    const cl_int error = device->cl.EnqueueNDRangeKernel(queue, program->kernel, 3, NULL, global, program->local,
                                                         waits.count, waits.count ? waits.events : NULL, event);
    if (error != CL_SUCCESS)
        return upc_cl_fail(device, error, UPCONV_ERROR_COMPILE,
                           "enqueueing a kernel of %u x %u x %u work-groups of %zu x %zu x %zu",
                           (unsigned)launch->groups[0], (unsigned)launch->groups[1], (unsigned)launch->groups[2],
                           program->local[0], program->local[1], program->local[2]);
    return UPCONV_OK;
}
