// How good a strategy's winner is after so many candidates, by simulation over recorded spaces: its share of what the
// best candidate of the whole space reaches, as the median and the worst over many seeds.
//   compare_strategies FILE PROBLEM [START [LEAST]]
// START: a candidate that stands for the default, as if it were another device's, and no other guesses are made; "" for
// none. Prints a table. LEAST: per cent that the worst winner of the default strategy must reach, else it fails.
#include "../api/tune/trial.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 40, STEPS = 6 };

static const uint32_t steps[STEPS] = {10, 25, 50, 100, 200, 400};

typedef struct course {
    double share[STEPS][SEEDS]; // of the best, by the winner so far
    double tried[SEEDS], end[SEEDS];
} course;

static bool say(void *user, bool compiling, const char *stage, upconv_status *status)
{
    (void)user;
    (void)compiling;
    (void)stage;
    (void)status;
    return true;
}

static double best_of_all(const upc_trial *trial, const upc_space *space)
{
    const upc_announce announce = {say, NULL};
    double best = 1;
    for (upc_candidate at = {.solver = -1}; upc_space_next(space, &at);) {
        upc_outcome outcome;
        const upc_proposal proposal = {at, 1, false};
        if (!trial->calls->attempt(trial->self, &proposal, &announce, &outcome) &&
            outcome.verdict == UPCONV_TUNE_GOOD && outcome.ratio < best)
            best = outcome.ratio;
    }
    return best;
}

static void guess_only(upc_space *space, const upc_candidate *start)
{
    for (int i = 0; i < space->solver_count; i++)
        space->solver[i].guessed = i == start->solver;
    space->solver[start->solver].guess = start->config;
}

// One search to its end. `scale`: the ratio of the base in the recording, which is 1 for the search.
static bool follow(const upc_trial *trial, const upc_space *space, const char *strategy, uint64_t seed, double best,
                   double scale, course *c)
{
    const upc_announce announce = {say, NULL};
    const upc_search_params params = {.strategy = strategy, .seed = seed * 7919 + 1};
    upc_search *search;
    upc_proposal proposal;
    upconv_tune_stop stop;
    int step = 0;
    uint32_t tried = 0;
    if (upc_search_create(space, &params, &search))
        return false;
    while (upc_search_next(search, &proposal, &stop)) {
        upc_outcome outcome;
        bool is_best;
        const bool first = upc_search_verdict(search, &proposal.candidate) == UPCONV_TUNE_NONE;
        for (; first && step < STEPS && tried >= steps[step]; step++)
            c->share[step][seed] = best / (upc_search_best(search)->ratio * scale);
        if (trial->calls->attempt(trial->self, &proposal, &announce, &outcome))
            break;
        outcome.ratio = proposal.base ? 1 : outcome.ratio / scale;
        if (proposal.base) // slow beside the default of its own device, but where this search begins
            outcome.verdict = UPCONV_TUNE_GOOD;
        if (upc_search_report(search, &proposal, &outcome, &is_best))
            break;
        tried += first;
    }
    c->end[seed] = best / (upc_search_best(search)->ratio * scale);
    for (; step < STEPS; step++)
        c->share[step][seed] = c->end[seed];
    c->tried[seed] = tried;
    upc_search_destroy(search);
    return true;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *strategy, course *c)
{
    printf("| %s |", strategy);
    for (int i = 0; i < STEPS; i++) {
        qsort(c->share[i], SEEDS, sizeof c->share[i][0], by_size);
        printf(" %.0f %% (%.0f) |", 100 * c->share[i][SEEDS / 2], 100 * c->share[i][0]);
    }
    qsort(c->end, SEEDS, sizeof c->end[0], by_size);
    qsort(c->tried, SEEDS, sizeof c->tried[0], by_size);
    printf(" %.1f %% (%.0f) after %.0f |\n", 100 * c->end[SEEDS / 2], 100 * c->end[0], c->tried[SEEDS / 2]);
}

static bool compare(const upc_trial *trial, const char *notation, const char *start, double least)
{
    const upconv_problem given = test_problem(notation);
    upc_problem problem;
    upc_space space;
    upc_candidate from;
    static course c;
    double scale = 1;
    bool enough = true;
    if (upc_problem_from(&given, &problem) || trial->calls->open(trial->self, &problem, &space))
        return false;
    upc_space_count(&space);
    const double best = best_of_all(trial, &space);
    if (start) {
        upc_outcome outcome;
        const upc_announce announce = {say, NULL};
        if (!upc_candidate_parse(&space, start, &from) || !space.legal(&space, &from))
            return false;
        const upc_proposal proposal = {from, 1, false};
        trial->calls->attempt(trial->self, &proposal, &announce, &outcome);
        scale = outcome.ratio;
        guess_only(&space, &from);
    }
    printf("%s: %.0f candidates, the best %.2f times as fast as the default%s%s (%.2f)\n\n| strategy |", notation,
           space.size, 1 / best, start ? "; begun at " : "", start ? start : "", scale);
    for (int i = 0; i < STEPS; i++)
        printf(" %u |", steps[i]);
    printf(" at its end |\n|---|---|---|---|---|---|---|---|\n");
    for (int s = 0; upc_strategy_name(s); s++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            if (!follow(trial, &space, upc_strategy_name(s), seed, best, scale, &c))
                return false;
        print(upc_strategy_name(s), &c);
        if (s == 0 && 100 * c.end[0] < least)
            enough = false;
    }
    printf("\n");
    upc_space_finish(&space);
    trial->calls->close(trial->self);
    return enough || upc_fail(UPCONV_ERROR_DATA, "the worst winner reaches less than %.0f %%", least) == UPCONV_OK;
}

int main(int argc, char **argv)
{
    upc_env env;
    upc_trial trial;
    size_t size = 0;
    upc_env_init(&env, NULL);
    char *text = argc > 2 ? upc_read_file(&env, argv[1], &size) : NULL;
    if (!text || upc_trial_replay(&env, text, size, NULL, &trial)) {
        fprintf(stderr, "usage: compare_strategies FILE PROBLEM [START [LEAST]]\n%s\n", upconv_last_error());
        return 2;
    }
    const bool done = compare(&trial, argv[2], argc > 3 && argv[3][0] ? argv[3] : NULL, argc > 4 ? atof(argv[4]) : 0);
    trial.calls->destroy(trial.self);
    upc_free(&env, text);
    if (!done)
        fprintf(stderr, "%s\n", upconv_last_error());
    return argc > 4 ? test_report(done, !done, 0) : !done;
}
