// Tuning records of several files in memory, each with its line as it came. What a record is, and which replaces which,
// the library says; this only carries lines about and loses none.
#ifndef TOOL_RECORD_SET_H
#define TOOL_RECORD_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <upconv/upconv.h>

typedef struct record {
    const char *line; // not terminated; within a text of the set
    size_t length;
    size_t order; // of reading, over all files
    bool foreign; // of a newer format: carried along, and nothing is known of it
    upconv_record_info info;
    char *words; // what the following point into; NULL of foreign ones
    const char *backend, *device, *driver, *problem, *solver,
        *verdict;        // solver: with its configuration, "phase:tile=4,oc=8"
    double reference_us; // 0: not known
} record;

typedef struct record_set {
    record *all;
    size_t count, capacity;
    char **texts; // of the files that were read
    size_t text_count;
    size_t bad;      // lines that are no records; each was named on standard error
    size_t replaced; // records that newer ones of the same replaced
} record_set;

// Appends the records of a file; "-" is standard input. Lines that are none are said on standard error, as
// FILE:LINE: REASON, and counted. false: a sentence is in error (the file cannot be read, or memory ran out).
bool record_set_read(record_set *set, const char *path, char *error, size_t error_size);
void record_set_finish(record_set *set); // may be called for a zeroed set, and again

// Leaves one of those that are the same: the newest, and of one date the one that was read last. Then sorts by the lines'
// bytes, as upconv_tuning_export does, so that one content gives one file.
void record_set_settle(record_set *set);
// Sorts by device, driver, problem; within these what is ok before what is not, and the faster first.
void record_set_group(record_set *set);
bool record_same_group(const record *a, const record *b); // of one device, driver and problem

bool record_set_write(const record_set *set, FILE *file);

#endif
