// What the tests of the OpenCL backend share: a device with an allocator that counts and can fail, two buffers, a program.
#ifndef UPC_OPENCL_FIXTURE_H
#define UPC_OPENCL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../api/internal.h"
#include "../backends/opencl/cl.h"

enum { SECOND = 1000000000, COUNT = 1000 };

// y[i] = x[i] * scale + i, on one axis of 64 items.
extern const upc_program_source scale_source;

typedef struct fixture {
    upc_env env;
    upc_device *device;
    upc_memory *x, *y;
    upc_program *program;
    atomic_long allocations, fail_at; // fail_at: the allocation that fails, from 1; 0: none
    atomic_long live;
    char error_log[65536]; // written by one thread at a time in these tests
} fixture;

void env_start(fixture *f);
upconv_status memory_fill(upc_memory *memory, float first);
upconv_status things_make(fixture *f);
void things_drop(fixture *f);
int setup(void **state); // without a device f->device is NULL, and the tests skip
int teardown(void **state);

#define NEED_DEVICE(f)                                                                                                 \
    if (!(f)->device)                                                                                                  \
    skip()

upc_launch scale_launch(const fixture *f, upc_memory *from, uint64_t from_at, upc_memory *to, uint64_t to_at,
                        const int32_t args[2]);
upconv_status submit_one(fixture *f, upconv_ticket *ticket);
void expect_scaled(upc_memory *y, size_t at, float scale); // y[at + i] == (i % 100) * scale + i

#endif
