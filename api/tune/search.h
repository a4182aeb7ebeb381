// Which candidate to try next. A state machine that knows nothing of devices, clocks or files: the same space, seed and
// outcomes give the same proposals on every machine. So a run that was interrupted is resumed by giving it the outcomes
// that are known.
#ifndef UPC_TUNE_SEARCH_H
#define UPC_TUNE_SEARCH_H

#include <upconv/upconv_tune.h>

#include "space.h"

// Times are taken with more samples from rung to rung, and only the most promising candidates climb; a winner has the
// last.
enum { UPC_RUNGS = 3 };
typedef struct upc_rung {
    int pairs;       // of samples
    int64_t most_ns; // after which a few are enough
} upc_rung;
extern const upc_rung upc_rungs[UPC_RUNGS], upc_quick_rungs[UPC_RUNGS];

// What trying a candidate gave.
typedef struct upc_outcome {
    upconv_tune_verdict verdict;
    char reason[UPC_SENTENCE];
    double ratio, spread; // to the base, of GOOD; a guess of SLOW's
    double time_us, reference_us, predicted_us, compile_ms, spills;
    uint32_t samples;
    int64_t cost_ns; // of the budget
    double temperature_c, frequency_mhz;
} upc_outcome;

typedef struct upc_proposal {
    upc_candidate candidate;
    int rung;
    bool base; // the reference of all others: to be timed with itself
    bool anyhow; // base: also where it spills, for want of one that does not
} upc_proposal;

typedef struct upc_search_params {
    const char *strategy; // NULL: the first
    uint64_t seed;
    const upc_candidate *seeds; // to be tried after the default, in this order
    int seed_count;
    uint32_t most; // candidates; 0: no limit
} upc_search_params;

typedef struct upc_search upc_search;

// The space outlives the search. INVALID (no such strategy), HOST_MEMORY.
upconv_status upc_search_create(const upc_space *space, const upc_search_params *params, upc_search **search);
void upc_search_destroy(upc_search *search);

// false: the search has ended, *stop says why.
bool upc_search_next(upc_search *search, upc_proposal *proposal, upconv_tune_stop *stop);
// HOST_MEMORY. *best: whether the candidate is the new best.
upconv_status upc_search_report(upc_search *search, const upc_proposal *proposal, const upc_outcome *outcome,
                                bool *best);
// Nothing new is begun any more; what looks better than the best is still timed with all samples.
void upc_search_close(upc_search *search);

// The best so far, or the base; NULL while there is none. What it points to lives until the next report.
typedef struct upc_search_entry {
    upc_candidate candidate;
    upconv_tune_verdict verdict;
    int rung; // highest that it was timed on
    double ratio, spread;
    int cursor; // of its neighbours, how many were proposed
    int start;  // at which of them it began
} upc_search_entry;
const upc_search_entry *upc_search_best(const upc_search *search);
const upc_search_entry *upc_search_base(const upc_search *search);
const upc_search_entry *upc_search_find(const upc_search *search,
                                        const upc_candidate *candidate); // NULL: it was not tried
upconv_tune_verdict upc_search_verdict(const upc_search *search,
                                       const upc_candidate *candidate); // NONE: it was not tried

const char *upc_strategy_name(int index); // NULL past the last

#endif
