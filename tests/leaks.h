// What a test makes a driver keep for ever (a device lost or hung on purpose) is no leak to report. Between the two calls
// LeakSanitizer lets this thread's allocations pass; everywhere else it still sees what upconv forgets to give back.
#ifndef UPC_TEST_LEAKS_H
#define UPC_TEST_LEAKS_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UPC_TEST_LEAKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UPC_TEST_LEAKS 1
#endif

#ifdef UPC_TEST_LEAKS
#include <sanitizer/lsan_interface.h>
static inline void test_leaks_pass(void) { __lsan_disable(); }
static inline void test_leaks_count(void) { __lsan_enable(); }
#else
static inline void test_leaks_pass(void) {}
static inline void test_leaks_count(void) {}
#endif

#endif
