#include "split.h"

#include "solvers/taps.h"

// The outputs of a box along one axis, clipped to the tensor; false when there are none.
static bool out_range(const upc_split *split, const upc_box *box, int a, int64_t *first, int64_t *last)
{
    const upc_axis *axis = &split->problem->axis[a];
    const int64_t stride = split->stride[a], origin = upc_axis_origin(axis);
    *first = UPC_MAX(box->q0[a] * stride - origin, 0);
    *last = UPC_MIN((box->q0[a] + box->qn[a]) * stride - 1 - origin, axis->out - 1);
    return *first <= *last;
}

// The inputs that those outputs may read, clipped; an empty range becomes one element, so that a window always exists.
static void in_range(const upc_split *split, const upc_box *box, int a, int64_t *first, int64_t *last)
{
    const upc_axis *axis = &split->problem->axis[a];
    const int64_t origin = upc_axis_origin(axis);
    int64_t from, to;
    out_range(split, box, a, &from, &to);
    if (a == 2 && !split->lanes) // the last tile of a row loads for all its positions, also for those that are not wanted
        to = UPC_MAX(to, (box->q0[a] + upc_ceil_div(box->qn[a], split->tile) * split->tile) * split->stride[a] - 1 -
                             origin);
    if (split->padded) // items read for outputs that are not there, too
        from = box->q0[a] * split->stride[a] - origin;
    if (split->around) {
        from = box->q0[a] * split->stride[a] - origin;
        to = (box->q0[a] + (a == 2 ? upc_ceil_div(box->qn[a], split->tile) * split->tile + 1 : box->qn[a])) *
                 split->stride[a] -
             1 - origin;
    }
    const int64_t least = -split->front[a], most = axis->in - 1 + split->back[a];
    *first =
        UPC_MAX(upc_ceil_div(from * axis->step + axis->pad - (axis->kernel - 1) * axis->dilation, axis->stride), least);
    *last = UPC_MIN(upc_floor_div(to * axis->step + axis->pad, axis->stride), most);
    *first = UPC_MIN(*first, most);
    *last = UPC_MAX(*last, *first);
}

void upc_split_init(upc_split *split, const upc_problem *problem, const upc_facts *facts)
{
    *split = (upc_split){.problem = problem, .facts = facts, .in = problem->in, .out = problem->out, .icg = problem->icg,
                         .in_bytes = upc_type_bytes(problem->type), .out_bytes = upc_type_bytes(problem->type),
                         .weight_bytes = upc_type_bytes(problem->type), .in_step = 1, .out_step = 1, .phases = 1};
}

// From the first to the last element of a box, and some more so that it begins, and where blocks of channels are read ends, with a
// whole vector.
static upc_window in_window(const upc_split *split, const upc_box *box)
{
    const upc_tensor *in = &split->in;
    int64_t first[3], last[3];
    for (int a = 0; a < 3; a++)
        in_range(split, box, a, &first[a], &last[a]);
    const int64_t from = upc_tensor_at(in, box->n0, box->g0 * split->icg + box->i0, first[0], first[1], first[2]);
    int64_t to = upc_tensor_at(in, box->n0 + box->nn - 1, (box->g0 + box->gn - 1) * split->icg + box->i0 + box->in - 1,
                               last[0], last[1], last[2]);
    if (in->pack > 1)
        to = upc_floor_div(to, in->pack) * in->pack + in->pack - 1;
    const int64_t start = upc_floor_div(UPC_MAX(split->in_origin + from - split->beyond, 0), 4) * 4;
    const int64_t end =
        split->beyond ? UPC_MIN(split->in_origin + to + split->beyond, in->elements - 1) : split->in_origin + to;
    return (upc_window){start, end - start + 1};
}

static upc_window out_window(const upc_split *split, const upc_box *box)
{
    const upc_tensor *out = &split->out;
    int64_t first[3], last[3];
    for (int a = 0; a < 3; a++)
        out_range(split, box, a, &first[a], &last[a]);
    const int64_t ocg = split->problem->ocg;
    const int64_t from = upc_tensor_at(out, box->n0, box->g0 * ocg + box->c0, first[0], first[1], first[2]);
    int64_t to = upc_tensor_at(out, box->n0 + box->nn - 1, (box->g0 + box->gn - 1) * ocg + box->c0 + box->cn - 1,
                               last[0], last[1], last[2]);
    if (out->pack > 1)
        to = upc_floor_div(to, out->pack) * out->pack + out->pack - 1;
    const int64_t start = upc_floor_div(from, 4) * 4;
    return (upc_window){start, to - start + 1};
}

int64_t upc_split_in_start(const upc_split *split, const upc_box *box, const upc_window *in)
{
    const int64_t channel = box->g0 * split->icg + box->i0;
    return in->first - split->in_origin -
           upc_tensor_at(&split->in, box->n0, channel - channel % split->in.pack, 0, 0, 0);
}

int64_t upc_split_out_start(const upc_split *split, const upc_box *box, const upc_window *out)
{
    const int64_t channel = box->g0 * split->problem->ocg + box->c0;
    return out->first - upc_tensor_at(&split->out, box->n0, channel - channel % split->out.pack, 0, 0, 0);
}

void upc_split_grid(const upc_split *split, const upc_box *box, int64_t items[3])
{
    items[0] = upc_ceil_div(box->qn[2], split->tile);
    items[1] = box->pn * box->qn[0] * box->qn[1];
    items[2] = box->nn * box->gn * box->bn;
    if (split->lanes) {
        items[0] = upc_ceil_div(box->qn[0] * box->qn[1] * box->qn[2], split->tile) * split->lanes;
        items[1] = box->pn;
    }
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

// A range is cut at multiples of this: whole tiles, so that no position is made twice, and whole vectors of channels.
static int64_t cut_step(const upc_split *split, enum cut cut)
{
    return cut == CUT_W && !split->lanes ? split->tile : cut == CUT_I ? split->in_step : cut == CUT_C ? split->out_step : 1;
}

static bool can_cut(const upc_split *split, const upc_box *box, enum cut cut)
{
    upc_box copy = *box;
    int64_t *first;
    const int64_t count = *cut_range(&copy, cut, &first);
    return count > cut_step(split, cut);
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
    // where the channels of a position lie side by side, fewer channels make no window smaller
    static const enum cut for_out_inner[] = {CUT_N, CUT_D, CUT_H, CUT_W, CUT_G, CUT_B, CUT_C, CUT_NONE};
    static const enum cut for_in_inner[] = {CUT_N, CUT_D, CUT_H, CUT_W, CUT_G, CUT_I, CUT_NONE};
    static const enum cut for_weights[] = {CUT_G, CUT_B, CUT_P, CUT_NONE};
    static const enum cut for_bias[] = {CUT_G, CUT_B, CUT_C, CUT_NONE};
    static const enum cut for_x[] = {CUT_W, CUT_NONE}, for_x_lanes[] = {CUT_D, CUT_H, CUT_W, CUT_NONE};
    static const enum cut for_y[] = {CUT_D, CUT_H, CUT_P, CUT_NONE}, for_y_lanes[] = {CUT_P, CUT_NONE};
    static const enum cut for_z[] = {CUT_N, CUT_G, CUT_B, CUT_NONE};
    static const enum cut for_time[] = {CUT_N, CUT_G, CUT_B, CUT_D, CUT_H, CUT_P, CUT_W, CUT_I, CUT_NONE};
    const upconv_limits *limits = &split->facts->info.limits;
    // a window begins at a multiple of the device's alignment, so up to that much of it is lost
    const int64_t room = (int64_t)limits->binding_bytes - (int64_t)split->facts->info.offset_alignment;
    const bool in_inner = split->in.channel < split->in.axis[2], out_inner = split->out.channel < split->out.axis[2];
    int64_t items[3];
    upc_split_grid(split, box, items);
    *why = "the output's window";
    if (out->count > room / (int64_t)split->out_bytes)
        return first_of(split, box, out_inner ? for_out_inner : for_out);
    *why = "the bias' window"; // more bytes than the output's where each channel has few f16
    if ((box->gn - 1) * split->problem->ocg + box->cn > room / 4)
        return first_of(split, box, for_bias);
    *why = "the input's window";
    const int64_t in_room = room / (int64_t)split->in_bytes;
    if (in->count > in_room && in_inner)
        return first_of(split, box, for_in_inner);
    if (in->count > in_room) // channels are a plane apart: where that alone is too far, fewer positions do not help
        return first_of(split, box,
                        (box->in - 1) / split->in.pack * split->in.channel > in_room / 2 ? for_in_channels : for_in);
    *why = "the weights' window";
    if (weights->count > room / (int64_t)split->weight_bytes ||
        (split->weight_most && weights->count > split->weight_most))
        return first_of(split, box, for_weights);
    *why = "the grid";
    if (upc_ceil_div(items[0], split->local[0]) > limits->group_count)
        return first_of(split, box, split->lanes ? for_x_lanes : for_x);
    if (upc_ceil_div(items[1], split->local[1]) > limits->group_count)
        return first_of(split, box, split->lanes ? for_y_lanes : for_y);
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
    const int64_t step = cut_step(split, cut), lower = UPC_MAX(all / 2 / step, 1) * step;
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
    const upc_window in = in_window(split, box), out = out_window(split, box);
    upc_window weights;
    split->weights(split, box, &weights);
    const char *why;
    const enum cut cut = choose_cut(split, box, &in, &out, &weights, &why);
    if (cut != CUT_NONE)
        return run_halves(split, box, cut);
    if (why)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below this device's limit (%llu bytes a binding, %u "
                        "groups, %u rounds of loops)",
                        why, (unsigned long long)split->facts->info.limits.binding_bytes,
                        split->facts->info.limits.group_count, split->facts->loop_rounds);
    if (++split->emitted > UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    return split->emit(split->to, box, &in, &out, &weights);
}

upconv_status upc_split_run_part(upc_split *split, int64_t n0, int64_t nn, const int64_t q0[3], const int64_t qn[3])
{
    const upc_problem *problem = split->problem;
    upc_box box = {.n0 = n0, .nn = nn, .gn = problem->groups, .bn = upc_ceil_div(problem->ocg, split->oc),
                   .cn = problem->ocg, .pn = split->phases, .in = split->icg};
    for (int a = 0; a < 3; a++) {
        box.q0[a] = q0[a];
        box.qn[a] = qn[a];
    }
    split->emitted = 0;
    return run(split, &box);
}

upconv_status upc_split_run(upc_split *split)
{
    const upc_problem *problem = split->problem;
    int64_t q0[3], qn[3];
    for (int a = 0; a < 3; a++) {
        const int64_t origin = upc_axis_origin(&problem->axis[a]);
        q0[a] = upc_floor_div(origin, split->stride[a]);
        qn[a] = upc_floor_div(problem->axis[a].out - 1 + origin, split->stride[a]) - q0[a] + 1;
    }
    return upc_split_run_part(split, 0, problem->batch, q0, qn);
}
