// The autotuner: searches the configurations of all algorithms for the fastest that is right on this device, and keeps
// what it finds as tuning records. The tool `upconv tune` is made of this header; an app can run the same search in its
// own process, where drivers may behave differently.
#ifndef UPCONV_TUNE_H
#define UPCONV_TUNE_H

#include <upconv/upconv.h>

#ifdef __cplusplus
extern "C" {
#endif

// What became of a candidate, which is a solver with a configuration: "phase:tile=4,oc=8".
typedef enum upconv_tune_verdict {
    UPCONV_TUNE_NONE = 0,  // nothing yet
    UPCONV_TUNE_GOOD,      // right, and timed
    UPCONV_TUNE_SLOW,      // right, but more than twice as slow as the default when it was verified: not timed
    UPCONV_TUNE_DISCARDED, // not run: by compile statistics, for want of memory, or the same as another here
    UPCONV_TUNE_WRONG,     // results differ from the reference or from run to run, or lie outside the output
    UPCONV_TUNE_REFUSED,   // the driver's compiler turned it down
    UPCONV_TUNE_CRASHED,   // the process died, or the device was lost
    UPCONV_TUNE_HUNG,      // it did not end in time
    UPCONV_TUNE_VERDICT_COUNT
} upconv_tune_verdict;
// "good", "slow", "discarded", "wrong", "compile", "crash", "hang"; "none". In tuning records good is "ok".
UPCONV_API const char *upconv_tune_verdict_name(upconv_tune_verdict verdict);

// Why the search of a problem ended.
typedef enum upconv_tune_stop {
    UPCONV_TUNE_STOP_NONE = 0,       // it has not
    UPCONV_TUNE_STOP_BUDGET,         // its share of the budget is spent
    UPCONV_TUNE_STOP_NO_IMPROVEMENT, // the strategy's patience is
    UPCONV_TUNE_STOP_ROOFLINE,       // nothing much faster is possible on this device
    UPCONV_TUNE_STOP_EXHAUSTED,      // every candidate was tried
    UPCONV_TUNE_STOP_CANCELLED,      // the callback said so
    UPCONV_TUNE_STOP_FAILED,         // the device was lost or hangs, or memory ran out: see the status
    UPCONV_TUNE_STOP_REFUSED,        // every solver refuses the problem
    UPCONV_TUNE_STOP_MOST,           // as many candidates as upconv_tune_params.most were tried
    UPCONV_TUNE_STOP_COUNT
} upconv_tune_stop;
UPCONV_API const char *upconv_tune_stop_name(upconv_tune_stop stop); // "budget", "no improvement", ...

// One problem, so far or at its end.
typedef struct upconv_tune_summary {
    size_t struct_size;
    char problem[512];            // in canonical notation
    char base[256], best[256];    // the cost model's default, and the winner so far ("" while there is none)
    double default_us, tuned_us;  // the winner's is its ratio to the default times the default's
    double gain;                  // default_us / tuned_us
    double spread;                // of the winner's ratios, as a part of their median
    double flops, bytes;          // of one execution; multiply-adds that an output depends on, counted as two; tensors once
    double roofline_us;           // the shortest time that the device's peaks allow; 0: not known
    double default_share, tuned_share; // roofline_us / default_us, roofline_us / tuned_us; 0: not known
    double space;                 // legal candidates where they were counted, else all combinations of knobs
    uint32_t counted;             // 1: `space` is the number of legal candidates
    uint32_t tried;               // candidates with a verdict; of them:
    uint32_t good, slow, discarded, wrong, refused, crashed, hung;
    uint32_t known;               // of tried: known from the journal, not run again
    upconv_tune_stop stop;
    int64_t spent_ns;             // of the budget
} upconv_tune_summary;

typedef enum upconv_tune_event_kind {
    UPCONV_TUNE_RUN_BEGIN = 0, // once, before the first problem
    UPCONV_TUNE_PROBLEM_BEGIN, // candidate: the default
    UPCONV_TUNE_COMPILING,     // about to compile the candidate: a crash or hang from here on is its doing
    UPCONV_TUNE_RUNNING,       // about to run it, likewise
    UPCONV_TUNE_TRIED,         // it has a verdict, or (good ones are timed again with more samples) better times
    UPCONV_TUNE_BEST,          // it is the new winner so far, and has its tuning record
    UPCONV_TUNE_LISTED,        // dry_run: a candidate of the space
    UPCONV_TUNE_PROBLEM_END,
    UPCONV_TUNE_RUN_END,
    UPCONV_TUNE_EVENT_COUNT
} upconv_tune_event_kind;
UPCONV_API const char *upconv_tune_event_name(upconv_tune_event_kind kind); // "run begin", "compiling", ...

// Pointers live during the call only.
typedef struct upconv_tune_event {
    size_t struct_size;
    upconv_tune_event_kind kind;
    size_t problem, problems;            // index and count
    const upconv_tune_summary *summary;  // of this problem so far; NULL in RUN_BEGIN and RUN_END
    const char *candidate;               // "" where there is none
    const char *stage;                   // COMPILING, RUNNING: "default", "verify", "awkward" (size), "heat", "time"
    upconv_tune_verdict verdict;         // TRIED, LISTED (NONE or DISCARDED)
    const char *reason;                  // a sentence where the verdict is none of NONE and GOOD, else ""
    uint32_t known;                      // 1: from the journal
    uint32_t samples;                    // pairs of candidate and default that were timed
    double time_us, reference_us;        // medians of the candidate, and of the default between
    double ratio, spread;                // median of time / reference, pair by pair; median deviation as a part of it
    double predicted_us;                 // by the cost model; 0: not known
    double compile_ms;
    double spills;                       // bytes or registers, as the driver counts; 0 also where it does not say
    int64_t spent_ns, budget_ns;         // of the whole run; budget 0: exhaustive
    double temperature_c, frequency_mhz; // of the hottest zone, and of GPU or processor; 0: the system does not show it
    const upconv_peaks *peaks;           // that roofline_us follows from; NULL: not known
} upconv_tune_event;

// Returns 0 to go on, anything else to end the run cleanly. Called on the calling thread between two steps; it may call
// upconv, but not with this context.
typedef int (*upconv_tune_fn)(void *user, const upconv_tune_event *event);

// budget_ns for a search that ends by itself only, after the whole space.
#define UPCONV_TUNE_EXHAUSTIVE ((int64_t)-1)

typedef struct upconv_tune_params {
    size_t struct_size;
    const upconv_problem *problems; // tuned in this order
    size_t problem_count;
    int64_t budget_ns;      // of the whole run, shared by the problems (what one leaves the next ones get); 0: 60 s
    const char *strategy;   // NULL: "descent"; or "random", "exhaustive"; upconv_tune_strategy_name lists them
    uint64_t seed;          // of what is drawn at random
    const char *space;      // NULL: everything; else solvers to keep to, with values of knobs: "wide:x=1;phase:x=8|16"
    uint32_t most;          // candidates to try of each problem; 0: no limit
    // Files; NULL: none.
    const char *journal;    // what is about to be done and what came of it, line by line. When it exists, its outcomes
                            // for this device, driver and kernels are not measured again: a run that was interrupted
                            // goes on where it was, and ends as it would have. A candidate that was begun and never
                            // ended is named the culprit, recorded as crashed, and skipped
    const char *records;    // tuning records: winners and failures, appended as they are found, a line at a time
    const char *replay;     // a recorded space (a journal or tuning records): it stands for the device
    uint32_t fresh;         // 1: of the journal only culprits count, everything else is done again; whoever goes on
                            // with this run takes over its outcomes, and none from before it
    uint32_t supervised;    // 1: a supervisor writes verdicts into the journal (upconv_tune_blame). A candidate without
                            // one is then a culprit only if the machine was started anew since, or at the third time
    uint32_t verify_only;   // 1: nothing is timed
    uint32_t dry_run;       // 1: the candidates are listed through the callback and nothing is run; where the context
                            // was made with statistics = 1 they are compiled, and discarded by what the driver says
    uint32_t sustained;     // 1: times count after the device has been kept busy until it grows no slower, for 20 s up to 3
                            // minutes, once a run, which come beside the budget
    int64_t run_timeout_ns;     // of one wait; 0: 10 s. What hangs cannot be killed: the context is given up
    int64_t compile_timeout_ns; // a candidate that took longer to compile is discarded; 0: 60 s
    uint64_t workspace_limit;   // as in upconv_plan_params
    uint32_t dynamic_weights;   // 1: only configurations that can take their weights at execution
    upconv_tune_fn event;   // NULL: nobody listens
    void *user;
    upconv_tune_summary *summaries; // NULL, or problem_count of them, given back; set struct_size of the first
    // Some drivers say only on standard error that registers spill (Mesa's for Mali: BIFROST_MESA_DEBUG=shaderdb). Who reads
    // what is printed there gives a function that returns the spills printed since it was called last, 0 for none; it
    // is called with `user`, before and after every compilation, by the thread that compiles and under a lock: it must not
    // call the library. They then count as the driver's statistics do, also without `statistics`. NULL: nobody reads it.
    double (*printed_spills)(void *user);
} upconv_tune_params;

// What the whole run came to.
typedef struct upconv_tune_result {
    size_t struct_size;
    size_t problems;          // that have a winner
    double gain;              // geometric mean of theirs
    uint32_t tried, wrong, crashed, hung;
    int64_t spent_ns;         // of the budget, with what earlier runs of the journal spent
    upconv_tune_stop stop;    // CANCELLED, FAILED, or why the last problem ended
    char culprit[256];        // the candidate that hung or lost the device, "" when none did
} upconv_tune_result;

// Tunes the problems. Winners become records of the context, for its next plans, and of params.records. result may be
// NULL; it and summaries are also filled in when the call fails after the first problem has begun. The programs of all
// candidates go into the context's program cache: export that of a context that was opened since. Cancelled: UPCONV_OK,
// result.stop says so. TIMEOUT or DEVICE_LOST: a candidate hung or lost the device, it is recorded; destroy the
// context, create another, and call again with the same journal: it goes on behind the culprit. Other errors: INVALID,
// DATA (a file that cannot be read or written, or a replay without the problem), HOST_MEMORY, GPU_MEMORY.
UPCONV_API upconv_status upconv_tune(upconv_context *context, const upconv_tune_params *params,
                                     upconv_tune_result *result);

// The index-th strategy's name, from 0; NULL past the last.
UPCONV_API const char *upconv_tune_strategy_name(int32_t index);

// What a journal says was begun and has not ended.
typedef struct upconv_tune_culprit {
    size_t struct_size;
    char problem[512], candidate[256], stage[16];
    uint32_t compiling;  // 1: it was being compiled; 0: run
    uint32_t found;      // 0: nothing is open, and nothing was written
    int64_t pid;
    int64_t cost_ns;     // set by the caller: what the attempt took of the budget; 0: not known
    uint32_t stuck;      // set by the caller: 1: the worker was killed and the kernel does not let it go, so that it holds the
                         // journal's lock for ever; that is passed over
} upconv_tune_culprit;

// For a supervisor whose worker has ended before its time: writes `verdict` (CRASHED or HUNG; NONE: it was not the
// candidate's fault, which is to be tried again) with a sentence on what was seen into the journal, behind what was
// begun last and not ended. Nobody else may be writing the journal. Set culprit->struct_size. Errors: INVALID, DATA,
// HOST_MEMORY.
UPCONV_API upconv_status upconv_tune_blame(const char *journal, upconv_tune_verdict verdict, const char *reason,
                                           upconv_tune_culprit *culprit);

#ifdef __cplusplus
}
#endif
#endif
