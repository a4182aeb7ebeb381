// A run of upconv_tune, between its whole (tune.c) and one problem of it (problem.c).
#ifndef UPC_TUNE_TUNE_H
#define UPC_TUNE_TUNE_H

#include "../../shaders/shaders.h"
#include "../records.h"
#include "output.h"
#include "trial.h"

typedef struct upc_tune {
    upconv_context *context;
    upconv_tune_params params;
    upconv_tune_result result;
    upc_trial trial;
    upc_journal *journal;
    upc_output output;
    upconv_peaks peaks;          // zeros: not known
    uint64_t replayed;           // hash of the recorded space
    int64_t budget_ns, spent_ns; // budget 0: none
    size_t at;                   // index of the problem
    int remeasured;              // times that the peaks were measured once more
    bool cancelled;
} upc_tune;

// Tells the app, with what is the same in every event filled in. false: the run is cancelled, now or before.
bool upc_tune_say(upc_tune *run, upconv_tune_event *event);
// Measures what the device can do at most, once more where that was done before: what else ran on it then has made them too low.
upconv_status upc_tune_measure_peaks(upc_tune *run);
// Tunes the problem number run->at.
upconv_status upc_tune_problem(upc_tune *run, upconv_tune_summary *summary);

#endif
