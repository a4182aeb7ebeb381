// UPCONV_MEASURE: the likely candidates, verified on the device and timed in turn with the model's own choice, so that
// a drift of clocks hits both alike. A candidate must be clearly better to win.
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CANDIDATES = 24, ROUNDS = 5, SAMPLES = 400 };

static const double clearly_better = 0.97; // of the reference candidate's time

typedef struct measuring {
    upconv_context *context;
    const upc_problem *problem;
    upconv_plan_params params; // with our own weights
    const upconv_plan_params *given;
    float *w, *b;              // small integers: sums are exact
    void *x, *r, *y;           // of the problem's type, as its tensors lie: input, residual or NULL, output
    upconv_buffer *input, *residual, *output;
} measuring;

static void fill_integers(void *values, upconv_type type, uint64_t count, uint32_t seed)
{
    for (uint64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        upc_host_store(values, type, (int64_t)i, (float)((int)(seed >> 24) % 9 - 4));
    }
}

static upconv_status write_buffer(upconv_buffer *buffer, const void *data, uint64_t bytes)
{
    void *pointer;
    const upconv_status status = upconv_buffer_map(buffer, UPCONV_MAP_WRITE, &pointer);
    if (status)
        return status;
    memcpy(pointer, data, bytes);
    return upconv_buffer_unmap(buffer);
}

static upconv_status make_values(measuring *m)
{
    const upc_problem *p = m->problem;
    void *w = NULL, *b = NULL;
    const struct {
        void **at;
        uint64_t count;
        upconv_type type;
    } arrays[] = {
        {&m->x, (uint64_t)p->in.elements, p->type},
        {&w, upc_weights_elements(p), UPCONV_F32},
        {&b, (uint64_t)(p->groups * p->ocg), UPCONV_F32},
        {&m->y, (uint64_t)p->out.elements, p->type},
        {&m->r, p->residual ? (uint64_t)p->out.elements : 0, p->type},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(arrays) && !status; i++) {
        if (!arrays[i].count)
            continue;
        if ((*arrays[i].at = upc_alloc_array(&m->context->env, arrays[i].count, upc_type_bytes(arrays[i].type))))
            fill_integers(*arrays[i].at, arrays[i].type, arrays[i].count, (uint32_t)i + 1);
        else
            status = upc_no_memory(arrays[i].count * upc_type_bytes(arrays[i].type));
    }
    m->w = w;
    m->b = b;
    return status;
}

static upconv_status prepare(measuring *m)
{
    const uint64_t in = upc_input_bytes(m->problem), out = upc_output_bytes(m->problem);
    upconv_status status = make_values(m);
    if (status)
        return status;
    m->params = (upconv_plan_params){.weights = m->w, .bias = m->b};
    if (m->problem->act == UPCONV_ACT_PRELU)
        m->params.slopes = m->b;
    if ((status = upconv_buffer_create(m->context, in, &m->input)) ||
        (status = upconv_buffer_create(m->context, out, &m->output)) || (status = write_buffer(m->input, m->x, in)))
        return status;
    if (m->r && !(status = upconv_buffer_create(m->context, out, &m->residual)))
        status = write_buffer(m->residual, m->r, out);
    return status;
}

static void finish(measuring *m)
{
    const upc_env *env = &m->context->env;
    upconv_buffer_destroy(m->input);
    upconv_buffer_destroy(m->output);
    upconv_buffer_destroy(m->residual);
    upc_free(env, m->x);
    upc_free(env, m->w);
    upc_free(env, m->b);
    upc_free(env, m->y);
    upc_free(env, m->r);
}

static upconv_status run(const measuring *m, upconv_plan *plan, double *us)
{
    const upconv_io io = {.struct_size = sizeof io,
                          .at = {[UPCONV_INPUT] = {.buffer = m->input}, [UPCONV_OUTPUT] = {.buffer = m->output},
                                 [UPCONV_RESIDUAL] = {.buffer = m->residual}}};
    upconv_ticket ticket;
    uint64_t ns = 0;
    upconv_status status = upconv_submit(plan, &io, &ticket);
    if (status || (status = upconv_wait(m->context, ticket, -1)) ||
        (status = upconv_ticket_time(m->context, ticket, &ns)))
        return status;
    *us = (double)ns / 1e3;
    return UPCONV_OK;
}

// Every element must have been written: what was there before is NaN.
static bool written(const measuring *m)
{
    const upc_problem *p = m->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t channels = p->groups * p->ocg;
    for (int64_t row = 0; row < p->batch * channels * d->out * h->out; row++) {
        const int64_t plane = row / h->out, channel = plane / d->out;
        const int64_t at = upc_tensor_at(&p->out, channel / channels, channel % channels, plane % d->out,
                                         row % h->out, 0);
        for (int64_t i = 0; i < w->out; i++)
            if (isnan(upc_host_load(m->y, p->type, at + i * p->out.axis[2])))
                return false;
    }
    return true;
}

// A sample must be right.
static bool right(const measuring *m)
{
    const upc_problem *p = m->problem;
    const uint64_t count = upc_output_elements(p);
    const upc_host_arg arg = {.problem = p, .order = UPCONV_FILTER_IOK};
    const void *const pointers[] = {m->x, m->w, m->b, m->b, m->y, m->r};
    const double rounding = p->type == UPCONV_F16 ? 1e-3 : 1e-5; // of one that truncates
    const int64_t ow = p->axis[2].out, oh = p->axis[1].out, od = p->axis[0].out, channels = p->groups * p->ocg;
    uint64_t at = 0;
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t index = i == 0 ? count - 1 : at % count; // the first and last, and strides that visit all phases
        at = at * 6364136223846793005u + 1442695040888963407u;
        const int64_t o = (int64_t)index;
        const int64_t where[5] = {o / ow / oh / od / channels, o / ow / oh / od % channels, o / ow / oh % od, o / ow % oh,
                                  o % ow};
        const double expected = upc_reference_point(&arg, pointers, where);
        const double found = upc_host_load(m->y, p->type, upc_output_at(p, where));
        const bool beyond = p->type == UPCONV_F16 && fabs(expected) > 65000; // f16 ends there
        if (!beyond && !(fabs(found - expected) <= rounding * (1 + fabs(expected))))
            return false;
    }
    return true;
}

static upconv_status verify(const measuring *m, upconv_plan *plan, bool *ok)
{
    const upc_problem *p = m->problem;
    for (int64_t i = 0; i < p->out.elements; i++)
        upc_host_store(m->y, p->type, i, NAN);
    double us;
    void *pointer;
    upconv_status status = write_buffer(m->output, m->y, upc_output_bytes(p));
    if (status || (status = run(m, plan, &us)) ||
        (status = upconv_buffer_map(m->output, UPCONV_MAP_READ, &pointer)))
        return status;
    memcpy(m->y, pointer, upc_output_bytes(p));
    if ((status = upconv_buffer_unmap(m->output)))
        return status;
    *ok = written(m) && right(m);
    return UPCONV_OK;
}

static bool same(const upc_choice *a, const upc_choice *b)
{
    return a->solver == b->solver && !memcmp(&a->config, &b->config, sizeof a->config);
}

static void add(upc_choice *list, int *count, const upc_choice *candidate)
{
    for (int i = 0; i < *count; i++)
        if (same(&list[i], candidate))
            return;
    if (*count < MAX_CANDIDATES)
        list[(*count)++] = *candidate;
}

// The choice itself, what each solver would guess, and the choice with one knob moved to each neighbour; only what the
// app's own plan could be, whose weights may come at execution and need workspace.
static int candidates(const measuring *m, const upc_choice *choice, upc_choice *list)
{
    const upc_facts *facts = &m->context->facts;
    char sentence[UPC_SENTENCE];
    int count = 0;
    add(list, &count, choice);
    const upc_solver *solver = choice->solver;
    for (int k = 0; k < solver->knob_count; k++)
        for (int v = 0; v < solver->knobs[k].count; v++) {
            const bool neighbour = (v > 0 && solver->knobs[k].values[v - 1] == choice->config.value[k]) ||
                                   (v + 1 < solver->knobs[k].count &&
                                    solver->knobs[k].values[v + 1] == choice->config.value[k]);
            upc_choice moved = *choice;
            moved.config.value[k] = solver->knobs[k].values[v];
            if (neighbour && !solver->legal(m->problem, facts, &moved.config, sentence) &&
                !upc_config_refuse(m->context, m->problem, m->given, solver, &moved.config, sentence))
                add(list, &count, &moved);
        }
    for (int i = 0; i < upc_solver_count; i++) {
        upc_choice other = {.solver = upc_solvers[i]};
        if (other.solver->refuse(m->problem, facts, sentence))
            continue;
        other.solver->guess(m->problem, facts, &other.config);
        if (!upc_config_refuse(m->context, m->problem, m->given, other.solver, &other.config, sentence))
            add(list, &count, &other);
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Medians of a candidate's and the reference's times, taken in turn, and the spread (median deviation) of the
// candidate's.
static upconv_status time_pair(const measuring *m, upconv_plan *plan, upconv_plan *reference, double *us,
                               double *reference_us, double *spread)
{
    double times[ROUNDS], others[ROUNDS], off[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        upconv_status status = run(m, reference, &others[i]);
        if (status || (status = run(m, plan, &times[i])))
            return status;
    }
    qsort(times, ROUNDS, sizeof *times, compare);
    qsort(others, ROUNDS, sizeof *others, compare);
    *us = times[ROUNDS / 2];
    *reference_us = others[ROUNDS / 2];
    for (int i = 0; i < ROUNDS; i++)
        off[i] = fabs(times[i] - *us);
    qsort(off, ROUNDS, sizeof *off, compare);
    *spread = *us > 0 ? off[ROUNDS / 2] / *us : 0;
    return UPCONV_OK;
}

// What one candidate gives. A candidate that cannot be built or is wrong is left out with a log line; a lost device
// ends all.
static upconv_status try_one(const measuring *m, const upc_choice *candidate, upconv_plan *reference, double *ratio,
                             double *us, double *reference_us, double *spread)
{
    upconv_plan *plan;
    bool ok = false;
    *ratio = INFINITY;
    upconv_status status = upc_plan_build(m->context, m->problem, &m->params, candidate, &plan);
    if (status == UPCONV_ERROR_HOST_MEMORY)
        return status;
    if (status) {
        upc_log(&m->context->env, UPCONV_LOG_WARNING, "measure: %s left out: %s", candidate->solver->name,
                upc_last_error());
        return upc_context_check(m->context);
    }
    if (!(status = verify(m, plan, &ok)) && ok && !(status = time_pair(m, plan, reference, us, reference_us, spread)))
        *ratio = *us / UPC_MAX(*reference_us, 1e-3);
    if (!status && !ok)
        upc_log(&m->context->env, UPCONV_LOG_ERROR, "measure: %s (%s) gives wrong results on %s and is left out",
                plan->solver->name, plan->config_text, m->context->facts.info.name);
    upconv_plan_destroy(plan);
    return status;
}

static upconv_status search(measuring *m, int64_t budget_ns, upc_choice *choice)
{
    upc_choice list[MAX_CANDIDATES];
    const int count = candidates(m, choice, list);
    const uint64_t end = upc_now_ns() + (uint64_t)budget_ns;
    upconv_plan *reference;
    upconv_status status = upc_plan_build(m->context, m->problem, &m->params, choice, &reference);
    if (status)
        return status;
    double best = INFINITY, best_us = 0, best_reference = 0, best_spread = 0;
    upc_choice winner = *choice;
    for (int i = 0; i < count && !status && (i == 0 || upc_now_ns() < end); i++) {
        double ratio, us = 0, reference_us = 0, spread = 0;
        status = try_one(m, &list[i], reference, &ratio, &us, &reference_us, &spread);
        // the first is the choice itself, against which the others must be clearly better
        if (!status && ratio < (i == 0 ? INFINITY : best * clearly_better)) {
            best = i == 0 ? 1 : ratio;
            best_us = us;
            best_reference = reference_us;
            best_spread = spread;
            winner = list[i];
        }
    }
    upconv_plan_destroy(reference);
    if (status)
        return status;
    if (isinf(best))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "no candidate gave right results on %s", m->context->facts.info.name);
    winner.tier = UPCONV_TIER_MEASURED;
    winner.predicted_us = best_us;
    *choice = winner;
    return upc_tuning_add(m->context->tuning, m->problem, &m->context->facts, winner.solver, &winner.config, best_us,
                          best_reference, best_spread);
}

upconv_status upc_plan_measure(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                               upc_choice *choice)
{
    measuring m = {.context = context, .problem = problem, .given = params};
    upconv_status status = prepare(&m);
    m.params.workspace_limit = params->workspace_limit;
    if (!status)
        status = search(&m, params->time_limit_ns ? params->time_limit_ns : 2000000000, choice);
    finish(&m);
    return status;
}

upconv_status upc_verify_choice(upconv_context *context, const upc_problem *problem, const upconv_plan_params *params,
                                const upc_choice *choice, bool *ok)
{
    measuring m = {.context = context, .problem = problem, .given = params};
    const upc_choice trial = {choice->solver, choice->config, UPCONV_TIER_MODEL, 0}; // no record is used by it
    upconv_plan *plan = NULL;
    *ok = false;
    upconv_status status = prepare(&m);
    m.params.workspace_limit = params->workspace_limit;
    if (!status && !(status = upc_plan_build(context, problem, &m.params, &trial, &plan)))
        status = verify(&m, plan, ok);
    else if (status == UPCONV_ERROR_COMPILE || status == UPCONV_ERROR_UNSUPPORTED)
        status = upc_context_check(context); // no plan, but no harm either
    upconv_plan_destroy(plan);
    finish(&m);
    return status;
}
