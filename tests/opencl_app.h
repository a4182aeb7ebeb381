// The app's side of tests of upconv on an OpenCL context that is not its own: device, context and queues, buffers, and
// events that hold work back. What fails ends the test at hand.
#ifndef UPC_OPENCL_APP_H
#define UPC_OPENCL_APP_H

#include <upconv/upconv_opencl.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct app {
    cl_device_id device;
    cl_context context;
    cl_command_queue in_order, out_of_order;
    upconv_context *upconv;
} app;

typedef struct app_buffer {
    cl_mem buffer;
    size_t bytes;
    upconv_buffer *imported;
} app_buffer;

bool app_open_device(app *a); // false: there is none; a is all zeros before
void app_close_device(app *a);
// Makes a->upconv; queue may be NULL: then upconv has one of its own.
upconv_status app_lend(app *a, cl_command_queue queue, const upconv_context_params *params);
app_buffer app_make_buffer(const app *a, size_t bytes); // imported into a->upconv, filled with NaNs
void app_free_buffer(app_buffer *b);
void app_write(const app *a, const app_buffer *b, size_t at, const void *from, size_t bytes);
unsigned char *app_read(const app *a, const app_buffer *b); // all of it; freed by the caller
cl_event app_make_gate(const app *a);                       // that the app sets
void app_open_gate(cl_event gate);                          // and releases it
void app_await(cl_event event);                             // and releases it
cl_int app_state_of(cl_event event);

#endif
