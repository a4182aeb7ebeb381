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
#include <dlfcn.h>
#include <link.h>
#include <sanitizer/lsan_interface.h>
static inline void test_leaks_pass(void) { __lsan_disable(); }
static inline void test_leaks_count(void) { __lsan_enable(); }
static inline int test_leaks_pin(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size, (void)user;
    if (info->dlpi_name[0])
        dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    return 0;
}
// Keeps every library that is loaded now to the end of the process. llvmpipe keeps a list of the processors for as long as it is
// loaded; once it is unloaded that list is nobody's, and no suppression can name its module.
static inline void test_leaks_keep_drivers(void) { dl_iterate_phdr(test_leaks_pin, NULL); }
#else
static inline void test_leaks_pass(void) {}
static inline void test_leaks_count(void) {}
static inline void test_leaks_keep_drivers(void) {}
#endif

#endif
