// Max pooling and unpooling: their part of the front door, what indices mean, and the definitions on the host.
#include "pooling.h"

#include <math.h>
#include <string.h>

// ------------------------------------------------------------------------------------------------------ the front door

static const char *const index_names[UPCONV_INDEX_COUNT] = {"plane", "tensor", "image", "window", "window_columns"};

upconv_status upc_pool_read(const upconv_problem *given, upc_problem *problem)
{
    const int missing = 3 - problem->dims;
    problem->index = given->index;
    for (int i = 0; i < 3; i++) {
        const int32_t extent = i < missing ? 1 : given->index_space[i - missing];
        if (extent < 0)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "index_space[%d] is %d; it must be above 0 (0 stands for the output's)", i - missing,
                            extent);
        if (extent && i >= missing && given->op == UPCONV_MAX_POOL && extent != problem->axis[i].in)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "index_space[%d] is %d; pooling counts in the input's extents, leave it zero", i - missing,
                            extent);
        if (extent && i >= missing && upc_pool_windowed(problem))
            return upc_fail(UPCONV_ERROR_INVALID, "index_space[%d] is %d; indices of a window have none, leave it zero",
                            i - missing, extent);
        problem->space[i] = extent;
    }
    return UPCONV_OK;
}

int64_t upc_pool_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    (void)given;
    (void)i;
    return upc_floor_div(axis->in + 2 * axis->pad - (axis->kernel - 1) * axis->dilation - 1, axis->stride) + 1;
}

// Every index that there is must fit.
upconv_status upc_pool_check(upc_problem *problem)
{
    const int64_t channels = problem->icg;
    uint64_t most = problem->index == UPCONV_INDEX_TENSOR  ? (uint64_t)(problem->batch * channels)
                    : problem->index == UPCONV_INDEX_IMAGE ? (uint64_t)channels
                                                           : 1;
    bool fits = true;
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        if (!problem->space[a])
            problem->space[a] = problem->op == UPCONV_MAX_POOL ? axis->in : axis->out;
        const int64_t extent = upc_pool_windowed(problem) ? axis->kernel : problem->space[a];
        fits = fits && upc_mul_u64(&most, most, (uint64_t)extent) && most <= INT32_MAX;
    }
    if (fits)
        return UPCONV_OK;
    return upc_fail(UPCONV_ERROR_INVALID,
                    "indices of the kind %s would go beyond 2147483647 (batch %lld, channels %lld, %s "
                    "%lld x %lld x %lld)",
                    index_names[problem->index], (long long)problem->batch, (long long)channels,
                    upc_pool_windowed(problem) ? "kernel" : "space",
                    (long long)(upc_pool_windowed(problem) ? problem->axis[0].kernel : problem->space[0]),
                    (long long)(upc_pool_windowed(problem) ? problem->axis[1].kernel : problem->space[1]),
                    (long long)(upc_pool_windowed(problem) ? problem->axis[2].kernel : problem->space[2]));
}

static bool own_space(const upc_problem *problem)
{
    bool own = false;
    for (int a = 0; a < 3; a++)
        own = own || problem->space[a] != (problem->op == UPCONV_MAX_POOL ? problem->axis[a].in : problem->axis[a].out);
    return own;
}

void upc_pool_give(const upc_problem *problem, upconv_problem *given)
{
    given->index = problem->index;
    for (int i = 0; i < problem->dims && own_space(problem); i++)
        given->index_space[i] = (int32_t)problem->space[3 - problem->dims + i];
}

void upc_pool_print(const upc_problem *problem, upc_text *text)
{
    if (problem->index != UPCONV_INDEX_PLANE)
        upc_text_add(text, "+index:%s", index_names[problem->index]);
    if (own_space(problem))
        upc_text_add(text, "+space");
    for (int a = 3 - problem->dims; a < 3 && own_space(problem); a++)
        upc_text_add(text, ":%lld", (long long)problem->space[a]);
}

upconv_status upconv_indices_narrow(const int64_t *from, size_t count, int32_t *to)
{
    if ((!from || !to) && count)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; it is required", from ? "to" : "from");
    for (size_t i = 0; i < count; i++) { // from the front and as bytes, so that `to` may be `from`
        int64_t wide;
        memcpy(&wide, (const char *)from + i * sizeof wide, sizeof wide);
        const int32_t narrow = wide < INT32_MIN || wide > INT32_MAX ? -1 : (int32_t)wide;
        memcpy((char *)to + i * sizeof narrow, &narrow, sizeof narrow);
    }
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------------- indices

int32_t upc_pool_index(const upc_problem *problem, int64_t n, int64_t c, const int64_t at[3], const int64_t k[3])
{
    const upc_axis *axis = problem->axis;
    const int64_t *space = problem->space, flat = (at[0] * space[1] + at[1]) * space[2] + at[2];
    switch (problem->index) {
    case UPCONV_INDEX_TENSOR:
        return (int32_t)((n * problem->icg + c) * space[0] * space[1] * space[2] + flat);
    case UPCONV_INDEX_IMAGE:
        return (int32_t)(flat * problem->icg + c);
    case UPCONV_INDEX_WINDOW:
        return (int32_t)((k[0] * axis[1].kernel + k[1]) * axis[2].kernel + k[2]);
    case UPCONV_INDEX_WINDOW_COLUMNS:
        return (int32_t)((k[2] * axis[1].kernel + k[1]) * axis[0].kernel + k[0]);
    default:
        return (int32_t)flat;
    }
}

// Splits a number from 0 up into three digits; false where it has more. order: the axes, the slowest first.
static bool digits(int64_t number, const int64_t extent[3], const int order[3], int64_t digit[3])
{
    for (int i = 2; i >= 0; i--) {
        digit[order[i]] = number % extent[order[i]];
        number /= extent[order[i]];
    }
    return number == 0;
}

bool upc_pool_place(const upc_problem *problem, int64_t n, int64_t c, const int64_t from[3], int32_t index,
                    int64_t to[3])
{
    static const int rows[3] = {0, 1, 2}, columns[3] = {2, 1, 0};
    const upc_axis *axis = problem->axis;
    const int64_t kernel[3] = {axis[0].kernel, axis[1].kernel, axis[2].kernel};
    const int64_t size = problem->space[0] * problem->space[1] * problem->space[2];
    int64_t number = index;
    if (index < 0)
        return false;
    if (problem->index == UPCONV_INDEX_TENSOR)
        number -= (n * problem->icg + c) * size;
    if (problem->index == UPCONV_INDEX_IMAGE && number % problem->icg != c)
        return false;
    if (problem->index == UPCONV_INDEX_IMAGE)
        number /= problem->icg;
    if (upc_pool_windowed(problem)) {
        if (!digits(number, kernel, problem->index == UPCONV_INDEX_WINDOW ? rows : columns, to))
            return false;
        for (int a = 0; a < 3; a++)
            to[a] = from[a] * axis[a].stride - axis[a].pad + to[a] * axis[a].dilation;
    } else if (number < 0 || !digits(number, problem->space, rows, to)) {
        return false;
    }
    for (int a = 0; a < 3; a++)
        if (to[a] < 0 || to[a] >= axis[a].out)
            return false;
    return true;
}

// ----------------------------------------------------------------------------------------------------- the definitions

// Goes on to the next position in raster order; false behind the last.
static bool next(int64_t at[3], const int64_t extent[3])
{
    for (int a = 2; a >= 0; a--) {
        if (++at[a] < extent[a])
            return true;
        at[a] = 0;
    }
    return false;
}

void upc_pool_example(const upc_problem *problem, int32_t *indices)
{
    const upc_axis *axis = problem->axis;
    const int64_t in[3] = {axis[0].in, axis[1].in, axis[2].in};
    uint32_t seed = 1;
    for (int64_t plane = 0; plane < problem->batch * problem->icg; plane++) {
        const int64_t n = plane / problem->icg, c = plane % problem->icg;
        int64_t from[3] = {0, 0, 0};
        do {
            int64_t k[3], to[3];
            for (int a = 0; a < 3; a++) {
                const int64_t space = problem->space[a];
                seed = seed * 1664525u + 1013904223u;
                k[a] = (seed >> 8) % axis[a].kernel;
                to[a] = ((from[a] * axis[a].stride - axis[a].pad + k[a] * axis[a].dilation) % space + space) % space;
            }
            indices[upc_tensor_at(&problem->in, n, c, from[0], from[1], from[2])] =
                upc_pool_index(problem, n, c, to, k);
        } while (next(from, in));
    }
}

// The largest of a window; *index gets which.
static float largest(const upc_problem *p, const void *input, const int64_t o[5], int32_t *index)
{
    const int64_t kernel[3] = {p->axis[0].kernel, p->axis[1].kernel, p->axis[2].kernel};
    int64_t k[3] = {0, 0, 0};
    float best = -INFINITY;
    *index = -1;
    do {
        int64_t at[3];
        bool inside = true;
        for (int a = 0; a < 3; a++) {
            at[a] = o[2 + a] * p->axis[a].stride - p->axis[a].pad + k[a] * p->axis[a].dilation;
            inside = inside && at[a] >= 0 && at[a] < p->axis[a].in;
        }
        if (!inside)
            continue;
        const float x = upc_host_load(input, p->type, upc_tensor_at(&p->in, o[0], o[1], at[0], at[1], at[2]));
        if (*index >= 0 && !(x > best) && !(isnan(x) && !isnan(best)))
            continue;
        best = x;
        *index = upc_pool_index(p, o[0], o[1], at, k);
    } while (next(k, kernel));
    return best;
}

typedef struct planes {
    const upc_problem *problem;
    const void *input;
    void *output;
    int32_t *indices;
} planes;

static void pool_plane(void *data, int64_t index, int thread)
{
    (void)thread;
    const planes *all = data;
    const upc_problem *p = all->problem;
    const int64_t out[3] = {p->axis[0].out, p->axis[1].out, p->axis[2].out};
    int64_t o[5] = {index / p->icg, index % p->icg, 0, 0, 0};
    do {
        const int64_t at = upc_output_at(p, o);
        upc_host_store(all->output, p->type, at, largest(p, all->input, o, &all->indices[at]));
    } while (next(o + 2, out));
}

static void unpool_plane(void *data, int64_t index, int thread)
{
    (void)thread;
    const planes *all = data;
    const upc_problem *p = all->problem;
    const int64_t n = index / p->icg, c = index % p->icg;
    const int64_t in[3] = {p->axis[0].in, p->axis[1].in, p->axis[2].in};
    const int64_t out[3] = {p->axis[0].out, p->axis[1].out, p->axis[2].out};
    int64_t at[3] = {0, 0, 0}, to[3];
    do
        upc_host_store(all->output, p->type, upc_tensor_at(&p->out, n, c, at[0], at[1], at[2]), 0);
    while (next(at, out));
    at[0] = at[1] = at[2] = 0;
    do {
        const int64_t from = upc_tensor_at(&p->in, n, c, at[0], at[1], at[2]);
        if (upc_pool_place(p, n, c, at, all->indices[from], to))
            upc_host_store(all->output, p->type, upc_tensor_at(&p->out, n, c, to[0], to[1], to[2]),
                           upc_host_load(all->input, p->type, from));
    } while (next(at, in));
}

static upconv_status each_plane(const upc_host_arg *arg, void *const *pointers, void (*work)(void *, int64_t, int))
{
    const upc_problem *p = arg->problem;
    planes all = {p, pointers[UPC_HOST_INPUT], pointers[UPC_HOST_OUTPUT], pointers[UPC_HOST_INDICES]};
    const int64_t count = p->batch * p->icg;
    const uint64_t elements = upc_input_elements(p) + upc_output_elements(p);
    upc_parallel(elements < 100000 ? 1 : (int)UPC_MIN(count, upc_processors()), count, work, &all);
    return UPCONV_OK;
}

upconv_status upc_host_pool(const upc_env *env, const void *arg, void *const *pointers)
{
    (void)env;
    return each_plane(arg, pointers, pool_plane);
}

upconv_status upc_host_unpool(const upc_env *env, const void *arg, void *const *pointers)
{
    (void)env;
    return each_plane(arg, pointers, unpool_plane);
}

double upc_host_pool_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    int32_t index;
    return largest(arg->problem, pointers[UPC_HOST_INPUT], at, &index);
}

double upc_host_unpool_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const upc_problem *p = arg->problem;
    const int32_t *indices = pointers[UPC_HOST_INDICES];
    const int64_t in[3] = {p->axis[0].in, p->axis[1].in, p->axis[2].in};
    int64_t from[3] = {0, 0, 0}, to[3];
    double found = 0;
    do {
        const int64_t i = upc_tensor_at(&p->in, at[0], at[1], from[0], from[1], from[2]);
        if (upc_pool_place(p, at[0], at[1], from, indices[i], to) && to[0] == at[2] && to[1] == at[3] && to[2] == at[4])
            found = upc_host_load(pointers[UPC_HOST_INPUT], p->type, i);
    } while (next(from, in));
    return found;
}
