// Which solver, with which configuration: records first, then the cost model. Pure but for the tuning records: no device call.
#include "internal.h"
#include "ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void explain(upc_text *text, const upc_solver *solver, const char *refusal, const upc_config *config, double us)
{
    if (!text)
        return;
    if (refusal) {
        upc_text_add(text, "%s: no: %s\n", solver->name, refusal);
        return;
    }
    upc_text_add(text, "%s: yes: ", solver->name);
    upc_config_print(solver, config, text);
    upc_text_add(text, "%spredicted %.0f us\n", solver->knob_count ? ", " : "", us);
}

// There every output has one tap, and a default plan no need of a copy. (An axis with one input position may have a copy, of next to
// nothing.)
static bool kernel_is_stride(const upc_problem *problem)
{
    if (problem->op != UPCONV_CONV_TRANSPOSE && problem->op != UPCONV_CONV)
        return false; // gradients add up what has many taps all the same
    for (int a = 0; a < 3; a++)
        if (problem->axis[a].kernel != problem->axis[a].stride || problem->axis[a].dilation != 1)
            return false;
    return true;
}

const char *upc_recipe_refuse(const upconv_context *context, const upc_problem *problem,
                              const upconv_plan_params *params, const upc_recipe *recipe, bool forced, char *sentence)
{
    const uint64_t piece = context->facts.info.limits.alloc_bytes, bytes = recipe->workspace_bytes;
    // who asks for a solver may get one that needs room where the others need none
    const uint64_t by_default = forced || !kernel_is_stride(problem) ? upc_workspace_default(problem) : 0;
    uint64_t most = params->workspace_limit ? params->workspace_limit : by_default;
    if (!params->workspace_limit && upc_request_of(problem, params).dynamic_weights)
        most = UPC_MAX(most, bytes); // what packed weights take comes beside the default, to which solvers keep by themselves
    if (bytes > most)
        snprintf(sentence, UPC_SENTENCE, "it needs %llu bytes of workspace; the limit is %llu",
                 (unsigned long long)bytes, (unsigned long long)most);
    else if (UPC_MAX(bytes, recipe->packed_bytes) > piece)
        snprintf(sentence, UPC_SENTENCE, "it needs %llu bytes in one piece; the device gives at most %llu",
                 (unsigned long long)UPC_MAX(bytes, recipe->packed_bytes), (unsigned long long)piece);
    return bytes > most || UPC_MAX(bytes, recipe->packed_bytes) > piece ? sentence : NULL;
}

const char *upc_config_refuse(const upconv_context *context, const upc_problem *problem,
                              const upconv_plan_params *params, const upc_solver *solver, const upc_config *config,
                              char *sentence)
{
    const upc_request request = upc_request_of(problem, params);
    const char *refusal = NULL; // nor where memory runs out: building the plan will say so
    upc_recipe recipe;
    upc_recipe_init(&recipe, &context->env);
    const upconv_status status = solver->cook(problem, upc_facts_for(context, problem), config, &request, &recipe);
    if (status == UPCONV_ERROR_UNSUPPORTED) {
        snprintf(sentence, UPC_SENTENCE, "%s", upc_last_error());
        refusal = sentence;
    } else if (!status) {
        refusal = upc_recipe_refuse(context, problem, params, &recipe, false, sentence);
    }
    upc_recipe_finish(&recipe);
    return refusal;
}

// "phase" or "phase:tile=4,oc=8". The configuration starts from the solver's own guess.
static upconv_status forced(const upconv_context *context, const upc_problem *problem, const char *name,
                            upc_choice *choice, upc_text *text)
{
    char sentence[UPC_SENTENCE];
    const size_t length = strcspn(name, ":");
    const upc_solver *solver = upc_solver_find(name, length);
    if (!solver)
        return upc_fail(UPCONV_ERROR_INVALID, "there is no solver \"%.*s\"", (int)length, name);
    const char *refusal = upc_solver_refuse(solver, problem, upc_facts_for(context, problem), sentence);
    if (refusal) {
        explain(text, solver, refusal, NULL, 0);
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "solver %s cannot: %s", solver->name, refusal);
    }
    solver->guess(problem, upc_facts_for(context, problem), &choice->config);
    if (name[length] == ':') {
        const upconv_status status = upc_config_parse(solver, name + length + 1, &choice->config);
        if (status)
            return status;
    }
    refusal = solver->legal(problem, upc_facts_for(context, problem), &choice->config, sentence);
    if (refusal)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "solver %s, configuration \"%s\": %s", solver->name, name, refusal);
    choice->solver = solver;
    choice->tier = UPCONV_TIER_FORCED;
    choice->predicted_us = solver->cost_us(problem, upc_facts_for(context, problem), &choice->config);
    explain(text, solver, NULL, &choice->config, choice->predicted_us);
    return UPCONV_OK;
}

// A solver's guess, or, where that needs more workspace than the app allows, the same without a copy of the input, or without words for
// cells. NULL, or why neither will do.
static const char *guess_within(const upconv_context *context, const upc_problem *problem,
                                const upconv_plan_params *params, const upc_solver *solver, upc_config *config,
                                char *sentence)
{
    const char *refusal = solver->legal(problem, upc_facts_for(context, problem), config, sentence);
    if (!refusal)
        refusal = upc_config_refuse(context, problem, params, solver, config, sentence);
    for (int k = 0; k < solver->knob_count && refusal; k++) {
        char again[UPC_SENTENCE];
        upc_config plain = *config;
        if ((strcmp(solver->knobs[k].name, "stage") && strcmp(solver->knobs[k].name, "cells")) || !config->value[k])
            continue;
        plain.value[k] = 0;
        if (solver->legal(problem, upc_facts_for(context, problem), &plain, again) ||
            upc_config_refuse(context, problem, params, solver, &plain, again))
            break;
        *config = plain;
        return NULL;
    }
    return refusal;
}

// The cheapest guess by the cost model, and what every solver says. false: all refuse, the preferred one with `why`.
static bool modelled(const upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                     upc_choice *choice, upc_text *why, upc_text *text)
{
    bool found = false;
    for (int i = 0; i < upc_solver_count; i++) {
        const upc_solver *solver = upc_solvers[i];
        if (!upc_solver_takes(solver, problem))
            continue;
        char sentence[UPC_SENTENCE];
        const char *refusal = solver->refuse(problem, upc_facts_for(context, problem), sentence);
        upc_config config = {{0}};
        double us = 0;
        if (!refusal) {
            solver->guess(problem, upc_facts_for(context, problem), &config);
            us = solver->cost_us(problem, upc_facts_for(context, problem), &config);
            if (found && !text && us >= choice->predicted_us)
                continue; // nobody asks whether it could
            refusal = guess_within(context, problem, params, solver, &config, sentence);
            us = refusal ? us : solver->cost_us(problem, upc_facts_for(context, problem), &config);
        }
        if (!refusal) {
            if (!found || us < choice->predicted_us)
                *choice = (upc_choice){solver, config, UPCONV_TIER_MODEL, us};
            found = true;
        } else if (!why->length) {
            upc_text_add(why, "%s: %s", solver->name, refusal);
        }
        explain(text, solver, refusal, &config, us);
    }
    return found;
}

typedef struct modelling {
    const upconv_context *context;
    const upconv_plan_params *params;
} modelling;

static bool choose_by_model(const void *user, const upc_problem *problem, upc_choice *choice)
{
    const modelling *m = user;
    char first[UPC_SENTENCE];
    upc_text why = {first, sizeof first, 0};
    return modelled(m->context, problem, m->params, choice, &why, NULL);
}

// What the best tuning record says. false: there is none, or the plan must not have such a configuration.
static bool recorded(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                     upc_choice *choice, upc_text *text)
{
    upc_record record;
    char sentence[UPC_SENTENCE];
    const modelling how = {context, params};
    const upc_modeller modeller = {choose_by_model, &how};
    if (!upc_tuning_find(context->tuning, problem, upc_facts_for(context, problem), &modeller, &record)) {
        if (text)
            upc_text_add(text, "tuning record: none that promises more\n");
        return false;
    }
    const char *refusal = upc_config_refuse(context, problem, params, record.solver, &record.config, sentence);
    if (text)
        upc_text_add(text, "tuning record (%s%s%s): %s%s%s\n", upconv_tier_name(record.tier),
                     record.shipped ? ", shipped" : "", record.unverified ? ", to be verified first" : "",
                     record.solver->name, refusal ? ": no: " : "", refusal ? refusal : "");
    if (!refusal)
        *choice = (upc_choice){record.solver, record.config, record.tier, record.time_us, record.shipped,
                               record.unverified};
    return !refusal;
}

upconv_status upc_plan_model(const upconv_context *context, const upc_problem *problem,
                             const upconv_plan_params *params, upc_choice *choice)
{
    char first[UPC_SENTENCE];
    upc_text why = {first, sizeof first, 0};
    if (modelled(context, problem, params, choice, &why, NULL))
        return UPCONV_OK;
    return upc_fail(UPCONV_ERROR_UNSUPPORTED, "every solver refuses this problem on %s, the first with %s",
                    context->facts.info.name, first);
}

upconv_status upc_plan_choose(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                              upc_choice *choice, upc_text *explanation)
{
    if (explanation)
        upc_dot_explain(context, problem, explanation);
    const char *force = context->forced_solver ? context->forced_solver : params->solver;
    *choice = (upc_choice){0};
    if (force)
        return forced(context, problem, force, choice, explanation);
    char first[UPC_SENTENCE];
    upc_text why = {first, sizeof first, 0};
    if (!explanation && recorded(context, problem, params, choice, NULL))
        return UPCONV_OK; // nobody asks what else there would be
    const bool found = modelled(context, problem, params, choice, &why, explanation);
    if (explanation && recorded(context, problem, params, choice, explanation))
        return UPCONV_OK;
    if (params->effort == UPCONV_KNOWN)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "effort is KNOWN and no tuning record fits this problem on %s",
                        context->facts.info.name);
    if (!found)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "every solver refuses this problem on %s, the first with %s",
                        context->facts.info.name, first);
    return UPCONV_OK;
}

const char *upconv_tier_name(upconv_tier tier)
{
    static const char *const names[UPCONV_TIER_COUNT] = {"model", "measured", "exact",
                                                         "driver", "nearest", "family", "vendor", "forced"};
    return tier >= 0 && tier < UPCONV_TIER_COUNT ? names[tier] : "unknown tier";
}
