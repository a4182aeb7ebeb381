// A problem's tensors on the device, with what must come out: where candidates are verified (verify.c) and timed
// (bench.c).
#ifndef UPC_TUNE_BED_H
#define UPC_TUNE_BED_H

#include "search.h"

enum { UPC_BED_SAMPLES = 400 };

typedef struct upc_bed {
    upconv_context *context;
    upc_problem problem, shape; // shape: upc_result_shape
    bool gradient;              // it reads the gradient of an output: `residual` is that
    int64_t run_timeout_ns;
    bool quantised;            // numbers are of the whole range, and results are known to the bit
    double requant_scale;      // of a quantised problem
    void *weights, *bias;      // small integers in f32: sums are exact; quantised: I8, and of 32 bits
    void *packed;              // quantised: weights as the definition reads them
    void *input, *residual;    // as the tensors lie
    int32_t *indices;          // unpooling's; of pooling those that must come out, as they lie: NULL where there are too many
    upconv_buffer *buffers[4]; // input, residual (or NULL), output, indices (or NULL); each between guards
    uint64_t guard;            // bytes before and behind
    upconv_plan_params params; // for plans: with these weights
    upconv_io io;
    int64_t where[UPC_BED_SAMPLES][5]; // some outputs
    double sample[UPC_BED_SAMPLES];    // and what they must be
    void *expected;                    // all outputs, in f32, in order; NULL where there are too many
    bool trusted;                      // expected is filled in, and pooling's indices
    double scale;                      // of the sums, for the bound of errors
} upc_bed;

// whole: all outputs are computed by the definition, whatever that takes; else only if it takes little.
upconv_status upc_bed_create(upconv_context *context, const upc_problem *problem, const upconv_plan_params *given,
                             bool whole, int64_t run_timeout_ns, upc_bed **bed);
void upc_bed_destroy(upc_bed *bed);
// An element of what comes out: those of quantised types are whole numbers that f32 holds.
float upc_bed_value(const upc_bed *bed, const void *data, int64_t at);
// Runs a plan once, or `count` times without a pause: *us is the time of one.
upconv_status upc_bed_run(const upc_bed *bed, upconv_plan *plan, int count, double *us);

// Runs a plan twice and looks at every byte. *right false: `reason` says what is wrong. *us: of the faster run.
upconv_status upc_verify(upc_bed *bed, upconv_plan *plan, bool *right, char reason[UPC_SENTENCE], double *us);
// The index-th problem of the class of `problem` whose sizes are awkward, from 0; small. false: past the last, or there
// is none.
bool upc_awkward(const upc_problem *problem, int index, upc_problem *awkward);

// Runs the plan until its times settle, at most so long.
upconv_status upc_bench_settle(const upc_bed *bed, upconv_plan *plan, int64_t most_ns);
// Keeps the device busy with the plan until heat slows it no further.
upconv_status upc_bench_heat(const upc_bed *bed, upconv_plan *plan);
// Times a plan in turn with another: ratio, spread, time_us, reference_us, samples.
upconv_status upc_bench_pairs(const upc_bed *bed, upconv_plan *plan, upconv_plan *reference, const upc_rung *rung,
                              upc_outcome *outcome);

// What the system shows of heat and clocks; 0 where it does not.
void upc_sensors(double *temperature_c, double *frequency_mhz);

#endif
