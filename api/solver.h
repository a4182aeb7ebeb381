// What an algorithm must say. A solver is pure: problem and device facts in, sentences, numbers and recipes out; it makes
// no device call, so it is tested with made-up facts. Its name and version are a file format: they outlive the code.
#ifndef UPC_SOLVER_H
#define UPC_SOLVER_H

#include "../backends/backend.h"
#include "recipe.h"

enum { UPC_MAX_KNOBS = 12 };

typedef struct upc_knob {
    const char *name;
    const int32_t *values; // all that `legal` may accept, in increasing order
    int count;
} upc_knob;

typedef struct upc_config {
    int32_t value[UPC_MAX_KNOBS]; // by position in the solver's knobs
} upc_config;

// What is asked of `cook` beside the problem.
typedef struct upc_request {
    bool dynamic_weights;        // weights come at execution, in `order`
    upconv_filter_order order;
    upconv_type weights_type;    // of weights that come at execution
    uint64_t workspace_limit;    // the app's, 0 without one; a recipe that needs more is turned down
    bool bias_int64;             // of a quantised plan
} upc_request;

// Scratch that a recipe may need without being asked, beside weights that come at execution in packed form: the largest of input,
// output and 4 MB.
uint64_t upc_workspace_default(const upc_problem *problem);

typedef struct upc_solver {
    const char *name;
    int version; // raised when a configuration's meaning changes
    uint32_t ops; // 1u << upconv_op, or'ed: which it could do; 0: transposed convolution. The functions below see no other
    bool quantised; // it does quantised types, and no others; without it no quantised ones
    const upc_knob *knobs;
    int knob_count;
    // NULL: it can. Else a sentence (written to `sentence`, 256 bytes) saying why not.
    const char *(*refuse)(const upc_problem *problem, const upc_facts *facts, char *sentence);
    // A configuration that is always legal, from facts alone.
    void (*guess)(const upc_problem *problem, const upc_facts *facts, upc_config *config);
    // NULL: legal on this device. Else a sentence. Also guards what was read from files.
    const char *(*legal)(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence);
    // Crude; orders candidates.
    double (*cost_us)(const upc_problem *problem, const upc_facts *facts, const upc_config *config);
    upconv_status (*cook)(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe);
    // Output channels of a block of packed weights; NULL where weights are not in blocks.
    int64_t (*block)(const upc_config *config);
    // Writes recipe.packed_bytes bytes of weights in the kernel's layout. HOST_MEMORY only.
    upconv_status (*pack)(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed);
    // The same of a quantised solver, with what sums are multiplied by.
    upconv_status (*pack_quantised)(const upc_env *env, const upc_problem *problem, const upc_config *config,
                                    const upconv_plan_params *params, void *packed);
} upc_solver;

// Of floating-point types.
static inline bool upc_solver_does(const upc_solver *solver, upconv_op op)
{
    return !solver->quantised && (solver->ops ? solver->ops : 1u << UPCONV_CONV_TRANSPOSE) >> op & 1;
}
static inline bool upc_solver_takes(const upc_solver *solver, const upc_problem *problem)
{
    return upc_type_quantised(problem->type) ? solver->quantised : upc_solver_does(solver, problem->op);
}
// `refuse` of a solver that may be for other operations.
const char *upc_solver_refuse(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts,
                              char *sentence);

// What a plan of these params asks for.
upc_request upc_request_of(const upc_problem *problem, const upconv_plan_params *params);

extern const upc_solver *const upc_solvers[];
extern const int upc_solver_count;

enum { UPC_SENTENCE = 256 };

// "tile=4,oc=8", complete.
void upc_config_print(const upc_solver *solver, const upc_config *config, upc_text *text);
// Reads any knobs over *config, which holds the others' values. INVALID names the knob or value that does not exist.
upconv_status upc_config_parse(const upc_solver *solver, const char *text, upc_config *config);
const upc_solver *upc_solver_find(const char *name, size_t length);

#endif
