// Timing one problem on one device, and comparing its result with the CPU backend's.
#ifndef TOOL_MEASURE_H
#define TOOL_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <upconv/upconv.h>

// Times of runs, in microseconds.
typedef struct samples {
    double *us;
    size_t count, capacity;
} samples;

bool samples_add(samples *s, double us); // false without memory
void samples_finish(samples *s);
// Both put the samples in order. 0 without any.
double samples_median(samples *s);
double samples_best(samples *s);

typedef struct measure_options {
    const char *solver; // NULL: the planner's choice
    upconv_effort effort;
    int runs;              // at least so many
    double seconds;        // and at least so long
    bool best;             // rates follow from the best time, not from the median
    upconv_context *check; // compare with the reference solver there first; NULL: do not
} measure_options;

typedef struct measurement {
    char solver[64], config[256];
    const char *tier;
    uint64_t workspace_bytes;
    double plan_ms, compile_ms;
    double median_us, best_us;
    double flops, bytes;   // of one run: multiply-adds counted as two; input, output and weights, each once
    double gflops, gbytes; // a second, by the median (or the best)
    bool f16_sums;         // products are added up in f16
} measurement;

// A problem that is ready to run: plan and device memory.
typedef struct trial trial;

// All of them: false (or NULL) means that a sentence is in error.
trial *trial_open(upconv_context *context, const upconv_problem *problem, const measure_options *options, char *error,
                  size_t error_size);
void trial_close(trial *t);
// Runs until there are `least` more samples and the time is over, after one run that is not counted where `warm`; what
// takes long ends after ten times the seconds.
bool trial_run(trial *t, int least, double seconds, bool warm, samples *times, char *error, size_t error_size);
bool trial_describe(const trial *t, const measure_options *options, samples *times, measurement *result, char *error,
                    size_t error_size);

// All of it: opens, runs as the options say, describes, closes.
bool measure(upconv_context *context, const upconv_problem *problem, const measure_options *options,
             measurement *result, char *error, size_t error_size);

#endif
