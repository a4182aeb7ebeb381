// Max unpooling where pooling had windows that do not overlap (shaders/cells.kernel): each source has a cell of the
// output to itself, and its outputs are made in the order of memory. Whatever leads elsewhere is found on the way, and
// unpool makes its channels anew.
#include "strips.h"
#include "unpool.h"
#include "vectors.h"

#include <stdio.h>

enum { MOST_STEP = 4, ITEM_BYTES = 512 << 10, STRIP = 4096 };

// Along an axis: cells that have a source or outputs.
static void range_of(const upc_axis *axis, int64_t *first, int64_t *count)
{
    *first = UPC_MIN(upc_floor_div(axis->pad, axis->stride), 0);
    *count = UPC_MAX(upc_floor_div(axis->out - 1 + axis->pad, axis->stride), axis->in - 1) - *first + 1;
}

upc_cells upc_cells_of(const upc_problem *p, const upc_facts *facts)
{
    const upc_strips_form form = upc_strips_form_of(p);
    upc_cells cells = {.q = form == UPC_STRIPS_PLANES ? 1 : form == UPC_STRIPS_BLOCKS ? 4 : 0};
    for (int a = 0; a < 3; a++)
        range_of(&p->axis[a], &cells.first[a], &cells.count[a]);
    cells.channels = cells.q ? cells.q : p->icg;
    cells.groups = upc_ceil_div(p->icg, cells.channels);
    // as many rows as keep an item busy, and fewer where that left processors without work
    const int64_t rows = cells.count[0] * cells.count[1], lines = p->axis[0].stride * p->axis[1].stride;
    const double bytes =
        ((double)p->axis[2].in * 8 + (double)p->axis[2].out * (double)lines * 4) * (double)cells.channels;
    const double busy = 4.0 * UPC_MAX(facts->info.compute_units, 1);
    const double wanted = UPC_MIN(ITEM_BYTES / bytes, (double)(rows * cells.groups) * (double)p->batch / busy);
    const int64_t least = upc_ceil_div(rows, facts->info.limits.group_count); // at least 1
    cells.rows = UPC_MAX(UPC_MIN((int64_t)UPC_MIN(wanted, 1e6), rows), least);
    cells.parts = upc_ceil_div(rows, cells.rows);
    cells.run = cells.q ? cells.count[2] : UPC_MAX(STRIP / cells.channels, 1);
    return cells;
}

uint64_t upc_cells_bytes(const upc_problem *p, const upc_cells *cells)
{
    return (uint64_t)(p->batch * cells->groups * cells->parts) * 4;
}

static upc_slab whole_of(const upc_problem *p, int64_t images, int64_t channels)
{
    upc_slab slab = {.count = {images, channels}};
    for (int a = 0; a < 3; a++) {
        slab.count[UPC_SLAB_OUT + a] = p->axis[a].out;
        slab.count[UPC_SLAB_BY + a] = p->axis[a].in;
    }
    return slab;
}

static bool fits(const upc_problem *p, const upc_facts *facts, const upc_slab *slab)
{
    const int64_t room = upc_slab_room(facts);
    int64_t first[3], last[3];
    upc_unpool_sources(slab, first, last);
    if (upc_slab_window(&p->in, slab, first, last).count * 4 > room) // of the indices, which are never smaller
        return false;
    upc_unpool_outputs(slab, first, last);
    return upc_slab_window(&p->out, slab, first, last).count * (int64_t)upc_type_bytes(p->type) <= room;
}

// Whether some axis has far more cells, or larger ones, than sources and outputs: items look at each of a cell's lines,
// and count in 32 bits.
static bool far_apart(const upc_problem *p, const upc_cells *cells)
{
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &p->axis[a];
        if (cells->count[a] > UPC_MIN(4 * (axis->in + axis->out), INT32_MAX / 2) / axis->stride)
            return true;
    }
    return false;
}

const char *upc_cells_refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    const char *refusal = upc_strips_refuse(p, facts, sentence);
    if (refusal)
        return refusal;
    const upc_cells cells = upc_cells_of(p, facts);
    const upc_slab least = whole_of(p, 1, UPC_MIN(cells.channels, p->icg));
    const char *why = NULL;
    for (int a = 0; a < 3; a++)
        if (p->index <= UPCONV_INDEX_IMAGE && p->space[a] != p->axis[a].out)
            why = "cells need indices that count in the output's extents";
    if (far_apart(p, &cells))
        why = "cells need sources and outputs that lie about the same places";
    else if (cells.q && p->axis[2].stride > MOST_STEP)
        why = "cells are at most four outputs wide, but where channels lie side by side";
    else if (!fits(p, facts, &least) || upc_cells_bytes(p, &cells) > (uint64_t)upc_slab_room(facts))
        why = "cells need whole planes in one binding";
    if (why)
        snprintf(sentence, UPC_SENTENCE, "%s", why);
    return why ? sentence : NULL;
}

bool upc_cells_expected(const upc_problem *p, const upc_facts *facts)
{
    char sentence[UPC_SENTENCE];
    if (upc_cells_refuse(p, facts, sentence))
        return false;
    for (int a = 0; a < 3; a++)
        if ((p->axis[a].kernel - 1) * p->axis[a].dilation >= p->axis[a].stride)
            return false;
    // what is narrower than vectors is made one by one
    const upc_cells cells = upc_cells_of(p, facts);
    const int64_t across = (int64_t)upc_vector_guess(facts) / UPC_MAX(cells.q, 1);
    const int64_t wide = UPC_MIN(p->axis[2].in, p->axis[2].out / p->axis[2].stride);
    return cells.q ? wide > across : p->icg >= upc_vector_guess(facts) / 2;
}

static void grid(const upc_cells *cells, const upc_slab *slab, int64_t items[3])
{
    items[0] = cells->parts;
    items[1] = upc_ceil_div(slab->count[UPC_SLAB_C], cells->channels);
    items[2] = slab->count[UPC_SLAB_N];
}

// Images and channels are cut, and nothing else.
static int check(const upc_slabs *slabs, const upc_slab *slab, const char **why)
{
    static const int outer[] = {UPC_SLAB_N, UPC_SLAB_C, UPC_SLAB_NEVER}, inner[] = {UPC_SLAB_N, UPC_SLAB_NEVER};
    const upc_unpool *u = slabs->user;
    const upc_problem *p = slabs->problem;
    const upconv_limits *limits = &slabs->facts->info.limits;
    const int *list = u->cells.q ? outer : inner;
    int64_t items[3];
    *why = "a plane of cells";
    grid(&u->cells, slab, items);
    if (!fits(p, slabs->facts, slab) || items[1] > limits->group_count || items[2] > limits->group_count)
        return upc_slab_choose(slabs, slab, list);
    const double work = (double)p->axis[0].out * (double)p->axis[1].out * (double)p->axis[2].out *
                        (double)(slab->count[UPC_SLAB_N] * slab->count[UPC_SLAB_C]);
    const int cut = work > (double)limits->dispatch_macs ? upc_slab_choose(slabs, slab, list) : UPC_SLAB_NEVER;
    return cut == UPC_SLAB_NEVER ? UPC_SLAB_FITS : cut;
}

static upconv_status emit(upc_slabs *slabs, const upc_slab *slab)
{
    upc_unpool *u = slabs->user;
    const upc_problem *p = slabs->problem;
    const size_t element = upc_type_bytes(p->type);
    const upc_number defines[] = {
        {"VEC", upc_vector_guess(u->facts)}, {"Q", u->cells.q}, {"STEP_W", p->axis[2].stride}, {"ACT", 0},
    };
    int64_t first[3], last[3], items[3];
    upc_unpool_sources(slab, first, last);
    const upc_window in = upc_slab_window(&p->in, slab, first, last);
    upc_unpool_outputs(slab, first, last);
    const upc_window out = upc_slab_window(&p->out, slab, first, last);
    upc_step step = {.kind = UPC_STEP_KERNEL};
    u->defines = defines;
    u->define_count = UPC_COUNT(defines);
    u->part = u->cells.rows;
    const upconv_status status = upc_unpool_step(u, slab, 0, 5, &step);
    step.barrier = true; // the workspace is read by what came before, here or in an earlier execution
    grid(&u->cells, slab, items);
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)items[i];
    step.bind[0] = upc_unpool_bind(UPC_INPUT, &in, element);
    step.bind[1] = upc_unpool_bind(UPC_INDICES, &in, sizeof(int32_t));
    step.bind[2] = upc_unpool_bind(UPC_OUTPUT, &out, element);
    step.bind[3] = (upc_bind){UPC_WORKSPACE, 0, upc_cells_bytes(p, &u->cells)};
    step.bind[4] = (upc_bind){UPC_TABLE, 0, u->recipe->table_count * 4};
    return status ? status : upc_recipe_step(u->recipe, &step);
}

upconv_status upc_cells_run(const upc_unpool *unpool)
{
    upc_unpool cells = *unpool;
    cells.kernel = "cells";
    for (int i = 0; i < 3; i++)
        cells.local[i] = 1;
    upc_slabs slabs = {.problem = cells.problem, .facts = cells.facts, .check = check, .emit = emit, .user = &cells};
    slabs.step = UPC_MAX(cells.cells.q, 1);
    const upc_slab whole = whole_of(cells.problem, cells.problem->batch, cells.problem->icg);
    const uint64_t bytes = upc_cells_bytes(cells.problem, &cells.cells);
    cells.recipe->workspace_bytes = UPC_MAX(cells.recipe->workspace_bytes, bytes);
    return upc_slabs_run(&slabs, &whole);
}
