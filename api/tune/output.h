// Tuning records as a run finds them: into the context, and into a file.
#ifndef UPC_TUNE_OUTPUT_H
#define UPC_TUNE_OUTPUT_H

#include "journal.h"

typedef struct upc_output {
    upconv_context *context;
    const upconv_device_info *info; // who measured
    bool foreign;                   // not the context's device: a replay, which tells the context nothing
    upc_lines lines;
    uint64_t *seen; // hashes of the lines that the file has, but for their dates
    size_t seen_count, seen_capacity;
} upc_output;

// path: NULL for none. DATA, HOST_MEMORY.
upconv_status upc_output_open(upconv_context *context, const upconv_device_info *info, bool foreign, const char *path,
                              upc_output *output);
void upc_output_close(upc_output *output);
// A line that the file has already is not written again: a run that is resumed finds what it had found.
upconv_status upc_output_add(upc_output *output, const upc_problem *problem, const upc_space *space,
                             const upc_candidate *candidate, const upc_outcome *outcome, double time_us);

#endif
