#include "strips.h"

#include "blend.h"
#include "slabs.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

static upc_strips_form form_of(const upc_tensor *tensor, int64_t channels)
{
    if (tensor->pack == 4)
        return UPC_STRIPS_BLOCKS;
    if (tensor->axis[2] == 1)
        return UPC_STRIPS_PLANES;
    return tensor->channel == 1 && tensor->axis[2] >= channels ? UPC_STRIPS_PIXELS : UPC_STRIPS_NONE;
}

upc_strips_form upc_strips_form_of(const upc_problem *p)
{
    const upc_strips_form form = form_of(&p->out, p->ocg);
    return form == form_of(&p->in, p->icg) ? form : UPC_STRIPS_NONE;
}

const char *upc_strips_refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    const char *why = NULL;
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL)
        why = "strips are for processors under OpenCL";
    else if (upc_strips_form_of(p) == UPC_STRIPS_NONE)
        why = "strips need input and output that lie alike, with elements side by side";
    else if (p->op == UPCONV_PIXEL_SHUFFLE)
        why = "strips do not shuffle";
    if (why)
        snprintf(sentence, UPC_SENTENCE, "%s", why);
    return why ? sentence : NULL;
}

void upc_strips_channels(const upc_problem *p, int64_t most, int64_t *q_most, int32_t *q)
{
    const upc_strips_form form = upc_strips_form_of(p);
    *q_most = form == UPC_STRIPS_PLANES ? 1 : form == UPC_STRIPS_BLOCKS ? 4 : UPC_MIN(p->ocg, most);
    const bool lone = form == UPC_STRIPS_PIXELS && *q_most == 1;
    *q = *q_most <= 4 && !lone ? (int32_t)*q_most : 0;
}

void upc_strips_init(upc_strips *strips, const upc_problem *p, const upc_facts *facts, int32_t line)
{
    const upc_strips_form form = upc_strips_form_of(p);
    *strips = (upc_strips){.line = line, .vec = upc_vector_guess(facts), .units = facts->info.compute_units};
    strips->inner = form == UPC_STRIPS_PIXELS;
    upc_strips_channels(p, line / 8, &strips->q_most, &strips->q);
}

int64_t upc_strips_step(const upc_strips *strips) { return strips->q ? strips->q : 1; }

// ---------------------------------------------------------------------------------------------------------- the table

static int weights_of(int taps) { return taps > 1 ? taps : 0; }

static int32_t bits_of(double weight)
{
    const float f32 = (float)weight;
    int32_t bits;
    memcpy(&bits, &f32, sizeof bits);
    return bits;
}

int64_t upc_strips_zip_at(const upc_problem *p, int taps) { return (1 + weights_of(taps)) * p->axis[2].out; }

// What the list of inputs says of an output.
static int64_t first_of(const upc_problem *p, const upc_sample *at, int64_t o)
{
    const upc_axis *w = &p->axis[2];
    if (p->op == UPCONV_ZERO_INSERT && at->first < 0)
        return -1 - UPC_MIN(UPC_MAX(upc_ceil_div(o + w->pad, w->stride), 0), w->in);
    return at->first;
}

// Whether output o follows the pattern of outputs that begins at `base`, a multiple of `zip`.
static bool follows(const upc_sample_axis *w, int64_t base, int zip, int64_t o)
{
    const upc_sample *is = &w->at[o], *like = &w->at[base + o % zip];
    if (is->first - o / zip != like->first - base / zip)
        return false;
    for (int i = 0; i < w->taps && w->taps > 1; i++)
        if (bits_of(is->weight[i]) != bits_of(like->weight[i]))
            return false;
    return true;
}

// The longest stretch in the middle that is a pattern of `zip` outputs an input: whole patterns.
static bool resize_zip(upc_strips *strips, const upc_problem *p, const upc_sample_axis *w, int zip)
{
    const int64_t out = p->axis[2].out, base = out / 2 / zip * zip;
    int64_t from = base, end = base;
    if (out < zip || base + zip > out)
        return false;
    while (from > 0 && follows(w, base, zip, from - 1))
        from--;
    while (end < out && follows(w, base, zip, end))
        end++;
    from = upc_ceil_div(from, zip) * zip;
    end = end / zip * zip;
    if (end - from < 2 * zip || (end - from) * 2 < out)
        return false;
    strips->zip = zip;
    strips->zip_0 = from;
    strips->zip_end = end;
    return true;
}

static void find_zip(upc_strips *strips, const upc_problem *p, const upc_sample_axis *w)
{
    const upc_axis *axis = &p->axis[2];
    const int64_t stride = axis->stride;
    const bool fours = strips->q == 4 && strips->vec >= 4;
    if (strips->q != 1 && !fours)
        return;
    if (p->op == UPCONV_RESIZE) {
        for (int zip = 1; zip <= UPC_STRIPS_ZIP && !resize_zip(strips, p, w, zip);)
            zip++;
        return;
    }
    if (stride > UPC_STRIPS_ZIP)
        return;
    strips->zip = (int)stride;
    strips->zip_end = axis->out / stride * stride;
    // outputs `at` of each pattern are inputs, from `start` on for the first
    strips->zip_at = (int)(((-axis->pad) % stride + stride) % stride);
    const int64_t start = upc_floor_div(strips->zip_at + axis->pad, stride);
    strips->zip_0 = UPC_MAX(-start, 0) * stride;
    strips->zip_end = UPC_MAX(UPC_MIN(strips->zip_end, (axis->in - start) * stride), 0);
}

// What the pattern's output i would have if the pattern began at output 0.
static int64_t start_of(const upc_strips *strips, const upc_problem *p, const upc_sample_axis *w, int64_t base, int i)
{
    if (p->op == UPCONV_ZERO_INSERT)
        return upc_floor_div(strips->zip_at + p->axis[2].pad, p->axis[2].stride);
    return w->at[base + i].first - base / strips->zip;
}

static upconv_status zip_table(const upc_strips *strips, const upc_problem *p, const upc_sample_axis *w,
                               upc_recipe *recipe)
{
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < strips->zip && !status; i++)
        status = upc_recipe_table(recipe, (int32_t)start_of(strips, p, w, strips->zip_0, i));
    for (int i = 0; i < strips->zip * weights_of(w->taps) && !status; i++)
        status = upc_recipe_table(recipe, bits_of(w->at[strips->zip_0 + i / w->taps].weight[i % w->taps]));
    return status;
}

// The most inputs that `run` outputs side by side read.
static int64_t reach(const upc_problem *p, const upc_sample_axis *w, int64_t run)
{
    int64_t most = 0;
    for (int64_t o = 0; o + run <= p->axis[2].out; o++) {
        const int64_t a = first_of(p, &w->at[o], o), b = first_of(p, &w->at[o + run - 1], o + run - 1);
        const bool zeros = p->op == UPCONV_ZERO_INSERT;
        const int64_t first = zeros && a < 0 ? -1 - a : a, last = zeros && b < 0 ? -2 - b : b;
        most = UPC_MAX(most, last - first + w->taps);
    }
    return most;
}

void upc_strips_plan(upc_strips *strips, const upc_problem *p, const upc_sample_axis *w)
{
    strips->run = UPC_MAX(UPC_MIN(strips->line / strips->q_most, p->axis[2].out), 1);
    while (strips->run > 1 && reach(p, w, strips->run) * strips->q_most > strips->line * 2)
        strips->run = upc_ceil_div(strips->run, 2);
    find_zip(strips, p, w);
    for (int i = 0; i < strips->zip; i++)
        strips->starts[i] = (int32_t)start_of(strips, p, w, strips->zip_0, i);
}

upconv_status upc_strips_table(const upc_strips *strips, const upc_problem *p, const upc_sample_axis *w,
                               upc_recipe *recipe)
{
    const int64_t out = p->axis[2].out;
    upconv_status status = UPCONV_OK;
    for (int64_t o = 0; o < out && !status; o++)
        status = upc_recipe_table(recipe, (int32_t)first_of(p, &w->at[o], o));
    for (int i = 0; i < weights_of(w->taps); i++)
        for (int64_t o = 0; o < out && !status; o++)
            status = upc_recipe_table(recipe, bits_of(w->at[o].weight[i]));
    return status ? status : zip_table(strips, p, w, recipe);
}

// -------------------------------------------------------------------------------------------------------- the dispatch

static int64_t blocks_of(const upc_strips *strips, const upc_sample_box *box)
{
    return upc_ceil_div(box->cn, strips->q_most);
}

// Lines of an item: as many as it keeps, and fewer where that left processors without work.
static int64_t rows_of(const upc_strips *strips, const upc_sample_box *box)
{
    const int64_t lines = box->on[0] * box->on[1], planes = box->nn * blocks_of(strips, box);
    const int64_t wanted = 4 * UPC_MAX((int64_t)strips->units, 1);
    if (strips->blend)
        return upc_blend_rows(strips, lines, planes * upc_ceil_div(box->on[2], strips->run));
    if (strips->run < box->on[2])
        return 1;
    const int64_t fitting = UPC_MAX(strips->line / (box->on[2] * strips->q_most), 1);
    return UPC_MIN(fitting, UPC_MAX(lines * planes / wanted, 1));
}

void upc_strips_grid(const upc_strips *strips, const upc_sample_box *box, int64_t items[3])
{
    const int64_t blocks = blocks_of(strips, box);
    items[0] = upc_ceil_div(box->on[2], strips->run) * (strips->inner ? blocks : 1);
    items[1] = upc_ceil_div(box->on[0] * box->on[1], rows_of(strips, box));
    items[2] = box->nn * (strips->inner ? 1 : blocks);
}

const char *const upc_strips_args[UPC_STRIPS_ARGS] = {
    "X_N", "LINES", "Z_N", "W_N", "H_N", "BLOCKS", "O_D", "O_H", "O_W", "C_ALL", "SRC_0", "DST_0", "IN_C0", "OUT_C0",
    "RUN", "ROWS", "C_N", "Q_MOST", "ZIP_AT",
};

void upc_strips_values(const upc_strips *strips, const upc_problem *p, const upc_sample_box *box,
                       const int64_t starts[4], int64_t values[UPC_STRIPS_ARGS])
{
    int64_t items[3];
    upc_strips_grid(strips, box, items);
    const int64_t all[UPC_STRIPS_ARGS] = {
        items[0], box->on[0] * box->on[1], items[2], box->on[2], box->on[1], blocks_of(strips, box), box->o[0], box->o[1], box->o[2],
        p->ocg - box->c0, starts[0], starts[1], starts[2], starts[3], strips->run, rows_of(strips, box), box->cn, strips->q_most,
        strips->zip_at,
    };
    memcpy(values, all, sizeof all);
}

void upc_strips_describe(const upc_strips *strips, upc_program_desc *program)
{
    const upc_number defines[] = {
        {"LINE", strips->line},         {"ROW", strips->line * 2},
        {"VEC", strips->vec},           {"Q", strips->q},
        {"INNER", strips->inner},       {"ZIP", strips->zip},
        {"START_0", strips->starts[0]}, {"START_1", strips->starts[1]},
        {"START_2", strips->starts[2]}, {"START_3", strips->starts[3]},
        {"KEPT_N", strips->kept},
    };
    upc_program_defines(program, defines, UPC_COUNT(defines));
}
