// One line per algorithm, in order of preference among equals; and what all of them share: configurations as text.
#include "../ops.h"
#include "../solver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const upc_solver upc_solver_phase, upc_solver_lanes, upc_solver_wide, upc_solver_rows, upc_solver_strided,
    upc_solver_splitk, upc_solver_direct, upc_solver_gemm, upc_solver_winograd, upc_solver_reference, upc_solver_sample,
    upc_solver_runs, upc_solver_combs, upc_solver_squares, upc_solver_panels, upc_solver_outer, upc_solver_sums,
    upc_solver_pool, upc_solver_unpool, upc_solver_owners, upc_solver_phase_q, upc_solver_wide_q,
    upc_solver_reference_q, upc_solver_shuffle;

const upc_solver *const upc_solvers[] = {
    &upc_solver_phase,
    &upc_solver_lanes,
    &upc_solver_wide,
    &upc_solver_rows,
    &upc_solver_strided,
    &upc_solver_splitk,
    &upc_solver_direct,
    &upc_solver_gemm,
    &upc_solver_winograd,
    &upc_solver_panels,
    &upc_solver_runs,
    &upc_solver_combs,
    &upc_solver_squares,
    &upc_solver_outer,
    &upc_solver_sums,
    &upc_solver_pool,
    &upc_solver_unpool,
    &upc_solver_owners,
    &upc_solver_reference,
    &upc_solver_shuffle,
    &upc_solver_sample,
    &upc_solver_phase_q,
    &upc_solver_wide_q,
    &upc_solver_reference_q,
};
const int upc_solver_count = UPC_COUNT(upc_solvers);

const char *upc_solver_refuse(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts,
                              char *sentence)
{
    if (upc_solver_takes(solver, problem))
        return solver->refuse(problem, facts, sentence);
    if (solver->quantised != upc_type_quantised(problem->type))
        snprintf(sentence, UPC_SENTENCE, "it does %s",
                 solver->quantised ? "quantised types only" : "no quantised types");
    else
        snprintf(sentence, UPC_SENTENCE, "it does no %s", upc_op_of(problem->op)->name);
    return sentence;
}

upc_request upc_request_of(const upc_problem *problem, const upconv_plan_params *params)
{
    return (upc_request){.dynamic_weights = !params->weights && upc_op_takes(problem->op, UPCONV_WEIGHTS),
                         .order = params->order,
                         .workspace_limit = params->workspace_limit,
                         .weights_type = params->weights_type,
                         .bias_int64 = params->bias_int64};
}

const upc_solver *upc_solver_find(const char *name, size_t length)
{
    for (int i = 0; i < upc_solver_count; i++)
        if (strlen(upc_solvers[i]->name) == length && !memcmp(upc_solvers[i]->name, name, length))
            return upc_solvers[i];
    return NULL;
}

void upc_config_print(const upc_solver *solver, const upc_config *config, upc_text *text)
{
    for (int i = 0; i < solver->knob_count; i++)
        upc_text_add(text, "%s%s=%d", i ? "," : "", solver->knobs[i].name, config->value[i]);
}

static upconv_status parse_one(const upc_solver *solver, const char *text, size_t length, upc_config *config)
{
    const char *equals = memchr(text, '=', length);
    for (int i = 0; equals && i < solver->knob_count; i++) {
        const upc_knob *knob = &solver->knobs[i];
        if (strlen(knob->name) != (size_t)(equals - text) || memcmp(knob->name, text, (size_t)(equals - text)))
            continue;
        char *end;
        const long value = strtol(equals + 1, &end, 10);
        for (int j = 0; j < knob->count; j++)
            if (end == text + length && end != equals + 1 && knob->values[j] == value) {
                config->value[i] = (int32_t)value;
                return UPCONV_OK;
            }
        return upc_fail(UPCONV_ERROR_INVALID, "solver %s: \"%.*s\" is not a value that knob %s takes", solver->name,
                        (int)length, text, knob->name);
    }
    return upc_fail(UPCONV_ERROR_INVALID, "solver %s has no knob in \"%.*s\"", solver->name, (int)length, text);
}

upconv_status upc_config_parse(const upc_solver *solver, const char *text, upc_config *config)
{
    upc_config read = *config;
    while (*text) {
        const size_t length = strcspn(text, ",");
        const upconv_status status = parse_one(solver, text, length, &read);
        if (status)
            return status;
        text += length + (text[length] == ',');
    }
    *config = read;
    return UPCONV_OK;
}
