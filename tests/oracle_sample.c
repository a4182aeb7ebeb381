// The definitions of resizing, zero insertion and pixel shuffle, as upconv.h has them, output by output. By no code of the library.
#include "testing.h"

#include <math.h>

typedef struct taps {
    int count;
    int position[4]; // -1: no input
    double weight[4];
} taps;

static int within(double at, int count) { return at < 0 ? 0 : at > count - 1 ? count - 1 : (int)at; }

static double distance(double a, double d)
{
    if (d <= 1)
        return (a + 2) * pow(d, 3) - (a + 3) * pow(d, 2) + 1;
    return a * pow(d, 3) - 5 * a * pow(d, 2) + 8 * a * d - 4 * a;
}

// Half-pixel coordinates that are to be rounded to the nearest, up from the middle, are floor((o + 0.5) / s): to_nearest says that the
// half has not been taken off.
static double coordinate(const upconv_problem *p, int a, int o, bool to_nearest)
{
    const double in = p->in[a], out = p->out[a], s = p->scale[a] != 0 ? p->scale[a] : out / in;
    const double less = to_nearest ? 0 : 0.5, more = to_nearest ? 0.5 : 0;
    switch (p->coordinates) {
    case UPCONV_HALF_PIXEL_SYMMETRIC: return in / 2 * (1 - out / (s * in)) + (o + 0.5) / s - 0.5 + more;
    case UPCONV_ASYMMETRIC: return o / s + more;
    case UPCONV_ALIGN_CORNERS: {
        const double end = p->scale[a] != 0 ? s * in : out;
        return (p->out[a] == 1 || end == 1 ? 0 : o * (in - 1) / (end - 1)) + more;
    }
    case UPCONV_PYTORCH_HALF_PIXEL:
        if (p->out[a] == 1)
            return more;
        return (o + 0.5) / s - less;
    default: return (o + 0.5) / s - less;
    }
}

// The same with one rounding to f32 after each operation.
static double coordinate_f32(const upconv_problem *p, int a, int o, bool to_nearest)
{
    const bool corners = p->coordinates == UPCONV_ALIGN_CORNERS, plain = p->coordinates == UPCONV_ASYMMETRIC;
    float step = p->scale[a] != 0 ? (float)(1 / p->scale[a]) : (float)((double)p->in[a] / (double)p->out[a]);
    if (corners)
        step = p->out[a] == 1 ? 0 : (float)((double)(p->in[a] - 1) / (double)(p->out[a] - 1));
    float at = (float)((corners || plain ? (double)o : o + 0.5) * (double)step);
    if (p->coordinates == UPCONV_PYTORCH_HALF_PIXEL && p->out[a] == 1)
        at = 0.5f;
    if (corners || plain)
        return to_nearest ? (float)((double)at + 0.5) : at;
    if (!to_nearest)
        at = (float)((double)at - 0.5);
    if (p->coordinates == UPCONV_HALF_PIXEL_SYMMETRIC)
        at = (float)((double)at + (float)((double)p->in[a] / 2 * (1 - (double)p->out[a] * (double)step / p->in[a])));
    return at;
}

static double place(const upconv_problem *p, int a, int o, bool to_nearest)
{
    return p->f32_steps ? coordinate_f32(p, a, o, to_nearest) : coordinate(p, a, o, to_nearest);
}

static void resize_taps(const upconv_problem *p, int a, int o, taps *t)
{
    const double x = place(p, a, o, false), down = floor(x);
    t->count = p->resize_mode == UPCONV_RESIZE_NEAREST ? 1 : p->resize_mode == UPCONV_RESIZE_LINEAR ? 2 : 4;
    if (t->count == 1) {
        const double at = p->rounding == UPCONV_ROUND_FLOOR         ? down
                          : p->rounding == UPCONV_ROUND_CEIL        ? ceil(x)
                          : p->rounding == UPCONV_ROUND_PREFER_CEIL ? floor(place(p, a, o, true))
                                                                    : down + (x - down > 0.5);
        *t = (taps){1, {within(at, p->in[a])}, {1}};
        return;
    }
    double inside = 0;
    bool outside[4];
    for (int k = 0; k < t->count; k++) {
        const double at = t->count == 2 ? down + k : down - 1 + k;
        const double c = (double)p->cubic_coefficient;
        t->weight[k] = t->count == 2 ? (k ? x - down : 1 - (x - down)) : distance(c != 0 ? c : -0.75, fabs(x - at));
        outside[k] = at < 0 || at > p->in[a] - 1;
        t->position[k] = within(at, p->in[a]);
        inside += outside[k] ? 0 : t->weight[k];
    }
    for (int k = 0; k < t->count && p->exclude_outside && inside != 0; k++)
        t->weight[k] = outside[k] ? 0 : t->weight[k] / inside;
}

static void axis_taps(const upconv_problem *p, int a, int o, taps *t)
{
    *t = (taps){1, {0}, {1}};
    if (p->op == UPCONV_RESIZE)
        resize_taps(p, a, o, t);
    else if (p->op == UPCONV_PIXEL_SHUFFLE)
        t->position[0] = o / p->stride[a];
    else
        t->position[0] =
            (o + p->pad[a]) >= 0 && (o + p->pad[a]) % p->stride[a] == 0 && (o + p->pad[a]) / p->stride[a] < p->in[a]
                ? (o + p->pad[a]) / p->stride[a]
                : -1;
}

static int channel_of(const upconv_problem *p, int c, const int o[3])
{
    if (p->op != UPCONV_PIXEL_SHUFFLE)
        return c;
    int residue = 0, blocks = 1;
    for (int a = 0; a < p->dims; a++) {
        residue = residue * p->stride[a] + o[a] % p->stride[a];
        blocks *= p->stride[a];
    }
    return p->channel_order == UPCONV_CRD ? c * blocks + residue : residue * p->out_channels + c;
}

static void one(test_case *test, int image, int c, const int o[3], uint64_t to)
{
    const upconv_problem *p = &test->problem;
    taps t[3] = {{1, {0}, {1}}, {1, {0}, {1}}, {1, {0}, {1}}};
    for (int a = 0; a < p->dims; a++)
        axis_taps(p, a, o[a], &t[a]);
    for (int i = 0; i < t[0].count * t[1].count * t[2].count; i++) {
        const int tap[3] = {i / t[2].count / t[1].count, i / t[2].count % t[1].count, i % t[2].count};
        uint64_t from = (uint64_t)image * (uint64_t)p->in_channels + (uint64_t)channel_of(p, c, o);
        double weight = 1;
        bool any = true;
        for (int a = 0; a < p->dims; a++) {
            const int at = t[a].position[tap[a]];
            any = any && at >= 0;
            from = from * (uint64_t)p->in[a] + (uint64_t)(at < 0 ? 0 : at);
            weight *= t[a].weight[tap[a]];
        }
        if (!any)
            continue;
        test->sums[to] += weight * (double)test->input[from];
        test->magnitudes[to] += fabs(weight * (double)test->input[from]);
    }
}

void test_sample_all(test_case *test)
{
    const upconv_problem *p = &test->problem;
    uint64_t to = 0;
    for (int image = 0; image < p->batch; image++)
        for (int c = 0; c < p->out_channels; c++) {
            int o[3] = {0, 0, 0};
            do
                one(test, image, c, o, to++);
            while (test_next(o, p->out, p->dims));
        }
}

double test_sample_bound(const test_case *test, uint64_t index)
{
    const upconv_problem *p = &test->problem;
    int terms = 1;
    for (int a = 0; a < p->dims && p->op == UPCONV_RESIZE; a++)
        terms *= p->resize_mode == UPCONV_RESIZE_NEAREST ? 1 : p->resize_mode == UPCONV_RESIZE_LINEAR ? 2 : 4;
    // a lone input is as it is; else each weight is rounded, multiplied by the others and the input, and the products are added up. What
    // an input of magnitude 4 loses where coordinates are in f32 or weights cancel out is not in the magnitudes.
    return terms == 1 ? 0 : 1.1920929e-7 * ((terms + 8) * test->magnitudes[index] + 8);
}
