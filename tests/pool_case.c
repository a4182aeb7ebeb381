#include "pool_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ------------------------------------------------------------------------------------------------------------- drawing

static void draw_pitch(test_random *random, const upconv_problem *p, bool in, upconv_pitch *pitch)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const int32_t *extent = in ? p->in : p->out;
    const int64_t unit = layout == UPCONV_NC4HW4 ? 4 : 1, channels = p->in_channels;
    *pitch = (upconv_pitch){0};
    if (!test_chance(random, 30))
        return;
    int64_t step = layout == UPCONV_NHWC ? channels + test_between(random, 0, 5) : unit;
    pitch->pixel = layout == UPCONV_NHWC ? step : 0;
    step *= extent[p->dims - 1];
    if (p->dims > 1) {
        pitch->row = step += unit * test_between(random, 0, 3);
        step *= extent[p->dims - 2];
    }
    if (p->dims > 2) {
        pitch->plane = step += unit * test_between(random, 0, 3);
        step *= extent[0];
    }
    if (layout != UPCONV_NHWC) {
        pitch->channel = step += unit * test_between(random, 0, 3);
        step *= (channels + unit - 1) / unit;
    }
    pitch->image = step + unit * test_between(random, 0, 3);
}

static void draw_axis(test_random *random, upconv_problem *p, int a, int most)
{
    const bool pool = p->op == UPCONV_MAX_POOL;
    p->in[a] = test_between(random, 1, most);
    p->kernel[a] = test_between(random, 1, test_chance(random, 10) ? 9 : 3);
    p->stride[a] = test_chance(random, 60) ? 2 : test_between(random, 1, 4);
    p->dilation[a] = test_chance(random, 80) ? 1 : test_between(random, 2, 3);
    p->pad[a] = test_chance(random, 60) ? 0 : test_between(random, -2, p->kernel[a]);
    const int reach = (p->kernel[a] - 1) * p->dilation[a];
    p->out[a] = pool ? (p->in[a] + 2 * p->pad[a] - reach - 1) / p->stride[a] + 1
                     : (p->in[a] - 1) * p->stride[a] + reach + 1 - 2 * p->pad[a];
    if (p->out[a] < 1 || test_chance(random, 20))
        p->out[a] = test_between(random, 1, 3 * most);
    p->index_space[a] = p->out[a];
}

static void draw_problem(test_random *random, int size, upconv_problem *p)
{
    static const int most[3] = {60, 20, 9}, channels[] = {1, 2, 3, 4, 5, 8, 12, 16, 17, 32};
    for (;;) {
        *p = (upconv_problem){.struct_size = sizeof *p,
                              .op = test_chance(random, 40) ? UPCONV_MAX_POOL : UPCONV_MAX_UNPOOL,
                              .dims = test_between(random, 1, 3),
                              .batch = test_between(random, 1, 3)};
        p->in_channels = p->out_channels = test_pick(random, channels, UPC_COUNT(channels));
        int64_t in = p->batch * p->in_channels, out = in;
        for (int a = 0; a < p->dims; a++) {
            draw_axis(random, p, a, a == p->dims - 1 && test_chance(random, 30) ? 60 : most[p->dims - 1]);
            in *= p->in[a];
            out *= p->out[a];
        }
        if (in <= size && out <= size)
            break;
    }
    p->type = test_chance(random, 40) ? UPCONV_F16 : UPCONV_F32;
    p->in_layout = (upconv_layout)test_between(random, 0, UPCONV_LAYOUT_COUNT - 1);
    p->out_layout =
        test_chance(random, 70) ? p->in_layout : (upconv_layout)test_between(random, 0, UPCONV_LAYOUT_COUNT - 1);
    p->index = (upconv_index)test_between(random, 0, UPCONV_INDEX_COUNT - 1);
    const bool other = p->op == UPCONV_MAX_UNPOOL && p->index <= UPCONV_INDEX_IMAGE && test_chance(random, 25);
    for (int a = 0; a < 3; a++)
        p->index_space[a] = !other || a >= p->dims ? 0 : UPC_MAX(p->out[a] + test_between(random, -2, 2), 1);
    draw_pitch(random, p, true, &p->in_pitch);
    draw_pitch(random, p, false, &p->out_pitch);
}

// ---------------------------------------------------------------------------------------------------------- the oracle

// Plane-wise: positions and taps are flat numbers, slowest axis first.
typedef struct flat {
    int64_t plane[2]; // positions of the input, of the output
    int64_t taps, space;
} flat;

static flat flat_of(const upconv_problem *p)
{
    flat f = {{1, 1}, 1, 1};
    for (int a = 0; a < p->dims; a++) {
        f.plane[0] *= p->in[a];
        f.plane[1] *= p->out[a];
        f.taps *= p->kernel[a];
        f.space *= p->index_space[a] ? p->index_space[a] : p->op == UPCONV_MAX_POOL ? p->in[a] : p->out[a];
    }
    return f;
}

static void unflatten(int64_t number, const int32_t *extent, int dims, int at[3])
{
    for (int a = dims - 1; a >= 0; a--) {
        at[a] = (int)(number % extent[a]);
        number /= extent[a];
    }
}

static int64_t flatten(const int at[3], const int32_t *extent, int dims)
{
    int64_t number = 0;
    for (int a = 0; a < dims; a++)
        number = number * extent[a] + at[a];
    return number;
}

// The other way round: the first axis fastest.
static int64_t columns(const int tap[3], const int32_t *kernel, int dims)
{
    int64_t number = 0;
    for (int a = dims - 1; a >= 0; a--)
        number = number * kernel[a] + tap[a];
    return number;
}

static int32_t name_of(const upconv_problem *p, const flat *f, int64_t plane, int64_t position, const int tap[3])
{
    switch (p->index) {
    case UPCONV_INDEX_TENSOR:
        return (int32_t)(plane * f->space + position);
    case UPCONV_INDEX_IMAGE:
        return (int32_t)(position * p->in_channels + plane % p->in_channels);
    case UPCONV_INDEX_WINDOW:
        return (int32_t)flatten(tap, p->kernel, p->dims);
    case UPCONV_INDEX_WINDOW_COLUMNS:
        return (int32_t)columns(tap, p->kernel, p->dims);
    default:
        return (int32_t)position;
    }
}

// Where tap `t` of the window of pooled position `at` lies; false: outside of `extent`.
static bool window_place(const upconv_problem *p, const int at[3], const int tap[3], const int32_t *extent,
                         int place[3])
{
    for (int a = 0; a < p->dims; a++) {
        place[a] = at[a] * p->stride[a] - p->pad[a] + tap[a] * p->dilation[a];
        if (place[a] < 0 || place[a] >= extent[a])
            return false;
    }
    return true;
}

static void expect_pool(pool_case *test)
{
    const upconv_problem *p = &test->problem;
    const flat f = flat_of(p);
    for (uint64_t o = 0; o < test->sizes.output_elements; o++) {
        const int64_t plane = (int64_t)o / f.plane[1];
        float best = -INFINITY;
        int at[3], tap[3], place[3];
        test->indices[o] = -1;
        unflatten((int64_t)o % f.plane[1], p->out, p->dims, at);
        for (int64_t t = 0; t < f.taps; t++) {
            unflatten(t, p->kernel, p->dims, tap);
            if (!window_place(p, at, tap, p->in, place))
                continue;
            const int64_t position = flatten(place, p->in, p->dims);
            const float x = test->input[plane * f.plane[0] + position];
            const bool first = test->indices[o] < 0;
            if (first || (!isnan(best) && (isnan(x) || x > best))) {
                best = x;
                test->indices[o] = name_of(p, &f, plane, position, tap);
            }
        }
        test->expected[o] = best;
    }
}

// The output position that an index leads to, -1: none. Found by trying them all, as nothing is inverted here.
static int64_t led_to(const upconv_problem *p, const flat *f, int64_t plane, int64_t source, int32_t index)
{
    const bool windowed = p->index >= UPCONV_INDEX_WINDOW;
    int at[3], tap[3], place[3];
    unflatten(source, p->in, p->dims, at);
    for (int64_t t = 0; t < (windowed ? f->taps : f->space); t++) {
        if (windowed)
            unflatten(t, p->kernel, p->dims, tap);
        if (name_of(p, f, plane, t, tap) != index)
            continue;
        if (windowed)
            return window_place(p, at, tap, p->out, place) ? flatten(place, p->out, p->dims) : -1;
        unflatten(t, p->index_space, p->dims, place);
        for (int a = 0; a < p->dims; a++)
            if (place[a] >= p->out[a])
                return -1;
        return flatten(place, p->out, p->dims);
    }
    return -1;
}

static void expect_unpool(pool_case *test)
{
    const upconv_problem *p = &test->problem;
    const flat f = flat_of(p);
    memset(test->expected, 0, (size_t)test->sizes.output_elements * sizeof *test->expected);
    for (uint64_t i = 0; i < test->sizes.input_elements; i++) {
        const int64_t plane = (int64_t)i / f.plane[0];
        const int64_t to = led_to(p, &f, plane, (int64_t)i % f.plane[0], test->indices[i]);
        if (to >= 0)
            test->expected[plane * f.plane[1] + to] = test->input[i];
    }
}

// --------------------------------------------------------------------------------------------------------- the tensors

// Few different values, so that equal ones meet; a NaN or an infinity now and then.
static float draw_value(test_random *random, bool odd, bool half)
{
    if (odd && test_chance(random, 3)) // tensors.h lays no NaN as f16
        return test_chance(random, 50) && !half ? NAN : test_chance(random, 50) ? -INFINITY : INFINITY;
    return (float)test_between(random, -6, 6) / 2;
}

// Mostly what leads somewhere, often the same place twice; and everything that may be wrong.
static int32_t draw_index(test_random *random, const upconv_problem *p, const flat *f, int64_t plane)
{
    static const int32_t wrong[] = {-1, INT32_MIN, INT32_MAX, -1000};
    const int what = test_between(random, 0, 99);
    int tap[3];
    unflatten(test_between(random, 0, (int)f->taps - 1), p->kernel, p->dims, tap);
    if (what < 3)
        return wrong[test_between(random, 0, 3)];
    if (what < 8)
        return test_between(random, 0,
                            (int)(f->space * p->in_channels * p->batch + 10)); // of another channel, or beyond
    if (what < 20)
        return name_of(p, f, plane, test_between(random, 0, (int)UPC_MIN(f->space, 3) - 1), tap);
    return name_of(p, f, plane, test_between(random, 0, (int)f->space - 1), tap);
}

// As pooling leaves it: from its own window, where that lies in the output.
static int32_t draw_own(test_random *random, const upconv_problem *p, const flat *f, int64_t plane, int64_t source)
{
    int at[3], tap[3], place[3];
    unflatten(source, p->in, p->dims, at);
    for (int tries = 0; tries < 8; tries++) {
        unflatten(test_between(random, 0, (int)f->taps - 1), p->kernel, p->dims, tap);
        bool own = window_place(p, at, tap, p->out, place);
        for (int a = 0; a < p->dims; a++)
            own = own && tap[a] * p->dilation[a] < p->stride[a] &&
                  (p->index >= UPCONV_INDEX_WINDOW || place[a] < p->index_space[a]);
        if (own)
            return name_of(p, f, plane, flatten(place, p->index_space, p->dims), tap);
    }
    return name_of(p, f, plane, 0, tap);
}

bool pool_case_init(pool_case *test, test_random *random, int size)
{
    memset(test, 0, sizeof *test);
    upconv_problem *p = &test->problem, again = {sizeof again};
    char text[1024];
    draw_problem(random, size, p);
    test->sizes.struct_size = sizeof test->sizes;
    if (upconv_problem_sizes(p, &test->sizes) || upconv_problem_print(p, text, sizeof text, NULL) ||
        upconv_problem_parse(text, &again, NULL)) {
        fprintf(stderr, "refused: %s\n", upconv_last_error());
        return false;
    }
    const bool pool = p->op == UPCONV_MAX_POOL, odd = test_chance(random, 25);
    for (int a = 0; a < p->dims; a++) // complete: what the oracle reads has no zeros standing for defaults
        p->index_space[a] = p->index_space[a] ? p->index_space[a] : pool ? p->in[a] : p->out[a];
    const uint64_t pooled = pool ? test->sizes.output_elements : test->sizes.input_elements;
    test->input = malloc((size_t)test->sizes.input_elements * sizeof *test->input);
    test->expected = malloc((size_t)test->sizes.output_elements * sizeof *test->expected);
    test->indices = malloc((size_t)pooled * sizeof *test->indices);
    if (!test->input || !test->expected || !test->indices || test->sizes.indices_elements != pooled) {
        fprintf(stderr, "no memory, or %llu indices instead of %llu\n",
                (unsigned long long)test->sizes.indices_elements, (unsigned long long)pooled);
        pool_case_finish(test);
        return false;
    }
    const flat f = flat_of(p);
    for (uint64_t i = 0; i < test->sizes.input_elements; i++)
        test->input[i] = draw_value(random, odd && pool, p->type == UPCONV_F16);
    // from every source its own index, or from all but a few, or from none
    const int own = test_chance(random, 40) ? 100 : test_chance(random, 40) ? 99 : 0;
    for (uint64_t i = 0; i < pooled && !pool; i++)
        test->indices[i] = test_chance(random, own)
                               ? draw_own(random, p, &f, (int64_t)i / f.plane[0], (int64_t)i % f.plane[0])
                               : draw_index(random, p, &f, (int64_t)i / f.plane[0]);
    if (pool)
        expect_pool(test);
    else
        expect_unpool(test);
    if (p->index >= UPCONV_INDEX_WINDOW || pool) // which have none of their own
        memset(p->index_space, 0, sizeof p->index_space);
    return true;
}

void pool_case_finish(pool_case *test)
{
    free(test->input);
    free(test->expected);
    free(test->indices);
    *test = (pool_case){.input = NULL};
}

upconv_problem pool_case_index_problem(const pool_case *test)
{
    upconv_problem p = test->problem;
    p.type = UPCONV_F32;
    return p;
}
