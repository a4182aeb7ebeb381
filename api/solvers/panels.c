// The gradient of a filter as sums of outer products (shaders/panels.kernel), for processors: vectors of one tensor's
// channels, which are first woven together (shaders/weave.kernel), by the other's, one by one.
#include "cheapest.h"
#include "panels.h"

#include "gather.h"
#include "grad.h"
#include "slabs.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, LANES, ROWS, COLUMNS, TAPS, COPY, CHUNK, GROUP_X, PLACES };

static const int32_t lanes[] = {UPC_PANEL_OUT, UPC_PANEL_IN, UPC_PANEL_GROUPS}, rows[] = {1, 2, 3, 4, 6, 8, 12, 14},
                     columns[] = {1, 2, 3, 4}, yes_no[] = {0, 1}, chunks[] = {256, 1024, 4096, 16384, 65536};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // channels of a vector
    [LANES] = {"lanes", lanes, UPC_COUNT(lanes)},            // what they are: 0 output channels, 1 input channels, 2 groups
    [ROWS] = {"rows", rows, UPC_COUNT(rows)},                // of an item: channels of the other tensor
    [COLUMNS] = {"columns", columns, UPC_COUNT(columns)},    // of an item: vectors
    [TAPS] = {"taps", yes_no, UPC_COUNT(yes_no)},            // 1: an item makes all, one after another
    [COPY] = {"copy", yes_no, UPC_COUNT(yes_no)},            // 1: the other tensor is woven, too
    [CHUNK] = {"chunk", chunks, UPC_COUNT(chunks)},          // inputs that are added up at a time
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
    [PLACES] = {"places", yes_no, UPC_COUNT(yes_no)},        // 1: the table lists where what is multiplied lies
};

enum { MOST_SUMS = 32, MOST_KEPT = 24 << 10, /* bytes */ ROWS_IN_PLACE = 6, MOST_PLACES = 16384 };

static void shape_of(const upc_config *config, upc_panel_shape *s)
{
    const int32_t *value = config->value;
    *s = (upc_panel_shape){.width = value[WIDTH], .lanes = value[LANES], .rows = value[ROWS], .columns = value[COLUMNS],
                           .all_taps = value[TAPS] != 0, .copy = value[COPY] != 0,
                           .chunk = value[CHUNK]};
}

// --------------------------------------------------------------------------------------------------------------- choices

static int64_t taps_of(const upc_problem *p) { return p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel; }

static const char *refuse_shape(const upc_problem *p, const upc_config *config, char *sentence)
{
    const int32_t *value = config->value;
    if (value[ROWS] * value[COLUMNS] > MOST_SUMS)
        snprintf(sentence, UPC_SENTENCE, "%d x %d vectors of sums are more than the %d that an item may have",
                 value[ROWS], value[COLUMNS], MOST_SUMS);
    else if (value[TAPS] && taps_of(p) * value[ROWS] * value[COLUMNS] * value[WIDTH] * 4 > MOST_KEPT)
        snprintf(sentence, UPC_SENTENCE,
                 "%lld taps of %d x %d vectors of sums are more than the %d bytes that an item may keep",
                 (long long)taps_of(p), value[ROWS], value[COLUMNS], MOST_KEPT);
    else if (!value[COPY] && (value[LANES] == UPC_PANEL_GROUPS || p->type != UPCONV_F32))
        snprintf(sentence, UPC_SENTENCE, "rows that are vectors, or not f32, must be copied");
    else if (value[LANES] == UPC_PANEL_GROUPS && p->groups == 1)
        snprintf(sentence, UPC_SENTENCE, "lanes cannot be groups where there is one");
    else if (!value[COPY] && (value[LANES] == UPC_PANEL_IN ? &p->out : &p->in)->pack > 1)
        snprintf(sentence, UPC_SENTENCE, "rows in blocks of channels must be copied");
    else
        return NULL;
    return sentence;
}

// Of all taps together.
static double places_of(const upc_problem *p) { return upc_gather_macs(p) / (double)(p->groups * p->icg * p->ocg); }

static const char *refuse_places(const upc_problem *p, const upc_facts *facts, const upc_panel *l, char *sentence)
{
    const double places = places_of(p), starts = (double)l->taps * (double)l->shares + 1;
    if (places > MOST_PLACES || starts > MOST_PLACES || (2 * places + starts + 256) * 4 > (double)upc_grad_room(facts))
        snprintf(sentence, UPC_SENTENCE, "%.0f places are more than a table may list", places);
    else if (facts->loop_rounds && places > facts->loop_rounds)
        snprintf(sentence, UPC_SENTENCE, "its loops would make up to %.0f rounds; the device makes %u", places,
                 facts->loop_rounds);
    else
        return NULL;
    return sentence;
}

static const char *refuse_rounds(const upc_problem *p, const upc_facts *facts, const upc_panel *l, char *sentence)
{
    const double line = (double)UPC_MIN(p->axis[2].in, UPC_PANEL_SEGMENT) + 2,
                 put = (double)(l->shape.rows * l->shape.columns);
    const double rounds =
        (l->shape.all_taps ? (double)l->taps : 1) * ((double)l->each * line + put * (double)l->shape.width) +
        UPC_PANEL_RUN * (double)l->shape.width;
    if (!facts->loop_rounds || rounds <= facts->loop_rounds)
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "its loops would make up to %.0f rounds; the device makes %u", rounds,
             facts->loop_rounds);
    return sentence;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (!refusal)
        refusal = refuse_shape(problem, config, sentence);
    if (refusal)
        return refusal;
    upc_panel_shape shape;
    upc_panel panel;
    shape_of(config, &shape);
    if (!upc_panel_lay(problem, &shape, &panel)) {
        snprintf(sentence, UPC_SENTENCE, "its tensors, woven, are beyond 32-bit indices");
        return sentence;
    }
    refusal = upc_panel_refuse_size(problem, facts, &panel, sentence);
    if (!refusal && config->value[PLACES])
        refusal = refuse_places(problem, facts, &panel, sentence);
    return refusal ? refusal : refuse_rounds(problem, facts, &panel, sentence);
}

// Whether an item's taps can be zipped.
static bool zips(const upc_panel_shape *s, const upc_panel *l)
{
    return s->all_taps && l->taps <= s->width && (l->taps & (l->taps - 1)) == 0;
}

// Of a processor that poses as a Vulkan device, fitted to a few measurements on llvmpipe: nanoseconds of eight items on
// one of two cores for a row, a column, a sum; of an element that is woven, and of one that is stored. More sums keep its compiler busy for longer
// than they save.
static double processor_us(const upc_panel *l, double macs, double stored)
{
    enum { SUMS = 16 };
    const upc_panel_shape *s = &l->shape;
    const double r = (double)s->rows, n = (double)s->columns, eights = macs / (r * n * (double)s->width) / 8;
    const double woven = (double)(l->column.bytes + l->row.bytes) / 4;
    const double us = (eights * (8 * r + 25 * n + 4 * r * n) + 6 * woven + 4.4 * stored) / 2e3 + 100;
    return us * (r * n > SUMS ? 4 : 1) * (s->all_taps ? 1.5 : 1);
}

// Of a processor's vector unit: a multiply-add a cycle; a vector is loaded in one, two elements are.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    upc_panel_shape s;
    upc_panel l;
    shape_of(config, &s);
    if (!upc_panel_lay(problem, &s, &l))
        return 1e12;
    const double all = (double)upc_filter_elements(problem), r = (double)s.rows, n = (double)s.columns;
    const double tiles = (double)(l.outers * l.tiles),
                 items = tiles * (double)(l.blocks * (s.all_taps ? 1 : l.taps) * l.shares);
    const double made = tiles * (double)(l.blocks * l.taps) * r * n * (double)s.width; // with those beyond the last channels
    const double macs = upc_gather_macs(problem) * made / all;
    if (upc_gather_processor(facts))
        return processor_us(&l, macs, all * (double)l.shares);
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL) // made for others
        return macs / 1e3 + 100;
    const double loads = s.lanes == UPC_PANEL_GROUPS ? r + n : r / 2 + n;
    const double round =
        UPC_MAX(UPC_MAX(r * n, loads), r * n > 2 ? 4 : 1) * upc_vector_spills(facts, s.width, r * n) + 1.5;
    const double rounds = macs / (r * n * (double)s.width * items), taps = s.all_taps ? (double)l.taps : 1;
    // rows in place are lines far apart, of which a cache holds few at once; woven ones came out slower nevertheless
    const double apart = s.copy && s.lanes != UPC_PANEL_GROUPS ? 1.2 : s.rows > ROWS_IN_PLACE ? 2 : 1;
    // all items of a share read the same, from the cache next to a core, from that of all, or from memory
    const int64_t in_place = s.copy ? 0 : 4 * (s.lanes == UPC_PANEL_IN ? &problem->out : &problem->in)->elements;
    const double bytes = (double)(l.column.bytes + l.row.bytes) + (double)in_place, share = bytes / (double)l.shares;
    const double read = (n + (s.copy ? UPC_MIN(r / (double)s.width + 1, 2) : r / 8)) * 64;
    const double own =
        (double)(l.each * UPC_MIN(problem->axis[2].in, UPC_PANEL_SEGMENT)) * (r + n * (double)s.width) * 4;
    const double reading = s.all_taps && own < 24 << 10 ? read / 64 : share < 512 << 10 ? read / 24 : share < 8 << 20 ? read / 12 : read / 5;
    const double parts = l.shares > 1 ? (double)l.shares * all * 4 : 0;
    // of an element, in PyTorch's order, where input channels lie a page or more apart
    const bool out = s.lanes == UPC_PANEL_OUT;
    const double store = !s.all_taps                                  ? (out ? 2 : 5)
                         : zips(&s, &l) && (out || l.taps == s.width) ? (out ? 0.5 : 0.8)
                                                                      : 1.5;
    const upc_vector_work work = {
        .items = items,
        .cycles = 100 +
                  taps * (20 + (config->value[PLACES] ? 0 : (double)l.each * 25) + r * n * (double)s.width * store) +
                  rounds * UPC_MAX(round * apart, reading),
        .read_bytes = bytes + parts * (parts > 1 << 20 ? 16 : 4),
        .staged_bytes = 2 * ((double)l.column.bytes + (s.copy ? (double)l.row.bytes : 0)),
    };
    return upc_vector_us(facts, &work) + 20;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    enum { SHAPES = UPC_COUNT(rows) * UPC_COUNT(columns), ALL = SHAPES * UPC_COUNT(chunks) * 4 * UPC_COUNT(lanes) };
    enum { SHORT = 64 }; // lines of which a list is better
    char sentence[UPC_SENTENCE];
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[ROWS] = config->value[COLUMNS] = config->value[COPY] = 1;
    config->value[CHUNK] = chunks[UPC_COUNT(chunks) - 1];
    config->value[GROUP_X] = upc_vector_group(facts, 8);
    upc_cheapest search = {problem, facts, cost_us, legal, *config, 0, false};
    const bool lists =
        !upc_gather_processor(facts) && problem->axis[2].in <= SHORT && places_of(problem) <= MOST_PLACES;
    for (size_t i = 0; i < ALL; i++) {
        const size_t of_shape = i % SHAPES, rest = i / SHAPES;
        upc_config tried = *config;
        tried.value[ROWS] = rows[of_shape % UPC_COUNT(rows)];
        tried.value[COLUMNS] = columns[of_shape / UPC_COUNT(rows)];
        tried.value[COPY] = (int32_t)(rest % 2);
        tried.value[TAPS] = (int32_t)(rest / 2 % 2);
        tried.value[LANES] = lanes[rest / 4 % UPC_COUNT(lanes)];
        tried.value[CHUNK] = chunks[rest / 4 / UPC_COUNT(lanes)];
        // fewer sums would each wait for the one before; along a line there are several side by side
        tried.value[PLACES] = lists && tried.value[ROWS] * tried.value[COLUMNS] > 2;
        if (refuse_shape(problem, &tried, sentence))
            continue;
        upc_cheapest_try(&search, &tried);
    }
    *config = search.best;
    if (config->value[TAPS]) // fewer and longer items
        config->value[GROUP_X] = 1;
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no plain C version");
        return sentence;
    }
    if (upc_panel_refuse_far(problem, sentence))
        return sentence;
    upc_config config;
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

// ---------------------------------------------------------------------------------------------------------------- recipe

// Adds a share's places of a tap to the table: where each lies in the rows and in the columns.
static upconv_status list_share(const upc_problem *p, const upc_panel *l, const int64_t tap[3], int64_t share,
                                upc_recipe *recipe)
{
    const bool turned = l->shape.lanes == UPC_PANEL_IN;
    const upc_woven *of_in = turned ? &l->column : &l->row, *of_out = turned ? &l->row : &l->column;
    const int64_t end = UPC_MIN((share + 1) * l->each, l->units);
    for (int64_t u = share * l->each; u < end; u++) {
        const int64_t line = u / l->segments, image = line / p->axis[1].in / p->axis[0].in;
        const int64_t first = u % l->segments * UPC_PANEL_SEGMENT,
                      last = UPC_MIN(first + UPC_PANEL_SEGMENT, p->axis[2].in);
        int64_t at[3] = {line / p->axis[1].in % p->axis[0].in, line % p->axis[1].in, first};
        for (; at[2] < last; at[2]++) {
            int64_t in = image * of_in->image, out = image * of_out->image;
            bool inside = true;
            for (int a = 0; a < 3; a++) {
                const upc_axis *axis = &p->axis[a];
                const int64_t o = at[a] * axis->stride + tap[a] * axis->dilation - axis->pad;
                inside = inside && o >= 0 && o < axis->out;
                in += at[a] * of_in->axis[a];
                out += o * of_out->axis[a];
            }
            if (!inside)
                continue;
            upconv_status status = upc_recipe_table(recipe, (int32_t)(turned ? out : in));
            if (status || (status = upc_recipe_table(recipe, (int32_t)(turned ? in : out))))
                return status;
        }
    }
    return UPCONV_OK;
}

// The list of places: where each tap's and share's begin, and the last ones end; and then they, as the kernel says.
static upconv_status list_places(const upc_problem *p, const upc_panel *l, upc_recipe *recipe)
{
    const int64_t kh = p->axis[1].kernel, kw = p->axis[2].kernel, lists = l->taps * l->shares;
    const size_t starts = recipe->table_count;
    upconv_status status = UPCONV_OK;
    for (int64_t n = 0; n <= lists && !status; n++)
        status = upc_recipe_table(recipe, 0);
    for (int64_t n = 0; n < lists && !status; n++) {
        const int64_t k = n / l->shares, tap[3] = {k / (kh * kw), k / kw % kh, k % kw};
        recipe->table[starts + (size_t)n] = (int32_t)recipe->table_count;
        status = list_share(p, l, tap, n % l->shares, recipe);
    }
    if (!status)
        recipe->table[starts + (size_t)lists] = (int32_t)recipe->table_count;
    return status;
}

// The kernel's program.
static upconv_status describe(const upc_problem *p, const upc_panel *l, const upc_filter_strides *f,
                              const upc_config *config, upc_recipe *recipe, upc_program_desc *program)
{
    const upc_panel_shape *s = &l->shape;
    const bool turned = s->lanes == UPC_PANEL_IN, groups = s->lanes == UPC_PANEL_GROUPS;
    const int64_t lane = groups ? f->group : turned ? f->in : f->out;
    const bool linear = f->tap[2] == 1 || l->taps == 1;
    const int put = lane == 1 ? 1 : zips(s, l) && linear && (lane == l->taps || l->taps == s->width) ? 2 : 0;
    const upc_number defines[] = {
        {"TAPS_N", s->all_taps ? l->taps : 1}, {"PUT", put}, {"OUT_STORE", UPC_STORE_F32}, {"VEC", s->width},
        {"TI", s->rows}, {"NV", s->columns}, {"TURNED", turned}, {"ROWS", groups ? 2 : s->copy ? 0 : 1}, {"PLACES", config->value[PLACES]}, {"IN_STORE", UPC_STORE_F32}, {"W_STORE", UPC_STORE_F32},
    };
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], 1, 1};
    upc_program_desc_init(program, "panels", local, 4);
    upc_program_defines(program, defines, UPC_COUNT(defines));
    upconv_status status = upc_panel_numbers(p, l, f, recipe, program);
    if (status || !config->value[PLACES])
        return status;
    const upc_number fixed[] = {{"SHARES", l->shares}, {"STARTS", (int64_t)recipe->table_count + 2}};
    status = upc_program_fixed(recipe, program, fixed, UPC_COUNT(fixed), false);
    return status ? status : list_places(p, l, recipe);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(problem, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    upc_panel_shape shape;
    upc_panel panel;
    upc_filter_strides filter;
    upc_program_desc program;
    shape_of(config, &shape);
    upc_panel_lay(problem, &shape, &panel);
    upc_filter_strides_get(problem, request->order, &filter);
    const int64_t items[3] = {panel.blocks * (shape.all_taps ? 1 : panel.taps), panel.outers * panel.tiles,
                              panel.shares};
    const upconv_status status = describe(problem, &panel, &filter, config, recipe, &program);
    return status ? status : upc_panel_cook(problem, facts, &panel, &program, items, recipe);
}

const upc_solver upc_solver_panels = {
    .name = "panels", .version = 1, .ops = 1u << UPCONV_GRAD_FILTER, .knobs = knobs, .knob_count = UPC_COUNT(knobs),
    .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us, .cook = cook,
};
