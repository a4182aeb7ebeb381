// What several tests share: a seeded generator, contexts by backend name, an oracle that shares no code with the
// library, and comparison with a derived bound.
#ifndef UPC_TESTING_H
#define UPC_TESTING_H

#include "../api/internal.h"
#include "tensors.h"

typedef struct test_random {
    uint64_t state;
} test_random;

uint64_t test_bits(test_random *random);
int test_between(test_random *random, int low, int high); // both included
bool test_chance(test_random *random, int percent);
int test_pick(test_random *random, const int *values, int count);

// "vulkan", "opencl", "cpu"; false: no such backend.
bool test_backend_parse(const char *name, upconv_backend *backend);
const char *test_backend_name(upconv_backend backend);

// Opens a context that logs warnings and errors to standard error. limits may be NULL.
upconv_status test_context_create(upconv_backend backend, const upconv_limits *limits, upconv_context **context);
// Reads "binding=BYTES,alloc=BYTES,macs=N,groups=N,size=N,shared=BYTES", any of them, which `limits` lowers, and "f16=0" (no 16-bit
// storage, as if the driver had none) where no_f16 is not NULL. false: it says something else.
bool test_limits_parse(const char *text, upconv_limits *limits, bool *no_f16);
// As if the processor behind its device had vector registers of so many floats, and not what comes only with wider ones.
void test_vectors(upconv_context *context, uint32_t floats);
// True where this build has the backend and the machine a device for it; else the reason is written to `why`.
bool test_backend_present(upconv_backend backend, char *why, size_t size);

// Tensors of a problem in host memory, dense NCHW and f32 whatever the problem's are, and what must come out.
typedef struct test_case {
    upconv_problem problem; // complete: no zeros standing for defaults
    upconv_sizes sizes;
    upconv_filter_order order;
    upconv_type weights_type;
    bool has_bias, integers; // integers: every f32 sum is exact whatever its order
    float *input, *weights, *bias, *slopes, *residual;
    float *gradient;           // of the output, where the result is another gradient; else NULL
    double *sums, *magnitudes; // of every output before the activation: the sum, and the sum of absolute values
    double *expected;          // after the activation, and with the residual
    int partial;               // sums may be stored so often, in the output's type, before they are whole
    double transformed;        // 0, or test_case_most for a result of Winograd: errors also come from what an output does not depend on
} test_case;

// Fills in tensors and expected values for `problem`; false: no memory or an illegal problem (a sentence is printed).
// What is to be stored as f16 is representable there.
bool test_case_init(test_case *test, const upconv_problem *problem, upconv_filter_order order, bool has_bias,
                    bool integers, test_random *random);
bool test_case_init_typed(test_case *test, const upconv_problem *problem, upconv_filter_order order,
                          upconv_type weights_type, bool has_bias, bool integers, test_random *random);
void test_case_finish(test_case *test);
// Index of the first wrong element of `output`, or -1. Exact where the sums and the activation are, and the type holds
// the result; else within a bound derived from the number of terms.
int64_t test_case_compare(const test_case *test, const float *output);
double test_case_bound(const test_case *test, uint64_t index); // 0: exact
// What the magnitudes would be if every input and weight were as large as the largest.
double test_case_most(const test_case *test);

// Of operations that take each output from a few inputs (oracle_sample.c): sums and magnitudes, and how far a sum may be off.
void test_sample_all(test_case *test);
double test_sample_bound(const test_case *test, uint64_t index);

// The tensors as the library sees them (tensors.h). What lies between the elements is left alone.
void test_case_lay(const test_case *test, upconv_role role, void *memory); // INPUT, WEIGHTS, BIAS, SLOPES, RESIDUAL, OUTPUT_GRAD
uint64_t test_case_bytes(const test_case *test, upconv_role role);

// The output as the library left it, as dense f32; and which of its bytes it may write.
void test_case_unlay(const test_case *test, const void *memory, float *output);
void test_case_mark(const test_case *test, unsigned char *marks);
bool test_op_takes(upconv_op op, upconv_role role); // but for weights, bias, slopes, residual and workspace, which depend on more

// y = act(x) in double precision. slope: PRELU's, for this channel.
double test_activation(const upconv_problem *problem, double x, double slope);

// Parses the notation; exits the test with a message when it is wrong.
upconv_problem test_problem(const char *notation);

// The closing line that tests/run.sh adds up. Returns the exit code.
int test_report(uint64_t passed, uint64_t failed, uint64_t skipped);

#endif
