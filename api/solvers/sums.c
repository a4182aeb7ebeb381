// The gradient of a bias: sums over images and positions of each channel (shaders/sums.kernel).
#include "gather.h"
#include "grad.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, ALONG, GROUP_X, GROUP_Y };

static const int32_t alongs[] = {0, 1, 2};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // elements of a vector
    [ALONG] = {"along", alongs, UPC_COUNT(alongs)},      // what is read in vectors: 0 nothing, 1 positions, 2 channels
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
};

enum { SEGMENT = 1024 }; // as in the kernel

// What a dispatch adds up: images, channels, positions.
enum { N, C, Q, RANGES = Q + 3 };

typedef struct box {
    int64_t first[RANGES], count[RANGES];
} box;

typedef struct cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    const upc_config *config;
    upc_recipe *recipe;
    int64_t channels, shares;
    upc_program_desc program;
} cooking;

static int64_t channels_of(const upc_problem *p) { return p->groups * p->ocg; }

// Channels of an item.
static int64_t block_of(const upc_problem *p, const upc_config *config)
{
    return config->value[ALONG] == 1 ? p->out.pack : config->value[ALONG] == 2 ? config->value[WIDTH] : 1;
}

static int64_t lines_of(const box *b) { return b->count[N] * b->count[Q] * b->count[Q + 1]; }

static upc_window window_of(const cooking *c, const box *b)
{
    const upc_tensor *out = &c->problem->out;
    const int64_t *f = b->first, *n = b->count;
    const int64_t from = upc_tensor_at(out, f[N], f[C], f[Q], f[Q + 1], f[Q + 2]);
    const int64_t to = upc_tensor_at(out, f[N] + n[N] - 1, f[C] + n[C] - 1, f[Q] + n[Q] - 1, f[Q + 1] + n[Q + 1] - 1,
                                     f[Q + 2] + n[Q + 2] - 1);
    const int64_t start = from / 4 * 4, end = to + (out->pack > 1 ? out->pack : 0);
    return (upc_window){start, UPC_MIN(end + 1, out->elements) - start};
}

static int widest(const box *b, const int64_t distance[RANGES])
{
    int found = -1;
    int64_t most = 0;
    for (int r = 0; r < RANGES; r++)
        if (b->count[r] > 1 && (b->count[r] - 1) * distance[r] > most) {
            most = (b->count[r] - 1) * distance[r];
            found = r;
        }
    return found;
}

// Which range to halve so that a box fits the limits: -1 with *why NULL where it fits, -1 with *why where none helps.
static int choose_cut(const cooking *c, const box *b, const char **why)
{
    static const int64_t of_channels[RANGES] = {[C] = 1}, of_rounds[RANGES] = {1, 0, 1, 1, 1};
    const upc_tensor *t = &c->problem->out;
    // the channels of a block are read together, so that none of them can be left out of a window
    const int64_t channel = b->count[C] > t->pack || t->pack == 1 ? UPC_MAX(t->channel / t->pack, 1) : 0;
    const int64_t distance[RANGES] = {t->image, channel, t->axis[0], t->axis[1], t->axis[2]};
    const int64_t room = upc_grad_room(c->facts), most = c->facts->info.limits.group_count;
    *why = "the gradient's window";
    if (window_of(c, b).count > room / (int64_t)upc_type_bytes(c->problem->type))
        return widest(b, distance);
    *why = "the window of the sums";
    if (b->count[C] + (c->shares - 1) * c->channels > room / 4)
        return widest(b, of_channels);
    *why = "the grid";
    if (upc_ceil_div(b->count[C], c->program.local[0]) > most)
        return widest(b, of_channels);
    *why = "the loops of an item";
    const double segments = (double)upc_ceil_div(b->count[Q + 2], SEGMENT), units = (double)lines_of(b) * segments;
    const double rounds =
        64 + 2 * (units / (double)c->shares + 1) * (double)(UPC_MIN(b->count[Q + 2], SEGMENT) * t->pack + 2);
    if ((c->facts->loop_rounds && rounds > c->facts->loop_rounds) || units * SEGMENT > INT32_MAX)
        return widest(b, of_rounds);
    *why = NULL;
    return -1;
}

static const char *const arg_names[] = {"NN",   "C_N",   "QD_0",  "QD_N",  "QH_0",  "QH_N",   "QW_0",
                                        "QW_N", "SRC_0", "DST_0", "IN_C0", "FIRST", "SHARES", "CHANNELS",
                                        "IN_N", "IN_C",  "IN_D",  "IN_H",  "IN_W"};

static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; } // then only one is in a window

static upconv_status emit(cooking *c, const box *b)
{
    const upc_problem *p = c->problem;
    const upc_window in = window_of(c, b);
    const int64_t *f = b->first, *n = b->count;
    const bool first =
        f[N] + f[Q] + f[Q + 1] + f[Q + 2] == 0; // boxes come in order, so nothing has been added up here before
    const int64_t values[UPC_COUNT(arg_names)] = {
        n[N],
        n[C],
        f[Q],
        n[Q],
        f[Q + 1],
        n[Q + 1],
        f[Q + 2],
        n[Q + 2],
        in.first - upc_tensor_at(&p->out, f[N], f[C] - f[C] % p->out.pack, 0, 0, 0),
        0,
        f[C] % p->out.pack,
        first,
        c->shares,
        c->channels,
        p->out.image,
        p->out.channel,
        p->out.axis[0],
        p->out.axis[1],
        p->out.axis[2],
    };
    const int64_t items[2] = {upc_ceil_div(n[C], block_of(p, c->config)), c->shares};
    const uint64_t bytes = upc_type_bytes(p->type);
    upc_step step = {
        .kind = UPC_STEP_KERNEL, .barrier = !first || c->recipe->step_count == 0, .bind_count = 3, .groups = {1, 1, 1}};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = clamp32(values[i]);
    for (int i = 0; i < 2; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->program.local[i]);
    step.bind[0] = (upc_bind){UPC_OUTPUT_GRAD, (uint64_t)in.first * bytes, (uint64_t)in.count * bytes};
    step.bind[1] = (upc_bind){c->shares > 1 ? UPC_WORKSPACE : UPC_OUTPUT, (uint64_t)f[C] * 4,
                              (uint64_t)((c->shares - 1) * c->channels + n[C]) * 4};
    step.bind[2] = (upc_bind){UPC_TABLE, 0, 4};
    if (c->recipe->step_count >= UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    const upconv_status status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

static upconv_status run(cooking *c, const box *whole)
{
    const char *why;
    const int cut = choose_cut(c, whole, &why);
    if (cut < 0 && why)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below this device's limit (%llu bytes a binding, %u groups)", why,
                        (unsigned long long)c->facts->info.limits.binding_bytes, c->facts->info.limits.group_count);
    if (cut < 0)
        return emit(c, whole);
    box half = *whole;
    const int64_t all = whole->count[cut], step = cut == C && all > 4 ? 4 : 1; // whole blocks
    half.count[cut] = UPC_MAX(all / 2 / step, 1) * step;
    const upconv_status status = run(c, &half);
    half.first[cut] += half.count[cut];
    half.count[cut] = all - half.count[cut];
    return status ? status : run(c, &half);
}

// So many that the device is busy, each with some thousand elements at least.
static int64_t shares_of(const upc_problem *p, const upc_facts *facts, const upc_config *config, uint64_t limit)
{
    const int64_t wanted =
        facts->info.kind == UPCONV_DEVICE_CPU ? 32 : 512 * (int64_t)UPC_MAX(facts->info.compute_units, 4);
    const int64_t channels = channels_of(p), items = upc_ceil_div(channels, block_of(p, config));
    const double lines =
        (double)p->batch * (double)(p->axis[0].out * p->axis[1].out) * (double)upc_ceil_div(p->axis[2].out, SEGMENT);
    const double positions = (double)p->batch * (double)(p->axis[0].out * p->axis[1].out) * (double)p->axis[2].out;
    double shares = UPC_MIN(UPC_MIN((double)wanted / (double)items, positions / 2048), lines);
    shares = UPC_MIN(shares, (double)UPC_MIN((int64_t)UPC_MIN(limit, (uint64_t)INT64_MAX), upc_grad_room(facts)) / 8 /
                                 (double)channels);
    return shares < 2 ? 1 : UPC_MIN((int64_t)shares, UPC_MIN(1024, (int64_t)facts->info.limits.group_count));
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], (uint32_t)config->value[GROUP_Y], 1};
    cooking c = {
        .problem = problem, .facts = facts, .config = config, .recipe = recipe, .channels = channels_of(problem)};
    const uint64_t limit = request->workspace_limit ? request->workspace_limit : upc_workspace_default(problem);
    c.shares = shares_of(problem, facts, config, UPC_MIN(limit, facts->info.limits.alloc_bytes));
    upc_program_desc_init(&c.program, "sums", local, 3);
    upc_program_param(&c.program, "IN_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(facts, problem->type));
    upc_program_param(&c.program, "IN_PACK", UPC_PARAM_DEFINE, (int32_t)problem->out.pack);
    upc_program_param(&c.program, "ALONG", UPC_PARAM_DEFINE, config->value[ALONG]);
    if (config->value[ALONG])
        upc_program_param(&c.program, "VEC", UPC_PARAM_DEFINE, config->value[WIDTH]);
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c.program, arg_names[i]);
    upconv_status status = upc_recipe_table(recipe, 0); // a kernel's table is its last buffer
    box whole = {.count = {[N] = problem->batch, [C] = c.channels}};
    for (int a = 0; a < 3; a++)
        whole.count[Q + a] = problem->axis[a].out;
    if (!status)
        status = run(&c, &whole);
    if (status || c.shares == 1)
        return status;
    recipe->workspace_bytes = (uint64_t)(c.shares * c.channels) * 4;
    return upc_total_cook(facts, 0, c.channels, c.shares, recipe);
}

// --------------------------------------------------------------------------------------------------------------- choices

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no plain C version");
        return sentence;
    }
    const int64_t image = problem->out.elements - (problem->batch - 1) * problem->out.image;
    if (image <= INT32_MAX / 4)
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "images of %lld elements are beyond 32-bit indices", (long long)image);
    return sentence;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    const upc_tensor *out = &problem->out;
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    // vectors are for processors: elsewhere their lanes, counted by a loop, would lie in memory
    if (facts->family == UPC_FAMILY_CPU)
        config->value[ALONG] = out->axis[2] == out->pack ? 1 : out->pack == 1 && out->channel == 1 ? 2 : 0;
    uint32_t local[2];
    const int64_t items[3] = {upc_ceil_div(channels_of(problem), block_of(problem, config)), 64, 1};
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = facts->family == UPC_FAMILY_CPU ? 1 : (int32_t)local[0];
    config->value[GROUP_Y] = facts->family == UPC_FAMILY_CPU ? 1 : (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const upc_tensor *out = &problem->out;
    if ((config->value[ALONG] == 1 && out->axis[2] != out->pack) ||
        (config->value[ALONG] == 2 && (out->pack != 1 || out->channel != 1))) {
        snprintf(sentence, UPC_SENTENCE, "%s do not lie side by side",
                 config->value[ALONG] == 1 ? "positions" : "channels");
        return sentence;
    }
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    return refusal ? refusal : upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double bytes = (double)upc_output_elements(problem) * (double)upc_type_bytes(problem->type);
    (void)facts;
    return bytes / (config->value[ALONG] ? 1e4 : 2e3) + 10;
}

const upc_solver upc_solver_sums = {
    .name = "sums",
    .version = 1,
    .ops = 1u << UPCONV_GRAD_BIAS,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
