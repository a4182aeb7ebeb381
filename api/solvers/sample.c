// Resizing, zero insertion and pixel shuffle (shaders/sample.kernel, shaders/strips.kernel): outputs that each come from a few inputs
// of one channel. Where from is in the table; what bounds them is memory.
#include "../host.h"
#include "blend.h"
#include "slabs.h"
#include "strips.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_X, GROUP_Y, RUN, SPEC, STRIP };

static const int32_t runs[] = {1, 2, 4, 8, 16, 32, 64, 128}, flags[] = {0, 1}, strips[] = {0, 512, 1024, 2048, 4096};

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [RUN] = {"run", runs, UPC_COUNT(runs)},              // outputs along w of an item
    [SPEC] = {"spec", flags, UPC_COUNT(flags)},          // geometry as specialisation constants
    [STRIP] = {"strip", strips, UPC_COUNT(strips)},      // elements of an item that makes lines; 0: it makes `run` outputs
};

// ------------------------------------------------------------------------------------------------------------- geometry

// Integers of the table for one output position of an axis.
static int64_t entry_of(const upc_problem *p, int taps) { return (taps == 1 ? 1 : taps + 1) + (p->op == UPCONV_PIXEL_SHUFFLE); }

static const char *refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    uint64_t entries = 0;
    for (int a = 0; a < 3; a++)
        entries += (uint64_t)(p->axis[a].out * entry_of(p, upc_sample_taps(p)));
    const uint64_t room = facts->info.limits.binding_bytes - facts->info.offset_alignment;
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return NULL;
    if (upc_reach_refuse(p, sentence))
        return sentence;
    if (entries > INT32_MAX / 2 || entries * 4 + 256 > room) {
        snprintf(sentence, UPC_SENTENCE, "its table would have %llu bytes, a binding has at most %llu",
                 (unsigned long long)entries * 4 + 256, (unsigned long long)room);
        return sentence;
    }
    return NULL;
}

static const char *legal(const upc_problem *p, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
    if (refusal || !config->value[STRIP])
        return refusal;
    if (config->value[GROUP_X] * config->value[GROUP_Y] * config->value[RUN] == 1)
        return upc_strips_refuse(p, facts, sentence);
    snprintf(sentence, UPC_SENTENCE, "items that make strips are alone in their work-group, and have no run");
    return sentence;
}

static bool inner(const upc_tensor *out) { return out->channel < out->axis[2] || (out->pack == 4 && out->channel == 4); }

static void guess(const upc_problem *p, const upc_facts *facts, upc_config *config)
{
    char sentence[UPC_SENTENCE];
    memset(config, 0, sizeof *config);
    if (!upc_strips_refuse(p, facts, sentence)) {
        config->value[GROUP_X] = config->value[GROUP_Y] = config->value[RUN] = 1;
        config->value[STRIP] = 2048;
        return;
    }
    // a processor does whole rows in a stream; a GPU's items lie side by side
    const bool cpu = facts->family == UPC_FAMILY_CPU;
    int64_t run = 1;
    while (cpu && run < 64 && run < p->axis[2].out)
        run *= 2;
    const int64_t items[3] = {upc_ceil_div(p->axis[2].out, run), p->axis[0].out * p->axis[1].out, 1};
    uint32_t local[2];
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
    config->value[RUN] = (int32_t)run;
}

// What is read and written, at the rate of a small device's memory, and the arithmetic where there is any.
static double cost_us(const upc_problem *p, const upc_facts *facts, const upc_config *config)
{
    const double bytes = (double)upc_input_bytes(p) + (double)upc_output_bytes(p) * (p->residual ? 2 : 1);
    double taps = 1;
    for (int a = 0; a < 3; a++)
        taps *= p->axis[a].out == 1 ? 1 : upc_sample_taps(p);
    if (config->value[STRIP])
        return bytes / 1e4 + 5;
    return bytes / 1e4 +
           taps * (double)upc_output_elements(p) / 2e3 / upc_gather_busy(facts, (double)upc_output_elements(p)) + 5;
}

// --------------------------------------------------------------------------------------------------------------- boxes

typedef upc_sample_box box;

typedef struct window {
    int64_t first, count; // elements; it begins at a multiple of four
} window;

typedef struct cooking {
    const upc_problem *p;
    const upc_facts *facts;
    const upc_config *config;
    upc_recipe *recipe;
    upc_tensor in, out; // as the kernel sees them: blocks of four channels wherever four lie side by side
    bool in_vec, out_vec, inner;
    int64_t vec; // channels of an item; of a strip, those that boxes are cut at multiples of
    upc_strips strips;
    upc_sample_axis axis[3];
    int32_t list[3]; // where an axis begins in the table
    uint32_t local[3];
    uint32_t program;
    upc_program_desc desc;
    int64_t emitted;
} cooking;

// Input positions of a box along an axis: first and last.
static void in_range(const cooking *c, const box *b, int a, int64_t range[2])
{
    const upc_axis *axis = &c->p->axis[a];
    range[0] = axis->in;
    range[1] = -1;
    for (int64_t i = 0; i < b->on[a]; i++) {
        const int64_t first = c->axis[a].at[b->o[a] + i * b->step[a]].first;
        if (c->p->op == UPCONV_ZERO_INSERT && first < 0)
            continue;
        range[0] = UPC_MIN(range[0], upc_sample_position(axis, first, 0));
        range[1] = UPC_MAX(range[1], upc_sample_position(axis, first, c->axis[a].taps - 1));
    }
    if (range[1] < 0) // zeros all over; a window has at least one element
        range[0] = range[1] = 0;
}

// Input channels of a box: first and last.
static void in_channels(const cooking *c, const box *b, int64_t range[2])
{
    const upc_problem *p = c->p;
    const int64_t step = p->channel_order == UPCONV_DCR ? p->ocg : 1, blocks = p->icg / p->ocg;
    const bool all = p->op == UPCONV_PIXEL_SHUFFLE && b->phase < 0;
    range[0] = upc_sample_channel(p, b->c0) + UPC_MAX(b->phase, 0) * step;
    range[1] = upc_sample_channel(p, b->c0 + b->cn - 1) + (all ? blocks - 1 : UPC_MAX(b->phase, 0)) * step;
}

static window window_of(const upc_tensor *tensor, const box *b, const int64_t channel[2], const int64_t first[3],
                        const int64_t last[3])
{
    const int64_t from = upc_tensor_at(tensor, b->n0, channel[0], first[0], first[1], first[2]);
    int64_t to = upc_tensor_at(tensor, b->n0 + b->nn - 1, channel[1], last[0], last[1], last[2]);
    if (tensor->pack > 1)
        to = upc_floor_div(to, tensor->pack) * tensor->pack + tensor->pack - 1;
    const int64_t start = upc_floor_div(from, 4) * 4;
    return (window){start, to - start + 1};
}

// Where a window begins, counted from position (0, 0, 0) of the box's first image and of the block of its first channel.
static int64_t start_of(const upc_tensor *tensor, const box *b, int64_t channel, const window *w)
{
    return w->first - upc_tensor_at(tensor, b->n0, channel - channel % tensor->pack, 0, 0, 0);
}

static void windows(const cooking *c, const box *b, window *in, window *out)
{
    int64_t channels[2], range[2], first[3], last[3], out_last[3];
    for (int a = 0; a < 3; a++) {
        in_range(c, b, a, range);
        first[a] = range[0];
        last[a] = range[1];
        out_last[a] = b->o[a] + (b->on[a] - 1) * b->step[a];
    }
    in_channels(c, b, channels);
    *in = window_of(&c->in, b, channels, first, last);
    *out = window_of(&c->out, b, (const int64_t[2]){b->c0, b->c0 + b->cn - 1}, b->o, out_last);
}

static void grid(const cooking *c, const box *b, int64_t items[3])
{
    if (c->strips.line) {
        upc_strips_grid(&c->strips, b, items);
        return;
    }
    const int64_t blocks = upc_ceil_div(b->cn, c->vec);
    items[0] = upc_ceil_div(b->on[2], c->config->value[RUN]) * (c->inner ? blocks : 1);
    items[1] = b->on[0] * b->on[1];
    items[2] = b->nn * (c->inner ? 1 : blocks);
}

// ---------------------------------------------------------------------------------------------------------------- cuts

enum cut { CUT_N, CUT_C, CUT_D, CUT_H, CUT_W, CUT_PHASES, CUT_NONE };

static int64_t count_of(const cooking *c, const box *b, enum cut cut)
{
    switch (cut) {
    case CUT_N: return b->nn;
    case CUT_C: return upc_ceil_div(b->cn, c->vec);
    case CUT_PHASES: return c->p->op == UPCONV_PIXEL_SHUFFLE && b->phase < 0 ? c->p->icg / c->p->ocg : 1;
    case CUT_NONE: return 1;
    default: return b->on[cut - CUT_D];
    }
}

static enum cut first_of(const cooking *c, const box *b, const enum cut *order)
{
    for (; *order != CUT_NONE; order++)
        if (count_of(c, b, *order) > 1)
            return *order;
    return CUT_NONE;
}

// Along what to cut a box that does not fit; CUT_NONE with *why set: nothing helps. *why NULL: it fits.
static enum cut choose(const cooking *c, const box *b, const window *in, const window *out, const char **why)
{
    static const enum cut outer[] = {CUT_N, CUT_C, CUT_D, CUT_H, CUT_W, CUT_NONE};
    static const enum cut inmost[] = {CUT_N, CUT_D, CUT_H, CUT_W, CUT_C, CUT_NONE};
    // channels of the input that are far apart: one block's at a time
    static const enum cut far[] = {CUT_N, CUT_C, CUT_PHASES, CUT_D, CUT_H, CUT_W, CUT_NONE};
    static const enum cut for_x[] = {CUT_W, CUT_C, CUT_NONE}, for_y[] = {CUT_D, CUT_H, CUT_NONE},
                          for_z[] = {CUT_N, CUT_C, CUT_NONE};
    const upconv_limits *limits = &c->facts->info.limits;
    const int64_t room = (int64_t)limits->binding_bytes - (int64_t)c->facts->info.offset_alignment;
    const int64_t most = UPC_MIN(room / (int64_t)upc_type_bytes(c->p->type), INT32_MAX);
    double work = (double)b->nn * (double)b->cn;
    int64_t items[3];
    grid(c, b, items);
    for (int a = 0; a < 3; a++)
        work *= (double)b->on[a] * c->axis[a].taps;
    *why = "the output's window";
    if (out->count > most)
        return first_of(c, b, c->inner ? inmost : outer);
    *why = "the input's window";
    if (in->count > most)
        return first_of(c, b, c->in.channel < c->in.axis[2] ? inmost : far);
    *why = "the slopes' window";
    if (b->cn > room / 4)
        return first_of(c, b, (const enum cut[]){CUT_C, CUT_NONE});
    *why = "the grid";
    const enum cut *const orders[3] = {for_x, for_y, for_z};
    for (int i = 0; i < 3; i++)
        if (upc_ceil_div(items[i], c->local[i]) > limits->group_count)
            return first_of(c, b, orders[i]);
    *why = NULL;
    return work > (double)limits->dispatch_macs ? first_of(c, b, outer) : CUT_NONE;
}

// The part of a box that is of one phase of a pixel shuffle. false: it has none.
static bool of_phase(const upc_problem *p, const box *b, int64_t phase, box *part)
{
    const upc_axis *axis = p->axis;
    const int64_t residue[3] = {phase / (axis[1].stride * axis[2].stride), phase / axis[2].stride % axis[1].stride,
                                phase % axis[2].stride};
    *part = *b;
    part->phase = phase;
    for (int a = 0; a < 3; a++) {
        const int64_t stride = axis[a].stride, end = b->o[a] + b->on[a];
        part->o[a] = upc_ceil_div(b->o[a] - residue[a], stride) * stride + residue[a];
        part->on[a] = upc_ceil_div(end - part->o[a], stride);
        part->step[a] = stride;
        if (part->on[a] < 1)
            return false;
    }
    return true;
}

static void halve(const cooking *c, const box *b, enum cut cut, box half[2])
{
    half[0] = half[1] = *b;
    const int64_t count = count_of(c, b, cut), lower = count / 2;
    if (cut == CUT_N) {
        half[0].nn = lower;
        half[1].n0 += lower;
        half[1].nn -= lower;
    } else if (cut == CUT_C) {
        half[0].cn = lower * c->vec;
        half[1].c0 += lower * c->vec;
        half[1].cn -= lower * c->vec;
    } else {
        const int a = (int)cut - CUT_D;
        half[0].on[a] = lower;
        half[1].o[a] += lower * b->step[a];
        half[1].on[a] -= lower;
    }
}

static upconv_status emit(cooking *c, const box *b, const window *in, const window *out);

static upconv_status run(cooking *c, const box *b)
{
    window in, out;
    const char *why;
    upconv_status status = UPCONV_OK;
    windows(c, b, &in, &out);
    const enum cut cut = choose(c, b, &in, &out, &why);
    if (cut == CUT_NONE && why)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below this device's limit (%llu bytes a binding, %u groups)", why,
                        (unsigned long long)c->facts->info.limits.binding_bytes, c->facts->info.limits.group_count);
    if (cut == CUT_NONE)
        return emit(c, b, &in, &out);
    if (cut == CUT_PHASES) {
        box part;
        for (int64_t i = 0; i < c->p->icg / c->p->ocg && !status; i++)
            if (of_phase(c->p, b, i, &part))
                status = run(c, &part);
        return status;
    }
    box half[2];
    halve(c, b, cut, half);
    status = run(c, &half[0]);
    return status ? status : run(c, &half[1]);
}

// ------------------------------------------------------------------------------------------------------------ the recipe

static const char *const arg_names[] = {
    "X_N", "LINES", "Z_N", "W_N", "H_N", "BLOCKS", "O_D", "O_H", "O_W", "STEP_D", "STEP_H", "STEP_W",
    "PART_0", "C_ALL", "SRC_0", "DST_0", "IN_C0", "OUT_C0",
};

static upconv_status emit(cooking *c, const box *b, const window *in, const window *out)
{
    const upc_problem *p = c->p;
    const uint64_t size = upc_type_bytes(p->type);
    int64_t items[3], channels[2];
    grid(c, b, items);
    in_channels(c, b, channels);
    const int64_t starts[4] = {start_of(&c->in, b, channels[0], in), start_of(&c->out, b, b->c0, out),
                               channels[0] % c->in.pack, b->c0 % c->out.pack};
    int64_t values[UPC_STRIPS_ARGS] = {
        items[0], items[1], items[2], b->on[2], b->on[1], upc_ceil_div(b->cn, c->vec), b->o[0], b->o[1], b->o[2],
        b->step[0], b->step[1], b->step[2], channels[0] - upc_sample_channel(p, b->c0), p->ocg - b->c0,
        starts[0], starts[1], starts[2], starts[3],
    };
    if (c->strips.line)
        upc_strips_values(&c->strips, p, b, starts, values);
    if (++c->emitted > UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    // where the output is the residual itself, windows of dispatches that follow one another overlap, though their elements do not
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = p->residual && c->emitted > 1};
    for (size_t i = 0; i < c->desc.arg_count; i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->local[i]);
    const upc_bind written = {UPC_OUTPUT, (uint64_t)out->first * size, (uint64_t)out->count * size};
    const upc_bind table = {UPC_TABLE, 0, c->recipe->table_count * 4};
    step.bind[step.bind_count++] = (upc_bind){UPC_INPUT, (uint64_t)in->first * size, (uint64_t)in->count * size};
    step.bind[step.bind_count++] =
        p->act == UPCONV_ACT_PRELU ? (upc_bind){UPC_SLOPES, (uint64_t)b->c0 * 4, (uint64_t)b->cn * 4} : table;
    step.bind[step.bind_count++] = written;
    if (p->residual) {
        step.bind[step.bind_count] = written;
        step.bind[step.bind_count++].place = UPC_RESIDUAL;
    }
    step.bind[step.bind_count++] = table;
    const upconv_status status = upc_recipe_program(c->recipe, &c->desc, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

// Distances between images do not fit 32 bits for giant tensors, but then a window holds only one of each.
static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; }

static int32_t bits_of(double weight)
{
    const float f32 = (float)weight;
    int32_t bits;
    memcpy(&bits, &f32, sizeof bits);
    return bits;
}

static upconv_status add_list(cooking *c, int a)
{
    const upc_sample_axis *samples = &c->axis[a];
    upconv_status status = UPCONV_OK;
    for (int64_t o = 0; o < c->p->axis[a].out && !status; o++) {
        status = upc_recipe_table(c->recipe, (int32_t)samples->at[o].first);
        for (int i = 0; i < samples->taps && samples->taps > 1 && !status; i++)
            status = upc_recipe_table(c->recipe, bits_of(samples->at[o].weight[i]));
        if (c->p->op == UPCONV_PIXEL_SHUFFLE && !status)
            status = upc_recipe_table(c->recipe, (int32_t)samples->at[o].part);
    }
    return status;
}

enum { STATICS = 20, ALL_STATICS = STATICS + UPC_STRIPS_STATICS };

// The geometry comes before the lists, so that its place, and with it the program, is the same for every size.
static upconv_status add_table(cooking *c)
{
    const upc_problem *p = c->p;
    const upc_epilogue act = upc_epilogue_of(p);
    const upc_param_kind kind = c->config->value[SPEC] ? UPC_PARAM_SPEC : UPC_PARAM_TABLE;
    const int statics_n = c->strips.line ? ALL_STATICS : STATICS;
    int64_t list = c->config->value[SPEC] ? 0 : statics_n;
    int64_t lists[3];
    for (int a = 0; a < 3; a++) {
        lists[a] = list;
        list += p->axis[a].out * entry_of(p, c->axis[a].taps);
    }
    const upc_number statics[ALL_STATICS] = {
        {"DI", p->axis[0].in}, {"HI", p->axis[1].in}, {"WI", p->axis[2].in},
        {"IN_N", clamp32(c->in.image)}, {"IN_C", clamp32(c->in.channel)}, {"IN_D", c->in.axis[0]}, {"IN_H", c->in.axis[1]},
        {"IN_W", c->in.axis[2]}, {"OUT_N", clamp32(c->out.image)}, {"OUT_C", clamp32(c->out.channel)}, {"OUT_D", c->out.axis[0]},
        {"OUT_H", c->out.axis[1]}, {"OUT_W", c->out.axis[2]}, {"LIST_D", lists[0]}, {"LIST_H", lists[1]}, {"LIST_W", lists[2]},
        {"CHANNEL_STEP", upc_sample_channel(p, 1)}, {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]},
        {"WO", p->axis[2].out}, {"LIST_P", lists[2] + upc_strips_zip_at(p, c->axis[2].taps)},
        {"Z_0", c->strips.zip_0}, {"Z_END", c->strips.zip_end},
    };
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < statics_n && !status; i++) {
        upc_program_param(&c->desc, statics[i].name, kind,
                          kind == UPC_PARAM_SPEC ? (int32_t)statics[i].value : (int32_t)c->recipe->table_count);
        if (kind == UPC_PARAM_TABLE)
            status = upc_recipe_table(c->recipe, (int32_t)statics[i].value);
    }
    for (int a = 0; a < 3 && !status; a++)
        status = a == 2 && c->strips.line ? upc_strips_table(&c->strips, p, &c->axis[2], c->recipe) : add_list(c, a);
    return status;
}

static void describe(cooking *c)
{
    const upc_problem *p = c->p;
    const upc_store store = upc_store_of(c->facts, p->type);
    const upc_number defines[] = {
        {"IN_STORE", store}, {"OUT_STORE", store}, {"IN_PACK", c->in.pack}, {"OUT_PACK", c->out.pack},
        {"ACT", upc_epilogue_of(p).act}, {"RESIDUAL", p->residual}, {"FINISHED", p->act == UPCONV_ACT_NONE && !p->residual},
        {"SHUFFLE", p->op == UPCONV_PIXEL_SHUFFLE}, {"ZEROS", p->op == UPCONV_ZERO_INSERT}, {"TAPS_D", c->axis[0].taps},
        {"TAPS_H", c->axis[1].taps}, {"TAPS_W", c->axis[2].taps},
    };
    const upc_number single[] = {
        {"IN_VEC", c->in_vec}, {"OUT_VEC", c->out_vec}, {"INNER", c->inner}, {"RUN", c->config->value[RUN]},
    };
    const bool in_strips = c->strips.line > 0;
    c->local[0] = (uint32_t)c->config->value[GROUP_X];
    c->local[1] = (uint32_t)c->config->value[GROUP_Y];
    c->local[2] = 1;
    upc_program_desc_init(&c->desc, c->strips.blend ? "blend" : in_strips ? "strips" : "sample", c->local, p->residual ? 5 : 4);
    upc_program_defines(&c->desc, defines, UPC_COUNT(defines));
    if (in_strips)
        upc_strips_describe(&c->strips, &c->desc);
    else
        upc_program_defines(&c->desc, single, UPC_COUNT(single));
    const size_t args = in_strips ? UPC_STRIPS_ARGS : UPC_COUNT(arg_names);
    for (size_t i = 0; i < args; i++)
        upc_program_arg(&c->desc, in_strips ? upc_strips_args[i] : arg_names[i]);
}

// Where four channels lie side by side everywhere, the tensor has blocks of four, whatever its layout is called.
static void use_fours(const upc_problem *p, bool in, upc_tensor *tensor)
{
    upc_tensor_form form;
    upc_problem_form(p, in, &form);
    if (tensor->pack == 1 && upc_tensor_fours(&form, tensor)) {
        tensor->pack = 4;
        tensor->channel = 4;
    }
}

static upconv_status cook(const upc_problem *p, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return upc_host_cook("sample", p, request, 0, recipe);
    cooking c = {.p = p, .facts = facts, .config = config, .recipe = recipe, .in = p->in, .out = p->out};
    upconv_status status = UPCONV_OK;
    if (config->value[STRIP]) {
        upc_strips_init(&c.strips, p, facts, config->value[STRIP]);
    } else {
        use_fours(p, true, &c.in);
        use_fours(p, false, &c.out);
    }
    c.out_vec = c.out.pack == 4;
    // a shuffle's four channels lie side by side in the input only where blocks of channels are whole vectors
    c.in_vec = c.out_vec && c.in.pack == 4 &&
               (p->op != UPCONV_PIXEL_SHUFFLE || (p->channel_order == UPCONV_DCR && p->ocg % 4 == 0));
    c.inner = inner(&c.out);
    c.vec = c.strips.line ? upc_strips_step(&c.strips) : c.out_vec ? 4 : 1;
    for (int a = 0; a < 3 && !status; a++)
        status = upc_sample_axis_init(recipe->env, p, a, &c.axis[a]);
    if (!status) {
        if (c.strips.line) {
            upc_strips_plan(&c.strips, p, &c.axis[2]);
            upc_blend_plan(&c.strips, p, c.axis);
        }
        describe(&c);
        status = add_table(&c);
    }
    box all = {.nn = p->batch, .cn = p->ocg, .step = {1, 1, 1}, .phase = -1};
    for (int a = 0; a < 3; a++)
        all.on[a] = p->axis[a].out;
    if (!status)
        status = run(&c, &all);
    for (int a = 0; a < 3; a++)
        upc_free(recipe->env, c.axis[a].at);
    return status;
}

const upc_solver upc_solver_sample = {
    .name = "sample", .version = 1,
    .ops = 1u << UPCONV_RESIZE | 1u << UPCONV_ZERO_INSERT | 1u << UPCONV_PIXEL_SHUFFLE,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs),
    .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us, .cook = cook,
};
