#include "taps.h"

#include <string.h>

#include "packing.h"

int64_t upc_taps_stride(const upc_axis *axis)
{
    if (axis->in == 1 && axis->kernel > 1 && axis->step == 1 && axis->kernel * axis->dilation <= 4096)
        return UPC_MAX(axis->stride, axis->kernel * axis->dilation);
    return axis->stride;
}

void upc_taps_range(const upc_axis *axis, int64_t *first, int64_t *last)
{
    const int64_t stride = upc_taps_stride(axis), origin = upc_axis_origin(axis);
    *first = upc_floor_div(origin, stride);
    *last = upc_floor_div(axis->out - 1 + origin, stride);
}

void upc_taps_reach(const upc_axis *axis, int64_t first, int64_t last, int64_t *least, int64_t *most)
{
    // Of the taps of a position q, the one with the number k reads q - floor(k * dilation / stride).
    const int64_t before = (axis->kernel - 1) * axis->dilation / upc_taps_stride(axis);
    const int64_t ahead = axis->pad - upc_axis_origin(axis);
    *least = first * axis->step + ahead - before;
    *most = last * axis->step + ahead;
}

bool upc_taps_stepped(const upc_problem *problem)
{
    return problem->axis[0].step > 1 || problem->axis[1].step > 1 || problem->axis[2].step > 1;
}

// o = q * s + r - pad and o = i * s + k * d - pad give i = q + (r - k * d) / s, so k * d = r mod s. With g = gcd(s, d) there is
// no such k unless g divides r, and else one class of taps mod s / g, along which the input steps by d / g.
// Where there is a step, s is 1, and o * step = i + k * d - pad gives i = o * step + pad - k * d.
static void fill_residues(upc_tap_axis *axis, int64_t kernel, int64_t dilation, int64_t ahead)
{
    const int64_t stride = axis->stride;
    for (int64_t k = 0; k < kernel; k++) {
        upc_residue *residue = &axis->residue[k * dilation % stride];
        if (residue->count++ == 0) {
            residue->tap = (int32_t)k;
            residue->input = (int32_t)((k * dilation % stride - k * dilation) / stride + ahead);
        }
    }
    int32_t before = 0;
    for (int64_t r = 0; r < stride; r++) {
        axis->residue[r].before = before;
        before += axis->residue[r].count;
    }
}

bool upc_taps_overlap(const upc_problem *problem)
{
    for (int a = 0; a < 3; a++)
        if ((problem->axis[a].kernel - 1) * problem->axis[a].dilation + 1 > upc_taps_stride(&problem->axis[a]))
            return true;
    return false;
}

upconv_status upc_taps_init(upc_taps *taps, const upc_env *env, const upc_problem *problem, bool phases)
{
    memset(taps, 0, sizeof *taps);
    taps->env = env;
    for (int i = 0; i < 3; i++) {
        upc_tap_axis *axis = &taps->axis[i];
        axis->stride = phases ? upc_taps_stride(&problem->axis[i]) : 1;
        const int64_t dilation = phases ? problem->axis[i].dilation : 1, common = upc_gcd(axis->stride, dilation);
        axis->tap_step = axis->stride / common;
        axis->input_step = dilation / common;
        axis->residue = upc_alloc_array(env, (size_t)axis->stride, sizeof *axis->residue);
        if (!axis->residue) {
            upc_taps_finish(taps);
            return upc_no_memory((size_t)axis->stride * sizeof *axis->residue);
        }
        fill_residues(axis, problem->axis[i].kernel, dilation,
                      problem->axis[i].pad - upc_axis_origin(&problem->axis[i]));
    }
    return UPCONV_OK;
}

void upc_taps_finish(upc_taps *taps)
{
    for (int i = 0; i < 3; i++)
        upc_free(taps->env, taps->axis[i].residue);
    memset(taps->axis, 0, sizeof taps->axis);
}

// All phases before (rd, rh, rw): the whole planes of residues before rd, then the lines before rh within rd, and so on.
static int64_t before(const upc_residue *const r[3], const upc_problem *problem)
{
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel;
    return r[0]->before * kh * kw + r[0]->count * (r[1]->before * kw + (int64_t)r[1]->count * r[2]->before);
}

int64_t upc_taps_position(const upc_taps *taps, const upc_problem *problem, const int64_t tap[3])
{
    const upc_residue *r[3];
    int64_t nth[3];
    for (int i = 0; i < 3; i++) {
        const upc_tap_axis *axis = &taps->axis[i];
        r[i] = &axis->residue[tap[i] * problem->axis[i].dilation % axis->stride];
        nth[i] = tap[i] / axis->tap_step;
    }
    return before(r, problem) + (nth[0] * r[1]->count + nth[1]) * r[2]->count + nth[2];
}

int64_t upc_taps_phases(const upc_taps *taps)
{
    return taps->axis[0].stride * taps->axis[1].stride * taps->axis[2].stride;
}

int64_t upc_taps_before(const upc_taps *taps, const upc_problem *problem, int64_t phase)
{
    if (phase >= upc_taps_phases(taps))
        return problem->axis[0].kernel * problem->axis[1].kernel * problem->axis[2].kernel;
    const int64_t sh = taps->axis[1].stride, sw = taps->axis[2].stride;
    const upc_residue *const r[3] = {&taps->axis[0].residue[phase / (sh * sw)],
                                     &taps->axis[1].residue[phase / sw % sh], &taps->axis[2].residue[phase % sw]};
    return before(r, problem);
}

uint64_t upc_taps_packed_bytes(const upc_problem *problem, const upc_packing *packing)
{
    const uint64_t blocks = (uint64_t)(problem->groups * upc_ceil_div(problem->ocg, packing->oc));
    const uint64_t taps =
        (uint64_t)(problem->axis[0].kernel * problem->axis[1].kernel * problem->axis[2].kernel);
    return blocks * taps * (uint64_t)packing->icg * (uint64_t)packing->oc * upc_type_bytes(packing->type);
}

// Channels of the result that the source has not.
static void clear_channels(const upc_problem *problem, const upc_packing *packing, void *packed)
{
    const uint64_t all = upc_taps_packed_bytes(problem, packing), size = upc_type_bytes(packing->type);
    const uint64_t tap = (uint64_t)(packing->icg * packing->oc) * size;
    const uint64_t used = (uint64_t)(problem->icg * packing->oc) * size;
    for (uint64_t at = 0; at < all && used < tap; at += tap)
        memset((char *)packed + at + used, 0, tap - used);
}

upconv_status upc_taps_pack(const upc_taps *taps, const upc_problem *problem, const upc_packing *packing,
                            const float *weights, upconv_filter_order order, void *packed)
{
    upc_filter_strides strides;
    upc_filter_strides_get(problem, order, &strides);
    const upc_axis *axis = problem->axis;
    const int64_t kh = axis[1].kernel, kw = axis[2].kernel;
    const int64_t blocks = upc_ceil_div(problem->ocg, packing->oc), size = packing->icg * packing->oc;
    const int64_t all = axis[0].kernel * kh * kw, columns = blocks * packing->oc;
    upc_pack_tap *tap = upc_alloc_array(taps->env, (size_t)all, sizeof *tap);
    int64_t *column = upc_alloc_array(taps->env, (size_t)columns, sizeof *column);
    upconv_status status = UPCONV_OK;
    if (!tap || !column) {
        status = upc_no_memory((size_t)all * sizeof *tap + (size_t)columns * sizeof *column);
        goto finish;
    }
    for (int64_t n = 0; n < all; n++) {
        const int64_t k = strides.tap[2] < 0 ? all - 1 - n : n; // in the order of the source
        const int64_t at[3] = {k / (kh * kw), k / kw % kh, k % kw};
        tap[n].from = strides.first + at[0] * strides.tap[0] + at[1] * strides.tap[1] + at[2] * strides.tap[2];
        tap[n].to = upc_taps_position(taps, problem, at) * size;
    }
    for (int64_t c = 0; c < columns; c++)
        column[c] = c < problem->ocg ? c * strides.out : -1;
    const upc_pack_map map = {
        .groups = problem->groups, .panels = blocks, .taps = all, .inner = problem->icg, .columns = packing->oc,
        .from_group = strides.group, .from_inner = strides.in, .to_group = blocks * all * size, .to_panel = all * size,
        .to_inner = packing->oc, .tap = tap, .column = column, .half = packing->type == UPCONV_F16,
    };
    upc_pack_run(&map, weights, packed);
    clear_channels(problem, packing, packed);
finish:
    upc_free(taps->env, tap);
    upc_free(taps->env, column);
    return status;
}
