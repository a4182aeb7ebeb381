#include "strategy.h"

#include <math.h>
#include <string.h>

const upc_rung upc_rungs[UPC_RUNGS] = {{5, 250000000}, {11, 700000000}, {41, 2000000000}};
const upc_rung upc_quick_rungs[UPC_RUNGS] = {{3, 10000000}, {5, 30000000}, {11, 100000000}};

enum { NEAR = 48 }; // candidates near guesses that were discarded, before one of these is taken as it is

static const double least_noise = 0.005, most_noise = 0.03;

static uint64_t hash_of(const upc_candidate *candidate)
{
    return upc_hash(&candidate->config, sizeof candidate->config, (uint64_t)candidate->solver);
}

upconv_status upc_search_create(const upc_space *space, const upc_search_params *params, upc_search **search)
{
    const upc_strategy *strategy = params->strategy ? NULL : &upc_strategies[0];
    for (int i = 0; i < upc_strategy_count && !strategy; i++)
        if (!strcmp(params->strategy, upc_strategies[i].name))
            strategy = &upc_strategies[i];
    if (!strategy)
        return upc_fail(UPCONV_ERROR_INVALID, "there is no strategy \"%s\"", params->strategy);
    upc_search *made = upc_alloc(space->env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    const size_t room = (size_t)space->solver_count + (size_t)params->seed_count;
    *made = (upc_search){.space = space,
                         .strategy = strategy,
                         .random = params->seed,
                         .most = params->most,
                         .base = SIZE_MAX,
                         .best = SIZE_MAX,
                         .walk = {.solver = -1}};
    if (!(made->seeds = upc_alloc_array(space->env, room, sizeof *made->seeds))) {
        upc_search_destroy(made);
        return upc_no_memory(room * sizeof *made->seeds);
    }
    if (params->seed_count)
        memcpy(made->seeds, params->seeds, (size_t)params->seed_count * sizeof *params->seeds);
    made->seed_count =
        params->seed_count + upc_space_guesses(space, made->seeds + params->seed_count, space->solver_count);
    made->guess_at = params->seed_count;
    *search = made;
    return UPCONV_OK;
}

void upc_search_destroy(upc_search *search)
{
    if (!search)
        return;
    const upc_env *env = search->space->env;
    upc_free(env, search->seeds);
    upc_free(env, search->entry);
    upc_free(env, search->slots);
    upc_free(env, search->climbers);
    upc_free(env, search);
}

// ------------------------------------------------------------------------------------------------------- what is known

static size_t slot_of(const upc_search *search, const upc_candidate *candidate)
{
    size_t at = (size_t)hash_of(candidate) & (search->slot_count - 1);
    while (search->slots[at] && !upc_candidate_equal(&search->entry[search->slots[at] - 1].candidate, candidate))
        at = (at + 1) & (search->slot_count - 1);
    return at;
}

bool upc_search_known(const upc_search *search, const upc_candidate *candidate)
{
    return search->slot_count && search->slots[slot_of(search, candidate)];
}

static bool reserve(upc_search *search)
{
    void *entries = search->entry;
    const bool grown =
        upc_grow(search->space->env, &entries, &search->capacity, search->count + 1, sizeof *search->entry);
    search->entry = entries;
    if (!grown || (search->count + 1) * 2 <= search->slot_count)
        return grown;
    const size_t wanted = search->slot_count ? search->slot_count * 2 : 64;
    uint32_t *slots = upc_alloc_array(search->space->env, wanted, sizeof *slots);
    if (!slots)
        return false;
    upc_free(search->space->env, search->slots);
    search->slots = slots;
    search->slot_count = wanted;
    for (size_t i = 0; i < search->count; i++)
        search->slots[slot_of(search, &search->entry[i].candidate)] = (uint32_t)i + 1;
    return true;
}

// Of the base, the first guess that is right: everything is measured against it.
static void settle_base(upc_search *search, size_t at)
{
    upc_search_entry *entry = &search->entry[at];
    entry->ratio = 1;
    search->noise =
        UPC_MIN(UPC_MAX(entry->spread / 2, least_noise), most_noise); // the spread is of a sample, not of medians
    search->base = search->best = at;
    search->improved = search->count;
    search->fruitless = 0;
}

// A difference within the noise keeps what was there before.
static bool beats(const upc_search *search, const upc_search_entry *entry)
{
    const upc_search_entry *best = &search->entry[search->best];
    const double noise = UPC_MAX(search->noise, UPC_MIN(entry->spread / 2, most_noise));
    return entry->rung == UPC_RUNGS - 1 && entry->ratio < best->ratio * (1 - noise);
}

// It will be timed again. Once in the list it stays until it has climbed, or is behind.
static upconv_status add_climber(upc_search *search, size_t at)
{
    void *list = search->climbers;
    const bool room = upc_grow(search->space->env, &list, &search->climber_capacity, search->climber_count + 1,
                               sizeof *search->climbers);
    search->climbers = list;
    if (!room)
        return upc_no_memory((search->climber_count + 1) * sizeof *search->climbers);
    search->climbers[search->climber_count++] = at;
    return UPCONV_OK;
}

upconv_status upc_search_report(upc_search *search, const upc_proposal *proposal, const upc_outcome *outcome,
                                bool *best)
{
    *best = false;
    if (!reserve(search))
        return upc_no_memory((search->count + 1) * sizeof *search->entry);
    const size_t slot = slot_of(search, &proposal->candidate);
    if (!search->slots[slot]) {
        search->slots[slot] = (uint32_t)search->count + 1;
        search->entry[search->count++] = (upc_search_entry){.candidate = proposal->candidate};
        search->fruitless += outcome->verdict != UPCONV_TUNE_DISCARDED;
    }
    const size_t at = search->slots[slot] - 1;
    upc_search_entry *entry = &search->entry[at];
    entry->verdict = outcome->verdict;
    entry->rung = proposal->rung;
    entry->ratio = outcome->ratio > 0 ? outcome->ratio : INFINITY;
    entry->spread = outcome->spread;
    if (outcome->verdict != UPCONV_TUNE_GOOD)
        return UPCONV_OK;
    if (search->base == SIZE_MAX) {
        settle_base(search, at);
        *best = true;
    } else if (beats(search, entry)) {
        search->best = at;
        search->improved = search->count;
        search->fruitless = 0;
        *best = true;
    } else if (entry->rung < UPC_RUNGS - 1 && entry->ratio < search->entry[search->best].ratio) {
        return add_climber(search, at);
    }
    return UPCONV_OK;
}

// ----------------------------------------------------------------------------------------------------------- proposals

uint64_t upc_search_draw(upc_search *search, uint64_t below)
{
    search->random += 0x9e3779b97f4a7c15u;
    uint64_t z = search->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return z % below;
}

bool upc_search_seed(upc_search *search, upc_candidate *candidate)
{
    while (search->seed_at < search->seed_count) {
        *candidate = search->seeds[search->seed_at++];
        const upc_space_solver *solver = &search->space->solver[candidate->solver];
        if (solver->searched && !upc_search_known(search, candidate) && search->space->legal(search->space, candidate))
            return true;
    }
    return false;
}

// Near the guesses that were discarded, the nearest first: one that spills has neighbours that keep fewer sums.
static bool near_guesses(upc_search *search, upc_candidate *candidate)
{
    for (size_t i = 0; i < search->count && search->near < NEAR; i++)
        if (search->entry[i].verdict == UPCONV_TUNE_DISCARDED &&
            upc_search_neighbour(search, &search->entry[i], candidate)) {
            search->near++;
            return true;
        }
    return false;
}

// The guesses in turn, until one of them is right; then what is near them. At last the first that was discarded, as it is: on a rung
// of its own, by which a journal tells this from the first time.
static bool next_base(upc_search *search, upc_proposal *proposal)
{
    *proposal = (upc_proposal){.rung = UPC_RUNGS - 1, .base = true};
    for (int i = search->guess_at; i < search->seed_count; i++)
        if (!upc_search_known(search, &search->seeds[i])) {
            proposal->candidate = search->seeds[i];
            return true;
        }
    if (near_guesses(search, &proposal->candidate))
        return true;
    for (int i = search->guess_at; i < search->seed_count && !search->resorted; i++)
        if (upc_search_verdict(search, &search->seeds[i]) == UPCONV_TUNE_DISCARDED) {
            search->resorted = true;
            *proposal = (upc_proposal){search->seeds[i], UPC_RUNGS - 2, true, true};
            return true;
        }
    return false;
}

// One that seems better than the best, and was not timed with all samples yet: the one that seems the fastest.
static bool next_climber(upc_search *search, upc_proposal *proposal)
{
    const upc_search_entry *best = &search->entry[search->best];
    size_t found = SIZE_MAX, kept = 0;
    for (size_t i = 0; i < search->climber_count; i++) {
        const upc_search_entry *entry = &search->entry[search->climbers[i]];
        if (entry->ratio >= best->ratio)
            continue;
        if (found == SIZE_MAX || entry->ratio < search->entry[search->climbers[found]].ratio)
            found = kept;
        search->climbers[kept++] = search->climbers[i];
    }
    search->climber_count = kept;
    if (found == SIZE_MAX)
        return false;
    const upc_search_entry *entry = &search->entry[search->climbers[found]];
    *proposal = (upc_proposal){entry->candidate, entry->rung + 1, false};
    search->climbers[found] = search->climbers[--search->climber_count]; // it comes back if it is still ahead
    return true;
}

bool upc_search_next(upc_search *search, upc_proposal *proposal, upconv_tune_stop *stop)
{
    *stop = UPCONV_TUNE_STOP_NONE;
    if (search->base == SIZE_MAX) {
        *stop = UPCONV_TUNE_STOP_REFUSED;
        return !search->closed && next_base(search, proposal);
    }
    if (next_climber(search, proposal))
        return true;
    if (search->closed || (search->most && search->count >= search->most)) {
        *stop = search->closed ? UPCONV_TUNE_STOP_BUDGET : UPCONV_TUNE_STOP_MOST;
        return false;
    }
    *proposal = (upc_proposal){.rung = search->strategy->rung};
    return search->strategy->propose(search, &proposal->candidate, stop);
}

void upc_search_close(upc_search *search) { search->closed = true; }

const upc_search_entry *upc_search_best(const upc_search *search)
{
    return search->best == SIZE_MAX ? NULL : &search->entry[search->best];
}

const upc_search_entry *upc_search_base(const upc_search *search)
{
    return search->base == SIZE_MAX ? NULL : &search->entry[search->base];
}

const upc_search_entry *upc_search_find(const upc_search *search, const upc_candidate *candidate)
{
    return upc_search_known(search, candidate) ? &search->entry[search->slots[slot_of(search, candidate)] - 1] : NULL;
}

upconv_tune_verdict upc_search_verdict(const upc_search *search, const upc_candidate *candidate)
{
    const upc_search_entry *entry = upc_search_find(search, candidate);
    return entry ? entry->verdict : UPCONV_TUNE_NONE;
}

const char *upc_strategy_name(int index)
{
    return index >= 0 && index < upc_strategy_count ? upc_strategies[index].name : NULL;
}
