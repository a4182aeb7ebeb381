// Writes a tuning record that a planner would not have come to by itself: embedded_record BACKEND PROBLEM prints
// one line for a configuration that is legal on the device and is not the cost model's, and "SKIPPED why" where
// there is no device.
#include "testing.h"

#include "../api/records.h"

#include <stdio.h>
#include <string.h>

// Another solver's guess; where there is only one solver, its guess with one knob moved.
static bool another(upconv_context *context, const upc_problem *problem, const upc_choice *model, upc_choice *other)
{
    const upconv_plan_params params = {.weights = problem}; // not read: only that there are some
    char sentence[UPC_SENTENCE];
    for (int i = 0; i < upc_solver_count; i++) {
        *other = (upc_choice){.solver = upc_solvers[i]};
        if (other->solver == model->solver || upc_solver_refuse(other->solver, problem, &context->facts, sentence))
            continue;
        other->solver->guess(problem, &context->facts, &other->config);
        if (!upc_config_refuse(context, problem, &params, other->solver, &other->config, sentence))
            return true;
    }
    for (int k = 0; k < model->solver->knob_count; k++)
        for (int v = 0; v < model->solver->knobs[k].count; v++) {
            *other = *model;
            other->config.value[k] = model->solver->knobs[k].values[v];
            if (memcmp(&other->config, &model->config, sizeof other->config) &&
                !other->solver->legal(problem, &context->facts, &other->config, sentence) &&
                !upc_config_refuse(context, problem, &params, other->solver, &other->config, sentence))
                return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    char why[512];
    if (argc != 3 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: embedded_record vulkan|opencl|cpu PROBLEM\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return 0;
    }
    upconv_context *context = NULL;
    const upconv_context_params where = {sizeof where, .backend = backend, .own_records_only = 1};
    const upconv_problem given = test_problem(argv[2]);
    const upconv_plan_params params = {.weights = argv[2]}; // likewise
    upc_problem problem;
    upc_choice model, other;
    bool fine = !upconv_context_create(&where, &context) && !upc_problem_from(&given, &problem) &&
                !upc_plan_model(context, &problem, &params, &model) && another(context, &problem, &model, &other);
    if (fine) {
        const upc_measurement measurement = {&problem, &context->facts.info, other.solver, &other.config, 1, 2, 0,
                                             NULL};
        upc_string line;
        upc_string_init(&line, &context->env);
        upc_record_write(&line, &measurement);
        fine = !line.failed && puts(line.data) >= 0;
        upc_string_finish(&line);
    }
    if (!fine)
        fprintf(stderr, "embedded_record: %s\n", upconv_last_error());
    upconv_context_destroy(context);
    return fine ? 0 : 1;
}
