#include "split.h"

// The outputs of a box along one axis, clipped to the tensor; false when there are none.
static bool out_range(const upc_split *split, const upc_box *box, int a, int64_t *first, int64_t *last)
{
    const upc_axis *axis = &split->problem->axis[a];
    const int64_t stride = split->stride[a];
    *first = UPC_MAX(box->q0[a] * stride - axis->pad, 0);
    *last = UPC_MIN((box->q0[a] + box->qn[a]) * stride - 1 - axis->pad, axis->out - 1);
    return *first <= *last;
}

// The inputs that those outputs may read, clipped; an empty range becomes one element, so that a window always exists.
static void in_range(const upc_split *split, const upc_box *box, int a, int64_t *first, int64_t *last)
{
    const upc_axis *axis = &split->problem->axis[a];
    int64_t from, to;
    out_range(split, box, a, &from, &to);
    if (a == 2) // the last tile of a row loads for all its positions, also for those that are not wanted
        to = UPC_MAX(to, (box->q0[a] + upc_ceil_div(box->qn[a], split->tile) * split->tile) * split->stride[a] - 1 - axis->pad);
    *first = UPC_MAX(upc_ceil_div(from + axis->pad - (axis->kernel - 1) * axis->dilation, axis->stride), 0);
    *last = UPC_MIN(upc_floor_div(to + axis->pad, axis->stride), axis->in - 1);
    *first = UPC_MIN(*first, axis->in - 1);
    *last = UPC_MAX(*last, *first);
}

static int64_t plane(const upc_problem *problem, bool in)
{
    const upc_axis *a = problem->axis;
    return in ? a[0].in * a[1].in * a[2].in : a[0].out * a[1].out * a[2].out;
}

static void spatial(const upc_split *split, const upc_box *box, bool in, int64_t *start, int64_t *end)
{
    *start = *end = 0;
    for (int a = 0; a < 3; a++) {
        const int64_t extent = in ? split->problem->axis[a].in : split->problem->axis[a].out;
        int64_t first, last;
        if (in)
            in_range(split, box, a, &first, &last);
        else
            out_range(split, box, a, &first, &last);
        *start = *start * extent + first;
        *end = *end * extent + last;
    }
}

int64_t upc_split_in_start(const upc_split *split, const upc_box *box)
{
    int64_t start, end;
    spatial(split, box, true, &start, &end);
    return start;
}

int64_t upc_split_out_start(const upc_split *split, const upc_box *box)
{
    int64_t start, end;
    spatial(split, box, false, &start, &end);
    return start;
}

static void tensor_window(const upc_split *split, const upc_box *box, bool in, upc_window *window)
{
    const upc_problem *problem = split->problem;
    const int64_t per_group = in ? problem->icg : problem->ocg;
    const int64_t c0 = in ? box->i0 : box->c0, cn = in ? box->in : box->cn;
    int64_t start, end;
    spatial(split, box, in, &start, &end);
    const int64_t size = plane(problem, in);
    window->first = ((box->n0 * problem->groups + box->g0) * per_group + c0) * size + start;
    const int64_t last = (((box->n0 + box->nn - 1) * problem->groups + box->g0 + box->gn - 1) * per_group + c0 + cn - 1) *
                             size + end;
    window->count = last - window->first + 1;
}

void upc_split_grid(const upc_split *split, const upc_box *box, int64_t items[3])
{
    items[0] = upc_ceil_div(box->qn[2], split->tile);
    items[1] = box->pn * box->qn[0] * box->qn[1];
    items[2] = box->nn * box->gn * box->bn;
}

static double macs(const upc_split *split, const upc_box *box)
{
    const double positions = (double)box->qn[0] * (double)box->qn[1] * (double)box->qn[2];
    return positions * split->taps * (double)box->pn * (double)box->in * (double)(box->bn * split->oc) *
           (double)(box->gn * box->nn);
}

enum cut { CUT_N, CUT_G, CUT_B, CUT_C, CUT_P, CUT_D, CUT_H, CUT_W, CUT_I, CUT_NONE };

static int64_t *cut_range(upc_box *box, enum cut cut, int64_t **first)
{
    switch (cut) {
    case CUT_N: *first = &box->n0; return &box->nn;
    case CUT_G: *first = &box->g0; return &box->gn;
    case CUT_B: *first = &box->b0; return &box->bn;
    case CUT_C: *first = &box->c0; return &box->cn;
    case CUT_P: *first = &box->p0; return &box->pn;
    case CUT_I: *first = &box->i0; return &box->in;
    default: *first = &box->q0[cut - CUT_D]; return &box->qn[cut - CUT_D];
    }
}

static bool can_cut(const upc_split *split, const upc_box *box, enum cut cut)
{
    upc_box copy = *box;
    int64_t *first;
    const int64_t count = *cut_range(&copy, cut, &first);
    if (cut == CUT_W)
        return count > split->tile;
    return count > 1;
}

static enum cut first_of(const upc_split *split, const upc_box *box, const enum cut *order)
{
    for (; *order != CUT_NONE; order++)
        if (can_cut(split, box, *order))
            return *order;
    return CUT_NONE;
}

// Along which range to halve a box that does not fit; CUT_NONE with *why set: none helps. *why NULL: it fits.
static enum cut choose_cut(const upc_split *split, const upc_box *box, const upc_window *in, const upc_window *out,
                           const upc_window *weights, const char **why)
{
    static const enum cut for_out[] = {CUT_N, CUT_G, CUT_B, CUT_C, CUT_D, CUT_H, CUT_W, CUT_NONE};
    static const enum cut for_in[] = {CUT_N, CUT_G, CUT_D, CUT_H, CUT_W, CUT_I, CUT_NONE};
    static const enum cut for_in_channels[] = {CUT_N, CUT_G, CUT_I, CUT_NONE};
    static const enum cut for_weights[] = {CUT_G, CUT_B, CUT_P, CUT_NONE};
    static const enum cut for_x[] = {CUT_W, CUT_NONE};
    static const enum cut for_y[] = {CUT_D, CUT_H, CUT_P, CUT_NONE};
    static const enum cut for_z[] = {CUT_N, CUT_G, CUT_B, CUT_NONE};
    static const enum cut for_time[] = {CUT_N, CUT_G, CUT_B, CUT_D, CUT_H, CUT_P, CUT_W, CUT_I, CUT_NONE};
    const upconv_limits *limits = &split->facts->info.limits;
    // a window begins at a multiple of the device's alignment, so up to that much of it is lost
    const int64_t room = ((int64_t)limits->binding_bytes - (int64_t)split->facts->info.offset_alignment) / 4;
    int64_t items[3];
    upc_split_grid(split, box, items);
    *why = "the output's window";
    if (out->count > room)
        return first_of(split, box, for_out);
    *why = "the input's window";
    if (in->count > room) // channels are a plane apart: where that alone is too far, fewer positions do not help
        return first_of(split, box,
                        (box->in - 1) * plane(split->problem, true) > room / 2 ? for_in_channels : for_in);
    *why = "the weights' window";
    if (weights->count > room)
        return first_of(split, box, for_weights);
    *why = "the grid";
    if (upc_ceil_div(items[0], split->local[0]) > limits->group_count)
        return first_of(split, box, for_x);
    if (upc_ceil_div(items[1], split->local[1]) > limits->group_count)
        return first_of(split, box, for_y);
    if (upc_ceil_div(items[2], split->local[2]) > limits->group_count)
        return first_of(split, box, for_z);
    *why = "the loops of an item";
    const double rounds = split->rounds + split->rounds_per_channel * (double)box->in;
    if (split->facts->loop_rounds && rounds > split->facts->loop_rounds)
        return can_cut(split, box, CUT_I) ? CUT_I : CUT_NONE;
    *why = NULL;
    return macs(split, box) > (double)limits->dispatch_macs ? first_of(split, box, for_time) : CUT_NONE;
}

// The channels that a box's blocks hold.
static void channels_of_blocks(const upc_split *split, upc_box *box)
{
    box->c0 = box->b0 * split->oc;
    box->cn = UPC_MIN(box->bn * split->oc, split->problem->ocg - box->c0);
}

static upconv_status run(upc_split *split, const upc_box *box);

static upconv_status run_halves(upc_split *split, const upc_box *box, enum cut cut)
{
    upc_box half = *box;
    int64_t *first, *count = cut_range(&half, cut, &first);
    const int64_t all = *count, from = *first;
    int64_t lower = all / 2;
    if (cut == CUT_W) // whole tiles, so that no position is made twice
        lower = UPC_MAX(lower / split->tile, 1) * split->tile;
    *count = lower;
    if (cut == CUT_B)
        channels_of_blocks(split, &half);
    const upconv_status status = run(split, &half);
    if (status)
        return status;
    *first = from + lower;
    *count = all - lower;
    if (cut == CUT_B)
        channels_of_blocks(split, &half);
    return run(split, &half);
}

static upconv_status run(upc_split *split, const upc_box *box)
{
    int64_t first, last;
    for (int a = 0; a < 3; a++)
        if (!out_range(split, box, a, &first, &last))
            return UPCONV_OK; // positions that make no output
    upc_window in, out, weights;
    tensor_window(split, box, true, &in);
    tensor_window(split, box, false, &out);
    split->weights(split, box, &weights);
    const char *why;
    const enum cut cut = choose_cut(split, box, &in, &out, &weights, &why);
    if (cut != CUT_NONE)
        return run_halves(split, box, cut);
    if (why)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s cannot be cut below this device's limit (%llu bytes a binding, %u "
                        "groups, %u rounds of loops)", why, (unsigned long long)split->facts->info.limits.binding_bytes,
                        split->facts->info.limits.group_count, split->facts->loop_rounds);
    if (++split->emitted > UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    return split->emit(split->to, box, &in, &out, &weights);
}

upconv_status upc_split_run(upc_split *split)
{
    const upc_problem *problem = split->problem;
    upc_box box = {.nn = problem->batch, .gn = problem->groups, .bn = upc_ceil_div(problem->ocg, split->oc),
                   .cn = problem->ocg, .pn = split->phases, .in = problem->icg};
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        box.q0[a] = upc_floor_div(axis->pad, split->stride[a]);
        box.qn[a] = upc_floor_div(axis->out - 1 + axis->pad, split->stride[a]) - box.q0[a] + 1;
    }
    split->emitted = 0;
    return run(split, &box);
}
