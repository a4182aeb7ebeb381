// Which devices are alike, so that what was measured on one is a guess worth taking on another.
#ifndef UPC_KIN_H
#define UPC_KIN_H

#include <stdint.h>

// Hashes of the backend and what the device descends from. 0: unknown, and like nothing else.
typedef struct upc_kin {
    uint64_t family; // one generation of one maker's GPUs; a processor behind one compiler with vectors of one width
    uint64_t vendor;
} upc_kin;

// From what a tuning record says of its device. `backend` as records write it.
void upc_kin_of(const char *backend, uint32_t vendor_id, const char *name, upc_kin *kin);

#endif
