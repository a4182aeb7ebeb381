// Whether a plan is right: every byte of the output, and what lies around it, after two runs.
#include "bed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const unsigned char poison = 0xff; // where outputs go: not a number
static const unsigned char canary = 0xa5; // around them: what is computed from what lies around the input is not that

// Sums of integers are exact; activations, Winograd's transforms and f16 are not. What is missing or too much is off by
// one at least, which only long sums in f16 can hide.
static double bound(const upc_bed *bed, double expected)
{
    const upc_problem *p = &bed->shape;
    const double rounding = p->type == UPCONV_F16 ? 1e-3 : 1e-5; // of a driver that truncates
    const double summing = p->sum_type == UPCONV_F16 ? 2e-3 : p->type == UPCONV_F16 ? 5e-4 : 2e-6;
    const double slope = p->act == UPCONV_ACT_PRELU        ? 4
                         : p->act == UPCONV_ACT_LEAKY_RELU ? fabs((double)p->act_param[0])
                                                           : 1;
    return rounding * (1 + fabs(expected)) + 4 * summing * bed->scale * UPC_MAX(slope, 1);
}

static bool close_enough(const upc_bed *bed, double found, double expected)
{
    const bool beyond = bed->shape.type == UPCONV_F16 && fabs(expected) > 65000; // f16 ends there
    return beyond || fabs(found - expected) <= bound(bed, expected);
}

// Calls visit for each row of the output: where it begins, and its number of elements apart.
typedef struct row {
    int64_t at[4]; // image, channel, d, h
    int64_t first, step, count;
} row;

static bool next_row(const upc_problem *p, int64_t *index, row *r)
{
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t channels = p->groups * p->ocg, at = (*index)++;
    if (at >= p->batch * channels * d->out * h->out)
        return false;
    const int64_t plane = at / h->out, channel = plane / d->out;
    *r = (row){{channel / channels, channel % channels, plane % d->out, at % h->out}, 0, p->out.axis[2], w->out};
    r->first = upc_tensor_at(&p->out, r->at[0], r->at[1], r->at[2], r->at[3], 0);
    return true;
}

static bool complain(char reason[UPC_SENTENCE], const row *r, int64_t w, double found, double expected)
{
    char place[160];
    snprintf(place, sizeof place, "image %lld, channel %lld, position %lld, %lld, %lld", (long long)r->at[0],
             (long long)r->at[1], (long long)r->at[2], (long long)r->at[3], (long long)w);
    if (isnan(found))
        snprintf(reason, UPC_SENTENCE, "the output at %s was not written, or is not a number", place);
    else
        snprintf(reason, UPC_SENTENCE, "the output at %s is %.9g; it must be %.9g", place, found, expected);
    return false;
}

// Every element is a number, and the right one where all are known; *hash is of them.
static bool elements_right(const upc_bed *bed, const void *out, char reason[UPC_SENTENCE], uint64_t *hash)
{
    const upc_problem *p = &bed->shape;
    const float *expected = bed->trusted ? bed->expected : NULL;
    int64_t index = 0;
    uint64_t sum = 0;
    row r;
    while (next_row(p, &index, &r))
        for (int64_t w = 0; w < r.count; w++) {
            const int64_t at = r.first + w * r.step;
            const float found = upc_host_load(out, p->type, at);
            uint32_t bits;
            memcpy(&bits, &found, sizeof bits);
            sum = (sum ^ bits) * 0x9e3779b97f4a7c15u;
            if (isnan(found))
                return complain(reason, &r, w, found, 0);
            if (expected && !close_enough(bed, found, expected[at]))
                return complain(reason, &r, w, found, expected[at]);
        }
    *hash = sum;
    return true;
}

static bool samples_right(const upc_bed *bed, const void *out, char reason[UPC_SENTENCE])
{
    for (int i = 0; i < UPC_BED_SAMPLES; i++) {
        const int64_t *where = bed->where[i];
        const double found = upc_host_load(out, bed->shape.type, upc_output_at(&bed->shape, where));
        const row r = {{where[0], where[1], where[2], where[3]}, 0, 0, 0};
        if (!close_enough(bed, found, bed->sample[i]))
            return complain(reason, &r, where[4], found, bed->sample[i]);
    }
    return true;
}

static bool all(unsigned char value, const unsigned char *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

// What lies between elements of tensors with pitches; blocks of four channels may have any values where there is no
// channel.
static bool gaps_untouched(const upc_bed *bed, const unsigned char *out)
{
    const upc_problem *p = &bed->shape;
    const size_t size = upc_type_bytes(p->type);
    const uint64_t outputs = upc_output_elements(p);
    uint64_t written = 0;
    if ((uint64_t)p->out.elements == outputs || (p->out.pack == 4 && p->groups * p->ocg % 4))
        return true;
    for (int64_t i = 0; i < p->out.elements; i++)
        written += !all(poison, out + (size_t)i * size, size);
    return written == outputs;
}

static bool look(const upc_bed *bed, const unsigned char *bytes, char reason[UPC_SENTENCE], uint64_t *hash)
{
    const uint64_t count = upc_output_bytes(&bed->shape);
    const unsigned char *out = bytes + bed->guard;
    if (!elements_right(bed, out, reason, hash) || !samples_right(bed, out, reason))
        return false;
    const bool before = all(canary, bytes, bed->guard);
    if (!before || !all(canary, out + count, bed->guard)) {
        snprintf(reason, UPC_SENTENCE, "it writes %s the output", before ? "behind" : "before");
        return false;
    }
    if (!gaps_untouched(bed, out)) {
        snprintf(reason, UPC_SENTENCE, "it writes between the elements of the output");
        return false;
    }
    return true;
}

// The first right result is what the others must give too, where nobody computed all of it.
static void trust(upc_bed *bed, const void *out)
{
    for (int64_t i = 0; i < bed->shape.out.elements; i++)
        ((float *)bed->expected)[i] = upc_host_load(out, bed->shape.type, i);
    bed->trusted = true;
}

upconv_status upc_verify(upc_bed *bed, upconv_plan *plan, bool *right, char reason[UPC_SENTENCE], double *us)
{
    upconv_buffer *output = bed->buffers[2];
    uint64_t hash[2] = {0, 0};
    *right = true;
    for (int run = 0; run < 2 && *right; run++) {
        void *pointer;
        double took = 0;
        upconv_status status = upconv_buffer_map(output, UPCONV_MAP_WRITE, &pointer);
        if (status)
            return status;
        const uint64_t bytes = upc_output_bytes(&bed->shape);
        memset(pointer, canary, bytes + 2 * bed->guard);
        memset((char *)pointer + bed->guard, poison, bytes);
        if ((status = upconv_buffer_unmap(output)) || (status = upc_bed_run(bed, plan, 1, &took)) ||
            (status = upconv_buffer_map(output, UPCONV_MAP_READ, &pointer)))
            return status;
        *us = run == 0 || took < *us ? took : *us;
        *right = look(bed, pointer, reason, &hash[run]);
        if (run == 1 && *right && hash[0] != hash[1]) {
            snprintf(reason, UPC_SENTENCE, "two runs give different results");
            *right = false;
        }
        if (run == 1 && *right && bed->expected && !bed->trusted)
            trust(bed, (const char *)pointer + bed->guard);
        if ((status = upconv_buffer_unmap(output)))
            return status;
    }
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------------- awkward

// From the most awkward to what every configuration takes. Channels of 0: the problem's, but at most 64.
static const struct {
    int32_t batch, groups, icg, ocg, in[3];
} shapes[] = {
    {2, 3, 5, 7, {3, 5, 11}},
    {2, 2, 3, 9, {2, 5, 29}},
    {1, 2, 8, 16, {2, 5, 13}},
    {1, 2, 0, 0, {2, 7, 29}},
};

bool upc_awkward(const upc_problem *problem, int index, upc_problem *awkward)
{
    upconv_problem given;
    if (index < 0 || index >= (int)UPC_COUNT(shapes))
        return false;
    upc_problem_to(problem, &given);
    const bool depthwise = problem->groups > 1 && problem->icg == 1;
    const int32_t icg =
        shapes[index].icg ? shapes[index].icg : (int32_t)UPC_MIN(depthwise ? problem->groups : problem->icg, 64);
    const int32_t ocg = shapes[index].ocg ? shapes[index].ocg : (int32_t)UPC_MIN(problem->ocg, 64);
    given.batch = shapes[index].batch;
    // depthwise problems have their channels as groups
    given.groups = depthwise ? icg : problem->groups > 1 ? shapes[index].groups : 1;
    given.in_channels = given.groups * (depthwise ? 1 : icg);
    given.out_channels = given.groups * (depthwise ? (int32_t)UPC_MIN(problem->ocg, 2) : ocg);
    for (int i = 0; i < given.dims; i++) {
        const int axis = 3 - given.dims + i;
        const int64_t most = UPC_MAX(256 / problem->axis[axis].stride, 2); // few outputs also of large strides
        const int32_t in = (int32_t)UPC_MIN(shapes[index].in[axis], most);
        const int64_t out = problem->axis[axis].out + (in - problem->axis[axis].in) * problem->axis[axis].stride;
        given.in[i] = problem->axis[axis].in == 1 && problem->axis[axis].kernel == 1 ? 1 : in;
        given.out[i] = given.in[i] == 1 ? given.out[i] : (int32_t)UPC_MIN(UPC_MAX(out, 1), INT32_MAX);
    }
    given.in_pitch = given.out_pitch = (upconv_pitch){0};
    return upc_problem_from(&given, awkward) == UPCONV_OK;
}
