// UPCONV_MEASURE: a short search while a plan is made, by the tuner's own parts (api/tune): the model's choice first,
// then what records say, what other solvers guess, and what lies near the best.
#include <math.h>

#include "tune/bed.h"
#include "tune/trial.h"

enum { CANDIDATES = 24 };

typedef struct measuring {
    upconv_context *context;
    upc_trial trial;
    upc_space space;
    upc_search *search;
    double default_us;
    upc_outcome best; // of the best so far
} measuring;

static bool go_on(void *user, bool compiling, const char *stage, upconv_status *status)
{
    (void)user;
    (void)compiling;
    (void)stage;
    (void)status;
    return true;
}

// A candidate that cannot be built or is wrong is left out with a log line; a lost device ends all.
static upconv_status try_one(measuring *m, const upc_proposal *proposal)
{
    const upc_announce announce = {go_on, NULL};
    char text[UPC_CANDIDATE_TEXT];
    upc_outcome outcome;
    bool best = false;
    upconv_status status = m->trial.calls->attempt(m->trial.self, proposal, &announce, &outcome);
    if (status || (status = upc_search_report(m->search, proposal, &outcome, &best)))
        return status;
    upc_candidate_print(&m->space, &proposal->candidate, text);
    if (outcome.verdict == UPCONV_TUNE_WRONG)
        upc_log(&m->context->env, UPCONV_LOG_ERROR, "measure: %s gives wrong results on %s and is left out: %s", text,
                m->context->facts.info.name, outcome.reason);
    else if (outcome.verdict == UPCONV_TUNE_REFUSED)
        upc_log(&m->context->env, UPCONV_LOG_WARNING, "measure: %s left out: %s", text, outcome.reason);
    if (!best)
        return UPCONV_OK;
    m->best = outcome;
    if (upc_search_best(m->search) != upc_search_base(m->search))
        return UPCONV_OK;
    m->default_us = outcome.time_us;
    return m->trial.calls->base(m->trial.self, &proposal->candidate);
}

static upconv_status search(measuring *m, const upc_choice *choice, int64_t budget_ns)
{
    const uint64_t end = upc_now_ns() + (uint64_t)budget_ns;
    char text[UPC_CANDIDATE_TEXT];
    upc_text out = {text, sizeof text, 0};
    upc_candidate seed;
    upc_text_add(&out, "%s%s", choice->solver->name, choice->solver->knob_count ? ":" : "");
    upc_config_print(choice->solver, &choice->config, &out);
    const upc_search_params params = {
        .seeds = &seed, .seed_count = upc_candidate_parse(&m->space, text, &seed), .most = CANDIDATES};
    upc_proposal proposal;
    upconv_tune_stop stop;
    upconv_status status = upc_search_create(&m->space, &params, &m->search);
    while (!status && upc_search_next(m->search, &proposal, &stop)) {
        status = try_one(m, &proposal);
        if (upc_now_ns() >= end)
            upc_search_close(m->search);
    }
    return status;
}

static upconv_status remember(measuring *m, const upc_problem *problem, upc_choice *choice)
{
    const upc_search_entry *best = upc_search_best(m->search);
    if (!best)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "no candidate gave right results on %s", m->context->facts.info.name);
    const double us = best->ratio * m->default_us;
    *choice = (upc_choice){.solver = m->space.solver[best->candidate.solver].solver,
                           .config = best->candidate.config,
                           .tier = UPCONV_TIER_MEASURED,
                           .predicted_us = us};
    return upc_tuning_add(m->context->tuning, problem, &m->context->facts, choice->solver, &choice->config, us,
                          m->best.reference_us, m->best.spread);
}

upconv_status upc_plan_measure(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                               upc_choice *choice)
{
    measuring m = {.context = context};
    const upc_live_params live = {
        .plan = *params, .quick = true, .run_timeout_ns = -1, .compile_timeout_ns = INT64_MAX};
    upconv_status status = upc_trial_live(context, &live, &m.trial);
    if (status)
        return status;
    if (!(status = m.trial.calls->open(m.trial.self, problem, &m.space)))
        status = search(&m, choice, params->time_limit_ns ? params->time_limit_ns : 2000000000);
    if (!status)
        status = remember(&m, problem, choice);
    upc_search_destroy(m.search);
    upc_space_finish(&m.space);
    m.trial.calls->destroy(m.trial.self);
    return status;
}

upconv_status upc_verify_choice(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                                const upc_choice *choice, bool *ok)
{
    const upc_choice tried = {
        .solver = choice->solver, .config = choice->config, .tier = UPCONV_TIER_MODEL}; // uses no record
    upc_bed *bed = NULL;
    upconv_plan *plan = NULL;
    char reason[UPC_SENTENCE];
    double us;
    *ok = false;
    upconv_status status = upc_bed_create(context, problem, params, false, -1, &bed);
    if (!status && !(status = upc_plan_build(context, problem, &bed->params, &tried, &plan)))
        status = upc_verify(bed, plan, ok, reason, &us);
    else if (status == UPCONV_ERROR_COMPILE || status == UPCONV_ERROR_UNSUPPORTED)
        status = upc_context_check(context); // no plan, but no harm either
    if (!status && plan && !*ok)
        upc_log(&context->env, UPCONV_LOG_ERROR, "%s gives wrong results on %s: %s", choice->solver->name,
                context->facts.info.name, reason);
    upconv_plan_destroy(plan);
    upc_bed_destroy(bed);
    return status;
}
