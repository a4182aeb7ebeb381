#include "pooled.h"

#include <stdio.h>
#include <stdlib.h>

static bool on_cpu(const upconv_problem *problem, upconv_io *io)
{
    upconv_context *cpu = NULL;
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {sizeof params};
    const bool ok = !test_context_create(UPCONV_BACKEND_CPU, NULL, &cpu) &&
                    !upconv_plan_create(cpu, problem, &params, &plan) && !upconv_execute_io(plan, io);
    if (!ok)
        printf("FAILED on the CPU: %s\n", upconv_last_error());
    upconv_plan_destroy(plan);
    upconv_context_destroy(cpu);
    return ok;
}

bool pooled_init(pooled *p, const char *pool, const char *unpool)
{
    test_random random = {7};
    *p = (pooled){
        .pool = test_problem(pool), .unpool = test_problem(unpool), {sizeof p->pool_sizes}, {sizeof p->unpool_sizes}};
    if (upconv_problem_sizes(&p->pool, &p->pool_sizes) || upconv_problem_sizes(&p->unpool, &p->unpool_sizes) ||
        p->unpool_sizes.indices_bytes != p->pool_sizes.indices_bytes ||
        p->unpool_sizes.input_bytes != p->pool_sizes.output_bytes) {
        printf("FAILED %s and %s do not fit: %s\n", pool, unpool, upconv_last_error());
        return false;
    }
    p->input = malloc((size_t)p->pool_sizes.input_bytes);
    p->pooled = malloc((size_t)p->pool_sizes.output_bytes);
    p->indices = malloc((size_t)p->pool_sizes.indices_bytes);
    p->unpooled = malloc((size_t)p->unpool_sizes.output_bytes);
    if (!p->input || !p->pooled || !p->indices || !p->unpooled)
        return false;
    for (uint64_t i = 0; i < p->pool_sizes.input_elements; i++)
        p->input[i] = (float)test_between(&random, -1000, 1000);
    upconv_io first = {sizeof first}, second = {sizeof second};
    first.at[UPCONV_INPUT].host = p->input;
    first.at[UPCONV_OUTPUT].host = second.at[UPCONV_INPUT].host = p->pooled;
    first.at[UPCONV_INDICES].host = second.at[UPCONV_INDICES].host = p->indices;
    second.at[UPCONV_OUTPUT].host = p->unpooled;
    return on_cpu(&p->pool, &first) && on_cpu(&p->unpool, &second);
}

void pooled_finish(pooled *p)
{
    free(p->input);
    free(p->pooled);
    free(p->unpooled);
    free(p->indices);
}
