// Random problems: how they are drawn (random_problem.c), run with canaries (random_run.c), and counted (random.c).
#ifndef UPC_RANDOM_H
#define UPC_RANDOM_H

#include "testing.h"

// What is drawn for one problem beside its tensors.
typedef struct random_draw {
    upconv_problem problem;
    upconv_filter_order order;
    upconv_type weights_type;
    bool has_bias, integers;
} random_draw;

// A legal problem of an operation, of up to `size` outputs, as many inputs and 20 times as many multiplications. Same state and
// size, same problem, on every machine.
enum { RANDOM_SIZE = 20000 };
typedef enum random_variety {
    RANDOM_FEW,   // types, layouts and residuals in a few combinations, in which every pair of them occurs
    RANDOM_PLAIN, // f32, dense NCHW, without a residual
    RANDOM_ANY,
    RANDOM_VARIETIES
} random_variety;
void random_draw_problem(test_random *random, int size, random_variety variety, upconv_op op, random_draw *draw);
void random_draw_sample(test_random *random, upconv_problem *problem); // batch, dims and op are drawn

// A configuration to force: "phase", or "phase:knob=v,...". Each configuration is a program per activation, and an
// OpenCL program takes half a second to build: so the configurations drawn for an activation, or a combination of
// RANDOM_FEW, are few, and used again.
enum { RANDOM_POOL = 64, RANDOM_COMBINATIONS = 8, RANDOM_POOLS = UPCONV_ACT_COUNT + RANDOM_COMBINATIONS };
typedef struct random_pool { // of one solver
    const upc_solver *solver;
    upc_config configs[RANDOM_POOLS][RANDOM_POOL];
    int count[RANDOM_POOLS], limit; // limit 0: every draw is new
    uint64_t ran, refused;
} random_pool;
void random_pool_choose(random_pool *pool, const upc_problem *problem, const upc_facts *facts, test_random *random,
                        char *text, size_t size);

typedef enum random_verdict { RANDOM_PASSED, RANDOM_FAILED, RANDOM_REFUSED } random_verdict;

// Plans and runs the case twice with the solver named in `forced`; on failure the reason is in `why`.
random_verdict random_run(upconv_context *context, const test_case *test, const char *forced, test_random *random,
                          char *why, size_t size);

#endif
