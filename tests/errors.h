// Every error that upconv.h promises, through the public API on one backend: the status, and a sentence that
// names the value.
#ifndef UPC_ERRORS_H
#define UPC_ERRORS_H

#include "testing.h"

#include <setjmp.h>

#include <cmocka.h>

// The backend that the program was started for, and a context on it that all tests share.
extern upconv_backend errors_backend;
extern upconv_context *errors_context;

// Fails the test unless the call gave `wanted` and the thread's sentence contains `word`.
void errors_expect(upconv_status got, upconv_status wanted, const char *word, const char *call, int line);
#define EXPECT(call, wanted, word) errors_expect(call, wanted, word, #call, __LINE__)
#define EXPECT_INVALID(call, word) EXPECT(call, UPCONV_ERROR_INVALID, word)
void errors_expect_ok(upconv_status got, const char *call, int line);
#define EXPECT_OK(call) errors_expect_ok(call, #call, __LINE__)

// A plan of the notation, with integer weights (or without) and a solver (or any).
upconv_plan *errors_plan(upconv_context *context, const char *notation, bool weights, const char *solver);

extern const struct CMUnitTest errors_io_tests[], errors_fault_tests[];
extern const size_t errors_io_count, errors_fault_count;

// What the program does when it is started with "--hang" as second argument: a child, because a hung driver
// may take the process along. The exit code is 0 when all went as promised.
int errors_hang(void);
extern const char *errors_program; // argv[0]

#endif
