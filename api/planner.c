// Which solver, with which configuration: records first, then the cost model. Pure but for the tuning records: no device call.
#include "internal.h"

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

// Whether the recipe for a configuration keeps to the app's workspace_limit; without one every solver keeps to the default by itself.
static const char *too_much_workspace(const upconv_context *context, const upc_problem *problem,
                                      const upconv_plan_params *params, const upc_solver *solver,
                                      const upc_config *config, char *sentence)
{
    if (!params->workspace_limit)
        return NULL;
    const upc_request request = {!params->weights, params->order, params->workspace_limit};
    upc_recipe recipe;
    upc_recipe_init(&recipe, &context->env);
    const upconv_status status = solver->cook(problem, &context->facts, config, &request, &recipe);
    const uint64_t bytes = recipe.workspace_bytes;
    upc_recipe_finish(&recipe);
    if (status != UPCONV_ERROR_UNSUPPORTED && bytes <= params->workspace_limit)
        return NULL; // without memory too: building the plan will say so
    if (status)
        snprintf(sentence, UPC_SENTENCE, "%s", upc_last_error());
    else
        snprintf(sentence, UPC_SENTENCE, "it needs %llu bytes of workspace; the limit is %llu", (unsigned long long)bytes,
                 (unsigned long long)params->workspace_limit);
    return sentence;
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
    const char *refusal = solver->refuse(problem, &context->facts, sentence);
    if (refusal) {
        explain(text, solver, refusal, NULL, 0);
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "solver %s cannot: %s", solver->name, refusal);
    }
    solver->guess(problem, &context->facts, &choice->config);
    if (name[length] == ':') {
        const upconv_status status = upc_config_parse(solver, name + length + 1, &choice->config);
        if (status)
            return status;
    }
    refusal = solver->legal(problem, &context->facts, &choice->config, sentence);
    if (refusal)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "solver %s, configuration \"%s\": %s", solver->name, name, refusal);
    choice->solver = solver;
    choice->tier = UPCONV_TIER_FORCED;
    choice->predicted_us = solver->cost_us(problem, &context->facts, &choice->config);
    explain(text, solver, NULL, &choice->config, choice->predicted_us);
    return UPCONV_OK;
}

// The cheapest guess by the cost model, and what every solver says. false: all refuse.
static bool modelled(const upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                     upc_choice *choice, upc_text *text)
{
    bool found = false;
    for (int i = 0; i < upc_solver_count; i++) {
        const upc_solver *solver = upc_solvers[i];
        char sentence[UPC_SENTENCE];
        const char *refusal = solver->refuse(problem, &context->facts, sentence);
        upc_config config = {{0}};
        double us = 0;
        if (!refusal) {
            solver->guess(problem, &context->facts, &config);
            refusal = too_much_workspace(context, problem, params, solver, &config, sentence);
        }
        if (!refusal) {
            us = solver->cost_us(problem, &context->facts, &config);
            if (!found || us < choice->predicted_us)
                *choice = (upc_choice){solver, config, UPCONV_TIER_MODEL, us};
            found = true;
        }
        explain(text, solver, refusal, &config, us);
    }
    return found;
}

upconv_status upc_plan_choose(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                              upc_choice *choice, upc_text *explanation)
{
    const char *force = context->forced_solver ? context->forced_solver : params->solver;
    if (force)
        return forced(context, problem, force, choice, explanation);
    const bool found = modelled(context, problem, params, choice, explanation);
    upc_record record;
    char sentence[UPC_SENTENCE];
    if (upc_tuning_find(context->tuning, problem, &context->facts, &record) &&
        !too_much_workspace(context, problem, params, record.solver, &record.config, sentence)) {
        *choice = (upc_choice){record.solver, record.config, record.tier, record.time_us};
        if (explanation)
            upc_text_add(explanation, "tuning record (%s): %s\n", upconv_tier_name(record.tier), record.solver->name);
        return UPCONV_OK;
    }
    if (explanation)
        upc_text_add(explanation, "tuning record: none\n");
    if (params->effort == UPCONV_KNOWN)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "effort is KNOWN and no tuning record fits this problem on %s",
                        context->facts.info.name);
    if (!found)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "every solver refuses this problem on %s; upconv_explain says why",
                        context->facts.info.name);
    return UPCONV_OK;
}

const char *upconv_tier_name(upconv_tier tier)
{
    static const char *const names[UPCONV_TIER_COUNT] = {"model", "measured", "exact", "driver", "nearest", "forced"};
    return tier >= 0 && tier < UPCONV_TIER_COUNT ? names[tier] : "unknown tier";
}
