#include "slabs.h"

#include <stdio.h>

int upc_slab_choose(const upc_slabs *slabs, const upc_slab *slab, const int *list)
{
    for (; *list != UPC_SLAB_NEVER; list++)
        if (slab->count[*list] > (*list == UPC_SLAB_C ? slabs->step : 1))
            return *list;
    return UPC_SLAB_NEVER;
}

upconv_status upc_slabs_run(upc_slabs *slabs, const upc_slab *whole)
{
    const char *why = "a slab";
    const int cut = slabs->check(slabs, whole, &why);
    if (cut == UPC_SLAB_NEVER)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below this device's limit (%llu bytes a binding, %u groups, "
                        "%u rounds of loops)",
                        why, (unsigned long long)slabs->facts->info.limits.binding_bytes,
                        slabs->facts->info.limits.group_count, slabs->facts->loop_rounds);
    if (cut == UPC_SLAB_FITS && ++slabs->emitted > UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    if (cut == UPC_SLAB_FITS)
        return slabs->emit(slabs, whole);
    upc_slab half = *whole;
    const int64_t step = cut == UPC_SLAB_C ? slabs->step : 1;
    const int64_t lower = UPC_MAX(whole->count[cut] / 2 / step, 1) * step;
    half.count[cut] = lower;
    const upconv_status status = upc_slabs_run(slabs, &half);
    if (status)
        return status;
    half.first[cut] = whole->first[cut] + lower;
    half.count[cut] = whole->count[cut] - lower;
    return upc_slabs_run(slabs, &half);
}

// Whole vectors of four at either end: at the front so that f16 begins at a whole word, at the back of blocks of
// channels.
upc_window upc_slab_window(const upc_tensor *tensor, const upc_slab *slab, const int64_t first[3],
                           const int64_t last[3])
{
    const int64_t n = slab->first[UPC_SLAB_N], c = slab->first[UPC_SLAB_C];
    const int64_t from = upc_tensor_at(tensor, n, c, first[0], first[1], first[2]) / 4 * 4;
    int64_t to = upc_tensor_at(tensor, n + slab->count[UPC_SLAB_N] - 1, c + slab->count[UPC_SLAB_C] - 1, last[0],
                               last[1], last[2]);
    if (tensor->pack > 1)
        to = to / tensor->pack * tensor->pack + tensor->pack - 1;
    return (upc_window){from, to - from + 1};
}

int64_t upc_slab_start(const upc_tensor *tensor, const upc_slab *slab, const upc_window *window)
{
    const int64_t c = slab->first[UPC_SLAB_C];
    return window->first - upc_tensor_at(tensor, slab->first[UPC_SLAB_N], c - c % tensor->pack, 0, 0, 0);
}

// A window begins at a multiple of the device's alignment, so up to that much of it is lost; places are 32-bit.
int64_t upc_slab_room(const upc_facts *facts)
{
    const int64_t room = (int64_t)facts->info.limits.binding_bytes - (int64_t)facts->info.offset_alignment;
    return UPC_MIN(room, INT32_MAX / 4);
}

static int64_t reach_of(const upc_problem *problem, bool in)
{
    const upc_tensor *tensor = in ? &problem->in : &problem->out;
    int64_t reach = 1;
    for (int a = 0; a < 3; a++)
        reach += ((in ? problem->axis[a].in : problem->axis[a].out) - 1) * tensor->axis[a];
    return reach;
}

const char *upc_slab_refuse(const upc_problem *problem, char *sentence)
{
    for (int in = 0; in < 2; in++)
        if (reach_of(problem, in) > INT32_MAX / 4) {
            snprintf(sentence, UPC_SENTENCE,
                     "an %s whose positions lie up to %lld elements apart is beyond 32-bit byte offsets",
                     in ? "input" : "output", (long long)reach_of(problem, in));
            return sentence;
        }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t reach = UPC_MAX(axis->in, axis->out) * axis->stride + UPC_MAX(axis->pad, -axis->pad) +
                              axis->kernel * axis->dilation + 4096; // items beyond the last position count theirs, too
        if (reach > INT32_MAX) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits", (long long)reach);
            return sentence;
        }
    }
    return NULL;
}

void upc_program_defines(upc_program_desc *program, const upc_number *defines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        upc_program_param(program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
}

// Distances between images do not fit 32 bits for giant tensors, but then a window holds only one.
upconv_status upc_program_fixed(upc_recipe *recipe, upc_program_desc *program, const upc_number *fixed, size_t count,
                                bool spec)
{
    const int32_t at = (int32_t)recipe->table_count;
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++) {
        const int32_t value = fixed[i].value > INT32_MAX ? 0 : (int32_t)fixed[i].value;
        upc_program_param(program, fixed[i].name, spec ? UPC_PARAM_SPEC : UPC_PARAM_TABLE,
                          spec ? value : at + (int32_t)i);
        if (!spec)
            status = upc_recipe_table(recipe, value);
    }
    return status;
}
