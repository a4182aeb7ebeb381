// The search of one problem: what the strategy proposes is looked up in the journal or tried, and everything is written
// down.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../ops.h"
#include "tune.h"

enum { SEEDS = 6, SKIP_AFTER = 2, TRIED_FIRST = 24, REMEASURED = 3 };

// Share of what the device's peaks allow that nobody needs to improve on. Above 1 the peaks are wrong, as a compiler's view of
// them can be, and say nothing; so a few candidates are tried all the same.
static const double near_roofline = 0.9, past_roofline = 1;

typedef struct job {
    upc_tune *run;
    upconv_tune_summary *summary;
    upc_problem problem;
    const char *name; // the problem's, in summary
    upc_space space;
    upc_search *search;
    int64_t share_ns, spent_ns; // of the budget; share 0: none
    uint32_t climbed;           // reports beyond the first of a candidate
    upconv_tune_stop stop;      // why nothing new is begun; NONE: it is
    // the candidate at hand
    const upc_proposal *proposal;
    char candidate[UPC_CANDIDATE_TEXT];
    bool begun; // the journal has it as begun
} job;

// --------------------------------------------------------------------------------------------------------------- words

static bool say(job *j, upconv_tune_event_kind kind, const char *candidate, const upc_outcome *outcome, bool known)
{
    upconv_tune_event event = {.kind = kind, .summary = j->summary, .candidate = candidate, .known = known};
    if (outcome) {
        event.verdict = outcome->verdict;
        event.reason = outcome->reason;
        event.samples = outcome->samples;
        event.time_us = outcome->time_us;
        event.reference_us = outcome->reference_us;
        event.ratio = isfinite(outcome->ratio) ? outcome->ratio : 0;
        event.spread = outcome->spread;
        event.predicted_us = outcome->predicted_us;
        event.compile_ms = outcome->compile_ms;
        event.spills = outcome->spills;
        event.temperature_c = outcome->temperature_c;
        event.frequency_mhz = outcome->frequency_mhz;
    }
    return upc_tune_say(j->run, &event);
}

// Before each step that may end the process: the journal names the candidate, then the app may still say no.
static bool announce(void *user, bool compiling, const char *stage, upconv_status *status)
{
    job *j = user;
    upconv_tune_event event = {.kind = compiling ? UPCONV_TUNE_COMPILING : UPCONV_TUNE_RUNNING,
                               .summary = j->summary,
                               .candidate = j->candidate,
                               .stage = stage};
    const upc_journal_about about = {j->name, j->candidate, stage, compiling, j->proposal->rung};
    if (!upc_tune_say(j->run, &event))
        return false;
    *status = upc_journal_begin_candidate(j->run->journal, &about);
    j->begun = true;
    return *status == UPCONV_OK;
}

// ----------------------------------------------------------------------------------------------------------- beginning

static void describe(job *j)
{
    upconv_tune_summary *summary = j->summary;
    const upc_problem *p = &j->problem;
    const upconv_peaks *peaks = &j->run->peaks;
    const double inputs = upc_op_takes(p->op, UPCONV_INPUT) ? (double)upc_input_elements(p) : 0;
    const double outputs = (double)upc_output_elements(p) * (p->residual ? 2 : 1); // or their gradient
    upc_problem result;
    upc_result_shape(p, &result);
    double others = 0; // of 4 bytes
    if (upc_op_takes(p->op, UPCONV_INDICES))
        others += (double)(upc_indices_in(p) ? upc_input_elements(p) : upc_output_elements(p));
    if (upc_op_of(p->op)->result != UPC_RESULT_TENSOR)
        others += (double)upc_output_elements(&result);
    summary->flops = 2 * upc_problem_needed_macs(p);
    summary->bytes =
        (inputs + outputs + (double)upc_weights_elements(p)) * (double)upc_type_bytes(p->type) + others * 4;
    const double gflops = p->sum_type == UPCONV_F16 && peaks->f16_gflops > 0 ? peaks->f16_gflops : peaks->f32_gflops;
    if (gflops > 0 && peaks->copy_gbytes > 0)
        summary->roofline_us = UPC_MAX(summary->flops / gflops, summary->bytes / peaks->copy_gbytes) / 1e3;
}

static void add_name(upc_string *texts, const char *text)
{
    upc_string_add(texts, "%s%s", texts->length ? "\n" : "", text);
}

static void list_guesses(const job *j, upc_string *texts)
{
    upc_candidate list[64];
    char text[UPC_CANDIDATE_TEXT];
    const int count = upc_space_guesses(&j->space, list, (int)UPC_COUNT(list));
    for (int i = 0; i < count; i++) {
        upc_candidate_print(&j->space, &list[i], text);
        add_name(texts, text);
    }
}

// What records say of problems like this one.
static void list_seeds(const job *j, upc_string *texts)
{
    const upconv_context *context = j->run->context;
    upc_record found[SEEDS];
    const int count = upc_tuning_list(context->tuning, &j->problem, upc_facts_for(context, &j->problem), found, SEEDS);
    for (int i = 0; i < count; i++) {
        char text[UPC_CANDIDATE_TEXT];
        upc_text out = {text, sizeof text, 0};
        upc_candidate candidate;
        upc_text_add(&out, "%s%s", found[i].solver->name, found[i].solver->knob_count ? ":" : "");
        upc_config_print(found[i].solver, &found[i].config, &out);
        if (upc_candidate_parse(&j->space, text, &candidate))
            add_name(texts, text);
    }
}

// How the search begins: as it did when it was interrupted, or as the records of now say.
static upconv_status find_start(job *j, const upc_journal_start **start)
{
    upc_string guesses, seeds;
    upc_candidate base;
    char text[UPC_CANDIDATE_TEXT] = "";
    upconv_status status = UPCONV_OK;
    if ((*start = upc_journal_start_of(j->run->journal, j->name)))
        return UPCONV_OK;
    upc_space_count(&j->space);
    upc_string_init(&guesses, j->space.env);
    upc_string_init(&seeds, j->space.env);
    list_guesses(j, &guesses);
    list_seeds(j, &seeds);
    if (upc_space_guesses(&j->space, &base, 1))
        upc_candidate_print(&j->space, &base, text);
    const upc_journal_start made = {text, guesses.data ? guesses.data : "", seeds.data ? seeds.data : "", j->space.size,
                                    j->space.counted};
    if (guesses.failed || seeds.failed)
        status = upc_no_memory(guesses.length + seeds.length);
    else
        status = upc_journal_begin_problem(j->run->journal, j->name, &made);
    upc_string_finish(&guesses);
    upc_string_finish(&seeds);
    *start = upc_journal_start_of(j->run->journal, j->name);
    return status;
}

static upconv_status begin(job *j)
{
    const upc_tune *run = j->run;
    const upc_journal_start *start;
    upc_candidate seeds[SEEDS];
    int count = 0;
    upconv_status status = find_start(j, &start);
    if (status)
        return status;
    for (const char *at = start->seeds; *at && count < SEEDS;) {
        char text[UPC_CANDIDATE_TEXT];
        const int length = (int)strcspn(at, "\n");
        snprintf(text, sizeof text, "%.*s", length, at);
        count += upc_candidate_parse(&j->space, text, &seeds[count]);
        at += length + (at[length] == '\n');
    }
    j->summary->space = start->space;
    j->summary->counted = start->counted;
    snprintf(j->summary->base, sizeof j->summary->base, "%s", start->base);
    const upc_search_params params = {.strategy = run->params.strategy,
                                      .seed = run->params.seed ^ upc_hash(j->name, strlen(j->name), 0),
                                      .seeds = seeds,
                                      .seed_count = count,
                                      .most = run->params.most};
    return upc_search_create(&j->space, &params, &j->search);
}

// ---------------------------------------------------------------------------------------------------------- candidates

static void count_verdict(upconv_tune_summary *summary, upconv_tune_verdict verdict, int by)
{
    uint32_t *const counts[UPCONV_TUNE_VERDICT_COUNT] = {
        [UPCONV_TUNE_GOOD] = &summary->good,           [UPCONV_TUNE_SLOW] = &summary->slow,
        [UPCONV_TUNE_DISCARDED] = &summary->discarded, [UPCONV_TUNE_WRONG] = &summary->wrong,
        [UPCONV_TUNE_REFUSED] = &summary->refused,     [UPCONV_TUNE_CRASHED] = &summary->crashed,
        [UPCONV_TUNE_HUNG] = &summary->hung,
    };
    if (counts[verdict])
        *counts[verdict] += (uint32_t)by;
}

// Whether an outcome is worth a record: what must never be used, and what a driver is to be blamed for.
static bool failure(upconv_tune_verdict verdict)
{
    return verdict == UPCONV_TUNE_WRONG || verdict == UPCONV_TUNE_REFUSED || verdict == UPCONV_TUNE_CRASHED ||
           verdict == UPCONV_TUNE_HUNG;
}

// A default that beats the roofline: perhaps something else ran when the peaks were measured. (Or it does with fewer multiply-adds, as
// winograd does, or its data stays in caches.)
static upconv_status doubt_peaks(job *j)
{
    upc_tune *run = j->run;
    const upconv_tune_summary *summary = j->summary;
    if (run->trial.peaks || !(summary->roofline_us > summary->default_us) || run->remeasured >= REMEASURED)
        return UPCONV_OK;
    run->remeasured++;
    const upconv_status status = upc_tune_measure_peaks(run);
    describe(j);
    return status;
}

// The winner's time is its ratio to the default times the default's: so the shortest of a problem's times is the best
// ratio.
static upconv_status new_best(job *j, const upc_outcome *outcome, bool known)
{
    upconv_tune_summary *summary = j->summary;
    const upc_search_entry *best = upc_search_best(j->search);
    const bool base = best == upc_search_base(j->search);
    upconv_status status = UPCONV_OK;
    if (base) {
        summary->default_us = outcome->time_us;
        if (!known && (status = doubt_peaks(j)))
            return status;
        snprintf(summary->base, sizeof summary->base, "%s", j->candidate);
    }
    snprintf(summary->best, sizeof summary->best, "%s", j->candidate);
    summary->tuned_us = best->ratio * summary->default_us;
    summary->spread = best->spread;
    if (!(summary->tuned_us > 0)) { // nothing was timed
        summary->gain = 0;
        return UPCONV_OK;
    }
    summary->gain = summary->default_us / summary->tuned_us;
    summary->default_share = summary->roofline_us / summary->default_us;
    summary->tuned_share = summary->roofline_us / summary->tuned_us;
    // both times of the record are of one moment: what has slowed the device since shall not look like gain
    upc_outcome kept = *outcome;
    kept.reference_us = summary->default_us;
    status = upc_output_add(&j->run->output, &j->problem, &j->space, &best->candidate, &kept, summary->tuned_us);
    say(j, UPCONV_TUNE_BEST, j->candidate, outcome, known);
    return status;
}

// The base is what the trial measures others against; one that is known from the journal is made again, on record.
static upconv_status use_base(job *j, bool known)
{
    const upc_trial *trial = &j->run->trial;
    const upc_journal_about about = {j->name, j->candidate, "default", true, j->proposal->rung};
    upc_outcome nothing = {.verdict = UPCONV_TUNE_NONE};
    upconv_status status = known ? upc_journal_begin_candidate(j->run->journal, &about) : UPCONV_OK;
    if (!status)
        status = trial->calls->base(trial->self, &j->proposal->candidate);
    if (status == UPCONV_ERROR_TIMEOUT || status == UPCONV_ERROR_DEVICE_LOST)
        nothing.verdict = status == UPCONV_ERROR_TIMEOUT ? UPCONV_TUNE_HUNG : UPCONV_TUNE_CRASHED;
    if (!known)
        return status;
    const upconv_status written = upc_journal_end_candidate(j->run->journal, &about, &nothing);
    return status ? status : written;
}

// The outcome goes into the counts, the records, and the search.
static upconv_status report(job *j, const upc_outcome *outcome, upconv_tune_verdict before, bool first, bool known)
{
    upconv_tune_summary *summary = j->summary;
    const bool dry = j->run->params.dry_run;
    bool best = false;
    upconv_status status = UPCONV_OK;
    if (first) {
        summary->tried++;
        summary->known += known;
    } else {
        count_verdict(summary, before, -1);
    }
    count_verdict(summary, outcome->verdict, 1);
    if (failure(outcome->verdict) && !dry)
        status = upc_output_add(&j->run->output, &j->problem, &j->space, &j->proposal->candidate, outcome, 0);
    if (!status)
        status = upc_search_report(j->search, j->proposal, outcome, &best);
    upc_outcome listed = *outcome;
    if (dry && listed.verdict == UPCONV_TUNE_GOOD)
        listed.verdict = UPCONV_TUNE_NONE;
    say(j, dry ? UPCONV_TUNE_LISTED : UPCONV_TUNE_TRIED, j->candidate, &listed, known);
    if (!status && best && upc_search_best(j->search) == upc_search_base(j->search))
        status = use_base(j, known);
    return !status && best && !dry ? new_best(j, outcome, known) : status;
}

// From the journal where it is known, else from the trial. verdict NONE: cancelled.
static upconv_status find_outcome(job *j, upc_outcome *outcome, bool *known)
{
    const upc_trial *trial = &j->run->trial;
    upc_journal *journal = j->run->journal;
    const upc_proposal *proposal = j->proposal;
    const upc_journal_about about = {j->name, j->candidate, "", false, proposal->rung};
    const upc_announce by = {announce, j};
    const upc_outcome *found = upc_journal_outcome(journal, j->name, j->candidate, proposal->rung);
    upconv_status status = UPCONV_OK;
    *known = found != NULL;
    if (found) {
        *outcome = *found;
        return trial->calls->see(trial->self, proposal);
    }
    j->begun = false;
    if (!proposal->base && upc_journal_failures(journal, j->name, j->candidate) >= SKIP_AFTER) {
        *outcome = (upc_outcome){.verdict = UPCONV_TUNE_DISCARDED};
        snprintf(outcome->reason, sizeof outcome->reason, "it crashed or hung on other problems here");
        status = trial->calls->see(trial->self, proposal);
    } else {
        status = trial->calls->attempt(trial->self, proposal, &by, outcome);
    }
    if (outcome->verdict == UPCONV_TUNE_NONE && !j->begun)
        return status;
    if (j->run->params.dry_run && !j->begun) // nothing was at risk, and everything can be had again
        return status;
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", upc_last_error());
    const upconv_status written = upc_journal_end_candidate(journal, &about, outcome);
    return status ? upc_fail(status, "%s", sentence) : written;
}

static upconv_status try_one(job *j, const upc_proposal *proposal)
{
    upc_tune *run = j->run;
    upc_outcome outcome = {.verdict = UPCONV_TUNE_NONE};
    bool known = false;
    j->proposal = proposal;
    upc_candidate_print(&j->space, &proposal->candidate, j->candidate);
    const upconv_tune_verdict before = upc_search_verdict(j->search, &proposal->candidate);
    upconv_status status = find_outcome(j, &outcome, &known);
    j->spent_ns += outcome.cost_ns;
    run->spent_ns += outcome.cost_ns;
    if (outcome.verdict == UPCONV_TUNE_NONE)
        return status;
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", upc_last_error());
    const upconv_status reported = report(j, &outcome, before, before == UPCONV_TUNE_NONE, known);
    if (status && (outcome.verdict == UPCONV_TUNE_HUNG || outcome.verdict == UPCONV_TUNE_CRASHED))
        snprintf(run->result.culprit, sizeof run->result.culprit, "%s", j->candidate);
    return status ? upc_fail(status, "%s", sentence) : reported;
}

// ---------------------------------------------------------------------------------------------------------- the search

static void check_stops(job *j)
{
    if (j->stop)
        return;
    if (j->share_ns && j->spent_ns >= j->share_ns)
        j->stop = UPCONV_TUNE_STOP_BUDGET;
    else if (j->run->budget_ns && j->summary->tried >= TRIED_FIRST && j->summary->tuned_share >= near_roofline &&
             j->summary->tuned_share <= past_roofline)
        j->stop = UPCONV_TUNE_STOP_ROOFLINE;
    if (j->stop)
        upc_search_close(j->search);
}

static upconv_status search(job *j)
{
    upc_proposal proposal;
    upconv_tune_stop stop = UPCONV_TUNE_STOP_NONE;
    upconv_status status = UPCONV_OK;
    say(j, UPCONV_TUNE_PROBLEM_BEGIN, j->summary->base, NULL, false);
    while (!status && !j->run->cancelled) {
        check_stops(j);
        if (!upc_search_next(j->search, &proposal, &stop))
            break;
        status = try_one(j, &proposal);
        j->summary->spent_ns = j->spent_ns;
    }
    j->summary->stop = status              ? UPCONV_TUNE_STOP_FAILED
                       : j->run->cancelled ? UPCONV_TUNE_STOP_CANCELLED
                       : j->stop           ? j->stop
                                           : stop;
    return status;
}

// What is left of the budget, shared by the problems that are left.
static int64_t share_of(const upc_tune *run)
{
    const int64_t left = run->budget_ns - run->spent_ns;
    return run->budget_ns ? UPC_MAX(left / (int64_t)(run->params.problem_count - run->at), 1) : 0;
}

// What earlier runs kept of this problem, perhaps on a cooler day, and this one measured again: its records are of this run
// from now on, else a winner of theirs would stay the shortest time on record, whatever won here.
static upconv_status correct_records(job *j)
{
    upc_tune *run = j->run;
    const upconv_tune_params *p = &run->params;
    upc_record found[SEEDS];
    upconv_status status = UPCONV_OK;
    if (p->replay || p->dry_run || p->verify_only || !(j->summary->default_us > 0))
        return UPCONV_OK;
    const int count =
        upc_tuning_list(run->context->tuning, &j->problem, upc_facts_for(run->context, &j->problem), found, SEEDS);
    for (int i = 0; i < count && !status; i++) {
        upc_candidate candidate = {.config = found[i].config};
        while (candidate.solver < j->space.solver_count && j->space.solver[candidate.solver].solver != found[i].solver)
            candidate.solver++;
        const bool here = candidate.solver < j->space.solver_count && found[i].tier == UPCONV_TIER_EXACT;
        const upc_search_entry *entry = here ? upc_search_find(j->search, &candidate) : NULL;
        if (!entry || (entry->verdict != UPCONV_TUNE_GOOD && entry->verdict != UPCONV_TUNE_SLOW))
            continue;
        const double us = entry->ratio * j->summary->default_us;
        const upc_outcome outcome = {
            .verdict = entry->verdict, .spread = entry->spread, .reference_us = j->summary->default_us};
        status = upc_output_add(&run->output, &j->problem, &j->space, &candidate, &outcome, us);
    }
    return status;
}

static upconv_status with_space(job *j)
{
    upc_tune *run = j->run;
    upconv_status status = begin(j);
    if (!status)
        status = search(j);
    if (!status)
        status = correct_records(j);
    upc_search_destroy(j->search);
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", upc_last_error());
    say(j, UPCONV_TUNE_PROBLEM_END, j->summary->best, NULL, false);
    if (!status)
        return upc_journal_end_problem(run->journal, j->name, j->summary->stop, j->summary->best,
                                       j->summary->gain > 0 ? 1 / j->summary->gain : 0);
    return upc_fail(status, "%s", sentence);
}

// A problem without a search.
static upconv_status give_up(job *j, upconv_tune_stop stop, upconv_status status)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", upc_last_error());
    j->summary->stop = stop;
    say(j, UPCONV_TUNE_PROBLEM_BEGIN, "", NULL, false);
    say(j, UPCONV_TUNE_PROBLEM_END, "", NULL, false);
    return status ? upc_fail(status, "%s", sentence) : UPCONV_OK;
}

upconv_status upc_tune_problem(upc_tune *run, upconv_tune_summary *summary)
{
    job j = {.run = run, .summary = summary, .name = summary->problem, .share_ns = share_of(run)};
    const upc_trial *trial = &run->trial;
    upconv_status status = upc_problem_from(&run->params.problems[run->at], &j.problem);
    if (status)
        return status;
    upc_text text = {summary->problem, sizeof summary->problem, 0};
    upc_problem_print(&j.problem, &text);
    describe(&j);
    summary->stop = UPCONV_TUNE_STOP_NONE;
    status = trial->calls->open(trial->self, &j.problem, &j.space);
    if (!status) {
        upc_candidate base;
        status =
            upc_space_guesses(&j.space, &base, 1) ? with_space(&j) : give_up(&j, UPCONV_TUNE_STOP_REFUSED, UPCONV_OK);
        upc_space_finish(&j.space);
    } else {
        status = give_up(&j, UPCONV_TUNE_STOP_FAILED, status);
    }
    trial->calls->close(trial->self);
    if (status == UPCONV_ERROR_GPU_MEMORY) { // its tensors or its default do not fit: those of others may
        upc_log(&run->context->env, UPCONV_LOG_WARNING, "tune: %s: %s", summary->problem, upc_last_error());
        return UPCONV_OK;
    }
    return status;
}
