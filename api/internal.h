// The objects behind the public handles. Included by api/*.c and by the interop files of the backends, nothing else.
#ifndef UPC_INTERNAL_H
#define UPC_INTERNAL_H

#include <pthread.h>

#include "dot.h"
#include "host.h"
#include "solver.h"

struct upc_cache;
struct upc_tuning;

typedef struct upc_shared_program upc_shared_program;

typedef struct upc_programs { // api/programs.c
    pthread_mutex_t lock;
    pthread_cond_t changed; // one that was being compiled has been, or could not be
    bool ready;
    upc_shared_program *all;
    size_t count, capacity;
} upc_programs;

// Who reads what a driver prints while it compiles: some say only there that registers spill.
typedef struct upc_listener {
    double (*spills)(void *user); // since it was asked last; NULL: nobody
    void *user;
    struct upc_heard { // of programs that did: one that is compiled again may come from the driver's cache, and is then silent
        uint64_t key[2];
        double spills;
    } *heard;
    size_t count, capacity;
} upc_listener;

struct upconv_context {
    upc_env env;
    const upc_backend *backend;
    upc_device *device;
    upc_facts facts;           // the device's, lowered by params.limits
    int64_t timeout_ns;
    char *forced_solver;       // UPCONV_SOLVER, or NULL
    struct upc_tuning *tuning;
    upc_programs programs;     // that its plans share
    upc_dots dots;
    upc_listener listener;     // while it is being tuned; under programs.lock
    pthread_mutex_t staging_lock; // buffers of upconv_execute, kept for the next call
    upc_memory **staging;
    size_t staging_count, staging_capacity;
};

struct upconv_buffer {
    upconv_context *context;
    upc_memory *memory;
    pthread_mutex_t lock;
    bool mapped;   // under lock
};

struct upconv_plan {
    upconv_context *context;
    upc_problem problem;
    upc_request request;
    const upc_solver *solver;
    upc_config config;
    char *config_text;
    upconv_tier tier;
    bool shipped_record;
    upc_recipe recipe;
    upc_program **programs; // one per recipe program; NULL while there is none yet
    upc_memory *constants;  // packed weights, table, bias, slopes, one after the other; NULL without any
    uint64_t packed_at, table_at, bias_at, slopes_at;
    bool own_bias, own_slopes; // frozen: must not be given at execution
    upc_host_arg host_arg;
    double predicted_us, plan_ms, compile_ms;
};

// Opens everything of a context but the device. Used by upconv_context_create and the interop entry points: prepare, open a
// device with &context->env, then adopt it. upc_context_adopt applies limits and closes the device when it fails.
upconv_status upc_context_prepare(const upconv_context_params *params, upconv_context **context);
upconv_status upc_context_adopt(upconv_context *context, const upc_backend *backend, upc_device *device,
                                const upconv_context_params *params);

// OK, or the sticky status of a lost or hung device, with a sentence.
upconv_status upc_context_check(const upconv_context *context);

// A buffer around memory that a backend made (imports). Takes over the reference, also when it fails.
upconv_status upc_buffer_wrap(upconv_context *context, upc_memory *memory, upconv_buffer **buffer);

// Checks io against the plan and makes the launches of one execution. The array (recipe.step_count items) is upc_freed by
// the caller. need_workspace: the workspace must be in io (recordings that cannot own one).
upconv_status upc_plan_launches(const upconv_plan *plan, const upconv_io *io, upc_launch **launches);

// api/source.c: the complete source text of a program for a backend's language.
upconv_status upc_source_assemble(const upc_env *env, upconv_backend backend, const upc_facts *facts,
                                  const upc_program_desc *program, upc_string *text);

// api/cache.c
upconv_status upc_cache_create(upc_env *env); // sets env->cache
void upc_cache_destroy(upc_env *env);

// api/tuning.c: records in memory. All thread-safe.
typedef struct upc_record {
    const upc_solver *solver;
    upc_config config;
    double time_us;
    upconv_tier tier;
    bool shipped;    // it came with the library
    bool unverified; // measured under another driver, and not yet seen to be right under this one
} upc_record;
upconv_status upc_tuning_create(const upc_env *env, struct upc_tuning **tuning);
void upc_tuning_destroy(struct upc_tuning *tuning);
// What comes with the library. Before the first look-up; a context without it has only its own records.
struct upc_shipped;
void upc_tuning_ship(struct upc_tuning *tuning, const struct upc_shipped *shipped);
// What would be taken for a problem without records. false: nothing.
struct upc_choice;
typedef struct upc_modeller {
    bool (*choose)(const void *user, const upc_problem *problem, struct upc_choice *choice);
    const void *user;
} upc_modeller;
// The best record for the problem on this device (api/lookup.c, docs/records.md). Only configurations that are legal here; of other
// problems only what promises more than the modeller's choice (NULL: whatever they promise). false: none.
bool upc_tuning_find(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                     const upc_modeller *modeller, upc_record *record);
// What is worth trying first: configurations that served this problem or others of its class, on this device or any, the likeliest
// first. Returns how many.
int upc_tuning_list(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts, upc_record *list,
                    int room);
upconv_status upc_tuning_add(struct upc_tuning *tuning, const upc_problem *problem, const upc_facts *facts,
                             const upc_solver *solver, const upc_config *config, double time_us, double reference_us,
                             double spread);

// api/programs.c. `programs` zeroed. false: the system has no mutex left.
bool upc_programs_init(upc_programs *programs);
void upc_programs_finish(upc_programs *programs, const upc_env *env); // also where init failed
// Compiled, taken from the program cache, or found ready; with a reference for the caller.
upconv_status upc_program_get(upconv_context *context, const upc_program_desc *desc, upc_program **program);
// Equal for equal descriptions.
void upc_program_desc_key(const upc_program_desc *desc, uint64_t key[2]);

// api/plan.c: upconv_plan_create in two halves. The first chooses and cooks: no program is compiled yet, nothing packed; *params gets
// a complete copy of the given ones. The second gets the programs that are missing, and packs; when it fails the plan is
// still to be destroyed.
upconv_status upc_plan_begin(upconv_context *context, const upconv_problem *given,
                             const upconv_plan_params *given_params, upconv_plan_params *params, upconv_plan **plan);
upconv_status upc_plan_end(upconv_plan *plan, const upconv_plan_params *params);
// A plan for a choice that has been made. params' weights, bias and slopes as in upconv_plan_create.
struct upc_choice;
upconv_status upc_plan_build(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                             const struct upc_choice *choice, upconv_plan **plan);

// api/planner.c: which solver and configuration. explanation (may be NULL) gets what every solver said.
typedef struct upc_choice {
    const upc_solver *solver;
    upc_config config;
    upconv_tier tier;
    double predicted_us;
    bool shipped, unverified; // as in upc_record
} upc_choice;

// api/measure.c: times and verifies the likely candidates, starting with *choice, and puts the winner there.
upconv_status upc_plan_measure(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                               upc_choice *choice);

// Whether a choice gives right results on this device, on the problem itself; false also where the compiler turns it down. Runs it.
upconv_status upc_verify_choice(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                                const upc_choice *choice, bool *ok);

// NULL: a recipe keeps to the app's limit of workspace, or to what plans need without being asked, and to what the device gives in one
// piece. Else a sentence. forced: the app names the solver.
const char *upc_recipe_refuse(const upconv_context *context, const upc_problem *problem,
                              const upconv_plan_params *params, const upc_recipe *recipe, bool forced, char *sentence);
// The same of a configuration, and that it can be cooked at all.
const char *upc_config_refuse(const upconv_context *context, const upc_problem *problem,
                              const upconv_plan_params *params, const upc_solver *solver, const upc_config *config,
                              char *sentence);

// What the cost model alone would take. UNSUPPORTED.
upconv_status upc_plan_model(const upconv_context *context, const upc_problem *problem,
                             const upconv_plan_params *params, upc_choice *choice);
upconv_status upc_plan_choose(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                              upc_choice *choice, upc_text *explanation);

#endif
