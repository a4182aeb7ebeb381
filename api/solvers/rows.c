// Stride phases with lanes along rows (shaders/rows.kernel): for processors, where rows are long. Needs no copy of the input where
// no tap of a row lies outside; else copies it with zeros around, a strip at a time where all of it is too much workspace.
#include "cheapest.h"
#include "vectors.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH, VECTORS, CHANNELS, ORDER, GROUP_X };

static const int32_t vectors[] = {1, 2, 3, 4}, channels[] = {1, 2, 4, 8}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS},  // positions of a vector
    [VECTORS] = {"vectors", vectors, UPC_COUNT(vectors)},     // of positions, of an item
    [CHANNELS] = {"oc", channels, UPC_COUNT(channels)},       // output channels of an item
    [ORDER] = {"order", yes_no, UPC_COUNT(yes_no)},           // what passes faster: 0 lines, 1 phases and blocks
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},      // work-group
};

enum { MAX_STRIDE = 8, MAX_SLOTS = 16, MAX_STRIPS = 4096, TABLE_ENTRIES = 29 }; // entries: without those of weights and taps

// The geometry along w, as the kernel counts it, and what one strip covers.
typedef struct rows {
    int64_t stride, shift, pad, lead, slots; // of w
    int64_t tile, units;                     // positions u of an item, and of a row
    int64_t q0[3], qn[3];                    // ranges that make outputs: q on d and h, u on w
    bool staged;
    int axis;                                // of the strips: -1 images
    int64_t count;                           // images, or positions on that axis, of a strip
} rows;

typedef struct strip {
    int64_t n0, nn, q0[3], qn[3];
    upc_stage stage;
} strip;

static int64_t weight_block(const upc_config *config) { return UPC_MAX(config->value[CHANNELS], 4); }

static void measure_rows(const upc_problem *problem, const upc_config *config, rows *r)
{
    const upc_axis *w = &problem->axis[2];
    *r = (rows){.stride = w->stride, .axis = -1, .count = problem->batch};
    r->shift = upc_floor_div(w->pad, w->stride);
    r->pad = w->pad - r->shift * w->stride;
    r->lead = (w->stride - 1 + r->pad) / w->stride;
    r->slots = w->stride == 1 ? w->kernel : r->lead + upc_floor_div(w->kernel - 1 - r->pad, w->stride) + 1;
    r->tile = (int64_t)config->value[WIDTH] * config->value[VECTORS];
    for (int a = 0; a < 2; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t stride = upc_taps_stride(axis);
        r->q0[a] = upc_floor_div(axis->pad, stride);
        r->qn[a] = upc_floor_div(axis->out - 1 + axis->pad, stride) - r->q0[a] + 1;
    }
    r->units = r->qn[2] = upc_ceil_div(w->out, w->stride);
}

// What items of u0 .. u0 + un - 1 read of a row.
static void read_of_row(const upc_problem *problem, const rows *r, int64_t u0, int64_t un, int64_t *first,
                        int64_t *last)
{
    const int64_t least = r->stride == 1 ? -(r->slots - 1) * problem->axis[2].dilation : r->lead - (r->slots - 1);
    *first = u0 + r->shift + least;
    *last = u0 + UPC_MAX(un, r->tile) - 1 + r->shift + (r->stride == 1 ? 0 : r->lead);
}

// The copy that a strip reads: exactly the rows and positions that it needs, which may be fewer than the input has.
static void stage_strip(const upc_problem *problem, const rows *r, strip *s)
{
    upc_problem part = *problem;
    part.batch = s->nn;
    s->stage = (upc_stage){.type = UPCONV_F32, .pack = 1};
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        int64_t first, last;
        if (a == 2) {
            read_of_row(problem, r, s->q0[2], s->qn[2], &first, &last);
        } else { // lines beyond the input are not read
            first = s->q0[a] - (axis->kernel - 1) * axis->dilation / upc_taps_stride(axis);
            last = UPC_MAX(UPC_MIN(s->q0[a] + s->qn[a] - 1, axis->in - 1), 0);
            first = UPC_MIN(UPC_MAX(first, 0), last);
        }
        s->stage.front[a] = -first;
        s->stage.back[a] = last - (axis->in - 1);
    }
    upc_stage_fill(&s->stage, &part);
}

// The first strip when strips hold `count`, which is the largest.
static void first_strip(const upc_problem *problem, const rows *r, int64_t count, strip *s)
{
    *s = (strip){.nn = r->axis < 0 ? count : 1};
    memcpy(s->q0, r->q0, sizeof s->q0);
    memcpy(s->qn, r->qn, sizeof s->qn);
    if (r->axis >= 0) {
        s->q0[r->axis] += (r->qn[r->axis] - count) / 2; // one in the middle, which borders cut least
        s->qn[r->axis] = count;
    }
    stage_strip(problem, r, s);
}

// The most that fits on an axis, in steps of `step`; 0: nothing does.
static int64_t fitting(const upc_problem *problem, const rows *r, int64_t step, uint64_t limit)
{
    int64_t low = 0, high = upc_ceil_div(r->axis < 0 ? problem->batch : r->qn[r->axis], step);
    strip s;
    while (low < high) {
        const int64_t middle = low + (high - low + 1) / 2;
        first_strip(problem, r, UPC_MIN(middle * step, r->axis < 0 ? problem->batch : r->qn[r->axis]), &s);
        if (s.stage.bytes <= limit)
            low = middle;
        else
            high = middle - 1;
    }
    return low * step;
}

// Plans need no workspace where every output has one tap.
static uint64_t copy_limit(const upc_problem *problem) { return upc_taps_overlap(problem) ? upc_workspace_default(problem) : 0; }

// Decides whether the input is copied, and in what strips. false: not even one line fits.
static bool lay_out(const upc_problem *problem, const upc_config *config, rows *r)
{
    const uint64_t limit = copy_limit(problem);
    int64_t first, last;
    measure_rows(problem, config, r);
    read_of_row(problem, r, 0, r->units, &first, &last);
    r->staged = !upc_vector_dense(problem) || first < 0 || last >= problem->axis[2].in;
    if (!r->staged)
        return true;
    for (r->axis = -1; r->axis < 3; r->axis++) {
        const int64_t all = r->axis < 0 ? problem->batch : r->qn[r->axis], step = r->axis == 2 ? r->tile : 1;
        r->count = fitting(problem, r, step, limit);
        r->count = UPC_MIN(r->count, all);
        if (r->count > 0)
            return upc_ceil_div(all, r->count) * (r->axis < 0 ? 1 : problem->batch) <= MAX_STRIPS;
    }
    return false;
}

// ------------------------------------------------------------------------------------------------ what is legal

// What the kernel can count on one axis of the grid.
static void grid(const upc_problem *problem, const upc_config *config, const strip *s, int64_t items[3])
{
    const int64_t lines = s->qn[0] * s->qn[1];
    const int64_t blocks = upc_ceil_div(problem->ocg, config->value[CHANNELS]) * upc_taps_stride(&problem->axis[0]) *
                           upc_taps_stride(&problem->axis[1]);
    const int64_t tile = (int64_t)config->value[WIDTH] * config->value[VECTORS], images = s->nn * problem->groups;
    items[0] = upc_ceil_div(s->qn[2], tile);
    items[1] = config->value[ORDER] ? blocks : lines;
    items[2] = images * (config->value[ORDER] ? lines : blocks);
}

static bool grid_fits(const upc_problem *problem, const upc_facts *facts, const upc_config *config, const strip *s,
                      bool staged)
{
    const int64_t most = facts->info.limits.group_count, large = INT32_MAX / 64;
    int64_t items[3];
    grid(problem, config, s, items);
    if (upc_ceil_div(items[0], config->value[GROUP_X]) > most || items[1] > most || items[2] > most ||
        items[0] > large || items[1] > large || items[2] > large)
        return false;
    if (!staged)
        return true;
    int64_t extent[3];
    for (int a = 0; a < 3; a++)
        extent[a] = s->stage.front[a] + problem->axis[a].in + s->stage.back[a];
    return extent[0] * extent[1] <= UPC_MIN(most, large) &&
           s->nn * problem->groups * problem->icg <= UPC_MIN(most, large) && extent[2] <= UPC_MIN(most, large);
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const upconv_limits *limits = &facts->info.limits;
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    rows r;
    if (!lay_out(problem, config, &r)) {
        snprintf(sentence, UPC_SENTENCE, "a strip of the input with zeros around is beyond %llu bytes of workspace",
                 (unsigned long long)copy_limit(problem));
        return sentence;
    }
    if (r.stride * config->value[VECTORS] * config->value[CHANNELS] > 32 ||
        r.slots * r.stride * config->value[VECTORS] * config->value[CHANNELS] > 160) {
        snprintf(sentence, UPC_SENTENCE,
                 "%d x %d x %lld vectors of sums, %lld slots each, are too much code for one item",
                 config->value[VECTORS], config->value[CHANNELS], (long long)r.stride, (long long)r.slots);
        return sentence;
    }
    strip s;
    first_strip(problem, &r, r.count, &s);
    const uint64_t room = limits->binding_bytes - UPC_MIN(facts->info.offset_alignment, limits->binding_bytes);
    const upc_packing packing = {weight_block(config), problem->icg, UPCONV_F32};
    const uint64_t packed = upc_taps_packed_bytes(problem, &packing), piece = UPC_MIN(room, limits->alloc_bytes);
    const uint64_t bias = (uint64_t)(problem->groups * problem->ocg) * 4; // more than the output where that has few f16 of each
    uint64_t table = TABLE_ENTRIES + UPC_PACK_ENTRIES;
    for (int a = 0; a < 3; a++)
        table += 3 * (uint64_t)upc_taps_stride(&problem->axis[a]);
    if (bias > room || table * 4 > room || upc_input_bytes(problem) > room || upc_output_bytes(problem) > room ||
        packed > UPC_MIN(piece, INT32_MAX) || (r.staged && s.stage.bytes > piece) || problem->in.elements > INT32_MAX ||
        problem->out.elements > INT32_MAX || upc_problem_macs(problem) > (double)limits->dispatch_macs ||
        !grid_fits(problem, facts, config, &s, r.staged)) {
        snprintf(sentence, UPC_SENTENCE,
                 "it is beyond one dispatch: bindings of %llu bytes, %u groups, %llu multiply-adds",
                 (unsigned long long)room, limits->group_count, (unsigned long long)limits->dispatch_macs);
        return sentence;
    }
    const double rounds = (double)(problem->axis[0].kernel * problem->axis[1].kernel) * (double)(problem->icg + 3) +
                          (double)(r.tile * r.stride * config->value[CHANNELS]);
    if (facts->loop_rounds && rounds > facts->loop_rounds) {
        snprintf(sentence, UPC_SENTENCE, "its loops would make %.0f rounds; the device makes %u", rounds,
                 facts->loop_rounds);
        return sentence;
    }
    return NULL;
}

// -------------------------------------------------------------------------------------------------- what is best

// Nanoseconds on one of two cores, fitted to measurements on llvmpipe with subgroups of 8, within 10 % on average: of a subgroup, its
// stores, and a line of taps of an input channel, the loads of inputs and weights, multiply-adds; of an element of the copy.
static double processor_us(const upc_problem *problem, const upc_config *config, const rows *r)
{
    const upc_axis *axis = problem->axis;
    const double p = config->value[VECTORS], c = config->value[CHANNELS], k = (double)axis[2].kernel;
    const double phases = (double)(upc_taps_stride(&axis[0]) * upc_taps_stride(&axis[1]));
    const double groups =
        (double)upc_ceil_div(upc_ceil_div(r->units, r->tile), 8) * (double)(axis[0].out * axis[1].out) *
        (double)(problem->batch * problem->groups * upc_ceil_div(problem->ocg, config->value[CHANNELS]));
    const double lines = (double)(axis[0].kernel * axis[1].kernel) / phases * (double)problem->icg;
    const double line = 40 + 7.7 * p * (double)r->slots + 9.1 * c * k + 0.85 * p * c * k;
    const double copy = r->staged ? 34 * (double)upc_input_elements(problem) : 0;
    return (groups * (835 + 168 * p * c * (double)r->stride + lines * line) + copy) / 2e3 + 90;
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    rows layout;
    if (upc_gather_processor(facts))
        return lay_out(problem, config, &layout) ? processor_us(problem, config, &layout) : 1e12;
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL) // made for others
        return upc_problem_macs(problem) / 1e3 + 20;
    rows r;
    if (!lay_out(problem, config, &r))
        return 1e12;
    const upc_axis *axis = problem->axis;
    const double p = config->value[VECTORS], c = config->value[CHANNELS], k = (double)axis[2].kernel;
    const double phases = (double)(upc_taps_stride(&axis[0]) * upc_taps_stride(&axis[1]));
    const double blocks = (double)(problem->groups * upc_ceil_div(problem->ocg, config->value[CHANNELS]));
    const double lines = (double)(axis[0].out * axis[1].out), in_row = (double)upc_ceil_div(r.units, r.tile);
    const double rounds = (double)(axis[0].kernel * axis[1].kernel) / phases * (double)problem->icg;
    // vectors that begin anywhere cross lines of the cache, and a sum waits for itself once for every tap of its phase
    const double loads = 1.7 * p * (double)r.slots + 0.5 * c * k, wait = 4 * k / (double)r.stride;
    const double spills = upc_vector_spills(facts, config->value[WIDTH], p * c * (double)r.stride);
    const double round = UPC_MAX(UPC_MAX(p * c * k, loads), wait) * spills * (axis[2].kernel > 9 ? 1.4 : 1) + 2;
    const bool zipped = r.stride == 1 || r.stride == 2 || r.stride == 4 || r.stride == 8;
    const bool whole = zipped && problem->out.pack == 1 && problem->out.axis[2] == 1;
    const double vectors_stored = p * c * (double)r.stride;
    const upc_vector_work work = {
        .items = (double)problem->batch * blocks * lines * in_row,
        .cycles = 100 + rounds * round + vectors_stored * (whole ? 8 : 2.0 * config->value[WIDTH]),
        .read_bytes = upc_vector_traffic(problem, config->value[ORDER], blocks * phases, UPC_MAX(lines / phases, 1) *
                                         (double)problem->batch),
        .staged_bytes = r.staged ? 2.0 * (double)upc_input_elements(problem) * 4 : 0,
    };
    return upc_vector_us(facts, &work);
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[VECTORS] = config->value[CHANNELS] = config->value[GROUP_X] = 1;
    upc_cheapest search = {problem, facts, cost_us, legal, *config, 0, false};
    for (size_t i = 0; i < UPC_COUNT(vectors) * UPC_COUNT(channels) * 2; i++) {
        upc_config tried = *config;
        tried.value[VECTORS] = vectors[i % UPC_COUNT(vectors)];
        tried.value[CHANNELS] = channels[i / UPC_COUNT(vectors) % UPC_COUNT(channels)];
        tried.value[ORDER] = (int32_t)(i / (UPC_COUNT(vectors) * UPC_COUNT(channels)));
        upc_cheapest_try(&search, &tried);
    }
    rows r;
    *config = search.best;
    measure_rows(problem, config, &r);
    config->value[GROUP_X] = upc_vector_group(facts, upc_ceil_div(r.units, r.tile));
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const char *refusal = upc_vector_refuse(problem, facts, sentence);
    if (refusal)
        return refusal;
    if (upc_taps_stepped(problem)) {
        snprintf(sentence, UPC_SENTENCE, "outputs a step apart read inputs that do not lie side by side");
        return sentence;
    }
    const upc_axis *w = &problem->axis[2];
    upc_config config = {{0}};
    config.value[WIDTH] = config.value[VECTORS] = config.value[CHANNELS] = 1;
    rows r;
    measure_rows(problem, &config, &r);
    if (w->stride > MAX_STRIDE || r.slots > MAX_SLOTS || r.slots < 1 || (w->stride > 1 && w->dilation > 1) ||
        w->in == 1) {
        snprintf(sentence, UPC_SENTENCE,
                 "along w it takes strides up to %d, %d taps a phase, dilation only at stride 1, and more than "
                 "one position",
                 MAX_STRIDE, MAX_SLOTS);
        return sentence;
    }
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

// ---------------------------------------------------------------------------------------------------- the recipe

typedef struct cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    const upc_config *config;
    const upc_request *request;
    upc_recipe *recipe;
    upc_gather gather; // its weights are packed alike
    upc_taps taps;
    int32_t taps_at[3];
    rows rows;
    uint64_t stage_at, packed_bytes;
    upc_program_desc program;
} cooking;

static const char *const arg_names[] = {"Y_N", "Z_N", "QD_0", "QD_N", "QH_0", "QH_N", "U_0", "U_END", "IMAGE_0",
                                        "SRC_0", "IN_N", "IN_C", "IN_D", "IN_H"};

static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; }

// What a kernel reads is an int.
static upconv_status check32(const char *name, int64_t value)
{
    return value == (int32_t)value
               ? UPCONV_OK
               : upc_fail(UPCONV_ERROR_UNSUPPORTED, "rows: %s comes to %lld; kernels count in 32 bits", name,
                          (long long)value);
}

static upconv_status table(cooking *c)
{
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tap_axis *t = c->taps.axis;
    const upc_epilogue act = upc_epilogue_of(p);
    c->taps_at[0] = TABLE_ENTRIES + (c->request->dynamic_weights ? UPC_PACK_ENTRIES : 0); // the taps come last
    for (int a = 1; a < 3; a++)
        c->taps_at[a] = c->taps_at[a - 1] + 3 * (int32_t)t[a - 1].stride;
    const struct {
        const char *name;
        int64_t value;
    } fixed[TABLE_ENTRIES] = {
        {"DI", d->in}, {"HI", h->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out}, {"PD", d->pad}, {"PH", h->pad},
        {"SHIFT_W", c->rows.shift}, {"ICG", p->icg}, {"OCG", p->ocg}, {"G_N", p->groups}, {"OUT_N", clamp32(p->out.image)},
        {"OUT_C", clamp32(p->out.channel)}, {"OUT_D", p->out.axis[0]}, {"OUT_H", p->out.axis[1]}, {"OUT_W", p->out.axis[2]},
        {"OB_ALL", upc_ceil_div(p->ocg, c->gather.oc)}, {"TAPS", d->kernel * h->kernel * w->kernel},
        {"BLOCKS", upc_ceil_div(p->ocg, c->config->value[CHANNELS])}, {"SD", t[0].stride}, {"SH", t[1].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"TAPS_D", c->taps_at[0]}, {"TAPS_H", c->taps_at[1]},
        {"TAPS_W", c->taps_at[2]}, {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]},
    };
    for (size_t i = 0; i < TABLE_ENTRIES; i++) {
        upc_program_param(&c->program, fixed[i].name, UPC_PARAM_TABLE, (int32_t)i);
        upconv_status status = check32(fixed[i].name, fixed[i].value);
        if (!status)
            status = upc_recipe_table(c->recipe, (int32_t)fixed[i].value);
        if (status)
            return status;
    }
    return UPCONV_OK;
}

static void describe_program(cooking *c)
{
    const upc_problem *p = c->problem;
    const int32_t *value = c->config->value;
    const uint32_t local[3] = {(uint32_t)value[GROUP_X], 1, 1};
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"VEC", value[WIDTH]}, {"PN", value[VECTORS]}, {"CN", value[CHANNELS]}, {"WOC", c->gather.oc}, {"ORDER", value[ORDER]},
        {"S", c->rows.stride}, {"K", p->axis[2].kernel}, {"PAD", c->rows.pad}, {"SLOTS", c->rows.slots},
        {"DIL", p->axis[2].dilation}, {"ACT", upc_epilogue_of(p).act}, {"RESIDUAL", p->residual},
        {"IN_STORE", upc_store_of(c->facts, c->rows.staged ? UPCONV_F32 : p->type)}, {"OUT_STORE", upc_store_of(c->facts, p->type)},
        {"W_STORE", upc_store_of(c->facts, p->type)}, {"OUT_PACK", p->out.pack},
        {"DENSE", p->out.pack == 1 && p->out.axis[2] == 1},
    };
    upc_program_desc_init(&c->program, "rows", local, p->residual ? 7 : 6);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&c->program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c->program, arg_names[i]);
}

static void bind(const cooking *c, const strip *s, upc_step *step)
{
    const upc_problem *p = c->problem;
    const uint64_t channels_bytes = (uint64_t)(p->groups * p->ocg) * 4;
    const upc_bind written = {UPC_OUTPUT, 0, upc_output_bytes(p)};
    uint32_t n = 0;
    step->bind[n++] = c->rows.staged ? (upc_bind){UPC_WORKSPACE, c->stage_at, s->stage.bytes}
                                     : (upc_bind){UPC_INPUT, 0, upc_input_bytes(p)};
    step->bind[n++] = (upc_bind){c->request->dynamic_weights ? UPC_WORKSPACE : UPC_PACKED, 0, c->packed_bytes};
    step->bind[n++] = (upc_bind){UPC_BIAS, 0, channels_bytes};
    step->bind[n++] = (upc_bind){p->act == UPCONV_ACT_PRELU ? UPC_SLOPES : UPC_BIAS, 0, channels_bytes};
    step->bind[n++] = written;
    if (p->residual) {
        step->bind[n] = written;
        step->bind[n++].place = UPC_RESIDUAL;
    }
    step->bind[n++] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    step->bind_count = n;
}

static upconv_status copy_strip(cooking *c, const strip *s)
{
    upc_problem part = *c->problem;
    const size_t bytes = upc_type_bytes(part.type);
    part.in.elements -= (part.batch - s->nn) * part.in.image;
    part.batch = s->nn;
    const upconv_status status = upc_stage_cook(&s->stage, &part, c->facts, c->stage_at, c->recipe);
    if (!status)
        c->recipe->steps[c->recipe->step_count - 1].bind[0].offset += (uint64_t)(s->n0 * part.in.image) * bytes;
    return status;
}

static upconv_status cook_strip(cooking *c, strip *s)
{
    upconv_status status = UPCONV_OK;
    const upc_tensor *in = &c->problem->in;
    if (c->rows.staged) {
        stage_strip(c->problem, &c->rows, s);
        in = &s->stage.tensor;
        status = copy_strip(c, s);
    }
    if (status)
        return status;
    int64_t items[3];
    grid(c->problem, c->config, s, items);
    const int64_t values[UPC_COUNT(arg_names)] = {
        items[1], items[2], s->q0[0], s->qn[0], s->q0[1], s->qn[1], s->q0[2], s->q0[2] + s->qn[2], s->n0,
        c->rows.staged ? -s->stage.origin : 0, clamp32(in->image), clamp32(in->channel), in->axis[0], in->axis[1],
    };
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = c->recipe->step_count > 0};
    for (size_t i = 0; i < UPC_COUNT(values) && !status; i++) {
        status = check32(arg_names[i], values[i]);
        step.args[i] = (int32_t)values[i];
    }
    if (status)
        return status;
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->program.local[i]);
    bind(c, s, &step);
    status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

static upconv_status cook_strips(cooking *c)
{
    const rows *r = &c->rows;
    const int64_t images = r->axis < 0 ? r->count : 1;
    upconv_status status = UPCONV_OK;
    for (int64_t n = 0; n < c->problem->batch && !status; n += images) {
        strip s = {.n0 = n, .nn = UPC_MIN(images, c->problem->batch - n)};
        memcpy(s.q0, r->q0, sizeof s.q0);
        memcpy(s.qn, r->qn, sizeof s.qn);
        if (r->axis < 0) {
            status = cook_strip(c, &s);
            continue;
        }
        const int64_t end = r->q0[r->axis] + r->qn[r->axis];
        for (int64_t q = r->q0[r->axis]; q < end && !status; q += r->count) {
            s.q0[r->axis] = q;
            s.qn[r->axis] = UPC_MIN(r->count, end - q);
            status = cook_strip(c, &s);
        }
    }
    return status;
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(problem, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    cooking c = {.problem = problem, .facts = facts, .config = config, .request = request, .recipe = recipe,
                 .gather = {.kernel = "rows", .phases = true, .oc = weight_block(config)}};
    lay_out(problem, config, &c.rows);
    const upc_packing packing = upc_gather_packing(&c.gather, problem, facts);
    upconv_status status = upc_taps_init(&c.taps, recipe->env, problem, true);
    if (status)
        return status;
    c.packed_bytes = upc_taps_packed_bytes(problem, &packing);
    describe_program(&c);
    status = table(&c);
    if (!status && request->dynamic_weights) {
        recipe->workspace_bytes = c.packed_bytes;
        status = upc_pack_cook(problem, facts, &c.taps, c.taps_at, &packing, request, recipe);
    } else {
        recipe->packed_bytes = c.packed_bytes;
    }
    if (!status)
        status = upc_table_taps(recipe, problem, &c.taps, c.taps_at);
    c.stage_at = upc_round_up(recipe->workspace_bytes, 256);
    if (!status)
        status = cook_strips(&c);
    upc_taps_finish(&c.taps);
    return status;
}

static int64_t block(const upc_config *config) { return weight_block(config); }

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    const upc_gather gather = {.kernel = "rows", .phases = true, .oc = weight_block(config)};
    return upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_rows = {
    .name = "rows", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
