// The gradient of a filter as a product of two long matrices (shaders/dots.kernel), for processors: both tensors are copied first, so
// that everything is read in whole vectors.
#include "gather.h"
#include "grad.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, ROWS, COLUMNS, CHUNK, GROUP_X };

static const int32_t rows[] = {1, 2, 4, 8}, columns[] = {1, 2, 3, 4, 6, 8}, chunks[] = {256, 1024, 4096, 16384};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // positions of a vector
    [ROWS] = {"rows", rows, UPC_COUNT(rows)},                // input channels of an item
    [COLUMNS] = {"columns", columns, UPC_COUNT(columns)},    // output channels and taps of an item
    [CHUNK] = {"chunk", chunks, UPC_COUNT(chunks)},          // positions that are added up at a time
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
};

enum { MOST_SUMS = 32, MOST_CHUNKS = 4096, MOST_STEPS = 4096, GEOMETRY = 23 }; // GEOMETRY: numbers of spread.kernel

// A tensor taken apart. Along an axis, element q of residue f is position q * stride + residue[f] - pad of the tensor.
typedef struct spread {
    const upc_tensor *tensor;
    int64_t channels, extent[3];
    int64_t stride[3], pad[3], residues[3]; // how many residues there are
    int64_t lines;                          // of QW elements, of a channel's residue, zeros at the end counted
    uint64_t at, bytes;                     // in the workspace
} spread;

typedef struct layout {
    int64_t q[3];   // positions of an image, those counted that only the gradient has
    int64_t used;   // lines of all images
    int64_t length; // positions to add up, in whole vectors
    int64_t chunk, chunks;
    spread in, out;
    uint64_t parts_at, bytes; // of the workspace
} layout;

// Which residue a tap reads, as their list has it, and how far on.
static void tap_of(const upc_axis *axis, int64_t k, int64_t *residue, int64_t *ahead)
{
    const int64_t stride = upc_taps_stride(axis), r = k * axis->dilation % stride;
    int64_t before = 0; // taps whose residue is new, up to the first with this one
    while (before * axis->dilation % stride != r)
        before++;
    *residue = before;
    *ahead = k * axis->dilation / stride;
}

// Residues repeat with a period, so the first taps have all that there are.
static int64_t residues_of(const upc_axis *axis)
{
    const int64_t stride = upc_taps_stride(axis);
    int64_t count = 1;
    while (count < axis->kernel && count * axis->dilation % stride != 0)
        count++;
    return count;
}

static void lay_spread(const layout *l, spread *s, int64_t positions)
{
    s->lines = upc_ceil_div(positions, l->q[2]);
    s->bytes = (uint64_t)(s->channels * s->residues[0] * s->residues[1] * s->residues[2] * s->lines * l->q[2]) * 4;
}

// false: beyond 32-bit indices.
static bool lay_out(const upc_problem *p, const upc_config *config, layout *l)
{
    const int64_t vector = config->value[WIDTH];
    int64_t most = 0; // positions that a tap lies ahead, over all axes
    double elements = (double)p->batch * (double)UPC_MAX(p->groups * p->icg, p->groups * p->ocg);
    *l = (layout){.in = {.tensor = &p->in, .channels = p->groups * p->icg},
                  .out = {.tensor = &p->out, .channels = p->groups * p->ocg}};
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &p->axis[a];
        const int64_t ahead = (axis->kernel - 1) * axis->dilation / upc_taps_stride(axis);
        l->q[a] = axis->in + ahead;
        l->in.extent[a] = axis->in;
        l->in.stride[a] = l->in.residues[a] = 1;
        l->out.extent[a] = axis->out;
        l->out.stride[a] = upc_taps_stride(axis);
        l->out.pad[a] = axis->pad;
        l->out.residues[a] = residues_of(axis);
        elements *= (double)l->q[a] * (double)l->out.residues[a];
    }
    if (elements > INT32_MAX / 4)
        return false;
    for (int a = 0; a < 3; a++)
        most = most * l->q[a] + l->q[a] - p->axis[a].in;
    l->used = p->batch * l->q[0] * l->q[1];
    l->length = upc_ceil_div(l->used * l->q[2], vector) * vector;
    l->chunk = UPC_MIN(config->value[CHUNK], l->length);
    l->chunks = upc_ceil_div(l->length, l->chunk);
    lay_spread(l, &l->in, l->length);
    lay_spread(l, &l->out, l->length + most);
    l->out.at = upc_round_up(l->in.bytes, 256);
    l->parts_at = upc_round_up(l->out.at + l->out.bytes, 256);
    l->bytes = l->parts_at + (l->chunks > 1 ? (uint64_t)l->chunks * upc_filter_elements(p) * 4 : 0);
    return true;
}

// --------------------------------------------------------------------------------------------------------------- choices

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    if (config->value[ROWS] * config->value[COLUMNS] > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%d x %d vectors of sums are more than the %d that an item may have",
                 config->value[ROWS], config->value[COLUMNS], MOST_SUMS);
        return sentence;
    }
    layout l;
    if (!lay_out(problem, config, &l) || l.chunks > MOST_CHUNKS) {
        snprintf(sentence, UPC_SENTENCE, "its positions, taken apart, are beyond 32-bit indices or %d chunks",
                 MOST_CHUNKS);
        return sentence;
    }
    const uint64_t room = (uint64_t)UPC_MAX(upc_grad_room(facts), 0), filter = upc_filter_elements(problem) * 4;
    const uint64_t largest = UPC_MAX(UPC_MAX(l.in.bytes, l.out.bytes), UPC_MAX((uint64_t)l.chunks, 1) * filter);
    const uint64_t taps = (uint64_t)(problem->axis[0].kernel * problem->axis[1].kernel * problem->axis[2].kernel);
    const uint64_t tensors =
        UPC_MAX(upc_input_bytes(problem), (uint64_t)problem->out.elements * upc_type_bytes(problem->type));
    if (UPC_MAX(largest, tensors) > room || (taps + 4096) * 4 > room || l.bytes > facts->info.limits.alloc_bytes ||
        problem->in.elements > INT32_MAX || problem->out.elements > INT32_MAX || largest / 4 > INT32_MAX) {
        snprintf(sentence, UPC_SENTENCE, "tensors and their copies (%llu bytes) must each fit a binding of %llu bytes",
                 (unsigned long long)UPC_MAX(largest, tensors), (unsigned long long)room);
        return sentence;
    }
    if (l.bytes > upc_workspace_default(problem)) {
        snprintf(sentence, UPC_SENTENCE, "it would take %llu bytes of workspace; %llu are free for use",
                 (unsigned long long)l.bytes, (unsigned long long)upc_workspace_default(problem));
        return sentence;
    }
    const double rounds =
        (double)(l.chunk / config->value[WIDTH]) + config->value[ROWS] * config->value[COLUMNS] * config->value[WIDTH];
    if (facts->loop_rounds && UPC_MAX(rounds, (double)l.q[2]) > facts->loop_rounds) {
        snprintf(sentence, UPC_SENTENCE, "its loops would make %.0f rounds; the device makes %u",
                 UPC_MAX(rounds, (double)l.q[2]), facts->loop_rounds);
        return sentence;
    }
    return NULL;
}

// Of a processor's vector unit: multiply-adds, or loads, of which it does one a cycle where they cross lines of the cache.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    layout l;
    if (!lay_out(problem, config, &l))
        return 1e12;
    const double taps = (double)problem->axis[0].kernel * (double)(problem->axis[1].kernel * problem->axis[2].kernel);
    const double r = config->value[ROWS], c = config->value[COLUMNS], vectors = (double)l.length / config->value[WIDTH];
    const double tiles = (double)(problem->groups * upc_ceil_div(problem->icg, config->value[ROWS])) *
                         (double)upc_ceil_div((int64_t)((double)problem->ocg * taps), config->value[COLUMNS]);
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL) // made for others
        return tiles * vectors * config->value[WIDTH] * r * c / 1e3 + 100;
    const double spills = upc_vector_spills(facts, config->value[WIDTH], r * c);
    const double parts = l.chunks > 1 ? 2.0 * (double)l.chunks * (double)upc_filter_elements(problem) * 4 : 0;
    const upc_vector_work work = {
        .items = tiles * (double)l.chunks,
        .cycles = 100 + vectors / (double)l.chunks * UPC_MAX(UPC_MAX(r * c, r + 1.5 * c), 4) * spills + r * c * 20,
        .read_bytes = tiles * vectors * config->value[WIDTH] * 4 * c + parts,
        .staged_bytes = 2.0 * (double)(l.in.bytes + l.out.bytes),
    };
    return upc_vector_us(facts, &work) + 40;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    char sentence[UPC_SENTENCE];
    double least = 0;
    bool found = false;
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[ROWS] = config->value[COLUMNS] = 1;
    config->value[CHUNK] = chunks[UPC_COUNT(chunks) - 1];
    config->value[GROUP_X] = upc_vector_group(facts, 8);
    upc_config best = *config;
    for (size_t i = 0; i < UPC_COUNT(rows) * UPC_COUNT(columns) * UPC_COUNT(chunks); i++) {
        upc_config tried = *config;
        tried.value[ROWS] = rows[i % UPC_COUNT(rows)];
        tried.value[COLUMNS] = columns[i / UPC_COUNT(rows) % UPC_COUNT(columns)];
        tried.value[CHUNK] = chunks[i / UPC_COUNT(rows) / UPC_COUNT(columns)];
        const double us = cost_us(problem, facts, &tried);
        if ((found && us >= least) || legal(problem, facts, &tried, sentence))
            continue;
        best = tried;
        least = us;
        found = true;
    }
    *config = best;
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no plain C version");
        return sentence;
    }
    for (int a = 0; a < 3; a++)
        if (problem->axis[a].kernel > INT16_MAX || upc_taps_stride(&problem->axis[a]) > UPC_MAX_STRIDE) {
            snprintf(sentence, UPC_SENTENCE, "kernels up to %d and strides up to %d", INT16_MAX, UPC_MAX_STRIDE);
            return sentence;
        }
    upc_config config;
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

// ---------------------------------------------------------------------------------------------------------------- recipe

typedef struct cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    const upc_config *config;
    upc_recipe *recipe;
    layout layout;
    uint64_t table_bytes;
} cooking;

// The numbers of one tensor, as spread.kernel reads them.
static upconv_status add_geometry(cooking *c, const spread *s, int64_t run)
{
    const layout *l = &c->layout;
    const upc_tensor *t = s->tensor;
    const int64_t numbers[GEOMETRY] = {
        l->q[0],        l->q[1],        l->q[2],   run,        l->used,      s->lines,     s->stride[0], s->stride[1],
        s->stride[2],   s->pad[0],      s->pad[1], s->pad[2],  s->extent[0], s->extent[1], s->extent[2], s->residues[0],
        s->residues[1], s->residues[2], t->image,  t->channel, t->axis[0],   t->axis[1],   t->axis[2],
    };
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < GEOMETRY && !status; i++)
        status = upc_recipe_table(c->recipe, (int32_t)numbers[i]);
    for (int a = 0; a < 3; a++)
        for (int64_t f = 0; f < s->residues[a] && !status; f++)
            status = upc_recipe_table(c->recipe, (int32_t)(f * c->problem->axis[a].dilation % s->stride[a]));
    return status;
}

// Where each tap begins in a channel's positions.
static upconv_status add_taps(cooking *c)
{
    const upc_axis *axis = c->problem->axis;
    const spread *s = &c->layout.out;
    const int64_t *q = c->layout.q, row = s->lines * q[2];
    upconv_status status = UPCONV_OK;
    for (int64_t k = 0; k < axis[0].kernel * axis[1].kernel * axis[2].kernel && !status; k++) {
        const int64_t tap[3] = {k / (axis[1].kernel * axis[2].kernel), k / axis[2].kernel % axis[1].kernel,
                                k % axis[2].kernel};
        int64_t residue = 0, at = 0;
        for (int a = 0; a < 3; a++) {
            int64_t f, ahead;
            tap_of(&axis[a], tap[a], &f, &ahead);
            residue = residue * s->residues[a] + f;
            at = at * q[a] + ahead;
        }
        status = upc_recipe_table(c->recipe, (int32_t)(residue * row + at));
    }
    return status;
}

static upconv_status too_many(void)
{
    return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                    MOST_STEPS);
}

static upconv_status add_spread(cooking *c, const spread *s, upc_place place, int32_t geometry, int64_t run)
{
    const upc_problem *p = c->problem;
    const int64_t most = c->facts->info.limits.group_count;
    const int64_t items[3] = {upc_ceil_div(c->layout.q[2], run), s->lines,
                              s->channels * s->residues[0] * s->residues[1] * s->residues[2]};
    uint32_t local[3] = {1, 1, 1};
    if (run > 1)
        local[1] = UPC_MIN(
            4, UPC_MIN(c->facts->group_axis[1], c->facts->info.limits.group_size)); // lines are what keeps cores busy
    else
        upc_group_guess(c->facts, items, 64, local);
    upc_program_desc program;
    upc_program_desc_init(&program, "spread", local, 3);
    upc_program_param(&program, "IN_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(c->facts, p->type));
    upc_program_param(&program, "IN_PACK", UPC_PARAM_DEFINE, (int32_t)s->tensor->pack);
    static const char *const args[] = {"GEO", "LINE_0", "Z_0", "Z_N", "IN_C0"};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        upc_program_arg(&program, args[i]);
    upconv_status status = UPCONV_OK;
    for (int64_t z = 0; z < items[2] && !status; z += most)
        for (int64_t line = 0; line < items[1] && !status; line += most * local[1]) {
            const int64_t now[3] = {items[0], UPC_MIN(items[1] - line, most * local[1]), UPC_MIN(items[2] - z, most)};
            const int64_t values[UPC_COUNT(args)] = {geometry, line, z, now[2], 0};
            upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = true, .bind_count = 3};
            for (size_t i = 0; i < UPC_COUNT(values); i++)
                step.args[i] = (int32_t)values[i];
            for (int i = 0; i < 3; i++)
                step.groups[i] = (uint32_t)upc_ceil_div(now[i], local[i]);
            if (step.groups[0] > most || c->recipe->step_count >= MOST_STEPS)
                return too_many();
            step.barrier = c->recipe->step_count == 0; // the workspace may still be read by earlier work
            step.bind[0] = (upc_bind){place, 0, (uint64_t)s->tensor->elements * upc_type_bytes(p->type)};
            step.bind[1] = (upc_bind){UPC_WORKSPACE, s->at, s->bytes};
            step.bind[2] = (upc_bind){UPC_TABLE, 0, c->table_bytes};
            status = upc_recipe_program(c->recipe, &program, &step.program);
            if (!status)
                status = upc_recipe_step(c->recipe, &step);
        }
    return status;
}

static upconv_status add_products(cooking *c, const upc_filter_strides *f, int32_t taps_at)
{
    const upc_problem *p = c->problem;
    const layout *l = &c->layout;
    const int32_t *value = c->config->value;
    const int64_t taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel,
                  tiles = upc_ceil_div(p->icg, value[ROWS]);
    const int64_t elements = (int64_t)upc_filter_elements(p), most = c->facts->info.limits.group_count;
    const int64_t items[3] = {upc_ceil_div(p->ocg * taps, value[COLUMNS]), p->groups * tiles, l->chunks};
    const uint32_t local[3] = {(uint32_t)value[GROUP_X], 1, 1};
    const struct {
        const char *name;
        int64_t value;
    } fixed[] = {
        {"TAPS", taps},
        {"OCG", p->ocg},
        {"ICG", p->icg},
        {"TILES", tiles},
        {"CHUNK", l->chunk},
        {"LENGTH", l->length},
        {"ROW_N", l->in.lines * l->q[2]},
        {"COLUMN_N", l->out.residues[0] * l->out.residues[1] * l->out.residues[2] * l->out.lines * l->q[2]},
        {"FILTER", elements},
        {"F_G", f->group},
        {"F_I", f->in},
        {"F_O", f->out},
        {"F_K", f->tap[2]},
        {"TAPS_0", taps_at},
        {"X_N", items[0]},
        {"Y_N", 0},
        {"Z_N", 0},
        {"Y_0", 0},
        {"Z_0", 0},
    };
    enum { FIXED = 19, Y_N = 15, Z_N, Y_0, Z_0 };
    upc_program_desc program;
    upc_program_desc_init(&program, "dots", local, 4);
    upc_program_param(&program, "VEC", UPC_PARAM_DEFINE, value[WIDTH]);
    upc_program_param(&program, "TI", UPC_PARAM_DEFINE, value[ROWS]);
    upc_program_param(&program, "TC", UPC_PARAM_DEFINE, value[COLUMNS]);
    for (size_t i = 0; i < FIXED; i++)
        upc_program_arg(&program, fixed[i].name);
    // multiply-adds of a row of items
    const double row = (double)items[0] * value[COLUMNS] * value[ROWS] * (double)l->chunk;
    const double rows_at_once = UPC_MAX((double)c->facts->info.limits.dispatch_macs / row, 1);
    const int64_t zn =
        UPC_MIN(UPC_MIN((int64_t)UPC_MAX(UPC_MIN(rows_at_once / (double)items[1], 1e9), 1), most), items[2]);
    const int64_t yn = UPC_MIN(UPC_MIN((int64_t)UPC_MIN(rows_at_once / (double)zn, 1e9), most), items[1]);
    upconv_status status = UPCONV_OK;
    for (int64_t z = 0; z < items[2] && !status; z += zn)
        for (int64_t y = 0; y < items[1] && !status; y += yn) {
            const int64_t now[3] = {items[0], UPC_MIN(yn, items[1] - y), UPC_MIN(zn, items[2] - z)};
            upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = z + y == 0, .bind_count = 4};
            for (size_t i = 0; i < FIXED; i++)
                step.args[i] = (int32_t)fixed[i].value;
            step.args[Y_N] = (int32_t)now[1];
            step.args[Z_N] = (int32_t)now[2];
            step.args[Y_0] = (int32_t)y;
            step.args[Z_0] = (int32_t)z;
            for (int i = 0; i < 3; i++)
                step.groups[i] = (uint32_t)upc_ceil_div(now[i], local[i]);
            if (step.groups[0] > most || c->recipe->step_count >= MOST_STEPS)
                return too_many();
            step.bind[0] = (upc_bind){UPC_WORKSPACE, l->in.at, l->in.bytes};
            step.bind[1] = (upc_bind){UPC_WORKSPACE, l->out.at, l->out.bytes};
            step.bind[2] = l->chunks > 1 ? (upc_bind){UPC_WORKSPACE, l->parts_at, (uint64_t)(l->chunks * elements) * 4}
                                         : (upc_bind){UPC_OUTPUT, 0, (uint64_t)elements * 4};
            step.bind[3] = (upc_bind){UPC_TABLE, 0, c->table_bytes};
            status = upc_recipe_program(c->recipe, &program, &step.program);
            if (!status)
                status = upc_recipe_step(c->recipe, &step);
        }
    return status;
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(problem, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    cooking c = {.problem = problem, .facts = facts, .config = config, .recipe = recipe};
    upc_filter_strides filter;
    upc_filter_strides_get(problem, request->order, &filter);
    lay_out(problem, config, &c.layout);
    // on a processor a whole line, which it can do in a stream
    const int64_t run = facts->family == UPC_FAMILY_CPU ? c.layout.q[2] : 1;
    upconv_status status = add_geometry(&c, &c.layout.in, run);
    const int32_t gradient = (int32_t)recipe->table_count;
    if (!status)
        status = add_geometry(&c, &c.layout.out, run);
    const int32_t taps = (int32_t)recipe->table_count;
    if (!status)
        status = add_taps(&c);
    c.table_bytes = recipe->table_count * 4;
    recipe->workspace_bytes = c.layout.bytes;
    if (!status && (int64_t)c.table_bytes > upc_grad_room(facts))
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "a table of %llu bytes is beyond a binding",
                          (unsigned long long)c.table_bytes);
    if (!status)
        status = add_spread(&c, &c.layout.in, UPC_INPUT, 0, run);
    if (!status)
        status = add_spread(&c, &c.layout.out, UPC_OUTPUT_GRAD, gradient, run);
    if (!status)
        status = add_products(&c, &filter, taps);
    if (status || c.layout.chunks == 1)
        return status;
    return upc_total_cook(facts, c.layout.parts_at, (int64_t)upc_filter_elements(problem), c.layout.chunks, recipe);
}

const upc_solver upc_solver_dots = {
    .name = "dots",
    .version = 1,
    .ops = 1u << UPCONV_GRAD_FILTER,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
