// A device of one backend, opened at the seam, with small helpers; shared by the files of the program seam.
#ifndef UPC_SEAM_H
#define UPC_SEAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../api/internal.h"
#include "seam_kernels.h"

enum { LOCAL = 32 }; // usual work-group size

static const int64_t second = 1000000000;

typedef struct test_seam {
    upc_env env;
    upc_device *device;
} test_seam;

extern const upc_backend *backend; // under test; set once by main

// Whether there is a device and, for source, a compiler; else says why not on standard error.
bool seam_present(void);
upconv_status seam_init(test_seam *seam, const upconv_allocator *allocator, bool statistics);
void seam_finish(test_seam *seam);
int seam_setup(void **state);
int seam_teardown(void **state);

#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        const upconv_status status_ = (call);                                                                \
        if (status_)                                                                                         \
            fail_msg("%s: %s: %s", #call, upconv_status_name(status_), upc_last_error());                    \
    } while (0)

// A kernel of the table as a program. local: NULL for the usual; spec: SPEC0.
upconv_status make_program(test_seam *seam, const seam_kernel *kernel, const uint32_t local[3], int32_t spec,
                           upc_program **program);
upc_program *program_of(test_seam *seam, int kernel, int32_t spec);
upc_memory *memory_of(test_seam *seam, uint64_t bytes);
void fill(upc_memory *memory, int32_t first); // element i is first + i
const int32_t *look(upc_memory *memory);
void look_away(upc_memory *memory);
upconv_status submit(test_seam *seam, const upc_launch *launches, uint32_t count, uint64_t workspace,
                     upconv_ticket *ticket);
void run(test_seam *seam, const upc_launch *launches, uint32_t count, uint64_t workspace);
uint32_t groups_for(int32_t count);

// seam_stress.c
void test_threads(void **state);
void test_shared_wait(void **state);
void test_failing_allocator(void **state);
void test_hang(void **state);
void test_close_in_flight(void **state);

#endif
