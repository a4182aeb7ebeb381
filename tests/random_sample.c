// Random problems of resizing, zero insertion and pixel shuffle.
#include "random.h"

#define PICK(random, values) test_pick(random, values, (int)UPC_COUNT(values))

static const int channels[] = {1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 33};
static const int longest[] = {0, 90, 23, 8}; // of an input's axis, by dims

static void draw_resize_axis(test_random *random, upconv_problem *p, int a)
{
    static const double scales[] = {2, 3, 4, 1.5, 2.5, 0.5, 1.3, 0.6, 8, 1.0 / 3, 2.2999999523162842};
    p->in[a] = test_between(random, 1, longest[p->dims]);
    const int kind = test_between(random, 0, 9);
    if (kind < 4)
        p->scale[a] = scales[test_between(random, 0, (int)UPC_COUNT(scales) - 1)];
    p->out[a] = p->scale[a] != 0 ? (int)((double)p->in[a] * p->scale[a]) : p->in[a] * test_between(random, 1, 5);
    if (kind == 3 || kind > 6) // any other size
        p->out[a] = test_between(random, 1, 3 * p->in[a] + 4);
    if (p->out[a] < 1)
        p->out[a] = 1;
}

static void draw_resize(test_random *random, upconv_problem *p)
{
    p->in_channels = p->out_channels = PICK(random, channels);
    p->resize_mode = (upconv_resize_mode)test_between(random, 0, UPCONV_RESIZE_MODE_COUNT - 1);
    p->coordinates = (upconv_coordinates)test_between(random, 0, UPCONV_COORDINATES_COUNT - 1);
    p->f32_steps = test_chance(random, 30);
    if (p->resize_mode == UPCONV_RESIZE_NEAREST)
        p->rounding = (upconv_rounding)test_between(random, 0, UPCONV_ROUNDING_COUNT - 1);
    if (p->resize_mode == UPCONV_RESIZE_CUBIC && test_chance(random, 50))
        p->cubic_coefficient = test_chance(random, 50) ? -0.5f : (float)test_between(random, -16, 16) / 16;
    if (p->resize_mode == UPCONV_RESIZE_CUBIC)
        p->exclude_outside = test_chance(random, 30);
    for (int a = 0; a < p->dims; a++)
        draw_resize_axis(random, p, a);
}

static void draw_zeros(test_random *random, upconv_problem *p)
{
    p->in_channels = p->out_channels = PICK(random, channels);
    for (int a = 0; a < p->dims; a++) {
        p->in[a] = test_between(random, 1, longest[p->dims]);
        p->stride[a] = test_between(random, 1, 5);
        p->pad[a] = test_chance(random, 60) ? 0 : test_between(random, -4, 6);
        p->out[a] = p->in[a] * p->stride[a] - 2 * p->pad[a] + (test_chance(random, 60) ? 0 : test_between(random, -9, 9));
        if (p->out[a] < 1)
            p->out[a] = test_between(random, 1, 9);
    }
}

// More outputs of an input than usual: 25 and more in a plane, up to 17 along a line.
static void draw_many(test_random *random, upconv_problem *p)
{
    static const int few[] = {1, 1, 2, 3, 4, 4, 5, 8, 16}, factors[] = {5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17};
    p->out_channels = p->in_channels = PICK(random, few);
    for (int a = 0; a < p->dims; a++) {
        if (p->dims == 1)
            p->stride[a] = PICK(random, factors);
        else if (a >= p->dims - 2)
            p->stride[a] = test_between(random, 4, 8);
        else
            p->stride[a] = test_between(random, 1, 2);
        p->out[a] = p->in[a] * p->stride[a];
        p->in_channels *= p->stride[a];
    }
}

static void draw_shuffle(test_random *random, upconv_problem *p)
{
    p->out_channels = PICK(random, channels);
    p->in_channels = p->out_channels;
    p->channel_order = test_chance(random, 50) ? UPCONV_DCR : UPCONV_CRD;
    for (int a = 0; a < p->dims; a++) {
        p->stride[a] = test_between(random, 1, p->dims == 1 ? 6 : 4);
        p->in[a] = test_between(random, 1, longest[p->dims] / 2);
        p->out[a] = p->in[a] * p->stride[a];
        p->in_channels *= p->stride[a];
    }
    if (test_chance(random, 25))
        draw_many(random, p);
    if (test_chance(random, 40)) { // lines of whole vectors
        const int w = p->dims - 1;
        p->in[w] = test_between(random, 16, 75);
        p->out[w] = p->in[w] * p->stride[w];
    }
}

void random_draw_sample(test_random *random, upconv_problem *p)
{
    p->groups = 1;
    if (p->op == UPCONV_RESIZE)
        draw_resize(random, p);
    else if (p->op == UPCONV_ZERO_INSERT)
        draw_zeros(random, p);
    else
        draw_shuffle(random, p);
}
