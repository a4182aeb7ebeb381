// The tuner's parts without a device: spaces, searches and journals (unit_tune_replay.c has whole runs).
#include "../api/tune/journal.h"
#include "fake_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void ok(upconv_status status)
{
    if (status)
        fail_msg("%s: %s", upconv_status_name(status), upconv_last_error());
}

// -------------------------------------------------------------------------------------------------------------- spaces

typedef struct fixture {
    fake_context fake;
    upc_problem problem;
    upconv_plan_params params;
    upc_space space;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const upconv_problem given = {.struct_size = sizeof given,
                                  .batch = 1,
                                  .in_channels = 32,
                                  .out_channels = 16,
                                  .in = {14, 14},
                                  .kernel = {4, 4},
                                  .stride = {2, 2},
                                  .pad = {1, 1}};
    if (!f || !fake_context_init(&f->fake, UPCONV_BACKEND_OPENCL, "a device", "a driver"))
        return -1;
    f->fake.context.facts.family = UPC_FAMILY_CPU;
    f->params.weights = "";
    *state = f;
    return upc_problem_from(&given, &f->problem);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    upc_space_finish(&f->space);
    fake_context_finish(&f->fake);
    const bool leak = f->fake.live != 0;
    free(f);
    return leak ? -1 : 0;
}

static void space_counts(void **state)
{
    fixture *f = *state;
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, "phase:x=8,y=1;direct:x=4|8,y=1", &f->space));
    upc_space_count(&f->space);
    assert_true(f->space.counted && f->space.size > 100);
    double count = 0;
    int solvers[2] = {-1, -1};
    for (upc_candidate at = {.solver = -1}; upc_space_next(&f->space, &at); count++) {
        char text[UPC_CANDIDATE_TEXT];
        upc_candidate again;
        assert_true(f->space.legal(&f->space, &at));
        upc_candidate_print(&f->space, &at, text);
        assert_true(!strncmp(text, "phase:", 6) || !strncmp(text, "direct:", 7));
        assert_true(upc_candidate_parse(&f->space, text, &again) && upc_candidate_equal(&at, &again));
        solvers[text[0] == 'p'] = at.solver;
    }
    assert_true(count == f->space.size);
    assert_true(solvers[0] >= 0 && solvers[1] >= 0);
}

static void space_refusals(void **state)
{
    fixture *f = *state;
    static const char *const wrong[] = {"phases", "phase:tiles=1", "phase:x=3", "phase:x", "phase:x=8;direct:x="};
    for (size_t i = 0; i < UPC_COUNT(wrong); i++)
        assert_int_equal(upc_space_live(&f->fake.context, &f->problem, &f->params, wrong[i], &f->space),
                         UPCONV_ERROR_INVALID);
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, NULL, &f->space));
    upc_candidate candidate;
    static const char *const none[] = {"phase", "phase:tile=4", "nobody:tile=4",
                                       "phase:tile=99,oc=8,x=8,y=1,spec=0,stage=0,texel=0,unroll=1"};
    for (size_t i = 0; i < UPC_COUNT(none); i++)
        assert_false(upc_candidate_parse(&f->space, none[i], &candidate));
}

// A move changes one knob, to a legal value, and its way back leads to where it was or between.
static void space_moves(void **state)
{
    fixture *f = *state;
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, NULL, &f->space));
    upc_candidate guesses[16];
    const int count = upc_space_guesses(&f->space, guesses, 16);
    assert_true(count >= 2);
    for (int i = 1; i < count; i++)
        assert_true(f->space.predict(&f->space, &guesses[i]) >= f->space.predict(&f->space, &guesses[i - 1]));
    for (int i = 0; i < count; i++)
        for (int k = 0; k < f->space.solver[guesses[i].solver].knob_count; k++)
            for (int direction = -1; direction <= 1; direction += 2) {
                upc_candidate to, back;
                if (!upc_space_move(&f->space, &guesses[i], k, direction, &to))
                    continue;
                assert_true(f->space.legal(&f->space, &to));
                assert_true((to.config.value[k] - guesses[i].config.value[k]) * direction > 0);
                assert_true(upc_space_move(&f->space, &to, k, -direction, &back));
                assert_true(upc_candidate_equal(&back, &guesses[i]));
            }
}

// ------------------------------------------------------------------------------------------------------------ searches

// Times with a valley: the best is known, and so is every ratio. One configuration is wrong, one hangs.
static upc_outcome pretend(const upc_space *space, const upc_candidate *candidate)
{
    upc_outcome outcome = {.verdict = UPCONV_TUNE_GOOD, .spread = 0.004, .samples = 5, .cost_ns = 1000};
    const uint64_t hash = upc_hash(&candidate->config, sizeof candidate->config, (uint64_t)candidate->solver);
    double ratio = 1 + 0.2 * candidate->solver + (double)(hash % 1000) / 2e4;
    for (int k = 0; k < space->solver[candidate->solver].knob_count; k++)
        ratio += 0.01 * abs(candidate->config.value[k] - 4);
    outcome.ratio = ratio;
    if (hash % 37 == 0)
        outcome.verdict = hash % 2 ? UPCONV_TUNE_WRONG : UPCONV_TUNE_HUNG;
    return outcome;
}

typedef struct walk {
    int proposals, candidates;
    uint64_t hash; // of everything that was proposed
    double best, base;
    upconv_tune_stop stop;
} walk;

static void check_proposal(const fixture *f, const upc_proposal *proposal, int last_rung[], const int at)
{
    assert_true(proposal->base || f->space.legal(&f->space, &proposal->candidate));
    assert_in_range(proposal->rung, 0, UPC_RUNGS - 1);
    assert_true(proposal->base || at < 0 || proposal->rung == last_rung[at] + 1); // a candidate climbs a rung at a time
}

// Runs a search to its end. Nothing is tried twice on a rung.
static walk run_search(fixture *f, const upc_search_params *params, int close_after)
{
    static upc_candidate seen[20000];
    static int rungs[20000];
    upc_search *search = NULL;
    upc_proposal proposal;
    walk w = {0};
    ok(upc_search_create(&f->space, params, &search));
    while (upc_search_next(search, &proposal, &w.stop)) {
        int at = w.candidates - 1;
        while (at >= 0 && !upc_candidate_equal(&seen[at], &proposal.candidate))
            at--;
        check_proposal(f, &proposal, rungs, at);
        if (at < 0) {
            at = w.candidates++;
            assert_in_range(at, 0, UPC_COUNT(seen) - 1);
            seen[at] = proposal.candidate;
        }
        rungs[at] = proposal.rung;
        upc_outcome outcome = pretend(&f->space, &proposal.candidate);
        bool best;
        if (proposal.base && w.base <= 0)
            w.base = outcome.ratio;
        outcome.ratio /= w.base;
        ok(upc_search_report(search, &proposal, &outcome, &best));
        assert_true(!best || proposal.rung == UPC_RUNGS - 1);
        w.hash = upc_hash(&proposal.candidate.config, sizeof proposal.candidate.config,
                          w.hash + (uint64_t)(proposal.candidate.solver * UPC_RUNGS + proposal.rung));
        if (++w.proposals == close_after)
            upc_search_close(search);
    }
    if (upc_search_best(search))
        w.best = upc_search_best(search)->ratio * w.base;
    upc_search_destroy(search);
    return w;
}

static double best_of_all(const fixture *f)
{
    double best = 1e9;
    for (upc_candidate at = {.solver = -1}; upc_space_next(&f->space, &at);) {
        const upc_outcome outcome = pretend(&f->space, &at);
        if (outcome.verdict == UPCONV_TUNE_GOOD && outcome.ratio < best)
            best = outcome.ratio;
    }
    return best;
}

static void searches(void **state)
{
    fixture *f = *state;
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, "phase:x=8,y=1;direct", &f->space));
    upc_space_count(&f->space);
    const double best = best_of_all(f);
    for (int i = 0; upc_strategy_name(i); i++) {
        const upc_search_params params = {.strategy = upc_strategy_name(i), .seed = 3};
        const walk w = run_search(f, &params, 0), again = run_search(f, &params, 0);
        assert_true(w.hash == again.hash && w.proposals == again.proposals);
        const bool all = strcmp(upc_strategy_name(i), "descent");
        assert_int_equal(w.stop, all ? UPCONV_TUNE_STOP_EXHAUSTED : UPCONV_TUNE_STOP_NO_IMPROVEMENT);
        assert_true(!all || w.candidates >= f->space.size); // the default may lie outside
        assert_true(w.best <= best * (all ? 1.02 : 1.1));   // differences within the noise are none
        const walk cut = run_search(f, &params, 20);
        assert_true(cut.stop == UPCONV_TUNE_STOP_BUDGET && cut.proposals < 20 + 8 * UPC_RUNGS && cut.best >= w.best);
        const upc_search_params few = {.strategy = upc_strategy_name(i), .seed = 3, .most = 10};
        const walk ten = run_search(f, &few, 0);
        assert_true(ten.candidates == 10 && ten.stop == UPCONV_TUNE_STOP_MOST);
        const upc_search_params other = {.strategy = upc_strategy_name(i), .seed = 4};
        assert_true(!strcmp(other.strategy, "exhaustive") || run_search(f, &other, 0).hash != w.hash);
    }
    upc_search *none;
    assert_int_equal(upc_search_create(&f->space, &(upc_search_params){.strategy = "luck"}, &none),
                     UPCONV_ERROR_INVALID);
}

// What records say comes right after the default.
static void seeds_first(void **state)
{
    fixture *f = *state;
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, NULL, &f->space));
    upc_candidate seed;
    assert_true(upc_candidate_parse(&f->space, "phase:tile=3,oc=4,x=2,y=2,spec=1,stage=0,texel=0,unroll=2", &seed));
    upc_search *search;
    upc_proposal proposal;
    upconv_tune_stop stop;
    bool best;
    ok(upc_search_create(&f->space, &(upc_search_params){.seeds = &seed, .seed_count = 1}, &search));
    assert_true(upc_search_next(search, &proposal, &stop) && proposal.base);
    const upc_outcome good = {.verdict = UPCONV_TUNE_GOOD, .ratio = 1};
    ok(upc_search_report(search, &proposal, &good, &best));
    assert_true(best && upc_search_next(search, &proposal, &stop));
    assert_true(upc_candidate_equal(&proposal.candidate, &seed));
    upc_search_destroy(search);
}

// Where the default fails the next guess is what others are measured against; where all fail nothing is.
static void failing_bases(void **state)
{
    fixture *f = *state;
    upc_candidate guesses[16];
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, NULL, &f->space));
    const int count = upc_space_guesses(&f->space, guesses, 16);
    for (int failures = 1; failures <= count; failures++) {
        upc_search *search;
        upc_proposal proposal;
        upconv_tune_stop stop;
        ok(upc_search_create(&f->space, &(upc_search_params){0}, &search));
        for (int i = 0; i < count && upc_search_next(search, &proposal, &stop) && proposal.base; i++) {
            const upc_outcome outcome = {.verdict = i < failures ? UPCONV_TUNE_WRONG : UPCONV_TUNE_GOOD, .ratio = 1};
            bool best;
            assert_true(upc_candidate_equal(&proposal.candidate, &guesses[i]));
            ok(upc_search_report(search, &proposal, &outcome, &best));
        }
        assert_int_equal(upc_search_base(search) != NULL, failures < count);
        if (failures == count)
            assert_true(!upc_search_next(search, &proposal, &stop) && stop == UPCONV_TUNE_STOP_REFUSED);
        upc_search_destroy(search);
    }
}

// Where every guess spills, what is near them is tried as the base; where all of that does too, the default is taken as it is, last.
static void spilling_bases(void **state)
{
    fixture *f = *state;
    upc_candidate guesses[16];
    ok(upc_space_live(&f->fake.context, &f->problem, &f->params, NULL, &f->space));
    const int count = upc_space_guesses(&f->space, guesses, 16);
    for (int good = 0; good < 3; good++) { // the first neighbour is good, the tenth, none
        upc_search *search;
        upc_proposal proposal;
        upconv_tune_stop stop;
        int near = 0;
        bool best = false, anyhow = false;
        ok(upc_search_create(&f->space, &(upc_search_params){0}, &search));
        for (int i = 0; !upc_search_base(search); i++) {
            assert_true(i < 100 && upc_search_next(search, &proposal, &stop) && proposal.base);
            near += i >= count && !proposal.anyhow;
            anyhow = proposal.anyhow;
            if (anyhow)
                assert_true(upc_candidate_equal(&proposal.candidate, &guesses[0]));
            const bool right = anyhow || (good == 0 && near == 1) || (good == 1 && near == 10);
            const upc_outcome outcome = {.verdict = right ? UPCONV_TUNE_GOOD : UPCONV_TUNE_DISCARDED, .ratio = 1};
            ok(upc_search_report(search, &proposal, &outcome, &best));
        }
        assert_true(best);
        assert_int_equal(anyhow, good == 2);
        assert_true(good == 2 || near == (good == 0 ? 1 : 10));
        upc_search_destroy(search);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(space_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(space_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(space_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(searches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seeds_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failing_bases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spilling_bases, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
