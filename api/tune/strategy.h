// Between the search and its strategies.
#ifndef UPC_TUNE_STRATEGY_H
#define UPC_TUNE_STRATEGY_H

#include "search.h"

struct upc_search {
    const upc_space *space;
    const struct upc_strategy *strategy;
    uint64_t random;
    upc_candidate *seeds; // the ones given, then the guesses
    int seed_count, seed_at, guess_at;
    uint32_t most;
    upc_search_entry *entry; // all that were tried, in that order
    size_t count, capacity;
    uint32_t *slots; // hash table of 1 + index in entry, 0 where free; at most half full
    size_t slot_count;
    size_t *climbers; // of entry: seem better than the best, and wait to be timed again
    size_t climber_count, climber_capacity;
    size_t base, best; // index in entry; SIZE_MAX: none
    double noise;      // of the base against itself: what is nearer to the best is no better
    size_t improved;   // count when the best was last found
    size_t fruitless;  // candidates since, without those that were discarded before they ran
    int near;      // candidates proposed as the base because they are near a guess
    bool resorted; // a base was proposed that is to be used anyhow
    bool closed;
    upc_candidate walk; // exhaustive: where it is
    int injected;       // proposals since one was drawn
};

typedef struct upc_strategy {
    const char *name;
    int rung; // that candidates begin on
    // A candidate that was not tried yet. false: *stop says why there is none.
    bool (*propose)(upc_search *search, upc_candidate *candidate, upconv_tune_stop *stop);
} upc_strategy;

extern const upc_strategy upc_strategies[];
extern const int upc_strategy_count;

bool upc_search_known(const upc_search *search, const upc_candidate *candidate);
uint64_t upc_search_draw(upc_search *search, uint64_t below); // 0 .. below - 1
// The next neighbour of an entry that was not tried: one knob, to its next legal value up or down.
bool upc_search_neighbour(upc_search *search, upc_search_entry *entry, upc_candidate *candidate);
// The next seed that is legal and was not tried.
bool upc_search_seed(upc_search *search, upc_candidate *candidate);

#endif
