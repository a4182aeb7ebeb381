// Preloaded under oclgrind: no buffer takes the slot of a freed one. oclgrind 21.10 notes which bytes have a value by slot, and
// does not drop the notes with the buffer (its plugin Uninitialized has no memoryDeallocated). Where a slot is used again by a
// buffer that only kernels write, the notes are those of the buffer before: beyond its size all is "uninitialized" for ever, and
// what the host wrote there counts as written. control_opencl.c shows both.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

enum { GLOBAL = 1 }; // oclgrind::AddrSpaceGlobal

// Of oclgrind::Memory, by their linker names.
unsigned address_space(const void *memory) __asm__("_ZNK8oclgrind6Memory15getAddressSpaceEv");
size_t allocate_buffer(void *memory, size_t size, unsigned long flags, const unsigned char *data)
    __asm__("_ZN8oclgrind6Memory14allocateBufferEmmPKh");
#define DEALLOCATE_BUFFER "_ZN8oclgrind6Memory16deallocateBufferEm"
void deallocate_buffer(void *memory, size_t address) __asm__(DEALLOCATE_BUFFER);

void deallocate_buffer(void *memory, size_t address)
{
    void (*original)(void *, size_t) = NULL;
    void *const found = dlsym(RTLD_NEXT, DEALLOCATE_BUFFER);
    memcpy(&original, &found, sizeof found);
    original(memory, address);
    // the freed slot is the next to be used: a buffer of no bytes keeps it, where every access is still out of bounds
    if (address_space(memory) == GLOBAL)
        allocate_buffer(memory, 0, 0, NULL);
}
