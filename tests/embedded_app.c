// An app that has tuning records linked in, for tests/embedded.py: it knows the public header only, opens no file,
// and makes one plan three times, each in a new context. embedded_app BACKEND PROBLEM SOLVER:CONFIG prints a JSON
// object a plan: by the cost model, with that configuration named, and as the app that is shipped would make it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <upconv/upconv.h>

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int fail(void)
{
    fprintf(stderr, "embedded_app: %s\n", upconv_last_error());
    return 1;
}

static int plan_once(const char *name, const upconv_context_params *where, const upconv_problem *problem,
                     const upconv_plan_params *params)
{
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    upconv_plan_info info = {.struct_size = sizeof info};
    upconv_counters counters = {.struct_size = sizeof counters};
    if (upconv_context_create(where, &context))
        return fail();
    const double start = now_ms();
    if (upconv_plan_create(context, problem, params, &plan))
        return fail();
    const double took = now_ms() - start;
    if (upconv_plan_info_get(plan, &info) || upconv_context_counters(context, &counters))
        return fail();
    printf("{\"plan\": \"%s\", \"tier\": \"%s\", \"shipped\": %u, \"choice\": \"%s:%s\", \"compiles\": %llu, \"runs\": "
           "%llu, "
           "\"records\": %llu, \"ms\": %.3f, \"besides_compiling_ms\": %.3f}\n",
           name, upconv_tier_name(info.tier), info.shipped_record, info.solver, info.config,
           (unsigned long long)counters.source_compiles,
           (unsigned long long)(counters.submissions + counters.host_steps), (unsigned long long)counters.records_used,
           took, took - info.compile_ms);
    upconv_plan_destroy(plan);
    upconv_context_destroy(context);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"any", "vulkan", "opencl", "cpu"};
    upconv_context_params where = {.struct_size = sizeof where};
    upconv_problem problem = {.struct_size = sizeof problem};
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    for (int i = 0; argc == 4 && i < 4; i++)
        if (!strcmp(argv[1], backends[i]))
            where.backend = (upconv_backend)i;
    if (argc != 4 || upconv_problem_parse(argv[2], &problem, NULL) || upconv_problem_sizes(&problem, &sizes))
        return fail();
    float *weights = calloc(1, sizes.weights_bytes);
    upconv_plan_params params = {.struct_size = sizeof params, .weights = weights};
    upconv_context_params own = where;
    own.own_records_only = 1;
    upconv_plan_params named = params;
    named.solver = argv[3];
    const int failed = !weights || plan_once("model", &own, &problem, &params) ||
                       plan_once("named", &own, &problem, &named) || plan_once("shipped", &where, &problem, &params);
    free(weights);
    return failed;
}
