// Layouts and pitches: checked, and made into the distances by which everything else finds an element.
#include "problem.h"

#include <string.h>

// The parts of a tensor from the inside out, after the pixel: `unit` elements side by side.
enum { PIXEL, ROW, PLANE, CHANNEL, IMAGE, LEVELS };

static const char *const level_names[LEVELS] = {"pixel", "row", "plane", "channel", "image"};
static const char *const layout_names[UPCONV_LAYOUT_COUNT] = {"NCHW", "NHWC", "NC4HW4"};

typedef struct levels {
    int64_t unit;
    int64_t count[LEVELS], pitch[LEVELS];
    const char *fixed[LEVELS]; // why no pitch may be given, or NULL
} levels;

static void levels_of(const upc_tensor_form *form, const upconv_pitch *pitch, levels *l)
{
    const bool nhwc = form->layout == UPCONV_NHWC, packed = form->layout == UPCONV_NC4HW4;
    *l = (levels){
        .unit = nhwc ? form->channels : packed ? 4 : 1,
        .count = {form->extent[2], form->extent[1], form->extent[0],
                  nhwc ? 1 : packed ? upc_ceil_div(form->channels, 4) : form->channels, form->batch},
        .pitch = {pitch->pixel, pitch->row, pitch->plane, pitch->channel, pitch->image},
        .fixed = {[PIXEL] = nhwc ? NULL : "the positions of a row lie side by side",
                  [ROW] = form->dims >= 2 ? NULL : "a 1-D problem has one row",
                  [PLANE] = form->dims == 3 ? NULL : "only a 3-D problem has planes",
                  [CHANNEL] = nhwc ? "the channels of a position lie side by side" : NULL},
    };
}

// Replaces what is 0 by what is dense; *elements is the whole extent.
static upconv_status check_pitches(const upc_tensor_form *form, levels *l, int64_t *elements)
{
    const int64_t most = (int64_t)(UPCONV_MAX_TENSOR_BYTES / form->element_bytes);
    int64_t dense = l->unit, extent = l->unit; // dense: of the next pitch
    for (int i = 0; i < LEVELS; i++) {
        const long long given = l->pitch[i];
        if (given && l->fixed[i])
            return upc_fail(UPCONV_ERROR_INVALID, "%s_pitch.%s is %lld; it must be 0 for this %s tensor: %s",
                            form->name, level_names[i], given, layout_names[form->layout], l->fixed[i]);
        if (given && given < extent)
            return upc_fail(
                UPCONV_ERROR_INVALID,
                "%s_pitch.%s is %lld; it must be at least %lld, the elements that lie within (0 means dense)",
                form->name, level_names[i], given, (long long)extent);
        if (given % 4 && form->layout == UPCONV_NC4HW4)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "%s_pitch.%s is %lld; it must be a multiple of 4 for an NC4HW4 tensor", form->name,
                            level_names[i], given);
        l->pitch[i] = given ? given : dense;
        uint64_t beyond, next;
        if (!upc_mul_u64(&beyond, (uint64_t)l->pitch[i], (uint64_t)(l->count[i] - 1)) ||
            beyond > (uint64_t)(most - extent))
            return upc_fail(UPCONV_ERROR_INVALID,
                            "%s_pitch.%s is %lld%s, for %lld of them; a tensor has at most 2^40 "
                            "bytes from its first element to its last",
                            form->name, level_names[i], (long long)l->pitch[i], given ? "" : " when dense",
                            (long long)l->count[i]);
        extent += (int64_t)beyond;
        if (!upc_mul_u64(&next, (uint64_t)l->pitch[i], (uint64_t)l->count[i]) || next > INT64_MAX)
            next = INT64_MAX; // a single part of an absurd size, which nothing is apart by
        dense = (int64_t)next;
    }
    *elements = extent;
    return UPCONV_OK;
}

// Nothing is ever a pitch apart where there is one part only: such pitches say nothing, and are the dense ones.
static void drop_unused(levels *l)
{
    int64_t dense = l->unit;
    for (int i = 0; i < LEVELS; i++) {
        if (l->count[i] == 1)
            l->pitch[i] = dense;
        dense = l->pitch[i] * l->count[i];
    }
}

upconv_status upc_tensor_from(const upc_tensor_form *form, const upconv_pitch *pitch, upc_tensor *tensor)
{
    levels l;
    levels_of(form, pitch, &l);
    int64_t elements = 0;
    const upconv_status status = check_pitches(form, &l, &elements);
    if (status)
        return status;
    drop_unused(&l);
    *tensor = (upc_tensor){.image = l.pitch[IMAGE], .channel = form->layout == UPCONV_NHWC ? 1 : l.pitch[CHANNEL],
                           .axis = {l.pitch[PLANE], l.pitch[ROW], l.pitch[PIXEL]},
                           .pack = form->layout == UPCONV_NC4HW4 ? 4 : 1, .elements = elements};
    return UPCONV_OK;
}

bool upc_tensor_dense(const upc_tensor_form *form, const upc_tensor *tensor)
{
    static const upconv_pitch none = {0};
    upc_tensor dense;
    return !upc_tensor_from(form, &none, &dense) && !memcmp(&dense, tensor, sizeof dense);
}

void upc_tensor_pitch(const upc_tensor_form *form, const upc_tensor *tensor, upconv_pitch *pitch)
{
    *pitch = (upconv_pitch){0};
    if (upc_tensor_dense(form, tensor))
        return;
    const bool nhwc = form->layout == UPCONV_NHWC;
    *pitch = (upconv_pitch){.image = tensor->image, .channel = nhwc ? 0 : tensor->channel,
                            .plane = form->dims == 3 ? tensor->axis[0] : 0,
                            .row = form->dims >= 2 ? tensor->axis[1] : 0, .pixel = nhwc ? tensor->axis[2] : 0};
}

bool upc_tensor_fours(const upc_tensor_form *form, const upc_tensor *tensor)
{
    return form->layout == UPCONV_NC4HW4 ||
           (form->layout == UPCONV_NHWC && form->channels % 4 == 0 && tensor->axis[0] % 4 == 0 &&
            tensor->axis[1] % 4 == 0 && tensor->axis[2] % 4 == 0 && tensor->image % 4 == 0);
}

void upc_tensor_copy(const upc_tensor_form *form, const upc_tensor *tensor, void *to, const void *from)
{
    const size_t size = form->element_bytes;
    if (upc_tensor_dense(form, tensor)) {
        memcpy(to, from, (size_t)tensor->elements * size);
        return;
    }
    levels l;
    levels_of(form, &(upconv_pitch){0}, &l);
    const bool rows = tensor->axis[2] == l.unit; // a row in one piece
    const int64_t pieces = rows ? 1 : l.count[PIXEL], piece = rows ? l.unit * l.count[PIXEL] : l.unit;
    for (int64_t i = 0; i < l.count[IMAGE] * l.count[CHANNEL] * l.count[PLANE] * l.count[ROW]; i++) {
        const int64_t h = i % l.count[ROW], d = i / l.count[ROW] % l.count[PLANE];
        const int64_t c = i / l.count[ROW] / l.count[PLANE];
        const int64_t row = c / l.count[CHANNEL] * tensor->image + c % l.count[CHANNEL] * tensor->channel +
                            d * tensor->axis[0] + h * tensor->axis[1];
        for (int64_t w = 0; w < pieces; w++) {
            const size_t at = (size_t)(row + w * tensor->axis[2]) * size;
            memcpy((char *)to + at, (const char *)from + at, (size_t)piece * size);
        }
    }
}

void upc_tensor_clear_filling(const upc_tensor_form *form, const upc_tensor *tensor, void *to)
{
    const int64_t known = form->channels % 4;
    if (form->layout != UPCONV_NC4HW4 || !known)
        return;
    for (int64_t n = 0; n < form->batch; n++)
        for (int64_t i = 0; i < form->extent[0] * form->extent[1] * form->extent[2]; i++) {
            const int64_t w = i % form->extent[2], h = i / form->extent[2] % form->extent[1];
            const int64_t at = upc_tensor_at(tensor, n, form->channels, i / form->extent[2] / form->extent[1], h, w);
            memset((char *)to + (size_t)at * form->element_bytes, 0, (size_t)(4 - known) * form->element_bytes);
        }
}
