// Whether a plan is right: every byte of the output, and what lies around it, after two runs.
#include "../ops.h"
#include "bed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const unsigned char canary = 0xa5; // around them: what is computed from what lies around the input is not that

// Where outputs go in each of two runs: not a number. Quantised outputs may be any bytes: what is never written differs.
static unsigned char poison_of(const upc_bed *bed, int run) { return bed->quantised && run ? 0x5a : 0xff; }

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
    // equal: infinities, of pooling
    return beyond || found == expected || (!bed->quantised && fabs(found - expected) <= bound(bed, expected));
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
            const float found = upc_bed_value(bed, out, at);
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
        const double found = upc_bed_value(bed, out, upc_output_at(&bed->shape, where));
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
static bool gaps_untouched(const upc_bed *bed, const unsigned char *out, unsigned char poison)
{
    const upc_problem *p = &bed->shape;
    const size_t size = upc_type_bytes(p->type);
    const uint64_t outputs = upc_output_elements(p);
    uint64_t written = 0;
    if ((uint64_t)p->out.elements == outputs || (p->out.pack == 4 && p->groups * p->ocg % 4))
        return true;
    for (int64_t i = 0; i < p->out.elements; i++)
        written += !all(poison, out + (size_t)i * size, size);
    // an element may be what was there before, where that is a number
    int64_t index = 0;
    row r;
    while (next_row(p, &index, &r))
        for (int64_t w = 0; w < r.count; w++)
            written -= !all(poison, out + (size_t)(r.first + w * r.step) * size, size);
    return written == 0;
}

// Pooling's indices, and what lies around them; *hash takes them in.
static bool indices_right(const upc_bed *bed, const unsigned char *bytes, char reason[UPC_SENTENCE], uint64_t *hash)
{
    const upc_problem *p = &bed->problem;
    const unsigned char *indices = bytes + bed->guard;
    int64_t index = 0;
    row r;
    while (next_row(p, &index, &r))
        for (int64_t w = 0; w < r.count; w++) {
            const int64_t at = r.first + w * r.step;
            int32_t found;
            memcpy(&found, indices + (size_t)at * sizeof found, sizeof found);
            *hash = (*hash ^ (uint32_t)found) * 0x9e3779b97f4a7c15u;
            if (!bed->trusted || found == bed->indices[at])
                continue;
            snprintf(reason, UPC_SENTENCE,
                     "the index at image %lld, channel %lld, position %lld, %lld, %lld is %d; it must be %d",
                     (long long)r.at[0], (long long)r.at[1], (long long)r.at[2], (long long)r.at[3], (long long)w,
                     found, bed->indices[at]);
            return false;
        }
    if (all(canary, bytes, bed->guard) && all(canary, indices + upc_indices_bytes(p), bed->guard))
        return true;
    snprintf(reason, UPC_SENTENCE, "it writes around the indices");
    return false;
}

static bool look(const upc_bed *bed, const unsigned char *bytes, unsigned char poison, char reason[UPC_SENTENCE],
                 uint64_t *hash)
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
    if (!gaps_untouched(bed, out, poison)) {
        snprintf(reason, UPC_SENTENCE, "it writes between the elements of the output");
        return false;
    }
    return true;
}

// The first right result is what the others must give too, where nobody computed all of it.
static void trust(upc_bed *bed, const void *out)
{
    for (int64_t i = 0; i < bed->shape.out.elements; i++)
        ((float *)bed->expected)[i] = upc_bed_value(bed, out, i);
    bed->trusted = true;
}

static upconv_status prepare(const upc_bed *bed, upconv_buffer *buffer, uint64_t bytes, unsigned char poison)
{
    void *pointer;
    const upconv_status status = upconv_buffer_map(buffer, UPCONV_MAP_WRITE, &pointer);
    if (status)
        return status;
    memset(pointer, canary, bytes + 2 * bed->guard);
    memset((char *)pointer + bed->guard, poison, bytes);
    return upconv_buffer_unmap(buffer);
}

// Of what pooling writes beside its output. believe: it is right where nobody knows better.
static upconv_status look_at_indices(upc_bed *bed, bool believe, bool *right, char reason[UPC_SENTENCE], uint64_t *hash)
{
    void *pointer;
    const upconv_status status = upconv_buffer_map(bed->buffers[3], UPCONV_MAP_READ, &pointer);
    if (status)
        return status;
    *right = indices_right(bed, pointer, reason, hash);
    if (*right && believe)
        memcpy(bed->indices, (const char *)pointer + bed->guard, upc_indices_bytes(&bed->problem));
    return upconv_buffer_unmap(bed->buffers[3]);
}

upconv_status upc_verify(upc_bed *bed, upconv_plan *plan, bool *right, char reason[UPC_SENTENCE], double *us)
{
    upconv_buffer *output = bed->buffers[2];
    const bool indices = upc_op_of(bed->problem.op)->writes >> UPCONV_INDICES & 1;
    uint64_t hash[2] = {0, 0};
    *right = true;
    for (int run = 0; run < 2 && *right; run++) {
        void *pointer;
        double took = 0;
        const bool believe = run == 1 && bed->expected && !bed->trusted;
        const unsigned char poison = poison_of(bed, run);
        upconv_status status = prepare(bed, output, upc_output_bytes(&bed->shape), poison);
        if (!status && indices)
            status = prepare(bed, bed->buffers[3], upc_indices_bytes(&bed->problem), poison);
        if (status || (status = upc_bed_run(bed, plan, 1, &took)) ||
            (status = upconv_buffer_map(output, UPCONV_MAP_READ, &pointer)))
            return status;
        *us = run == 0 || took < *us ? took : *us;
        *right = look(bed, pointer, poison, reason, &hash[run]);
        if (*right && indices && (status = look_at_indices(bed, believe, right, reason, &hash[run])))
            return status;
        if (run == 1 && *right && hash[0] != hash[1]) {
            snprintf(reason, UPC_SENTENCE, "two runs give different results");
            *right = false;
        }
        if (*right && believe)
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

// With as much behind it as the problem's own.
static int32_t awkward_out(upconv_op op, const upc_axis *axis, int64_t in)
{
    const int64_t more = in - axis->in;
    int64_t out = axis->out + (op == UPCONV_MAX_POOL ? upc_floor_div(more, axis->stride)
                                                     : upc_floor_div(more * axis->stride, axis->step));
    if (op == UPCONV_RESIZE)
        out = in * axis->out / axis->in;
    return (int32_t)UPC_MIN(UPC_MAX(out, 1), INT32_MAX);
}

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
    const upc_op *op = upc_op_of(problem->op);
    const int64_t blocks = op->channels == UPC_CHANNELS_BLOCKS ? problem->icg / problem->ocg : 1;
    if (blocks > 1024)
        return false; // not small
    given.batch = shapes[index].batch;
    // depthwise problems have their channels as groups
    given.groups = depthwise ? icg : problem->groups > 1 ? shapes[index].groups : 1;
    given.in_channels =
        op->channels == UPC_CHANNELS_BLOCKS ? (int32_t)blocks * ocg : given.groups * (depthwise ? 1 : icg);
    given.out_channels = given.groups * (depthwise ? (int32_t)UPC_MIN(problem->ocg, 2) : ocg);
    if (op->channels != UPC_CHANNELS_FREE)
        given.out_channels = 0;
    for (int i = 0; i < given.dims; i++) {
        const upc_axis *axis = &problem->axis[3 - given.dims + i];
        const int64_t most = UPC_MAX(256 / axis->stride, 2); // few outputs also of large strides
        const int32_t in = (int32_t)UPC_MIN(shapes[index].in[3 - given.dims + i], most);
        given.in[i] = axis->in == 1 && axis->kernel == 1 ? 1 : in;
        given.out[i] = given.in[i] == 1 ? given.out[i] : awkward_out(problem->op, axis, in);
        if (op->channels == UPC_CHANNELS_BLOCKS)
            given.out[i] = 0;
    }
    given.in_pitch = given.out_pitch = (upconv_pitch){0};
    return upc_problem_from(&given, awkward) == UPCONV_OK;
}
