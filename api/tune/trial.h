// Who tries candidates: a device, or a recorded space that stands for one. Nothing above can tell them apart.
#ifndef UPC_TUNE_TRIAL_H
#define UPC_TUNE_TRIAL_H

#include "search.h"

// Called before each step that may end the process. false: the run was cancelled, nothing is to be done.
typedef struct upc_announce {
    bool (*say)(void *user, bool compiling, const char *stage, upconv_status *status);
    void *user;
} upc_announce;

typedef struct upc_trial {
    const struct upc_trial_calls *calls;
    void *self;
    const upconv_device_info *info; // of the device that was, or is, measured
    const upconv_peaks *peaks;      // a recorded device's, zeros where they are not known; NULL: to be measured
} upc_trial;

typedef struct upc_trial_calls {
    // Prepares a problem, and makes the space of its candidates. UNSUPPORTED: every solver refuses it.
    upconv_status (*open)(void *self, const upc_problem *problem, upc_space *space);
    // Tries a candidate. outcome->verdict NONE: cancelled. An error ends the problem; with DEVICE_LOST and TIMEOUT the
    // verdict is the candidate's.
    upconv_status (*attempt)(void *self, const upc_proposal *proposal, const upc_announce *announce,
                             upc_outcome *outcome);
    // A candidate whose outcome is known already, in the place where it would have been tried: later ones may be the same as it.
    upconv_status (*see)(void *self, const upc_proposal *proposal);
    // The reference of the others from now on, known to be good. false: it cannot be made, for want of memory say.
    upconv_status (*base)(void *self, const upc_candidate *candidate);
    void (*close)(void *self); // what open prepared; also when it failed
    void (*destroy)(void *self);
} upc_trial_calls;

typedef struct upc_live_params {
    upconv_plan_params plan; // workspace_limit, weights: what the app's own plan could be
    const char *keep;
    bool verify_only, compile_only, sustained, awkward;
    bool quick; // while somebody waits for a plan: fewer samples
    int64_t run_timeout_ns, compile_timeout_ns;
} upc_live_params;
upconv_status upc_trial_live(upconv_context *context, const upc_live_params *params, upc_trial *trial);

// A journal or tuning records as bytes. The context gives memory only. DATA, HOST_MEMORY.
upconv_status upc_trial_replay(const upc_env *env, const char *text, size_t size, const char *keep, upc_trial *trial);

#endif
