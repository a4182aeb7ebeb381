// A recipe: what a plan does, as plain data. No pointer to a device object, so it can be made, printed, compared and
// hashed for any device without one.
#ifndef UPC_RECIPE_H
#define UPC_RECIPE_H

#include "gemm.h"
#include "problem.h"

enum {
    UPC_MAX_BINDINGS = 7, // buffers of one kernel
    UPC_MAX_ARGS = 25,    // run-time integers of one kernel; with a base per binding, within 128 bytes of push constants
    UPC_MAX_PARAMS = 96,
};

// Where the bytes of a binding are: the roles of the public API, and two that the plan keeps for itself.
typedef enum upc_place {
    UPC_INPUT = UPCONV_INPUT,
    UPC_OUTPUT = UPCONV_OUTPUT,
    UPC_WEIGHTS = UPCONV_WEIGHTS, // as the app gives them at execution
    UPC_BIAS = UPCONV_BIAS,       // out_channels f32; the plan's own copy (or zeros) unless given at execution
    UPC_SLOPES = UPCONV_SLOPES,
    UPC_RESIDUAL = UPCONV_RESIDUAL,
    UPC_INDICES = UPCONV_INDICES,
    UPC_WORKSPACE = UPCONV_WORKSPACE,
    UPC_OUTPUT_GRAD = UPCONV_OUTPUT_GRAD,
    UPC_PACKED = UPCONV_ROLE_COUNT, // weights in the kernel's layout, made by the solver's pack
    UPC_TABLE,                      // the recipe's table
    UPC_PLACE_COUNT
} upc_place;

// How a name in a kernel's body gets its value. The body does not know: it just uses the name.
typedef enum upc_param_kind {
    UPC_PARAM_DEFINE, // #define in both languages: what changes code
    UPC_PARAM_SPEC,   // specialisation constant in GLSL, #define in OpenCL C
    UPC_PARAM_TABLE,  // read from the plan's table at run time: value is the index there
    UPC_PARAM_ARG,    // run-time argument: value is the index in the step's args
} upc_param_kind;

typedef struct upc_param {
    const char *name; // a string constant
    upc_param_kind kind;
    int32_t value;
} upc_param;

// A kernel to compile. Equal descriptions are one program.
typedef struct upc_program_desc {
    const char *kernel; // shaders/<kernel>.kernel; a string constant
    uint32_t local[3];  // work-group size
    uint32_t binding_count, arg_count;
    uint8_t kind[UPC_MAX_BINDINGS]; // upc_bind_kind
    uint32_t param_count;
    upc_param params[UPC_MAX_PARAMS];
} upc_program_desc;

typedef struct upc_bind {
    upc_place place;
    uint64_t offset, range; // bytes within the place; the window that the kernel sees
} upc_bind;

typedef enum upc_step_kind {
    UPC_STEP_KERNEL,
    UPC_STEP_HOST, // a host function, on a backend whose memory is the host's
    UPC_STEP_GEMM, // a matrix product by another library, where facts.gemm says that there is one
} upc_step_kind;

typedef struct upc_step {
    upc_step_kind kind;
    bool barrier;      // what earlier steps wrote must be visible to this one
    uint32_t program;  // KERNEL: index in the recipe
    const char *host;  // HOST: the function's name
    upc_gemm gemm;     // GEMM: of the bindings UPC_GEMM_A, UPC_GEMM_B and UPC_GEMM_C
    uint32_t groups[3]; // KERNEL
    upc_bind bind[UPC_MAX_BINDINGS];
    uint32_t bind_count;
    int32_t args[UPC_MAX_ARGS];
} upc_step;

typedef struct upc_recipe {
    const upc_env *env;
    upc_program_desc *programs;
    size_t program_count, program_capacity;
    upc_step *steps;
    size_t step_count, step_capacity;
    int32_t *table;
    size_t table_count, table_capacity;
    uint64_t packed_bytes;    // of UPC_PACKED
    uint64_t workspace_bytes; // of UPC_WORKSPACE
} upc_recipe;

void upc_recipe_init(upc_recipe *recipe, const upc_env *env);
void upc_recipe_finish(upc_recipe *recipe);
// Adds a copy, or finds an equal one; the index goes to *index. HOST_MEMORY.
upconv_status upc_recipe_program(upc_recipe *recipe, const upc_program_desc *program, uint32_t *index);
upconv_status upc_recipe_step(upc_recipe *recipe, const upc_step *step); // adds a copy
upconv_status upc_recipe_table(upc_recipe *recipe, int32_t value);       // appends to the table

void upc_program_desc_init(upc_program_desc *program, const char *kernel, const uint32_t local[3],
                           uint32_t binding_count);
void upc_program_param(upc_program_desc *program, const char *name, upc_param_kind kind, int32_t value);
// Declares the next run-time argument and returns its index.
uint32_t upc_program_arg(upc_program_desc *program, const char *name);

void upc_recipe_print(const upc_recipe *recipe, upc_text *text);
uint64_t upc_recipe_hash(const upc_recipe *recipe);

#endif
