// What all backends share: counted memory and programs.
#include "backend.h"

void upc_memory_retain(upc_memory *memory) { atomic_fetch_add(&memory->references, 1); }

void upc_memory_release(upc_memory *memory)
{
    if (memory && atomic_fetch_sub(&memory->references, 1) == 1)
        memory->device->backend->memory_destroy(memory);
}

void upc_program_retain(upc_program *program) { atomic_fetch_add(&program->references, 1); }

void upc_program_release(upc_program *program)
{
    if (program && atomic_fetch_sub(&program->references, 1) == 1)
        program->device->backend->program_destroy(program);
}
