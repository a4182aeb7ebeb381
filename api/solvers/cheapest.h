// The search that the guesses of several solvers make: of the configurations that are tried, the legal one that costs least; of equal
// ones the first.
#ifndef UPC_CHEAPEST_H
#define UPC_CHEAPEST_H

#include "../solver.h"

typedef struct upc_cheapest {
    const upc_problem *problem;
    const upc_facts *facts;
    double (*cost_us)(const upc_problem *problem, const upc_facts *facts, const upc_config *config);
    const char *(*legal)(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence);
    upc_config best; // what the caller put there, while `found` is false
    double us;       // what it costs
    bool found;
} upc_cheapest;

// Only what would win is asked whether it is legal.
static inline void upc_cheapest_try(upc_cheapest *search, const upc_config *tried)
{
    char sentence[UPC_SENTENCE];
    const double us = search->cost_us(search->problem, search->facts, tried);
    if ((search->found && us >= search->us) || search->legal(search->problem, search->facts, tried, sentence))
        return;
    search->best = *tried;
    search->us = us;
    search->found = true;
}

#endif
