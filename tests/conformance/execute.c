#include "execute.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gradients.h"
#include "quantised.h"
#include "tensors.h"

// A copy of `array` with its axes in another order of the same letters; NULL: no memory.
static float *permuted(const float *array, const int64_t *shape, const char *from, const char *to)
{
    const int rank = (int)strlen(from);
    int64_t step[NPY_MAX_RANK], extent[NPY_MAX_RANK], count = 1; // by axis of `to`
    for (int i = 0; i < rank; i++) {
        const int source = (int)(strchr(from, to[i]) - from);
        extent[i] = shape[source];
        step[i] = 1;
        for (int j = source + 1; j < rank; j++)
            step[i] *= shape[j];
        count *= extent[i];
    }
    float *copy = malloc(sizeof *copy * (size_t)(count ? count : 1));
    for (int64_t index = 0; copy && index < count; index++) {
        int64_t rest = index, offset = 0;
        for (int i = rank - 1; i >= 0; i--) {
            offset += rest % extent[i] * step[i];
            rest /= extent[i];
        }
        copy[index] = array[offset];
    }
    return copy;
}

// The letters of a data layout in the library's order: N if it is there, C, then the axes.
static void library_layout(const char *layout, char *ours)
{
    for (const char *letter = "NCDHW"; *letter; letter++)
        if (strchr(layout, *letter))
            *ours++ = *letter;
    *ours = 0;
}

// Filters go in as they are where the library has a name for their order, so that all its orders are used;
// the rest are reordered. With groups, O is counted within a group, which is not how the library's O I k
// counts.
static upconv_filter_order filter_layout(const mapping *map, char *ours)
{
    static const struct {
        upconv_filter_order order;
        const char *before, *after;
    } orders[] = {
        {UPCONV_FILTER_KOI, "", "OI"}, {UPCONV_FILTER_OIK, "OI", ""}, {UPCONV_FILTER_IOK, "IO", ""}};
    const char *axes = &"DHW"[3 - map->dims];
    int choice = 2;
    if (!strncmp(map->weights_layout, axes, (size_t)map->dims) && map->weights_layout[map->dims] == 'O')
        choice = 0;
    else if (map->weights_layout[0] == 'O' && map->problem.groups == 1)
        choice = 1;
    strcpy(ours, orders[choice].before);
    strcat(ours, axes);
    strcat(ours, orders[choice].after);
    return orders[choice].order;
}

// Solvers are for one operation or the other: those of others are taken by choice.
static const char *solver_of(const mapping *map, const case_runner *runner)
{
    return map->problem.op == UPCONV_CONV_TRANSPOSE ? runner->solver : NULL;
}

static bool check_plan(corpus_case *item, const mapping *map, const upconv_plan *plan, const case_runner *runner)
{
    upconv_plan_info info = {.struct_size = sizeof info};
    if (upconv_plan_info_get(plan, &info) != UPCONV_OK)
        return case_wrong(item, "upconv_plan_info_get: %s", upconv_last_error());
    if (info.backend != runner->backend)
        return case_wrong(item, "the plan runs on backend %d, not %d", (int)info.backend,
                          (int)runner->backend);
    if (!solver_of(map, runner))
        return true;
    const size_t length = strcspn(runner->solver, ":");
    if (strlen(info.solver) != length || memcmp(info.solver, runner->solver, length))
        return case_wrong(item, "solver %s runs where %s was forced", info.solver, runner->solver);
    return info.tier == UPCONV_TIER_FORCED ||
           case_wrong(item, "the plan's tier is %s where a solver was forced", upconv_tier_name(info.tier));
}

static bool check_shape(corpus_case *item, const mapping *map, const upconv_sizes *sizes)
{
    const corpus_tensor *expected = map->output;
    const char *axes = &"DHW"[3 - map->dims];
    bool same = extent_of(expected, map->out_layout, 'N') == map->problem.batch &&
                extent_of(expected, map->out_layout, 'C') == map->problem.out_channels;
    for (int i = 0; i < map->dims; i++)
        same = same && extent_of(expected, map->out_layout, axes[i]) == sizes->out[i];
    return same ||
           case_wrong(item, "the output has %d channels and sizes %d %d %d, the case expects another shape",
                      map->problem.out_channels, sizes->out[0], sizes->out[1], sizes->out[2]);
}

static bool compare(corpus_case *item, const mapping *map, const laid_case *laid, const float *output)
{
    char ours[NPY_MAX_RANK + 1];
    library_layout(map->out_layout, ours);
    const corpus_tensor *expected = map->output;
    float *wanted = permuted(expected->array.data, expected->shape, map->out_layout, ours);
    if (!wanted)
        return case_wrong(item, "no memory for the expected output");
    size_t failures = 0, worst = 0;
    double worst_excess = -1;
    for (size_t i = 0; i < expected->array.elements; i++) {
        const double e = wanted[i], y = map->rounded ? round((double)output[i]) : (double)output[i];
        const double excess = fabs(y - e) - laid_bound(laid, i, e, expected->atol + expected->rtol * fabs(e));
        if (y == e || excess <= 0 || (isnan(y) && isnan(e)))
            continue;
        failures++;
        if (isnan(excess) || excess > worst_excess) {
            worst = i;
            worst_excess = isnan(excess) ? INFINITY : excess;
        }
    }
    if (failures)
        case_wrong(item,
                   "%zu of %zu elements are wrong; at element %zu in %s order: %.9g, expected %.9g (rtol %g, "
                   "atol %g)",
                   failures, expected->array.elements, worst, ours, (double)output[worst],
                   (double)wanted[worst], expected->rtol, expected->atol);
    free(wanted);
    return failures == 0;
}

static bool run(corpus_case *item, const mapping *map, const case_runner *runner, const upconv_plan_params *params,
                const laid_case *laid)
{
    upconv_plan *plan = NULL;
    if (upconv_plan_create(runner->context, &laid->problem, params, &plan) != UPCONV_OK)
        return case_wrong(item, "upconv_plan_create: %s", upconv_last_error());
    bool good = check_plan(item, map, plan, runner);
    float *output = malloc((size_t)laid->sizes.output_elements * sizeof *output);
    if (good && !output)
        good = case_wrong(item, "no memory for the output");
    if (good && upconv_execute(plan, laid->input, laid->output) != UPCONV_OK)
        good = case_wrong(item, "upconv_execute: %s", upconv_last_error());
    good = good && laid_read(laid, item, output) && compare(item, map, laid, output);
    free(output);
    upconv_plan_destroy(plan);
    return good;
}

bool case_execute(corpus_case *item, const mapping *map, const case_runner *runner)
{
    if (map->gradient)
        return gradient_execute(item, map, runner);
    if (map->quantised)
        return quantised_execute(item, map, runner);
    if (!tensor_load(item, map->input) || (map->weights && !tensor_load(item, map->weights)) ||
        !tensor_load(item, map->output) || (map->bias && !tensor_load(item, map->bias)))
        return false;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    if (upconv_problem_sizes(&map->problem, &sizes) != UPCONV_OK)
        return case_wrong(item, "refused: %s", upconv_last_error());
    if (!check_shape(item, map, &sizes))
        return false;
    char data_layout[NPY_MAX_RANK + 1], weights_layout[NPY_MAX_RANK + 1], iok_layout[NPY_MAX_RANK + 1] = "IO";
    library_layout(map->in_layout, data_layout);
    strcat(iok_layout, &"DHW"[3 - map->dims]);
    upconv_plan_params params = {
        .struct_size = sizeof params, .solver = solver_of(map, runner), .weights_type = runner->type};
    const bool weighted = map->weights != NULL;
    params.order = weighted ? filter_layout(map, weights_layout) : UPCONV_FILTER_IOK;
    params.bias = map->bias ? map->bias->array.data : NULL;
    const corpus_tensor *filter = map->weights;
    float *input = permuted(map->input->array.data, map->input->shape, map->in_layout, data_layout);
    float *weights = weighted ? permuted(filter->array.data, filter->shape, map->weights_layout, weights_layout) : NULL;
    float *iok = weighted ? permuted(filter->array.data, filter->shape, map->weights_layout, iok_layout) : NULL;
    laid_case laid = {.input = NULL};
    bool good = (input && (!weighted || (weights && iok))) || case_wrong(item, "no memory for the inputs");
    good = good && laid_init(&laid, item, map, runner, input, weights, iok);
    params.weights = weighted ? laid.weights : NULL;
    good = good && run(item, map, runner, &params, &laid);
    laid_finish(&laid);
    free(input);
    free(weights);
    free(iok);
    return good;
}
