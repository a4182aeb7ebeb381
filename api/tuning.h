// The tuning records that a context has in memory. Shared by api/tuning.c, which keeps them, and api/lookup.c, which finds among
// them; nothing else needs to know.
#ifndef UPC_TUNING_H
#define UPC_TUNING_H

#include "records.h"
#include "shipped.h"

typedef struct tuning_item {
    upc_record_fields fields;
    uint64_t key[2]; // device, driver, problem, solver, version and configuration: the newer of two such
                     // records stays
    bool shipped;
    size_t length;
    char line[];
} tuning_item;

// What a maker of shipped records is, worked out at the first look-up.
typedef struct tuning_maker {
    uint64_t device;
    upc_kin kin;
} tuning_maker;

struct upc_tuning {
    const upc_env *env;
    pthread_mutex_t lock; // over everything below
    tuning_item **items;  // the app's own
    size_t count, capacity;
    uint32_t *slots; // hash table of 1 + index in items, 0 where free; at most half full
    size_t slot_count;
    const upc_shipped *shipped;  // NULL: none
    tuning_maker *makers;        // of shipped; NULL before the first look-up
    tuning_item **shipped_items; // by index in shipped->records; each NULL before it was first of use
    const tuning_item **scratch; // of a look-up
    size_t scratch_capacity;
};

// From a line that has been read. The line itself is kept where `line` is not NULL.
tuning_item *upc_tuning_item(const upc_env *env, const upc_record_fields *fields, const char *line, size_t length);

#endif
