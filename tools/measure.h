// Timing one problem on one device, and comparing its result with the CPU backend's.
#ifndef TOOL_MEASURE_H
#define TOOL_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include <upconv/upconv.h>

typedef struct measure_options {
    const char *solver; // NULL: the planner's choice
    upconv_effort effort;
    int runs;              // at least so many
    double seconds;        // and at least so long
    upconv_context *check; // compare with the reference solver there first; NULL: do not
} measure_options;

typedef struct measurement {
    char solver[64], config[256];
    const char *tier;
    uint64_t workspace_bytes;
    double plan_ms;
    double median_us, best_us;
    int runs;
    double gflops, gbytes; // a second, by the median
    double largest_error;  // of the comparison, as a part of the largest result
} measurement;

// false: a sentence is in error.
bool measure(upconv_context *context, const upconv_problem *problem, const measure_options *options,
             measurement *result, char *error, size_t error_size);

#endif
