#include "opencl_app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CL(call) assert_int_equal((call), CL_SUCCESS)
#define OK(call) do { if (call) fail_msg("%s: %s", #call, upconv_last_error()); } while (0)

bool app_open_device(app *a)
{
    cl_platform_id platforms[8];
    cl_uint count = 0;
    cl_int error = CL_SUCCESS;
    if (clGetPlatformIDs(8, platforms, &count))
        return false;
    for (cl_uint i = 0; i < count && i < 8 && !a->device; i++)
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &a->device, NULL))
            a->device = NULL;
    if (!a->device || !(a->context = clCreateContext(NULL, 1, &a->device, NULL, NULL, &error)))
        return false;
    a->in_order = clCreateCommandQueue(a->context, a->device, 0, &error);
    a->out_of_order =
        clCreateCommandQueue(a->context, a->device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &error);
    return a->in_order && a->out_of_order;
}

void app_close_device(app *a)
{
    clReleaseCommandQueue(a->in_order);
    clReleaseCommandQueue(a->out_of_order);
    clReleaseContext(a->context);
    *a = (app){0};
}

void app_write(const app *a, const app_buffer *b, size_t at, const void *from, size_t bytes)
{
    CL(clEnqueueWriteBuffer(a->in_order, b->buffer, CL_TRUE, at, bytes, from, 0, NULL, NULL));
}

unsigned char *app_read(const app *a, const app_buffer *b)
{
    unsigned char *bytes = malloc(b->bytes);
    assert_non_null(bytes);
    CL(clEnqueueReadBuffer(a->in_order, b->buffer, CL_TRUE, 0, b->bytes, bytes, 0, NULL, NULL));
    return bytes;
}

app_buffer app_make_buffer(const app *a, size_t bytes)
{
    app_buffer b = {.bytes = bytes};
    cl_int error;
    b.buffer = clCreateBuffer(a->context, CL_MEM_READ_WRITE, bytes, NULL, &error);
    assert_non_null(b.buffer);
    unsigned char *poison = malloc(bytes);
    assert_non_null(poison);
    memset(poison, 0xff, bytes); // NaNs
    app_write(a, &b, 0, poison, bytes);
    free(poison);
    OK(upconv_cl_buffer_import(a->upconv, b.buffer, &b.imported));
    return b;
}

void app_free_buffer(app_buffer *b)
{
    upconv_buffer_destroy(b->imported);
    if (b->buffer)
        clReleaseMemObject(b->buffer);
    *b = (app_buffer){0};
}

cl_event app_make_gate(const app *a)
{
    cl_int error;
    cl_event gate = clCreateUserEvent(a->context, &error);
    assert_non_null(gate);
    return gate;
}

void app_open_gate(cl_event gate)
{
    CL(clSetUserEventStatus(gate, CL_COMPLETE));
    clReleaseEvent(gate);
}

void app_await(cl_event event)
{
    CL(clWaitForEvents(1, &event));
    clReleaseEvent(event);
}

cl_int app_state_of(cl_event event)
{
    cl_int state = 0;
    CL(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL));
    return state;
}

upconv_status app_lend(app *a, cl_command_queue queue, const upconv_context_params *params)
{
    const upconv_cl_params mine = {sizeof mine, a->context, a->device, queue};
    return upconv_cl_context_create(&mine, params, &a->upconv);
}
