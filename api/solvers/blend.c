#include "blend.h"

enum {
    MOST_LINES = 8, // that are kept: more would not stay in the first cache
    SHORTEST = 4,   // vectors of a line: fewer go faster where lines are joined before they leave
    MOST_ROWS = 64,
    FEW_ROWS = 4,   // of parts of lines that need no line before: the next item goes on beside them
};

static int lines_in(const upc_sample_axis axis[3]) { return axis[0].taps * axis[1].taps; }

// Whether four channels side by side are all that a position has, in blocks or because there are no more.
static bool dense_fours(const upc_strips *strips, const upc_problem *p)
{
    return strips->q == 4 && p->in.axis[2] == 4 && p->out.axis[2] == 4;
}

// Whether the samples of output o are all there, none beside the input.
static bool inside(const upc_problem *p, const upc_sample_axis *w, int64_t o)
{
    return w->at[o].first >= 0 && w->at[o].first + w->taps <= p->axis[2].in;
}

// Outputs of the zip that read beyond the input's ends leave it: whole patterns. No zip where too few remain.
static void shorten_zip(upc_strips *strips, const upc_problem *p, const upc_sample_axis *w)
{
    const int64_t zip = strips->zip;
    int64_t from = strips->zip_0, end = strips->zip_end;
    const bool all = p->op == UPCONV_ZERO_INSERT;
    while (!all && from < end && !(inside(p, w, from) && inside(p, w, from + zip - 1)))
        from += zip;
    while (!all && from < end && !(inside(p, w, end - zip) && inside(p, w, end - 1)))
        end -= zip;
    strips->zip_0 = from;
    strips->zip_end = end;
    if (end - from < zip * strips->vec / strips->q)
        strips->zip = 0;
}

// Whether outputs that fill a vector never come from inputs further apart than a vector.
static bool near(const upc_problem *p, const upc_sample_axis *w, int64_t places)
{
    if (p->op == UPCONV_ZERO_INSERT)
        return true;
    for (int64_t o = 0; o + places <= p->axis[2].out; o++)
        if (w->at[o + places - 1].first - w->at[o].first >= places)
            return false;
    return true;
}

void upc_blend_plan(upc_strips *strips, const upc_problem *p, const upc_sample_axis axis[3])
{
    const int kept = lines_in(axis);
    const int32_t line = kept == 1 ? strips->line * 2 : strips->line / (kept > 4 ? 4 : kept > 2 ? 2 : 1);
    const bool fours = dense_fours(strips, p), lone = strips->q == 1;
    if (p->act != UPCONV_ACT_NONE || p->residual || kept > MOST_LINES)
        return;
    if ((strips->q == 4 && !strips->inner && !fours) || strips->q_most > line)
        return;
    int64_t run = UPC_MIN(line / strips->q_most, p->axis[2].out);
    if (run * strips->q_most < SHORTEST * strips->vec)
        return;
    if (run < p->axis[2].out) { // strips of one length, or nearly so
        const int64_t count = upc_ceil_div(p->axis[2].out, run), even = upc_ceil_div(p->axis[2].out, count);
        run = UPC_MIN(upc_ceil_div(even, strips->vec) * strips->vec, run);
    }
    if ((lone || fours) && !near(p, &axis[2], strips->vec / strips->q))
        return;
    strips->blend = true;
    strips->part = run < p->axis[2].out;
    strips->kept = kept;
    strips->run = run;
    strips->line = line;
    if (!lone && !fours) {
        strips->q = 0;
        strips->zip = 0;
        return;
    }
    if (strips->zip)
        shorten_zip(strips, p, &axis[2]);
}

int64_t upc_blend_rows(const upc_strips *strips, int64_t lines, int64_t planes)
{
    const int64_t wanted = 16 * UPC_MAX((int64_t)strips->units, 1);
    const int64_t most = strips->kept == 1 && strips->part ? FEW_ROWS : MOST_ROWS;
    return UPC_MAX(UPC_MIN(UPC_MIN(lines * planes / wanted, lines), most), 1);
}
