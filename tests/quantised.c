#include "quantised.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

// Towards minus infinity, as dividing by a power of two is meant everywhere.
static wide floor_shift(wide value, int places)
{
    const wide divisor = (wide)1 << places;
    return value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor);
}

static wide half_away(wide value, int places)
{
    if (!places)
        return value;
    const wide half = (wide)1 << (places - 1);
    return value >= 0 ? (value + half) >> places : -((-value + half) >> places);
}

static int64_t wrap(wide value, int bits)
{
    const wide all = (wide)1 << bits;
    value %= all;
    if (value < 0)
        value += all;
    return (int64_t)(value >= all / 2 ? value - all : value);
}

int64_t quantised_back(upconv_requant scheme, int64_t sum, int32_t multiplier, int32_t shift, double scale)
{
    if (scheme == UPCONV_REQUANT_REAL) {
        int exponent;
        const int64_t whole = (int64_t)ldexp(frexp(scale, &exponent), 53);
        const int places = 53 - exponent; // at least 23, as scales are below 2^30
        const wide found = places > 120 ? 0 : half_away((wide)sum * whole, places);
        return found > INT32_MAX ? INT32_MAX : found < -INT32_MAX ? -INT32_MAX : (int64_t)found;
    }
    if (scheme == UPCONV_REQUANT_REDUCED) {
        int64_t reduced = ((int64_t)multiplier + (1 << 15)) >> 16;
        if (reduced > 32767)
            reduced = 32767;
        return wrap(floor_shift((wide)sum * reduced + ((wide)1 << (14 - shift)), 15 - shift), 32);
    }
    if (scheme == UPCONV_REQUANT_SINGLE)
        return wrap(floor_shift((wide)wrap(sum, 32) * multiplier + ((wide)1 << (30 - shift)), 31 - shift), 32);
    const int left = shift > 0 ? shift : 0, right = shift < 0 ? -shift : 0;
    const wide p = floor_shift((wide)wrap((wide)sum * ((wide)1 << left), 32) * multiplier + ((wide)1 << 30), 31);
    return (int64_t)half_away(p, right);
}

void quantised_type(upconv_type type, int64_t limits[2])
{
    const int64_t least[UPCONV_TYPE_COUNT] = {[UPCONV_I8] = -128, [UPCONV_I16] = -32768};
    const int64_t most[UPCONV_TYPE_COUNT] = {[UPCONV_U8] = 255, [UPCONV_I8] = 127, [UPCONV_I16] = 32767};
    limits[0] = least[type];
    limits[1] = most[type];
}

// ------------------------------------------------------------------------------------------------------------- drawing

static int32_t draw_number(upconv_type type, test_random *random)
{
    int64_t limits[2];
    quantised_type(type, limits);
    if (test_chance(random, 10))
        return (int32_t)limits[test_between(random, 0, 1)];
    return test_between(random, (int)limits[0], (int)limits[1]);
}

static void draw_geometry(upconv_problem *p, int size, test_random *random)
{
    const bool one_tap = test_chance(random, 15); // of every output
    const bool depthwise = test_chance(random, 20); // on long rows, and mostly with as many taps in every phase
    int64_t room = size;
    p->dims = test_between(random, 1, 3);
    p->groups = test_chance(random, 25) ? test_between(random, 2, 4) : 1;
    p->in_channels =
        p->groups * (test_chance(random, 40) ? 4 * test_between(random, 1, 5) : test_between(random, 1, 19));
    p->out_channels =
        p->groups * (test_chance(random, 40) ? 4 * test_between(random, 1, 4) : test_between(random, 1, 13));
    if (depthwise) {
        p->groups = test_between(random, 1, 3);
        p->in_channels = p->groups * (test_chance(random, 60) ? 1 : test_between(random, 2, 4));
        p->out_channels = p->groups * (test_chance(random, 70) ? 1 : test_between(random, 2, 4));
    }
    p->batch = test_chance(random, 25) ? 2 : 1;
    room /= p->out_channels * p->batch;
    for (int a = 0; a < p->dims; a++) {
        const int longest = depthwise && a == p->dims - 1 ? 150 : depthwise ? 6 : 24;
        const int most = room < 1 ? 1 : room > longest ? longest : (int)room;
        p->kernel[a] = test_between(random, 1, 5);
        p->stride[a] = test_between(random, 1, test_chance(random, 20) ? 5 : 2);
        p->dilation[a] = !one_tap && test_chance(random, 25) ? test_between(random, 2, 3) : 1;
        if (one_tap)
            p->kernel[a] = p->stride[a];
        if (depthwise && test_chance(random, 80)) {
            p->kernel[a] = p->stride[a] * test_between(random, 1, 2);
            p->dilation[a] = 1;
        }
        p->in[a] = test_between(random, 1, most / p->stride[a] < 1 ? 1 : most / p->stride[a]);
        p->pad[a] = test_between(random, -1, 3);
        const int full = (p->in[a] - 1) * p->stride[a] + (p->kernel[a] - 1) * p->dilation[a] + 1 - 2 * p->pad[a];
        p->out[a] = full > 0 && full <= most && test_chance(random, 60) ? full : test_between(random, 1, most);
        room /= p->out[a];
    }
}

static void draw_gaps(upconv_problem *p, bool in, test_random *random)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    upconv_pitch *pitch = in ? &p->in_pitch : &p->out_pitch;
    const int32_t *extent = in ? p->in : p->out;
    const int64_t channels = in ? p->in_channels : p->out_channels, unit = layout == UPCONV_NC4HW4 ? 4 : 1;
    int64_t *const axes[3] = {layout == UPCONV_NHWC ? &pitch->pixel : NULL, &pitch->row, &pitch->plane};
    int64_t pitched = layout == UPCONV_NHWC ? channels : unit;
    const int64_t step = test_chance(random, 50) ? 4 : unit;
    for (int a = p->dims - 1; a >= 0; a--) {
        if (axes[p->dims - 1 - a])
            *axes[p->dims - 1 - a] = pitched += step * test_between(random, 0, 3);
        pitched *= extent[a];
    }
    if (layout != UPCONV_NHWC) {
        pitch->channel = pitched += step * test_between(random, 0, 3);
        pitched *= (channels + unit - 1) / unit;
    }
    pitch->image = pitched + step * test_between(random, 0, 3);
}

static void draw_problem(quantised_case *test, int size, test_random *random)
{
    upconv_problem *p = &test->problem;
    *p = (upconv_problem){.struct_size = sizeof *p};
    draw_geometry(p, size, random);
    p->type = (upconv_type)test_between(random, UPCONV_U8, test->fours ? UPCONV_I8 : UPCONV_I16);
    if (test->fours)
        p->in_channels = p->groups * 4 * test_between(random, 1, 6);
    p->requant = (upconv_requant)test_between(random, 0, UPCONV_REQUANT_COUNT - 1);
    test->weights_type = test_chance(random, 65) ? UPCONV_I8 : UPCONV_U8;
    p->in_zero = test_chance(random, 70) ? draw_number(p->type, random) : 0;
    p->weights_zero = test_chance(random, 35) ? draw_number(test->weights_type, random) : 0;
    if (test->weights_type == UPCONV_U8 && test_chance(random, 40))
        p->weights_zero = 128; // as models have it that were made symmetric
    p->out_zero = test_chance(random, 70) ? draw_number(p->type, random) : 0;
    p->act = test_chance(random, 30) ? UPCONV_ACT_RELU : UPCONV_ACT_NONE;
    if (test_chance(random, 30)) {
        const int32_t a = draw_number(p->type, random), b = draw_number(p->type, random);
        p->out_range[0] = a < b ? a : b;
        p->out_range[1] = a < b ? b : a;
    }
    p->in_layout = (upconv_layout)test_between(random, 0, UPCONV_LAYOUT_COUNT - 1);
    if (test->fours)
        p->in_layout = test_chance(random, 50) ? UPCONV_NHWC : UPCONV_NC4HW4;
    p->out_layout = (upconv_layout)test_between(random, 0, UPCONV_LAYOUT_COUNT - 1);
    for (int in = 0; in < 2; in++)
        if (test_chance(random, 30))
            draw_gaps(p, in, random);
    test->order = (upconv_filter_order)test_between(random, 0, UPCONV_FILTER_COUNT - 1);
}

// So that most results are within the type; at times a power of two, which makes halves.
static void draw_scale(quantised_case *test, int i, double spread, test_random *random)
{
    const bool reduced = test->problem.requant == UPCONV_REQUANT_REDUCED;
    double scale = 200 / spread * exp2(test_between(random, -3, 2)) * (1 + test_between(random, 0, 1000) / 1000.0);
    if (test->problem.type == UPCONV_I16)
        scale *= 128;
    if (test_chance(random, 15))
        scale = exp2(test_between(random, -12, 1));
    if (test_chance(random, 5))
        scale = exp2(test_between(random, -45, reduced ? 6 : 29)) * (1 + test_between(random, 0, 1000) / 1001.0);
    if (test_chance(random, 3))
        scale = 0;
    if (reduced && scale >= 127)
        scale = 100;
    test->scales[i] = scale;
    int exponent;
    double fraction = frexp(scale, &exponent);
    test->multipliers[i] = (int32_t)floor(fraction * 2147483648.0);
    test->shifts[i] = exponent < -31 ? -31 : exponent;
    if (test_chance(random, 10)) // that nobody's scale makes
        test->multipliers[i] /= test_between(random, 1, 1000);
}

static void draw_weights(quantised_case *test, test_random *random)
{
    for (uint64_t i = 0; i < test->sizes.weights_elements; i++)
        test->weights[i] = draw_number(test->weights_type, random);
}

static bool draw_values(quantised_case *test, test_random *random)
{
    const upconv_problem *p = &test->problem;
    const uint64_t inputs = test->sizes.input_elements, weights = test->sizes.weights_elements;
    test->scale_count = test_chance(random, 50) ? p->out_channels : 1;
    const size_t scales = (size_t)test->scale_count;
    test->real = test_chance(random, 50);
    test->input = malloc((size_t)inputs * sizeof *test->input);
    test->weights = malloc((size_t)weights * sizeof *test->weights);
    test->scales = malloc(scales * sizeof *test->scales);
    test->multipliers = malloc(scales * sizeof *test->multipliers);
    test->shifts = malloc(scales * sizeof *test->shifts);
    test->bias = test_chance(random, 70) ? malloc((size_t)p->out_channels * sizeof *test->bias) : NULL;
    if (!test->input || !test->weights || !test->scales || !test->multipliers || !test->shifts)
        return false;
    for (uint64_t i = 0; i < inputs; i++)
        test->input[i] = draw_number(p->type, random);
    draw_weights(test, random);
    const double spread = (p->type == UPCONV_I16 ? 20000.0 : 80.0) * 80 * sqrt((double)weights / p->out_channels);
    for (int i = 0; i < test->scale_count; i++)
        draw_scale(test, i, spread, random);
    test->bias_int64 = test_chance(random, 40);
    for (int i = 0; test->bias && i < p->out_channels; i++) {
        test->bias[i] = test_between(random, -1000000, 1000000);
        if (test->bias_int64 && test_chance(random, 10))
            test->bias[i] *= 1000000;
    }
    return true;
}

// --------------------------------------------------------------------------------------------------------- the definition

// Where element (input channel, output channel of the group, tap) of a filter stands.
static uint64_t filter_place(const quantised_case *test, int ic, int oc, uint64_t tap, uint64_t taps)
{
    const upconv_problem *p = &test->problem;
    const uint64_t icg = (uint64_t)(p->in_channels / p->groups), ocg = (uint64_t)(p->out_channels / p->groups);
    const uint64_t i = (uint64_t)ic, o = (uint64_t)oc, in = (uint64_t)p->in_channels, out = (uint64_t)p->out_channels;
    const uint64_t group = i / icg, within = i % icg, all_o = group * ocg + o;
    switch (test->order) {
    case UPCONV_FILTER_IOK: return (i * ocg + o) * taps + tap;
    case UPCONV_FILTER_KOI: return (tap * ocg + o) * in + i;
    case UPCONV_FILTER_OIK: return (all_o * icg + within) * taps + tap;
    case UPCONV_FILTER_KIO: return (tap * icg + within) * out + all_o;
    case UPCONV_FILTER_OKI: return (all_o * taps + tap) * icg + within;
    default: return (i * taps + tap) * ocg + o;
    }
}

// Scatters one input position of all channels.
static void scatter(const quantised_case *test, int n, const int at[3], uint64_t from, uint64_t in_plane,
                    uint64_t out_plane, int64_t *sums)
{
    const upconv_problem *p = &test->problem;
    const int icg = p->in_channels / p->groups, ocg = p->out_channels / p->groups;
    int tap[3] = {0, 0, 0};
    uint64_t t = 0, taps = 1;
    for (int a = 0; a < p->dims; a++)
        taps *= (uint64_t)p->kernel[a];
    do {
        uint64_t to = 0;
        bool inside = true;
        for (int a = 0; a < p->dims; a++) {
            const int o = at[a] * p->stride[a] + tap[a] * p->dilation[a] - p->pad[a];
            inside = inside && o >= 0 && o < p->out[a];
            to = to * (uint64_t)p->out[a] + (uint64_t)o;
        }
        for (int ic = 0; inside && ic < p->in_channels; ic++)
            for (int o = 0; o < ocg; o++) {
                const int64_t x =
                    test->input[((uint64_t)n * (uint64_t)p->in_channels + (uint64_t)ic) * in_plane + from];
                const int64_t w = test->weights[filter_place(test, ic, o, t, taps)];
                const uint64_t c = (uint64_t)n * (uint64_t)p->out_channels + (uint64_t)(ic / icg * ocg + o);
                sums[c * out_plane + to] += (x - p->in_zero) * (w - p->weights_zero);
            }
        t++;
    } while (test_next(tap, p->kernel, p->dims));
}

static void finish_outputs(quantised_case *test, uint64_t plane)
{
    const upconv_problem *p = &test->problem;
    int64_t limits[2];
    quantised_type(p->type, limits);
    int64_t low = p->out_range[0], high = p->out_range[1];
    if (p->act == UPCONV_ACT_RELU && low < p->out_zero)
        low = p->out_zero < high ? p->out_zero : high;
    for (uint64_t i = 0; i < test->sizes.output_elements; i++) {
        const uint64_t c = i / plane % (uint64_t)p->out_channels, s = test->scale_count == 1 ? 0 : c;
        int32_t multiplier = test->multipliers[s], shift = test->shifts[s];
        double scale = ldexp(multiplier, shift - 31);
        if (test->real) {
            scale = test->scales[s];
            upconv_requant_multiplier(scale, p->requant, &multiplier, &shift); // tried against numbers by hand in unit_quantised.c
        }
        const int64_t sum = test->expected[i] + (test->bias ? test->bias[c] : 0);
        const int64_t y = quantised_back(p->requant, sum, multiplier, shift, scale) + p->out_zero;
        test->expected[i] = y < low ? low : y > high ? high : y;
    }
}

static bool work_out(quantised_case *test)
{
    const upconv_problem *p = &test->problem;
    uint64_t in_plane = 1, out_plane = 1;
    for (int a = 0; a < p->dims; a++) {
        in_plane *= (uint64_t)p->in[a];
        out_plane *= (uint64_t)p->out[a];
    }
    test->expected = calloc((size_t)test->sizes.output_elements, sizeof *test->expected);
    for (int n = 0; test->expected && n < p->batch; n++) {
        int at[3] = {0, 0, 0};
        uint64_t from = 0;
        do
            scatter(test, n, at, from++, in_plane, out_plane, test->expected);
        while (test_next(at, p->in, p->dims));
    }
    if (test->expected)
        finish_outputs(test, out_plane);
    return test->expected != NULL;
}

bool quantised_draw(quantised_case *test, int size, test_random *random)
{
    char text[1024], again[1024];
    upconv_problem given;
    *test = (quantised_case){.fours = test->fours};
    draw_problem(test, size, random);
    given = test->problem;
    test->sizes.struct_size = sizeof test->sizes;
    // through the notation, which makes it complete
    if (upconv_problem_print(&given, text, sizeof text, NULL) || upconv_problem_parse(text, &test->problem, NULL) ||
        upconv_problem_print(&test->problem, again, sizeof again, NULL) ||
        upconv_problem_sizes(&test->problem, &test->sizes)) {
        printf("FAILED drawing: %s\n", upconv_last_error());
        return false;
    }
    if (strcmp(text, again) || test->problem.in_zero != given.in_zero || test->problem.requant != given.requant ||
        test->problem.out_zero != given.out_zero || test->problem.weights_zero != given.weights_zero ||
        test->problem.type != given.type) {
        printf("FAILED drawing: %s reads back as %s\n", text, again);
        return false;
    }
    return draw_values(test, random) && work_out(test);
}

bool quantised_redraw_weights(quantised_case *test, test_random *random)
{
    draw_weights(test, random);
    free(test->expected);
    return work_out(test);
}

void quantised_finish(quantised_case *test)
{
    free(test->input);
    free(test->weights);
    free(test->bias);
    free(test->scales);
    free(test->multipliers);
    free(test->shifts);
    free(test->expected);
    memset(test, 0, sizeof *test);
}
