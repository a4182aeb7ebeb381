// Plans: choose, cook, compile, pack. After that a plan is immutable.
#include "ops.h"
#include "quant.h"
#include "records.h"
#include "util/half.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 256 };  // of the parts of a plan's constants; no device asks for more of a storage buffer

static double ms_since(uint64_t start) { return (double)(upc_now_ns() - start) / 1e6; }

// Those that are not there yet.
static upconv_status make_programs(upconv_plan *plan)
{
    const uint64_t start = upc_now_ns();
    for (size_t i = 0; i < plan->recipe.program_count; i++) {
        if (plan->programs[i])
            continue;
        const upconv_status status = upc_program_get(plan->context, &plan->recipe.programs[i], &plan->programs[i]);
        if (status)
            return status;
    }
    plan->compile_ms += ms_since(start);
    return UPCONV_OK;
}

// ----------------------------------------------------------------------------------------------------------- constants

static uint64_t place(uint64_t *total, uint64_t bytes)
{
    const uint64_t at = *total;
    *total = upc_round_up(at + bytes, ALIGNMENT);
    return at;
}

// The solvers pack f32.
static upconv_status pack_weights(upconv_plan *plan, const upconv_plan_params *params, void *packed)
{
    const upc_env *env = &plan->context->env;
    const uint64_t count = upc_weights_elements(&plan->problem);
    float *f32 = NULL;
    if (plan->solver->quantised)
        return plan->solver->pack_quantised(env, &plan->problem, &plan->config, params, packed);
    if (params->weights_type == UPCONV_F16) {
        if (!(f32 = upc_alloc_array(env, count, sizeof *f32)))
            return upc_no_memory(count * sizeof *f32);
        upc_half_to_many(f32, params->weights, count);
    }
    const upconv_status status = plan->solver->pack(env, &plan->problem, upc_facts_for(plan->context, &plan->problem),
                                                    &plan->config, f32 ? f32 : params->weights, params->order, packed);
    upc_free(env, f32);
    return status;
}

static upconv_status make_constants(upconv_plan *plan, const upconv_plan_params *params)
{
    upconv_context *context = plan->context;
    const upc_recipe *recipe = &plan->recipe;
    const uint64_t channels = (uint64_t)(plan->problem.groups * plan->problem.ocg) * sizeof(float);
    const uint64_t bias = channels * (params->bias_int64 ? 2 : 1);
    uint64_t total = 0;
    plan->packed_at = place(&total, recipe->packed_bytes);
    plan->table_at = place(&total, recipe->table_count * sizeof *recipe->table);
    plan->bias_at = place(&total, upc_op_takes(plan->problem.op, UPCONV_BIAS) ? bias : 0);
    plan->slopes_at = place(&total, params->slopes ? channels : 0);
    upconv_status status =
        total ? context->backend->memory_create(context->device, total, &plan->constants) : UPCONV_OK;
    if (status || !total)
        return status;
    void *pointer;
    status = context->backend->memory_map(plan->constants, UPCONV_MAP_WRITE, context->timeout_ns, &pointer);
    if (status)
        return status;
    char *bytes = pointer;
    if (recipe->packed_bytes)
        status = pack_weights(plan, params, bytes + plan->packed_at);
    if (recipe->table_count)
        memcpy(bytes + plan->table_at, recipe->table, recipe->table_count * sizeof *recipe->table);
    if (params->bias)
        memcpy(bytes + plan->bias_at, params->bias, bias);
    else if (upc_op_takes(plan->problem.op, UPCONV_BIAS))
        memset(bytes + plan->bias_at, 0, bias);
    if (params->slopes)
        memcpy(bytes + plan->slopes_at, params->slopes, channels);
    const upconv_status unmapped = context->backend->memory_unmap(plan->constants, context->timeout_ns);
    return status ? status : unmapped;
}

// --------------------------------------------------------------------------------------------------------------- plans

uint64_t upc_workspace_default(const upc_problem *problem)
{
    const uint64_t most = UPC_MAX(upc_input_bytes(problem), upc_output_bytes(problem));
    if (problem->op == UPCONV_GRAD_FILTER) // copies of both tensors, in f32 and with zeros around, and shares of the filter
        return 8 * (uint64_t)(problem->in.elements + problem->out.elements) +
               4 * (upc_filter_elements(problem) + (4 << 20));
    // a convolution's input is the larger one where there is a stride, and a copy with zeros around it larger still
    return UPC_MAX(problem->op == UPCONV_CONV ? most + most / 4 : most, (uint64_t)4 << 20);
}

// All that a choice decides, up to the recipe.
static upconv_status fill(upconv_plan *plan, const upconv_plan_params *params, const upc_choice *choice)
{
    upconv_context *context = plan->context;
    const upc_env *env = &context->env;
    plan->solver = choice->solver;
    plan->config = choice->config;
    plan->tier = choice->tier;
    plan->shipped_record = choice->shipped && choice->tier != UPCONV_TIER_MEASURED;
    plan->predicted_us = choice->predicted_us;
    plan->request = upc_request_of(&plan->problem, params);
    plan->own_bias = params->bias != NULL;
    plan->own_slopes = params->slopes != NULL;
    plan->host_arg = (upc_host_arg){.problem = &plan->problem, .order = params->order,
                                    .packed = params->weights != NULL, .weights_type = params->weights_type,
                                    .bias_int64 = params->bias_int64 != 0,
                                    .oc = choice->solver->block ? choice->solver->block(&choice->config) : 0};
    char config[512] = "";
    upc_text text = {config, sizeof config, 0};
    upc_config_print(choice->solver, &choice->config, &text);
    if (!(plan->config_text = upc_strdup(env, config)))
        return upc_no_memory(sizeof config);
    upc_recipe_init(&plan->recipe, env);
    const upc_facts *facts = upc_facts_for(context, &plan->problem);
    const upconv_status status =
        choice->solver->cook(&plan->problem, facts, &choice->config, &plan->request, &plan->recipe);
    if (status)
        return status;
    char sentence[UPC_SENTENCE];
    if (upc_recipe_refuse(context, &plan->problem, params, &plan->recipe, choice->tier == UPCONV_TIER_FORCED, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "solver %s: %s", plan->solver->name, sentence);
    plan->programs = upc_alloc_array(env, plan->recipe.program_count, sizeof *plan->programs);
    return plan->programs ? UPCONV_OK : upc_no_memory(plan->recipe.program_count * sizeof *plan->programs);
}

static upconv_status prepare(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                             const upc_choice *choice, uint64_t start, upconv_plan **plan)
{
    upconv_plan *made = upc_alloc(&context->env, sizeof *made);
    if (!made)
        return upc_no_memory(sizeof *made);
    made->context = context;
    made->problem = *problem;
    const upconv_status status = fill(made, params, choice);
    if (status) {
        upconv_plan_destroy(made);
        return status;
    }
    made->plan_ms = ms_since(start);
    *plan = made;
    return UPCONV_OK;
}

upconv_status upc_plan_end(upconv_plan *plan, const upconv_plan_params *params)
{
    upconv_context *context = plan->context;
    const uint64_t start = upc_now_ns();
    upconv_status status = make_programs(plan);
    if (!status)
        status = make_constants(plan, params);
    if (status)
        return status;
    plan->plan_ms += ms_since(start);
    if (plan->tier >= UPCONV_TIER_EXACT && plan->tier <= UPCONV_TIER_VENDOR)
        context->env.counts.records_used++;
    upc_log(&context->env, UPCONV_LOG_DEBUG, "planned: %s %s (%s) in %.1f ms", plan->solver->name, plan->config_text,
            upconv_tier_name(plan->tier), plan->plan_ms);
    return UPCONV_OK;
}

// The second half of a plan that nobody else knows yet.
static upconv_status end_or_destroy(upconv_plan *made, const upconv_plan_params *params, upconv_plan **plan)
{
    const upconv_status status = upc_plan_end(made, params);
    if (status)
        upconv_plan_destroy(made);
    else
        *plan = made;
    return status;
}

upconv_status upc_plan_build(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                             const upc_choice *choice, upconv_plan **plan)
{
    upconv_plan *made = NULL;
    const upconv_status status = prepare(context, problem, params, choice, upc_now_ns(), &made);
    return status ? status : end_or_destroy(made, params, plan);
}

static upconv_status check(const upc_problem *problem, const upconv_plan_params *params)
{
    if ((int)params->order < 0 || params->order >= UPCONV_FILTER_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "params.order is %d; it must be 0 to %d", (int)params->order,
                        (int)UPCONV_FILTER_COUNT - 1);
    if ((int)params->weights_type < 0 || params->weights_type >= UPCONV_TYPE_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "params.weights_type is %d; it must be 0 to %d",
                        (int)params->weights_type, (int)UPCONV_TYPE_COUNT - 1);
    if ((int)params->effort < 0 || params->effort > UPCONV_KNOWN)
        return upc_fail(UPCONV_ERROR_INVALID, "params.effort is %d; it must be 0 to %d", (int)params->effort,
                        (int)UPCONV_KNOWN);
    if (params->time_limit_ns < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "params.time_limit_ns is %lld; it must not be negative",
                        (long long)params->time_limit_ns);
    const struct {
        const char *name;
        const void *given;
        upconv_role role;
    } given[] = {{"weights", params->weights, UPCONV_WEIGHTS}, {"bias", params->bias, UPCONV_BIAS},
                 {"slopes", params->slopes, UPCONV_SLOPES}};
    for (size_t i = 0; i < UPC_COUNT(given); i++)
        if (given[i].given && !upc_op_takes(problem->op, given[i].role))
            return upc_fail(UPCONV_ERROR_INVALID, "params.%s is set, but %s has none", given[i].name,
                            upc_op_of(problem->op)->name);
    if (params->slopes && problem->act != UPCONV_ACT_PRELU)
        return upc_fail(UPCONV_ERROR_INVALID, "params.slopes is set, but the activation is %s; only prelu has slopes",
                        upc_act_name(problem->act));
    return upc_quant_check(problem, params);
}

static upconv_status remember(upconv_context *context, const upc_problem *problem, const upc_choice *choice,
                              const char *verdict)
{
    const upc_measurement seen = {.problem = problem, .info = &context->facts.info, .solver = choice->solver,
                                  .config = &choice->config, .verdict = verdict};
    upc_log(&context->env, UPCONV_LOG_INFO, "a record of another driver, %s: %s", choice->solver->name, verdict);
    return upc_tuning_keep(context->tuning, &seen);
}

// A record of another driver is run once before it is used. What comes of it is remembered as a record of this driver, so a
// wrong one gives way to the next best, and a right one is not run again.
static upconv_status choose(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                            upc_choice *choice)
{
    for (;;) {
        bool right;
        upconv_status status = upc_plan_choose(context, problem, params, choice, NULL);
        if (status || !choice->unverified)
            return status;
        status = upc_verify_choice(context, problem, params, choice, &right);
        if (status == UPCONV_ERROR_DEVICE_LOST)
            remember(context, problem, choice, "crash"); // for whoever exports the records of what was lost
        if (status || (status = remember(context, problem, choice, right ? "verified" : "wrong")))
            return status;
    }
}

upconv_status upc_plan_begin(upconv_context *context, const upconv_problem *given,
                             const upconv_plan_params *given_params, upconv_plan_params *params, upconv_plan **plan)
{
    const uint64_t start = upc_now_ns();
    upc_problem problem;
    upconv_status status = upc_params_copy(params, sizeof *params, given_params, sizeof *params, "params");
    if (status || (status = upc_problem_from(given, &problem)) || (status = check(&problem, params)) ||
        (status = upc_context_check(context)) || (status = upc_dot_decide(context, &problem)))
        return status;
    upc_choice choice;
    if ((status = choose(context, &problem, params, &choice)))
        return status;
    if (params->effort == UPCONV_MEASURE && choice.tier != UPCONV_TIER_EXACT && choice.tier != UPCONV_TIER_FORCED &&
        (status = upc_plan_measure(context, &problem, params, &choice)))
        return status;
    return prepare(context, &problem, params, &choice, start, plan);
}

upconv_status upconv_plan_create(upconv_context *context, const upconv_problem *given,
                                 const upconv_plan_params *given_params, upconv_plan **plan)
{
    if (!context || !given || !plan)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", !context ? "context" : !given ? "problem" : "plan");
    upconv_plan_params params;
    upconv_plan *made = NULL;
    const upconv_status status = upc_plan_begin(context, given, given_params, &params, &made);
    return status ? status : end_or_destroy(made, &params, plan);
}

void upconv_plan_destroy(upconv_plan *plan)
{
    if (!plan)
        return;
    const upc_env *env = &plan->context->env;
    for (size_t i = 0; plan->programs && i < plan->recipe.program_count; i++)
        upc_program_release(plan->programs[i]);
    upc_free(env, plan->programs);
    upc_memory_release(plan->constants);
    upc_recipe_finish(&plan->recipe);
    upc_free(env, plan->config_text);
    upc_free(env, plan);
}

upconv_status upconv_plan_info_get(const upconv_plan *plan, upconv_plan_info *info)
{
    if (!plan || !info)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", plan ? "info" : "plan");
    const upconv_plan_info found = {
        .backend = plan->context->backend->id, .tier = plan->tier, .device = plan->context->facts.info.name,
        .solver = plan->solver->name, .config = plan->config_text, .workspace_bytes = plan->recipe.workspace_bytes,
        .packed_bytes = plan->constants ? plan->constants->bytes : 0,
        .dispatches = (uint32_t)plan->recipe.step_count, .predicted_us = plan->predicted_us, .plan_ms = plan->plan_ms,
        .compile_ms = plan->compile_ms, .shipped_record = plan->shipped_record,
    };
    upc_params_return(info, &found, sizeof found, sizeof found);
    return UPCONV_OK;
}

// The program of a kernel step, or NULL with a sentence.
static const upc_program_desc *step_program(const upconv_plan *plan, uint32_t step, uint32_t *program)
{
    if (step >= plan->recipe.step_count) {
        upc_fail(UPCONV_ERROR_INVALID, "step is %u; the plan has %zu", step, plan->recipe.step_count);
        return NULL;
    }
    if (plan->recipe.steps[step].kind != UPC_STEP_KERNEL) {
        upc_fail(UPCONV_ERROR_INVALID, "step %u is %s; it has no source or statistics", step,
                 plan->recipe.steps[step].kind == UPC_STEP_HOST ? "a host function"
                                                                : "another library's matrix product");
        return NULL;
    }
    *program = plan->recipe.steps[step].program;
    return &plan->recipe.programs[*program];
}

upconv_status upconv_plan_source(const upconv_plan *plan, uint32_t step, char *text, size_t size, size_t *length)
{
    if (!plan || (!text && size))
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", plan ? "text" : "plan");
    uint32_t program;
    const upc_program_desc *desc = step_program(plan, step, &program);
    if (!desc)
        return UPCONV_ERROR_INVALID;
    const upc_env *env = &plan->context->env;
    upc_string source;
    upc_string_init(&source, env);
    const upconv_status status =
        upc_source_assemble(env, plan->context->backend->id, &plan->context->facts, desc, &source);
    if (!status) {
        upc_text out = {text, size, 0};
        upc_text_add(&out, "%s", source.data);
        if (length)
            *length = out.length;
    }
    upc_string_finish(&source);
    return status;
}

upconv_status upconv_plan_statistics(const upconv_plan *plan, uint32_t step,
                                     void (*visit)(void *user, const char *name, double value), void *user)
{
    if (!plan || !visit)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", plan ? "visit" : "plan");
    uint32_t program;
    if (!step_program(plan, step, &program))
        return UPCONV_ERROR_INVALID;
    plan->context->backend->program_statistics(plan->programs[program], visit, user);
    return UPCONV_OK;
}

upconv_status upconv_explain(upconv_context *context, const upconv_problem *given,
                             const upconv_plan_params *given_params, char *text, size_t size, size_t *length)
{
    if (!context || !given || (!text && size))
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL", !context ? "context" : !given ? "problem" : "text");
    upc_problem problem;
    upconv_plan_params params;
    upconv_status status = upc_params_copy(&params, sizeof params, given_params, sizeof params, "params");
    if (status || (status = upc_problem_from(given, &problem)))
        return status;
    static const int32_t one[1] = {0};
    if (upc_type_quantised(problem.type) && !params.scale_count) { // without which there are no plans, but much to be said
        params.multipliers = params.shifts = one;
        params.scales = NULL;
        params.weights_type = params.weights_type == UPCONV_F32 ? UPCONV_I8 : params.weights_type;
        params.scale_count = 1;
    }
    if ((status = check(&problem, &params)) || (status = upc_dot_decide(context, &problem)))
        return status;
    upc_text out = {text, size, 0};
    upc_text_add(&out, "problem: ");
    upc_problem_print(&problem, &out);
    upc_text_add(&out, "\ndevice: %s (%s)\n", context->facts.info.name, context->backend->name);
    upc_choice choice;
    if (upc_plan_choose(context, &problem, &params, &choice, &out)) {
        upc_text_add(&out, "plan: none: %s\n", upc_last_error());
    } else {
        upc_text_add(&out, "plan: %s ", choice.solver->name);
        upc_config_print(choice.solver, &choice.config, &out);
        upc_text_add(&out, " (%s)\n", upconv_tier_name(choice.tier));
    }
    if (problem.op == UPCONV_CONV_TRANSPOSE)
        upc_overlap_explain(&problem, &out);
    if (length)
        *length = out.length;
    return UPCONV_OK;
}
