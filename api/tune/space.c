#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double count_most = 300000; // combinations that are looked at one by one to be counted

// ---------------------------------------------------------------------------------------------------------------- live

typedef struct live {
    const upconv_context *context;
    const upc_problem *problem;
} live;

static bool live_legal(const upc_space *space, const upc_candidate *candidate)
{
    const live *l = space->user;
    char sentence[UPC_SENTENCE];
    return !space->solver[candidate->solver].solver->legal(l->problem, upc_facts_for(l->context, l->problem),
                                                           &candidate->config, sentence);
}

static double live_predict(const upc_space *space, const upc_candidate *candidate)
{
    const live *l = space->user;
    return space->solver[candidate->solver].solver->cost_us(l->problem, upc_facts_for(l->context, l->problem),
                                                            &candidate->config);
}

static upconv_status add_solver(upc_space *space, const upc_solver *solver)
{
    upc_space_solver *made = &space->solver[space->solver_count++];
    snprintf(made->name, sizeof made->name, "%s", solver->name);
    made->solver = solver;
    made->searched = true;
    made->knob_count = solver->knob_count;
    for (int k = 0; k < solver->knob_count; k++) {
        const upc_knob *knob = &solver->knobs[k];
        snprintf(made->knob_name[k], sizeof made->knob_name[k], "%s", knob->name);
        if (!(made->values[k] = upc_alloc_array(space->env, (size_t)knob->count, sizeof *knob->values)))
            return upc_no_memory((size_t)knob->count * sizeof *knob->values);
        memcpy(made->values[k], knob->values, (size_t)knob->count * sizeof *knob->values);
        made->value_count[k] = knob->count;
    }
    return UPCONV_OK;
}

static void add_guess(upc_space *space, const live *l, const upconv_plan_params *params)
{
    upc_space_solver *made = &space->solver[space->solver_count - 1];
    char sentence[UPC_SENTENCE];
    made->solver->guess(l->problem, upc_facts_for(l->context, l->problem), &made->guess);
    made->guess_us = made->solver->cost_us(l->problem, upc_facts_for(l->context, l->problem), &made->guess);
    made->guessed = !upc_config_refuse(l->context, l->problem, params, made->solver, &made->guess, sentence);
}

static void live_finish(void *user)
{
    live *l = user;
    upc_free(&l->context->env, l);
}

upconv_status upc_space_live(const upconv_context *context, const upc_problem *problem,
                             const upconv_plan_params *params, const char *keep, upc_space *space)
{
    upc_space made = {.env = &context->env, .legal = live_legal, .predict = live_predict, .finish = live_finish};
    upconv_status status = UPCONV_OK;
    live *l = made.user = upc_alloc(&context->env, sizeof *l);
    made.solver = upc_alloc_array(&context->env, (size_t)upc_solver_count, sizeof *made.solver);
    if (!l || !made.solver) {
        upc_free(&context->env, l);
        upc_free(&context->env, made.solver);
        return upc_no_memory((size_t)upc_solver_count * sizeof *made.solver);
    }
    *l = (live){context, problem};
    for (int i = 0; i < upc_solver_count && !status; i++) {
        char sentence[UPC_SENTENCE];
        if (upc_solver_refuse(upc_solvers[i], problem, upc_facts_for(context, problem), sentence))
            continue;
        if (!(status = add_solver(&made, upc_solvers[i])))
            add_guess(&made, l, params);
    }
    if (!status && keep)
        status = upc_space_keep(&made, keep);
    if (status) {
        upc_space_finish(&made);
        return status;
    }
    *space = made;
    return UPCONV_OK;
}

void upc_space_finish(upc_space *space)
{
    for (int i = 0; i < space->solver_count; i++)
        for (int k = 0; k < space->solver[i].knob_count; k++)
            upc_free(space->env, space->solver[i].values[k]);
    if (space->env)
        upc_free(space->env, space->solver);
    if (space->finish)
        space->finish(space->user);
    memset(space, 0, sizeof *space);
}

// ----------------------------------------------------------------------------------------------------------- narrowing

static int find_solver(const upc_space *space, const char *name, size_t length)
{
    for (int i = 0; i < space->solver_count; i++)
        if (strlen(space->solver[i].name) == length && !memcmp(space->solver[i].name, name, length))
            return i;
    return -1;
}

static int find_knob(const upc_space_solver *solver, const char *name, size_t length)
{
    for (int k = 0; k < solver->knob_count; k++)
        if (strlen(solver->knob_name[k]) == length && !memcmp(solver->knob_name[k], name, length))
            return k;
    return -1;
}

// "x=8|16": only those of the knob's values stay that are named.
static upconv_status keep_values(upc_space_solver *solver, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length), *end = text + length;
    const int k = equals ? find_knob(solver, text, (size_t)(equals - text)) : -1;
    if (k < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "params.space: solver %s has no knob in \"%.*s\"", solver->name,
                        (int)length, text);
    int kept = 0;
    for (int v = 0; v < solver->value_count[k]; v++) {
        bool named = false;
        for (const char *at = equals + 1; at < end && !named; at += strcspn(at, "|,;") + 1)
            named = strtol(at, NULL, 10) == solver->values[k][v];
        if (named)
            solver->values[k][kept++] = solver->values[k][v];
    }
    if (!kept)
        return upc_fail(UPCONV_ERROR_INVALID, "params.space: \"%.*s\" leaves knob %s of solver %s no value",
                        (int)length, text, solver->knob_name[k], solver->name);
    solver->value_count[k] = kept;
    return UPCONV_OK;
}

upconv_status upc_space_keep(upc_space *space, const char *keep)
{
    for (int i = 0; i < space->solver_count; i++)
        space->solver[i].searched = false;
    for (const char *at = keep; *at;) {
        const size_t part = strcspn(at, ";"), name = UPC_MIN(strcspn(at, ":;"), part);
        const int i = find_solver(space, at, name);
        if (i < 0 && !upc_solver_find(at, name) && name)
            return upc_fail(UPCONV_ERROR_INVALID, "params.space: there is no solver \"%.*s\"", (int)name, at);
        if (i >= 0)
            space->solver[i].searched = true;
        for (size_t from = name + 1; i >= 0 && from < part;) { // what refuses the problem has nothing to hold
            const size_t length = strcspn(at + from, ",;");
            const upconv_status status = length ? keep_values(&space->solver[i], at + from, length) : UPCONV_OK;
            if (status)
                return status;
            from += length + 1;
        }
        at += part + (at[part] == ';');
    }
    return UPCONV_OK;
}

void upc_space_count(upc_space *space)
{
    space->size = 0;
    for (int i = 0; i < space->solver_count; i++) {
        double product = space->solver[i].searched ? 1 : 0;
        for (int k = 0; k < space->solver[i].knob_count; k++)
            product *= space->solver[i].value_count[k];
        space->size += product;
    }
    space->counted = space->size <= count_most;
    if (!space->counted)
        return;
    space->size = 0;
    for (upc_candidate at = {.solver = -1}; upc_space_next(space, &at);)
        space->size++;
}

// ---------------------------------------------------------------------------------------------------------------- text

void upc_candidate_print(const upc_space *space, const upc_candidate *candidate, char text[UPC_CANDIDATE_TEXT])
{
    const upc_space_solver *solver = &space->solver[candidate->solver];
    upc_text out = {text, UPC_CANDIDATE_TEXT, 0};
    upc_text_add(&out, "%s", solver->name);
    for (int k = 0; k < solver->knob_count; k++)
        upc_text_add(&out, "%c%s=%d", k ? ',' : ':', solver->knob_name[k], candidate->config.value[k]);
}

// A live solver takes only values of its knobs, also those that the space was narrowed by.
static bool known_value(const upc_space_solver *solver, int knob, int32_t value)
{
    bool known = !solver->solver;
    for (int v = 0; !known && v < solver->solver->knobs[knob].count; v++)
        known = solver->solver->knobs[knob].values[v] == value;
    return known;
}

bool upc_candidate_parse(const upc_space *space, const char *text, upc_candidate *candidate)
{
    const size_t name = strcspn(text, ":");
    const int solver = find_solver(space, text, name);
    if (solver < 0)
        return false;
    upc_candidate read = {.solver = solver};
    int found = 0;
    for (const char *at = text + name + (text[name] == ':'); *at;) {
        const size_t length = strcspn(at, ","), knob_length = UPC_MIN(strcspn(at, "="), length);
        const int k = find_knob(&space->solver[solver], at, knob_length);
        if (k < 0 || knob_length == length)
            return false;
        read.config.value[k] = (int32_t)strtol(at + knob_length + 1, NULL, 10);
        if (!known_value(&space->solver[solver], k, read.config.value[k]))
            return false;
        found++;
        at += length + (at[length] == ',');
    }
    if (found != space->solver[solver].knob_count)
        return false;
    *candidate = read;
    return true;
}

bool upc_candidate_equal(const upc_candidate *a, const upc_candidate *b)
{
    return a->solver == b->solver && !memcmp(&a->config, &b->config, sizeof a->config);
}

// ------------------------------------------------------------------------------------------------------------- walking

int upc_space_guesses(const upc_space *space, upc_candidate *list, int room)
{
    int count = 0;
    for (int i = 0; i < space->solver_count; i++) {
        const upc_space_solver *solver = &space->solver[i];
        int at = count;
        if (!solver->guessed)
            continue;
        for (; at > 0 && space->solver[list[at - 1].solver].guess_us > solver->guess_us; at--)
            if (at < room)
                list[at] = list[at - 1];
        if (at < room) // of equals the first of the list stays first, as in the planner
            list[at] = (upc_candidate){i, solver->guess};
        count += count < room;
    }
    return count;
}

// The first candidate of the first solver from `solver` on that is searched.
static bool first_of(const upc_space *space, int solver, upc_candidate *candidate)
{
    while (solver < space->solver_count && !space->solver[solver].searched)
        solver++;
    if (solver >= space->solver_count)
        return false;
    *candidate = (upc_candidate){.solver = solver};
    for (int k = 0; k < space->solver[solver].knob_count; k++)
        candidate->config.value[k] = space->solver[solver].values[k][0];
    return true;
}

static int index_of(const upc_space_solver *solver, int knob, int32_t value)
{
    for (int v = 0; v < solver->value_count[knob]; v++)
        if (solver->values[knob][v] == value)
            return v;
    return -1;
}

// Like an odometer: the last knob turns fastest.
static bool advance(const upc_space *space, upc_candidate *candidate)
{
    if (candidate->solver < 0)
        return first_of(space, 0, candidate);
    const upc_space_solver *solver = &space->solver[candidate->solver];
    for (int k = solver->knob_count - 1; k >= 0; k--) {
        const int at = index_of(solver, k, candidate->config.value[k]);
        if (at + 1 < solver->value_count[k]) {
            candidate->config.value[k] = solver->values[k][at + 1];
            return true;
        }
        candidate->config.value[k] = solver->values[k][0];
    }
    return first_of(space, candidate->solver + 1, candidate);
}

bool upc_space_next(const upc_space *space, upc_candidate *candidate)
{
    while (advance(space, candidate))
        if (space->legal(space, candidate))
            return true;
    return false;
}

bool upc_space_move(const upc_space *space, const upc_candidate *from, int knob, int direction, upc_candidate *to)
{
    const upc_space_solver *solver = &space->solver[from->solver];
    const int count = solver->value_count[knob];
    *to = *from;
    for (int i = 0; i < count; i++) {
        const int32_t value = solver->values[knob][direction > 0 ? i : count - 1 - i];
        if ((direction > 0 && value <= from->config.value[knob]) ||
            (direction < 0 && value >= from->config.value[knob]))
            continue;
        to->config.value[knob] = value;
        if (space->legal(space, to))
            return true;
    }
    return false;
}
