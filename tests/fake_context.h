// A context without a machine, for tests of what a context keeps: a device of any name, a driver with a cache
// of its own, an allocator that fails when asked to, and a record of what was logged.
#ifndef UPC_FAKE_CONTEXT_H
#define UPC_FAKE_CONTEXT_H

#include "../api/internal.h"

typedef struct fake_context {
    upconv_context context;
    upc_backend backend;
    upc_device device;
    unsigned char driver_cache[64]; // what driver_cache_get gives and driver_cache_set got
    size_t driver_cache_size;
    bool driver_refuses;
    _Atomic long allocations; // made so far
    _Atomic long live;        // not released yet
    _Atomic long fail_at;     // the number of the allocation that fails, from 1; 0: none
    _Atomic int log_lines;
    char last_log[512];
} fake_context;

// false: no memory. fake->context is then not usable.
bool fake_context_init(fake_context *fake, upconv_backend backend, const char *name, const char *driver);
void fake_context_finish(fake_context *fake);

// Growing bytes, and a write callback (user: a fake_file) that appends to them.
typedef struct fake_file {
    unsigned char *data;
    size_t size;
    int calls, stop_at; // the call that is refused, from 1; 0: none
} fake_file;
int fake_file_write(void *user, const void *data, size_t size);
void fake_file_finish(fake_file *file);

#endif
