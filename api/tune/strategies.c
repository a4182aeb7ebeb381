// How the search goes on where the shared rules (default first, climbers before anything new) leave it free.
#include "strategy.h"

#include <math.h>

enum {
    DRAWS = 2000,     // at random, before a space counts as exhausted
    SIFTED = 8,       // legal ones drawn, of which the cost model picks
    INJECT_EVERY = 3, // proposals of which one is drawn at random
    EXPLORED = 4,     // candidates of each solver, before those drawn are of the better ones
    PATIENCE = 100,   // candidates that could be run, without a better one
    DISCARDS = 1000,  // and of all: where most are the same as others, or spill, they cost little and say little
};

static const double far_off = 1.6; // neighbours of what is so much slower than the best are not worth trying

static bool draw_config(upc_search *search, int solver, upc_candidate *candidate)
{
    const upc_space_solver *from = &search->space->solver[solver];
    *candidate = (upc_candidate){.solver = solver};
    for (int k = 0; k < from->knob_count; k++)
        candidate->config.value[k] = from->values[k][upc_search_draw(search, (uint64_t)from->value_count[k])];
    return search->space->legal(search->space, candidate) && !upc_search_known(search, candidate);
}

// What is left, in order: the last resort of who draws.
static bool any_left(upc_search *search, upc_candidate *candidate, upconv_tune_stop *stop)
{
    *stop = UPCONV_TUNE_STOP_EXHAUSTED;
    while (upc_space_next(search->space, &search->walk))
        if (!upc_search_known(search, &search->walk)) {
            *candidate = search->walk;
            return true;
        }
    return false;
}

// ---------------------------------------------------------------------------------------------------------- exhaustive

static bool propose_all(upc_search *search, upc_candidate *candidate, upconv_tune_stop *stop)
{
    return any_left(search, candidate, stop);
}

// -------------------------------------------------------------------------------------------------------------- random

static bool propose_random(upc_search *search, upc_candidate *candidate, upconv_tune_stop *stop)
{
    int searched[64], count = 0;
    for (int i = 0; i < search->space->solver_count && count < (int)UPC_COUNT(searched); i++)
        if (search->space->solver[i].searched)
            searched[count++] = i;
    for (int i = 0; i < DRAWS && count; i++)
        if (draw_config(search, searched[upc_search_draw(search, (uint64_t)count)], candidate))
            return true;
    return any_left(search, candidate, stop);
}

// ------------------------------------------------------------------------------------------------------------- descent

// A solver by what its best candidate was worth: one that is half as fast is drawn a quarter as often, but none is
// forgotten.
static int draw_solver(upc_search *search)
{
    const upc_space *space = search->space;
    const double best = search->entry[search->best].ratio;
    double weight[64], sum = 0;
    const int count = UPC_MIN(space->solver_count, (int)UPC_COUNT(weight));
    for (int i = 0; i < count; i++)
        weight[i] = space->solver[i].searched ? 0.1 : 0;
    for (size_t e = 0; e < search->count; e++) {
        const upc_search_entry *entry = &search->entry[e];
        const double share = best / entry->ratio;
        if (entry->candidate.solver < count && weight[entry->candidate.solver] > 0)
            weight[entry->candidate.solver] = UPC_MAX(weight[entry->candidate.solver], share * share);
    }
    for (int i = 0; i < count; i++)
        sum += weight[i];
    double at = (double)upc_search_draw(search, 1u << 24) / (double)(1u << 24) * sum;
    for (int i = 0; i < count; i++)
        if ((at -= weight[i]) < 0)
            return i;
    return -1;
}

// One of which fewer than EXPLORED were tried; -1: there is none.
static int unexplored(const upc_search *search)
{
    int tried[64] = {0}, found = -1;
    const int count = UPC_MIN(search->space->solver_count, (int)UPC_COUNT(tried));
    for (size_t e = 0; e < search->count; e++)
        if (search->entry[e].candidate.solver < count)
            tried[search->entry[e].candidate.solver]++;
    for (int i = 0; i < count; i++)
        if (search->space->solver[i].searched && tried[i] < EXPLORED && (found < 0 || tried[i] < tried[found]))
            found = i;
    return found;
}

// Of some that are drawn, all of one solver unless it is -1, the one that the cost model likes best.
static bool draw_likely(upc_search *search, int one, upc_candidate *candidate)
{
    double best_us = INFINITY;
    int found = 0;
    for (int i = 0; i < DRAWS && found < SIFTED; i++) {
        upc_candidate drawn;
        const int solver = one < 0 ? draw_solver(search) : one;
        if (solver < 0 || !draw_config(search, solver, &drawn))
            continue;
        const double us = search->space->predict(search->space, &drawn);
        if (!found++ || us < best_us) {
            best_us = us;
            *candidate = drawn;
        }
    }
    return found > 0;
}

bool upc_search_neighbour(upc_search *search, upc_search_entry *entry, upc_candidate *candidate)
{
    const int moves = 2 * search->space->solver[entry->candidate.solver].knob_count;
    if (entry->cursor == 0 && moves)
        entry->start = (int)upc_search_draw(search, (uint64_t)moves);
    while (entry->cursor < moves) {
        const int move = (entry->start + entry->cursor++) % moves;
        if (upc_space_move(search->space, &entry->candidate, move / 2, move % 2 ? 1 : -1, candidate) &&
            !upc_search_known(search, candidate))
            return true;
    }
    return false;
}

// The fastest that has neighbours left. So the search runs downhill, goes on from the second best where the best is at
// an end, and starts anew from what was drawn if that is any good.
static bool descend(upc_search *search, upc_candidate *candidate)
{
    const double bound = search->entry[search->best].ratio * far_off;
    for (;;) {
        upc_search_entry *from = NULL;
        for (size_t i = 0; i < search->count; i++) {
            upc_search_entry *entry = &search->entry[i];
            const upc_space_solver *solver = &search->space->solver[entry->candidate.solver];
            if (solver->searched && entry->ratio <= bound && entry->cursor < 2 * solver->knob_count &&
                (!from || entry->ratio < from->ratio))
                from = entry;
        }
        if (!from)
            return false;
        if (upc_search_neighbour(search, from, candidate))
            return true;
    }
}

static bool propose_descent(upc_search *search, upc_candidate *candidate, upconv_tune_stop *stop)
{
    if (upc_search_seed(search, candidate))
        return true;
    *stop = UPCONV_TUNE_STOP_NO_IMPROVEMENT;
    if (search->fruitless >= PATIENCE || search->count - search->improved >= DISCARDS)
        return false;
    if (++search->injected >= INJECT_EVERY) {
        search->injected = 0;
        if (draw_likely(search, unexplored(search), candidate) || draw_likely(search, -1, candidate))
            return true;
    }
    return descend(search, candidate) || draw_likely(search, -1, candidate) || any_left(search, candidate, stop);
}

const upc_strategy upc_strategies[] = {
    {"descent", 0, propose_descent},
    {"random", 0, propose_random},
    {"exhaustive", 1, propose_all},
};
const int upc_strategy_count = UPC_COUNT(upc_strategies);
