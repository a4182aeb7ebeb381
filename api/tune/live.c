// Candidates on a device: compiled, judged by the driver's statistics, verified on the tuned problem and on an awkward
// one, timed.
#include "trial.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bed.h"
#include "bed_q.h"

enum { AWKWARD = 4 };

// Times the base's time, in the faster of the runs that verify: neither verified elsewhere, which costs another
// compilation, nor timed.
static const double hopeless = 2;

typedef struct live {
    upconv_context *context;
    upc_live_params params;
    upc_problem problem;
    const upc_space *space;
    upc_bed *bed;
    upc_bed *awkward[AWKWARD]; // made when first needed
    upconv_plan *base;
    double base_us;
    upc_candidate last; // the candidate that `plan` is of
    upconv_plan *plan;  // verified: kept, because it may be timed again at once
    bool heated;
    float *zeros;       // compile_only: weights
    double scale;       // and what sums of a quantised problem are multiplied by
    struct twin *twins; // what was cooked for the problem
    size_t twin_count, twin_capacity;
} live;

// Knobs that make no difference here give the same recipe.
typedef struct twin {
    uint64_t hash;
    upc_candidate candidate;
} twin;

// One attempt, and what it is about.
typedef struct attempt {
    live *l;
    const upc_proposal *proposal;
    const upc_announce *announce;
    upc_outcome *outcome;
    uint64_t heat_ns; // that the device was kept busy beforehand: not this candidate's cost, nor the budget's
    bool cancelled;
} attempt;

static void close_problem(void *self)
{
    live *l = self;
    upconv_plan_destroy(l->base);
    upconv_plan_destroy(l->plan);
    upc_bed_destroy(l->bed);
    for (int i = 0; i < AWKWARD; i++)
        upc_bed_destroy(l->awkward[i]);
    upc_free(&l->context->env, l->zeros);
    upc_free(&l->context->env, l->twins);
    l->zeros = NULL;
    l->twins = NULL;
    l->twin_count = l->twin_capacity = 0;
    l->base = l->plan = NULL;
    l->bed = NULL;
    memset(l->awkward, 0, sizeof l->awkward);
    l->base_us = 0;
}

static void destroy(void *self)
{
    live *l = self;
    close_problem(l);
    upc_free(&l->context->env, l);
}

static upconv_status make_zeros(live *l)
{
    const uint64_t count = UPC_MAX(upc_weights_elements(&l->problem), 1); // also where there are none
    l->zeros = upc_alloc_array(&l->context->env, count, sizeof *l->zeros);
    return l->zeros ? UPCONV_OK : upc_no_memory(count * sizeof *l->zeros);
}

static upconv_status open_problem(void *self, const upc_problem *problem, upc_space *space)
{
    live *l = self;
    l->problem = *problem;
    l->params.plan.weights_type = upc_type_quantised(problem->type) ? UPCONV_I8 : UPCONV_F32; // as the bed has them
    upconv_status status = upc_context_check(l->context);
    if (!status && !l->params.compile_only)
        status = upc_dot_decide(l->context, problem);
    if (!status)
        status = upc_space_live(l->context, &l->problem, &l->params.plan, l->params.keep, space);
    if (status)
        return status;
    l->space = space;
    if (l->params.compile_only)
        status = make_zeros(l);
    else
        status = upc_bed_create(l->context, problem, &l->params.plan, false, l->params.run_timeout_ns, &l->bed);
    if (status)
        upc_space_finish(space);
    return status;
}

// ---------------------------------------------------------------------------------------------------------- statistics

// Whether the driver's words hold a word, whatever its case.
static bool mentions(const char *name, const char *word)
{
    const size_t length = strlen(word);
    for (; *name; name++) {
        size_t i = 0;
        while (i < length && name[i] && tolower((unsigned char)name[i]) == word[i])
            i++;
        if (i == length)
            return true;
    }
    return false;
}

typedef struct judged {
    double spills, threads;
} judged;

// Private memory as the drivers name it: by its size, by its traffic, by its instructions.
static void judge(void *user, const char *name, double value)
{
    static const char *const spilling[] = {"spill", "fill", "stp count", "ldp count", "scratch"};
    judged *j = user;
    for (size_t i = 0; i < UPC_COUNT(spilling); i++)
        if (mentions(name, spilling[i]) && value > 0) {
            j->spills += value;
            break;
        }
    if (mentions(name, "thread count") && value > 0 && (j->threads <= 0 || value < j->threads))
        j->threads = value;
}

// NULL: nothing speaks against the plan. Programs are looked at once each.
static const char *refuse_statistics(upconv_plan *plan, upc_outcome *outcome)
{
    judged found = {0};
    double printed = 0;
    for (size_t i = 0; i < plan->recipe.program_count; i++)
        if (plan->programs[i]) {
            printed += plan->programs[i]->spills;
            if (plan->context->env.statistics)
                plan->context->backend->program_statistics(plan->programs[i], judge, &found);
        }
    outcome->spills = UPC_MAX(found.spills, printed);
    if (found.spills > 0)
        snprintf(outcome->reason, UPC_SENTENCE, "registers spill: %.0f by the driver's statistics", found.spills);
    else if (printed > 0)
        snprintf(outcome->reason, UPC_SENTENCE, "registers spill: %.0f by what the driver printed", printed);
    else if (found.threads == 1) // V3D hides latency with two or four
        snprintf(outcome->reason, UPC_SENTENCE, "the kernel leaves room for one thread only");
    else
        return NULL;
    return outcome->reason;
}

// Whether anybody can say what the compiler made of a candidate.
static bool looked_at(const live *l) { return l->context->env.statistics || l->context->listener.spills; }

// ------------------------------------------------------------------------------------------------------------ verdicts

static upconv_status verdict(upc_outcome *outcome, upconv_tune_verdict found, const char *reason)
{
    outcome->verdict = found;
    if (reason && reason != outcome->reason)
        snprintf(outcome->reason, UPC_SENTENCE, "%s", reason);
    return UPCONV_OK;
}

// What a failed call says of the candidate. The error stays one where nothing can follow it.
static upconv_status failed(upc_outcome *outcome, upconv_status status)
{
    static const struct {
        upconv_status status;
        upconv_tune_verdict verdict;
        bool goes_on;
    } table[] = {
        {UPCONV_ERROR_COMPILE, UPCONV_TUNE_REFUSED, true},      {UPCONV_ERROR_UNSUPPORTED, UPCONV_TUNE_DISCARDED, true},
        {UPCONV_ERROR_GPU_MEMORY, UPCONV_TUNE_DISCARDED, true}, {UPCONV_ERROR_DEVICE_LOST, UPCONV_TUNE_CRASHED, false},
        {UPCONV_ERROR_TIMEOUT, UPCONV_TUNE_HUNG, false},
    };
    for (size_t i = 0; i < UPC_COUNT(table); i++)
        if (table[i].status == status) {
            verdict(outcome, table[i].verdict, upc_last_error());
            return table[i].goes_on ? UPCONV_OK : status;
        }
    return status;
}

static bool announced(attempt *a, bool compiling, const char *stage, upconv_status *status)
{
    if (a->announce->say(a->announce->user, compiling, stage, status))
        return true;
    a->cancelled = true;
    a->outcome->verdict = UPCONV_TUNE_NONE;
    return false;
}

// Every step below leaves verdict GOOD where nothing spoke against the candidate so far.
static bool good(const attempt *a) { return !a->cancelled && a->outcome->verdict == UPCONV_TUNE_GOOD; }

static upconv_status compile(attempt *a, const upc_problem *problem, const upconv_plan_params *params,
                             const char *stage, upconv_plan **plan)
{
    live *l = a->l;
    const upc_candidate *candidate = &a->proposal->candidate;
    const upc_choice choice = {.solver = l->space->solver[candidate->solver].solver,
                               .config = candidate->config,
                               .tier = UPCONV_TIER_MEASURED};
    upconv_status status = UPCONV_OK;
    if (!announced(a, true, stage, &status))
        return status;
    const uint64_t start = upc_now_ns();
    if ((status = upc_plan_build(l->context, problem, params, &choice, plan)))
        return failed(a->outcome, status);
    const int64_t took = (int64_t)(upc_now_ns() - start);
    a->outcome->compile_ms += (double)took / 1e6;
    const char *reason = looked_at(l) ? refuse_statistics(*plan, a->outcome) : NULL;
    if (a->proposal->base && (a->proposal->anyhow || a->outcome->spills <= 0 || !strcmp(stage, "awkward")))
        return UPCONV_OK; // others are measured against it, and there shall always be one
    if (!reason && took > l->params.compile_timeout_ns) {
        snprintf(a->outcome->reason, UPC_SENTENCE, "it takes %.1f s to compile", (double)took / 1e9);
        reason = a->outcome->reason;
    }
    return reason ? verdict(a->outcome, UPCONV_TUNE_DISCARDED, reason) : UPCONV_OK;
}

static upconv_status verify(attempt *a, upc_bed *bed, upconv_plan *plan, const char *stage, double *us)
{
    upconv_status status = UPCONV_OK;
    bool right = true;
    char reason[UPC_SENTENCE];
    if (!announced(a, false, stage, &status))
        return status;
    if ((status = upc_verify(bed, plan, &right, reason, us)))
        return failed(a->outcome, status);
    return right ? UPCONV_OK : verdict(a->outcome, UPCONV_TUNE_WRONG, reason);
}

// The most awkward problem of the class that the configuration can do; -1: none.
static int awkward_for(const live *l, const upc_candidate *candidate, upc_problem *problem)
{
    const upc_solver *solver = l->space->solver[candidate->solver].solver;
    const upconv_plan_params frozen = {.weights = ""}; // only whether there are any is asked
    char sentence[UPC_SENTENCE];
    for (int i = 0; i < AWKWARD; i++)
        if (upc_awkward(&l->problem, i, problem) &&
            !solver->refuse(problem, upc_facts_for(l->context, problem), sentence) &&
            !solver->legal(problem, upc_facts_for(l->context, problem), &candidate->config, sentence) &&
            !upc_config_refuse(l->context, problem, &frozen, solver, &candidate->config, sentence))
            return i;
    return -1;
}

static upconv_status verify_awkward(attempt *a)
{
    live *l = a->l;
    upc_problem problem;
    const int index = awkward_for(l, &a->proposal->candidate, &problem);
    upconv_plan *plan = NULL;
    upconv_status status = UPCONV_OK;
    double us;
    if (index < 0)
        return UPCONV_OK;
    if (!l->awkward[index])
        status = upc_bed_create(l->context, &problem, &(upconv_plan_params){0}, true, l->params.run_timeout_ns,
                                &l->awkward[index]);
    if (status)
        return failed(a->outcome, status);
    status = compile(a, &problem, &l->awkward[index]->params, "awkward", &plan);
    if (!status && plan && good(a))
        status = verify(a, l->awkward[index], plan, "awkward", &us);
    upconv_plan_destroy(plan);
    return status;
}

static upconv_status bench(attempt *a)
{
    live *l = a->l;
    upconv_plan *reference = a->proposal->base ? l->plan : l->base;
    const bool cold = l->params.sustained && !l->heated;
    upconv_status status = UPCONV_OK;
    // said apart: it takes minutes, and who watches must not take that for a hang
    if (cold && !announced(a, false, "heat", &status))
        return status;
    const uint64_t start = upc_now_ns();
    if (cold && (status = upc_bench_heat(l->bed, reference)))
        return failed(a->outcome, status);
    a->heat_ns = cold ? upc_now_ns() - start : 0;
    if (!announced(a, false, "time", &status))
        return status;
    const upc_rung *rung = &(l->params.quick ? upc_quick_rungs : upc_rungs)[a->proposal->rung];
    if ((status = upc_bench_settle(l->bed, reference, l->params.quick ? 20000000 : 300000000)) ||
        (status = upc_bench_pairs(l->bed, l->plan, reference, rung, a->outcome)))
        return failed(a->outcome, status);
    l->heated = true;
    upc_sensors(&a->outcome->temperature_c, &a->outcome->frequency_mhz);
    return UPCONV_OK;
}

// Compiled and verified, or it was before.
static upconv_status prepare(attempt *a)
{
    live *l = a->l;
    double us = 0;
    if (l->plan && upc_candidate_equal(&l->last, &a->proposal->candidate))
        return UPCONV_OK;
    upconv_plan_destroy(l->plan);
    l->plan = NULL;
    upconv_plan *plan = NULL;
    upconv_status status = compile(a, &l->problem, &l->bed->params, a->proposal->base ? "default" : "verify", &plan);
    if (!status && good(a))
        status = verify(a, l->bed, plan, a->proposal->base ? "default" : "verify", &us);
    if (!status && good(a) && l->base_us > 0 && us > hopeless * l->base_us) {
        a->outcome->ratio = us / l->base_us;
        a->outcome->time_us = us;
        snprintf(a->outcome->reason, UPC_SENTENCE, "%.1f times as slow as the default when it was verified",
                 a->outcome->ratio);
        verdict(a->outcome, UPCONV_TUNE_SLOW, a->outcome->reason);
    }
    if (!status && good(a) && l->params.awkward)
        status = verify_awkward(a);
    if (status || !good(a)) {
        upconv_plan_destroy(plan);
        return status;
    }
    l->plan = plan;
    l->last = a->proposal->candidate;
    return UPCONV_OK;
}

static upconv_status compile_only(attempt *a)
{
    upconv_plan_params params = {.weights = a->l->zeros, .workspace_limit = a->l->params.plan.workspace_limit};
    a->l->scale = 1;
    if (upc_type_quantised(a->l->problem.type))
        upc_bed_quantised_params(&a->l->scale, &params);
    upconv_plan *plan = NULL;
    const upconv_status status = compile(a, &a->l->problem, &params, "verify", &plan);
    upconv_plan_destroy(plan);
    return status;
}

// Cooks the candidate. Discarded where it cannot be, or is what another was before it; GOOD else.
static upconv_status cook(live *l, const upc_proposal *proposal, upc_outcome *outcome)
{
    const upc_candidate *candidate = &proposal->candidate;
    const upc_solver *solver = l->space->solver[candidate->solver].solver;
    const upc_env *env = &l->context->env;
    const upc_request request = upc_request_of(&l->problem, &l->params.plan);
    upc_recipe recipe;
    upc_recipe_init(&recipe, env);
    upconv_status status =
        solver->cook(&l->problem, upc_facts_for(l->context, &l->problem), &candidate->config, &request, &recipe);
    const int64_t block =
        solver->block ? solver->block(&candidate->config) : 0; // host functions have it beside the recipe
    const uint64_t hash = upc_hash(&block, sizeof block, upc_recipe_hash(&recipe) ^ (uint64_t)candidate->solver);
    void *twins = l->twins;
    if (status) {
        status = failed(outcome, status);
    } else if (upc_recipe_refuse(l->context, &l->problem, &l->params.plan, &recipe, false, outcome->reason)) {
        verdict(outcome, UPCONV_TUNE_DISCARDED, outcome->reason);
    } else if (!upc_grow(env, &twins, &l->twin_capacity, l->twin_count + 1, sizeof *l->twins)) {
        status = upc_no_memory((l->twin_count + 1) * sizeof *l->twins);
    } else {
        l->twins = twins;
        size_t at = 0;
        while (at < l->twin_count && l->twins[at].hash != hash)
            at++;
        if (at == l->twin_count)
            l->twins[l->twin_count++] = (twin){hash, *candidate};
        if (!upc_candidate_equal(&l->twins[at].candidate, candidate)) {
            char text[UPC_CANDIDATE_TEXT];
            upc_candidate_print(l->space, &l->twins[at].candidate, text);
            snprintf(outcome->reason, UPC_SENTENCE, "here the same as %.200s", text);
            verdict(outcome, UPCONV_TUNE_DISCARDED, outcome->reason);
        }
    }
    upc_recipe_finish(&recipe);
    return status;
}

static upconv_status see(void *self, const upc_proposal *proposal)
{
    upc_outcome outcome = {.verdict = UPCONV_TUNE_GOOD};
    return cook(self, proposal, &outcome);
}

static upconv_status try_candidate(void *self, const upc_proposal *proposal, const upc_announce *announce,
                                   upc_outcome *outcome)
{
    live *l = self;
    attempt a = {.l = l, .proposal = proposal, .announce = announce, .outcome = outcome};
    const uint64_t start = upc_now_ns();
    *outcome = (upc_outcome){.verdict = UPCONV_TUNE_GOOD};
    outcome->predicted_us = l->space->predict(l->space, &proposal->candidate);
    upconv_status status = cook(l, proposal, outcome);
    if (status || !good(&a))
        outcome->cost_ns = 0;
    else if (l->params.compile_only)
        status = looked_at(l) ? compile_only(&a) : UPCONV_OK;
    else if (!(status = prepare(&a)) && good(&a) && !l->params.verify_only)
        status = bench(&a);
    if (good(&a) && !status && !outcome->samples)
        outcome->reason[0] = 0;
    outcome->cost_ns = (int64_t)(upc_now_ns() - start - a.heat_ns);
    return status;
}

// The plan that was verified last, or (where its outcome is known from a journal) one made now.
static upconv_status set_base(void *self, const upc_candidate *candidate)
{
    live *l = self;
    upconv_status status = UPCONV_OK;
    if (l->params.compile_only)
        return UPCONV_OK;
    if (l->plan && upc_candidate_equal(&l->last, candidate)) {
        l->base = l->plan;
        l->plan = NULL;
    } else {
        const upc_choice choice = {.solver = l->space->solver[candidate->solver].solver, .config = candidate->config};
        status = upc_plan_build(l->context, &l->problem, &l->bed->params, &choice, &l->base);
    }
    if (!status) // the first run is not counted
        status = upc_bed_run(l->bed, l->base, 1, &l->base_us);
    return status ? status : upc_bed_run(l->bed, l->base, 1, &l->base_us);
}

static const upc_trial_calls calls = {open_problem, try_candidate, see, set_base, close_problem, destroy};

upconv_status upc_trial_live(upconv_context *context, const upc_live_params *params, upc_trial *trial)
{
    live *made = upc_alloc(&context->env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    made->context = context;
    made->params = *params;
    *trial = (upc_trial){&calls, made, &context->facts.info, NULL};
    return UPCONV_OK;
}
