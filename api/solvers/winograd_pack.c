// Weights transformed for winograd when a plan is made, in double precision, rounded once.
#include "winograd.h"

#include "../host.h"

#include <string.h>

enum { MOST_TAPS = 3, MOST_OC = 64, PIECE = 8, TASK_BYTES = 256 * 1024 };

typedef double lines[MOST_OC]; // a value for each output channel of a block

typedef struct job {
    const upc_winograd *w;
    const upc_problem *problem;
    const float *weights;
    upc_filter_strides from;
    float *packed;
} job;

// A row for each point; columns are taps in the order of the inputs that they meet, which is the reverse of the
// kernel's.
static const double one[1][MOST_TAPS] = {{1}};
static const double two_two[3][MOST_TAPS] = {{1, 0}, {1, 1}, {0, 1}};
static const double three_two[4][MOST_TAPS] = {{1, 0}, {0.5, 0.5}, {0.5, -0.5}, {0, 1}};
static const double two_three[4][MOST_TAPS] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

static const double (*matrix_of(const upc_winograd_axis *axis))[MOST_TAPS]
{
    return axis->taps == 1 ? one : axis->taps == 3 ? two_three : axis->points == 3 ? two_two : three_two;
}

// The taps [y][x] of one phase and input channel, for the output channels of a block.
static void gather(const job *j, int64_t group, int64_t block, int64_t phase, int64_t i,
                   lines taps[MOST_TAPS][MOST_TAPS])
{
    const upc_axis *axis = j->problem->axis;
    const upc_winograd *w = j->w;
    const int64_t kd = phase / (axis[1].stride * axis[2].stride), rh = phase / axis[2].stride % axis[1].stride;
    const int64_t rw = phase % axis[2].stride, first = block * w->oc, count = UPC_MIN(w->oc, j->problem->ocg - first);
    for (int64_t y = 0; y < w->axis[1].taps; y++)
        for (int64_t x = 0; x < w->axis[2].taps; x++) {
            const int64_t kh = rh + (w->axis[1].taps - 1 - y) * axis[1].stride,
                          kw = rw + (w->axis[2].taps - 1 - x) * axis[2].stride;
            double *to = taps[y][x];
            memset(to, 0, sizeof(lines));
            if (kd >= axis[0].kernel || kh >= axis[1].kernel || kw >= axis[2].kernel)
                continue;
            const float *from = j->weights + j->from.first + group * j->from.group + i * j->from.in +
                                first * j->from.out + kd * j->from.tap[0] + kh * j->from.tap[1] + kw * j->from.tap[2];
            for (int64_t o = 0; o < count; o++)
                to[o] = (double)from[o * j->from.out];
        }
}

// In pieces of a fixed length, which compilers turn into vectors; n is a multiple of it. A third of the factors are zeros.
static void add(double *to, const double *from, double factor, int64_t n)
{
    if (factor == 0)
        return;
    for (int64_t first = 0; first < n; first += PIECE)
        for (int o = 0; o < PIECE; o++)
            to[first + o] += factor * from[first + o];
}

static void transform(const job *j, lines taps[MOST_TAPS][MOST_TAPS], float *to, int64_t step)
{
    const upc_winograd_axis *h = &j->w->axis[1], *v = &j->w->axis[2];
    const double (*over_h)[MOST_TAPS] = matrix_of(h), (*over_w)[MOST_TAPS] = matrix_of(v);
    const int64_t n = upc_ceil_div(j->w->oc, PIECE) * PIECE;
    lines half[MOST_TAPS][UPC_WINOGRAD_POINTS], whole;
    for (int64_t y = 0; y < h->taps; y++)
        for (int64_t q = 0; q < v->points; q++) {
            memset(half[y][q], 0, (size_t)n * sizeof(double));
            for (int64_t x = 0; x < v->taps; x++)
                add(half[y][q], taps[y][x], over_w[q][x], n);
        }
    for (int64_t p = 0; p < h->points; p++)
        for (int64_t q = 0; q < v->points; q++) {
            memset(whole, 0, (size_t)n * sizeof(double));
            for (int64_t y = 0; y < h->taps; y++)
                add(whole, half[y][q], over_h[p][y], n);
            float *line = to + (p * v->points + q) * step;
            for (int64_t o = 0; o < j->w->oc; o++)
                line[o] = (float)whole[o];
        }
}

// One block of one phase.
static void work(void *data, int64_t index, int thread)
{
    (void)thread;
    const job *j = data;
    const upc_winograd *w = j->w;
    const int64_t phase = index % w->phases, block = index / w->phases % w->blocks,
                  group = index / w->phases / w->blocks;
    float *to = j->packed + index * upc_winograd_unit(w, j->problem);
    lines taps[MOST_TAPS][MOST_TAPS];
    for (int64_t i = 0; i < j->problem->icg; i++) {
        gather(j, group, block, phase, i, taps);
        transform(j, taps, to + i * w->oc, j->problem->icg * w->oc);
    }
}

upconv_status upc_winograd_pack(const upc_winograd *w, const upc_env *env, const upc_problem *problem,
                                const float *weights, upconv_filter_order order, float *packed)
{
    (void)env;
    job j = {.w = w, .problem = problem, .weights = weights, .packed = packed};
    upc_filter_strides_get(problem, order, &j.from);
    const int64_t tasks = problem->groups * w->blocks * w->phases;
    const int64_t threads = UPC_MIN(upc_processors(), (int64_t)(upc_winograd_packed_bytes(w, problem) / TASK_BYTES));
    upc_parallel((int)UPC_MAX(threads, 1), tasks, work, &j);
    return UPCONV_OK;
}
