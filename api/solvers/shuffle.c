// Pixel shuffle for processors under OpenCL (shaders/shuffle.kernel): nothing is computed, so what counts is that memory is read and
// written once, in long runs. How vectors are put in order depends on how elements lie: that is the kind.
#include "slabs.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { ITEM };

static const int32_t item_values[] = {4096, 8192, 16384, 32768, 65536, 131072};

static const upc_knob knobs[] = {
    [ITEM] = {"item", item_values, UPC_COUNT(item_values)}, // outputs that an item makes, about
};

enum { ZIPPED, DEALT, WHOLE, KEPT, MOVED, SPREAD };
enum { KEEP = 256, KEEP_BLOCKS = 1024, MOST_KEPT = 2048, MOST_ZIP = 16, MOST_LINES = 16, SMALL = 64, WRITTEN_OUT = 128 };

typedef struct shape {
    int kind, q;
    int64_t r;        // outputs of an input
    int64_t parts;    // channels or blocks that items divide among them
    int64_t outputs;  // that one of these makes of an input position
    int64_t segment;  // KEPT and SPREAD: positions that are put together at a time
    int32_t vec;
    bool crd, by_pixel; // KEPT: each pixel is dealt out by itself, not all of a segment in one go
} shape;

// Whether vectors are dealt out in steps of two and three.
static bool in_steps(int64_t r) { return r <= 4 || r == 6 || r == 8 || r == 9 || r == 12 || r == 16; }

static shape shape_of(const upc_problem *p, const upc_facts *facts)
{
    const upc_axis *axis = p->axis;
    shape s = {.vec = upc_vector_guess(facts), .r = p->icg / p->ocg, .crd = p->channel_order == UPCONV_CRD, .q = 1, .segment = 1};
    const bool steps = in_steps(s.r);
    if (p->in_layout == UPCONV_NHWC) {
        // of one channel both orders are the same, and vectors hold several positions
        s.crd &= p->ocg > 1;
        const bool dealt = (p->ocg == 1 && steps) || (p->ocg == 4 && s.crd);
        const bool moved = !s.crd && axis[2].stride * p->ocg >= s.vec && p->act != UPCONV_ACT_PRELU;
        s.kind = dealt ? DEALT : p->ocg % s.vec == 0 ? WHOLE : moved ? MOVED : KEPT;
        s.q = dealt ? (int)p->ocg : 1;
        s.crd |= dealt;
        s.parts = 1;
        s.outputs = p->icg;
        s.by_pixel = p->ocg * 2 >= s.vec;
        s.segment = UPC_MAX(KEEP / (axis[2].stride * p->ocg), 1);
        if (s.crd && !s.by_pixel) // whole vectors of each output
            s.segment = upc_ceil_div(s.segment, s.vec) * s.vec;
        if (s.crd && !steps) {
            s.kind = SPREAD;
            s.q = (int)p->ocg;
        }
        return s;
    }
    s.q = p->in_layout == UPCONV_NC4HW4 ? 4 : 1;
    s.kind = s.q == 4 && s.crd ? (steps ? DEALT : SPREAD) : ZIPPED;
    if (s.kind == SPREAD)
        s.segment = UPC_MAX(KEEP_BLOCKS / (axis[2].stride * s.q), 1);
    s.parts = upc_ceil_div(p->ocg, s.q);
    s.outputs = s.r * s.q;
    return s;
}

static const char *why_not(const upc_problem *p, const shape *s)
{
    const bool pixels = p->in_layout == UPCONV_NHWC, dealing = s->crd && s->kind != ZIPPED && s->kind != SPREAD;
    if (p->in_layout != p->out_layout)
        return "it needs input and output that lie alike";
    if (!pixels && p->axis[2].stride > MOST_ZIP)
        return "of planes and blocks it puts up to 16 outputs side by side";
    if (p->axis[0].stride * p->axis[1].stride > MOST_LINES)
        return "it makes up to 16 lines of outputs of one of inputs";
    if (upc_epilogue_of(p).act > 1)
        return "it has activations made of straight pieces only";
    if (p->in_layout == UPCONV_NC4HW4 && !s->crd && p->ocg % 4)
        return "blocks of four hold channels of several outputs";
    if (pixels && (p->out.axis[2] != p->ocg || (dealing && s->kind != WHOLE && p->in.axis[2] != p->icg)))
        return "it needs pixels without gaps";
    if ((s->kind == KEPT || (s->kind == SPREAD && pixels)) && p->axis[2].stride * p->ocg > MOST_KEPT)
        return "it has no room for so many channels that are no whole vectors";
    return NULL;
}

// Positions of an item's strip, and lines of inputs.
static void cut(const upc_problem *p, const shape *s, int64_t item, int64_t *run, int64_t *rows)
{
    const int64_t wanted = UPC_MAX(item / s->outputs, 1), w = p->axis[2].in, lines = p->axis[0].in * p->axis[1].in;
    *run = UPC_MIN(upc_ceil_div(wanted, 64) * 64, w);
    *rows = UPC_MIN(UPC_MAX(wanted / *run, 1), lines);
}

static void grid(const upc_problem *p, const shape *s, int64_t item, int64_t items[3])
{
    int64_t run, rows;
    cut(p, s, item, &run, &rows);
    items[0] = upc_ceil_div(p->axis[2].in, run);
    items[1] = upc_ceil_div(p->axis[0].in * p->axis[1].in, rows);
    items[2] = p->batch * s->parts;
}

static const char *refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    const upconv_limits *limits = &facts->info.limits;
    const int64_t room = (int64_t)(limits->binding_bytes - facts->info.offset_alignment), most = INT32_MAX - (1 << 16);
    const shape s = shape_of(p, facts);
    const char *why = why_not(p, &s);
    int64_t items[3];
    grid(p, &s, item_values[0], items);
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL)
        why = "it is for processors under OpenCL";
    else if ((int64_t)upc_input_bytes(p) > room || (int64_t)upc_output_bytes(p) > room || p->ocg * 4 > room)
        why = "it needs each tensor in one binding";
    else if (p->in.elements > most || p->out.elements > most)
        why = "it counts elements in 32 bits";
    else if (items[0] > limits->group_count || items[1] > limits->group_count || items[2] > limits->group_count)
        why = "it has no grid for so many lines or channels";
    else if (limits->dispatch_macs && upc_output_elements(p) > limits->dispatch_macs)
        why = "it makes all in one dispatch";
    if (why)
        snprintf(sentence, UPC_SENTENCE, "%s", why);
    return why ? sentence : NULL;
}

// Long runs, but enough items to keep all processors busy.
static void guess(const upc_problem *p, const upc_facts *facts, upc_config *config)
{
    const int64_t wanted = 4 * UPC_MAX((int64_t)facts->info.compute_units, 1);
    int i = 3;
    while (i > 0 && (int64_t)upc_output_elements(p) / item_values[i] < wanted)
        i--;
    memset(config, 0, sizeof *config);
    config->value[ITEM] = item_values[i];
}

static const char *legal(const upc_problem *p, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)p;
    (void)facts;
    (void)config;
    (void)sentence;
    return NULL; // what `refuse` lets pass can be cut in any way
}

static double cost_us(const upc_problem *p, const upc_facts *facts, const upc_config *config)
{
    (void)facts;
    (void)config;
    return ((double)upc_input_bytes(p) + (double)upc_output_bytes(p) * (p->residual ? 2 : 1)) / 2e4 + 5;
}

static upconv_status describe(const upc_problem *p, const upc_facts *facts, const shape *s, int64_t item, upc_recipe *recipe,
                              upc_program_desc *program)
{
    const upc_axis *axis = p->axis;
    const upc_store store = upc_store_of(facts, p->type);
    const upc_epilogue act = upc_epilogue_of(p);
    const bool fours = s->kind == DEALT && p->in_layout == UPCONV_NC4HW4, few = p->ocg <= SMALL;
    const int64_t part = upc_ceil_div(s->segment * p->ocg, s->vec) * s->vec;
    int64_t run, rows;
    cut(p, s, item, &run, &rows);
    const upc_number defines[] = {
        {"IN_STORE", store}, {"OUT_STORE", store}, {"IN_PACK", p->in.pack}, {"OUT_PACK", p->out.pack}, {"IN_C0", 0}, {"OUT_C0", 0},
        {"ACT", act.act}, {"RESIDUAL", p->residual}, {"FINISHED", p->act == UPCONV_ACT_NONE && !p->residual}, {"VEC", s->vec},
        {"KIND", s->kind}, {"Q", s->q}, {"CRD", s->crd}, {"FOURS", fours}, {"SD", axis[0].stride}, {"SH", axis[1].stride},
        {"SW", axis[2].stride},
    };
    const bool narrow = (s->crd ? p->ocg : p->ocg * axis[2].stride) <= 8;
    const int64_t channels = s->kind == SPREAD ? s->q : p->ocg;
    const int64_t line = upc_ceil_div(s->segment * axis[2].stride * channels, s->vec) * s->vec + 2 * s->vec;
    const upc_number kept[] = {{"PART", part}, {"LINE", line}, {"BY_PIXEL", s->by_pixel}, {"NARROW", narrow ? 4 : 0}, {"FEW", few},
                               {"C_ALL", p->ocg}};
    const upc_number spread[] = {{"LINE", line}, {"FEW", s->q * axis[2].stride <= WRITTEN_OUT}};
    const upc_number fixed[] = {
        {"DI", axis[0].in}, {"HI", axis[1].in}, {"WI", axis[2].in}, {"IN_N", p->in.image}, {"IN_C", p->in.channel},
        {"IN_D", p->in.axis[0]}, {"IN_H", p->in.axis[1]}, {"IN_W", p->in.axis[2]}, {"OUT_N", p->out.image},
        {"OUT_C", p->out.channel}, {"OUT_D", p->out.axis[0]}, {"OUT_H", p->out.axis[1]}, {"OUT_W", p->out.axis[2]},
        {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]}, {"RUN", run}, {"ROWS", rows},
        {"PARTS", s->parts}, {"SEGMENT", s->segment}, {"SRC_END", p->in.elements}, {"IN_BLOCKS", upc_ceil_div(p->icg, 4)},
        {"C_ALL", p->ocg},
    };
    upc_program_desc_init(program, "shuffle", (const uint32_t[3]){1, 1, 1}, p->residual ? 5 : 4);
    upc_program_defines(program, defines, UPC_COUNT(defines));
    if (s->kind == KEPT)
        upc_program_defines(program, kept, UPC_COUNT(kept));
    else if (s->kind == SPREAD)
        upc_program_defines(program, spread, UPC_COUNT(spread));
    return upc_program_fixed(recipe, program, fixed, UPC_COUNT(fixed) - (s->kind == KEPT), false);
}

static upconv_status cook(const upc_problem *p, const upc_facts *facts, const upc_config *config, const upc_request *request,
                          upc_recipe *recipe)
{
    (void)request;
    const shape s = shape_of(p, facts);
    const uint64_t in_bytes = upc_input_bytes(p), out_bytes = upc_output_bytes(p);
    upc_program_desc program;
    upconv_status status = describe(p, facts, &s, config->value[ITEM], recipe, &program);
    if (status)
        return status;
    int64_t items[3];
    grid(p, &s, config->value[ITEM], items);
    upc_step step = {.kind = UPC_STEP_KERNEL, .groups = {(uint32_t)items[0], (uint32_t)items[1], (uint32_t)items[2]}};
    const upc_bind table = {UPC_TABLE, 0, recipe->table_count * 4};
    step.bind[step.bind_count++] = (upc_bind){UPC_INPUT, 0, in_bytes};
    step.bind[step.bind_count++] = p->act == UPCONV_ACT_PRELU ? (upc_bind){UPC_SLOPES, 0, (uint64_t)p->ocg * 4} : table;
    step.bind[step.bind_count++] = (upc_bind){UPC_OUTPUT, 0, out_bytes};
    if (p->residual)
        step.bind[step.bind_count++] = (upc_bind){UPC_RESIDUAL, 0, out_bytes};
    step.bind[step.bind_count++] = table;
    status = upc_recipe_program(recipe, &program, &step.program);
    return status ? status : upc_recipe_step(recipe, &step);
}

const upc_solver upc_solver_shuffle = {
    .name = "shuffle", .version = 1, .ops = 1u << UPCONV_PIXEL_SHUFFLE,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs),
    .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us, .cook = cook,
};
