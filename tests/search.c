// How far a default plan is from the best configuration: for each problem of a file, times the default, every solver's guess, every
// change of one knob, random combinations, and then goes on from the best by changing one knob at a time. A tool for whoever fits the
// cost model, not a test: results are compared by tests/random.
//   search BACKEND FILE [RANDOM [SECONDS a problem]]
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_MOST = 4096, RUNS = 7 };

typedef struct search {
    upconv_context *context;
    upconv_problem problem;
    upconv_plan_params params;
    upconv_io io;
    test_random random;
    uint64_t deadline;
    uint64_t seen[SEEN_MOST];
    int seen_count, timed;
    double best_us;
    char best[256];
} search;

static int order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Median of `runs`, after one that is not counted; 0 when it fails.
static double time_plan(const search *s, upconv_plan *plan, int runs)
{
    double us[RUNS];
    for (int i = -1; i < runs; i++) {
        upconv_ticket ticket;
        uint64_t ns;
        if (upconv_submit(plan, &s->io, &ticket) || upconv_wait(s->context, ticket, -1) ||
            upconv_ticket_time(s->context, ticket, &ns))
            return 0;
        if (i >= 0)
            us[i] = (double)ns / 1e3;
        else if (s->best_us > 0 && (double)ns / 1e3 > 3 * s->best_us)
            return (double)ns / 1e3; // hopeless
    }
    qsort(us, (size_t)runs, sizeof *us, order);
    return us[runs / 2];
}

// Times a configuration, NULL for the default; once.
static double try_one(search *s, const char *text)
{
    const uint64_t hash = text ? upc_hash(text, strlen(text), 0) : 0;
    for (int i = 0; text && i < s->seen_count; i++)
        if (s->seen[i] == hash)
            return 0;
    if (text && s->seen_count < SEEN_MOST)
        s->seen[s->seen_count++] = hash;
    upconv_plan_params params = s->params;
    params.solver = text;
    upconv_plan *plan;
    if (upconv_plan_create(s->context, &s->problem, &params, &plan))
        return 0;
    const double us = time_plan(s, plan, RUNS);
    s->timed++;
    upconv_plan_destroy(plan);
    if (text && us > 0 && (s->best_us == 0 || us < s->best_us)) {
        s->best_us = us;
        snprintf(s->best, sizeof s->best, "%s", text);
    }
    return us;
}

static void try_config(search *s, const upc_solver *solver, const upc_problem *problem, const upc_config *config)
{
    char sentence[UPC_SENTENCE], name[256];
    if (upc_now_ns() > s->deadline || solver->legal(problem, &s->context->facts, config, sentence))
        return;
    upc_text text = {name, sizeof name, 0};
    upc_text_add(&text, "%s%s", solver->name, solver->knob_count ? ":" : "");
    upc_config_print(solver, config, &text);
    try_one(s, name);
}

static void try_neighbours(search *s, const upc_solver *solver, const upc_problem *problem, const upc_config *from)
{
    for (int k = 0; k < solver->knob_count; k++)
        for (int v = 0; v < solver->knobs[k].count; v++) {
            upc_config config = *from;
            config.value[k] = solver->knobs[k].values[v];
            try_config(s, solver, problem, &config);
        }
}

static void search_one(search *s, int randoms)
{
    upc_problem problem;
    char sentence[UPC_SENTENCE];
    upc_config config;
    if (upc_problem_from(&s->problem, &problem))
        return;
    for (int i = 0; i < upc_solver_count; i++) {
        const upc_solver *solver = upc_solvers[i];
        if (solver->refuse(&problem, &s->context->facts, sentence))
            continue;
        solver->guess(&problem, &s->context->facts, &config);
        try_config(s, solver, &problem, &config);
        try_neighbours(s, solver, &problem, &config);
        for (int r = 0; r < randoms; r++) {
            for (int k = 0; k < solver->knob_count; k++)
                config.value[k] = test_pick(&s->random, solver->knobs[k].values, solver->knobs[k].count);
            try_config(s, solver, &problem, &config);
        }
    }
    for (double before = 0; s->best_us > 0 && s->best_us != before;) {
        before = s->best_us;
        const char *colon = strchr(s->best, ':');
        const upc_solver *solver = upc_solver_find(s->best, colon ? (size_t)(colon - s->best) : strlen(s->best));
        solver->guess(&problem, &s->context->facts, &config);
        if (colon && !upc_config_parse(solver, colon + 1, &config))
            try_neighbours(s, solver, &problem, &config);
    }
}

// The ratio of the default's time to the best's, timed once more, in turn.
static double compare(search *s, double *default_us)
{
    upconv_plan *plans[2] = {NULL, NULL};
    upconv_plan_params params = s->params;
    double ratios[RUNS];
    *default_us = 0;
    if (upconv_plan_create(s->context, &s->problem, &params, &plans[0]))
        return 0;
    params.solver = s->best;
    if (s->best_us > 0 && !upconv_plan_create(s->context, &s->problem, &params, &plans[1]))
        for (int i = 0; i < RUNS; i++) {
            *default_us = time_plan(s, plans[0], 1);
            ratios[i] = *default_us / time_plan(s, plans[1], 1);
        }
    upconv_plan_info info;
    upconv_plan_info_get(plans[0], &info);
    printf("%s:%s -> ", info.solver, info.config);
    upconv_plan_destroy(plans[0]);
    upconv_plan_destroy(plans[1]);
    qsort(ratios, RUNS, sizeof *ratios, order);
    return s->best_us > 0 ? ratios[RUNS / 2] : 1;
}

static bool prepare(search *s, const char *notation, upconv_buffer *buffers[2], float **weights)
{
    upconv_sizes sizes = {sizeof sizes};
    s->problem = test_problem(notation);
    if (upconv_problem_sizes(&s->problem, &sizes) || upconv_buffer_create(s->context, sizes.input_bytes, &buffers[0]) ||
        upconv_buffer_create(s->context, sizes.output_bytes, &buffers[1]) || !(*weights = calloc(sizes.weights_elements, 4)))
        return false;
    for (uint64_t i = 0; i < sizes.weights_elements; i++)
        (*weights)[i] = (float)test_between(&s->random, -8, 8);
    void *input;
    if (upconv_buffer_map(buffers[0], UPCONV_MAP_WRITE, &input))
        return false;
    for (uint64_t i = 0; i < sizes.input_bytes / 4; i++)
        ((float *)input)[i] = s->problem.type == UPCONV_F16 ? 0 : (float)test_between(&s->random, -8, 8);
    upconv_buffer_unmap(buffers[0]);
    s->params = (upconv_plan_params){.struct_size = sizeof s->params, .weights = *weights};
    s->io = (upconv_io){.struct_size = sizeof s->io};
    s->io.at[UPCONV_INPUT].buffer = buffers[0];
    s->io.at[UPCONV_OUTPUT].buffer = buffers[1];
    s->seen_count = s->timed = 0;
    s->best_us = 0;
    return true;
}

int main(int argc, char **argv)
{
    static search s;
    upconv_backend backend;
    FILE *file = argc > 2 ? fopen(argv[2], "r") : NULL;
    if (!file || !test_backend_parse(argv[1], &backend) || test_context_create(backend, NULL, &s.context)) {
        fprintf(stderr, "usage: search BACKEND FILE [RANDOM [SECONDS]]\n");
        return 2;
    }
    const int randoms = argc > 3 ? atoi(argv[3]) : 20, seconds = argc > 4 ? atoi(argv[4]) : 20;
    double logs = 0;
    int count = 0;
    char line[512], name[128], notation[256];
    while (fgets(line, sizeof line, file)) {
        upconv_buffer *buffers[2] = {NULL, NULL};
        float *weights = NULL;
        double default_us = 0;
        if (line[0] == '#' || sscanf(line, "%127s %255s", name, notation) != 2)
            continue;
        s.random.state = 1;
        s.deadline = upc_now_ns() + (uint64_t)seconds * 1000000000u;
        if (prepare(&s, notation, buffers, &weights)) {
            search_one(&s, randoms);
            printf("%-16s ", name);
            const double ratio = compare(&s, &default_us);
            printf("%s  default %.0f us, best %.0f us of %d, ratio %.2f\n", s.best, default_us, s.best_us, s.timed, ratio);
            fflush(stdout);
            logs += log(ratio > 0 ? ratio : 1);
            count++;
        }
        upconv_buffer_destroy(buffers[0]);
        upconv_buffer_destroy(buffers[1]);
        free(weights);
    }
    fclose(file);
    upconv_context_destroy(s.context);
    printf("default / best over %d problems: geometric mean %.3f\n", count, count ? exp(logs / count) : 0);
    return 0;
}
