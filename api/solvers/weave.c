// Where panels.c and squares.c find what they multiply; channels of a tensor woven into vectors (shaders/weave.kernel); and the
// steps that both of them take.
#include "gather.h"
#include "grad.h"
#include "panels.h"
#include "slabs.h"

#include <stdio.h>

static void lay_woven(const upc_problem *p, const upc_panel_shape *s, bool out, upc_woven *woven)
{
    const int64_t channels = out ? p->ocg : p->icg, width = s->width;
    int64_t size[3];
    for (int a = 0; a < 3; a++)
        size[a] = out ? p->axis[a].out : p->axis[a].in;
    const bool groups = s->lanes == UPC_PANEL_GROUPS;
    *woven = (upc_woven){.sets = groups ? channels : upc_ceil_div(channels, width)};
    const int64_t outers = groups ? upc_ceil_div(p->groups, width) : p->groups;
    woven->axis[2] = width;
    woven->axis[1] = width * size[2];
    woven->axis[0] = woven->axis[1] * size[1];
    woven->set = woven->axis[0] * size[0];
    woven->image = woven->set * woven->sets * outers;
    woven->bytes = (uint64_t)(woven->image * p->batch) * 4;
}

static void lay_in_place(const upc_tensor *tensor, upc_woven *woven)
{
    *woven = (upc_woven){.image = tensor->image, .set = tensor->channel};
    for (int a = 0; a < 3; a++)
        woven->axis[a] = tensor->axis[a];
}

bool upc_panel_lay(const upc_problem *p, const upc_panel_shape *s, upc_panel *l)
{
    const bool turned = s->lanes == UPC_PANEL_IN, groups = s->lanes == UPC_PANEL_GROUPS;
    double in = (double)p->batch, out = in; // elements, at most `width` times as many as there are
    for (int a = 0; a < 3; a++) {
        in *= (double)p->axis[a].in;
        out *= (double)p->axis[a].out;
    }
    const double most = (double)p->groups * (double)(UPC_MAX(p->icg, p->ocg) + s->width) * (double)s->width;
    if (UPC_MAX(in, out) * most > 1e15)
        return false;
    *l = (upc_panel){.shape = *s};
    l->outers = groups ? upc_ceil_div(p->groups, s->width) : p->groups;
    l->row_n = turned ? p->ocg : p->icg;
    l->tiles = upc_ceil_div(l->row_n, s->rows);
    l->taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    lay_woven(p, s, !turned, &l->column);
    if (s->copy)
        lay_woven(p, s, turned, &l->row);
    else
        lay_in_place(turned ? &p->out : &p->in, &l->row);
    l->blocks = upc_ceil_div(l->column.sets, s->columns);
    const upc_axis *w = &p->axis[2];
    l->segments = upc_ceil_div(w->in, UPC_PANEL_SEGMENT);
    l->units = p->batch * p->axis[0].in * p->axis[1].in * l->segments;
    l->each = UPC_MIN(UPC_MAX(s->chunk / UPC_MIN(w->in, UPC_PANEL_SEGMENT), 1), l->units);
    l->shares = upc_ceil_div(l->units, l->each);
    l->each = upc_ceil_div(l->units, l->shares); // equally many, as far as that goes
    l->shares = upc_ceil_div(l->units, l->each);
    l->row.at = upc_round_up(l->column.bytes, 256);
    l->parts_at = upc_round_up(l->row.at + l->row.bytes, 256);
    l->bytes = l->parts_at + (l->shares > 1 ? (uint64_t)l->shares * upc_filter_elements(p) * 4 : 0);
    return l->units <= INT32_MAX / 2 && l->taps <= INT32_MAX / 2;
}

const char *upc_panel_refuse_size(const upc_problem *p, const upc_facts *facts, const upc_panel *l, char *sentence)
{
    enum { MOST_SHARES = 4096 };
    const uint64_t room = (uint64_t)UPC_MAX(upc_grad_room(facts), 0), filter = upc_filter_elements(p) * 4;
    const uint64_t parts = (uint64_t)l->shares * filter;
    const uint64_t given = (uint64_t)UPC_MAX(p->in.elements, p->out.elements) * upc_type_bytes(p->type);
    const uint64_t largest = UPC_MAX(UPC_MAX(l->column.bytes, l->row.bytes), UPC_MAX(parts, given));
    if (largest > room || l->bytes > facts->info.limits.alloc_bytes || p->in.elements > INT32_MAX / 4 ||
        p->out.elements > INT32_MAX / 4 || largest / 4 > INT32_MAX / 4)
        snprintf(sentence, UPC_SENTENCE,
                 "tensors, their copies and shares (%llu bytes) must each fit a binding of %llu bytes",
                 (unsigned long long)largest, (unsigned long long)room);
    else if (l->bytes > upc_workspace_default(p))
        snprintf(sentence, UPC_SENTENCE, "it would take %llu bytes of workspace; %llu are free for use",
                 (unsigned long long)l->bytes, (unsigned long long)upc_workspace_default(p));
    else if (l->shares > MOST_SHARES)
        snprintf(sentence, UPC_SENTENCE, "it would add up in %lld shares; %d are the most", (long long)l->shares,
                 MOST_SHARES);
    else
        return NULL;
    return sentence;
}

const char *upc_panel_refuse_far(const upc_problem *p, char *sentence)
{
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &p->axis[a];
        const int64_t far = (axis->in + UPC_PANEL_SEGMENT) * axis->stride + axis->kernel * axis->dilation +
                            UPC_MAX(axis->pad, -axis->pad) + axis->out;
        if (far > INT32_MAX) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits", (long long)far);
            return sentence;
        }
    }
    return NULL;
}

// Lines that lie behind one another without a gap are one.
static void join_lines(const upc_tensor *tensor, int64_t size[3], int64_t step[3])
{
    for (int a = 0; a < 3; a++)
        step[a] = tensor->axis[a];
    for (int a = 1; a >= 0; a--)
        if (step[a] == step[2] * size[2]) {
            size[2] *= size[a];
            size[a] = 1;
        } else if (size[a] > 1) {
            return;
        }
}

static upconv_status weave(const upc_problem *p, const upc_facts *facts, const upc_panel *l, const upc_woven *woven,
                           bool gradient, upc_recipe *recipe)
{
    const upc_tensor *t = gradient ? &p->out : &p->in;
    const bool groups = l->shape.lanes == UPC_PANEL_GROUPS;
    const int64_t channels = gradient ? p->ocg : p->icg, width = l->shape.width, most = facts->info.limits.group_count;
    int64_t size[3], step_of[3];
    for (int a = 0; a < 3; a++)
        size[a] = gradient ? p->axis[a].out : p->axis[a].in;
    join_lines(t, size, step_of);
    // one item is one thread of a processor, or one lane of a subgroup
    enum { LANES = 8, LANE_RUN = 8 };
    const bool one = !upc_gather_processor(facts) || facts->info.limits.group_size < LANES;
    const uint32_t local[3] = {one ? 1 : LANES, 1, 1};
    const int64_t run = one ? UPC_PANEL_RUN : LANE_RUN;
    const int64_t items[3] = {upc_ceil_div(size[2], run), size[0] * size[1], p->batch * l->outers * woven->sets};
    const int64_t lane = groups ? channels : 1;
    const int32_t along = t->pack > 1 ? 0 : step_of[2] == 1 ? 1 : t->channel * lane == 1 ? 2 : 0;
    const upc_number defines[] = {{"VEC", width}, {"ALONG", along}, {"IN_PACK", t->pack},
                                  {"IN_STORE", upc_store_of(facts, p->type)}, {"OUT_STORE", UPC_STORE_F32}};
    const upc_number args[] = {
        {"RUN", run}, {"WI", size[2]}, {"HI", size[1]}, {"LINES", items[1]}, {"Z_N", items[2]},
        {"SETS", l->outers * woven->sets}, {"PER", woven->sets}, {"C_OUTER", groups ? width * channels : channels},
        {"C_INNER", groups ? 1 : width}, {"C_LANE", lane}, {"LANES_N", groups ? p->groups : channels},
        {"LANES_OUTER", groups ? width : 0}, {"LANES_INNER", groups ? 0 : width}, {"IN_N", t->image}, {"IN_C", t->channel},
        {"IN_D", step_of[0]}, {"IN_H", step_of[1]}, {"IN_W", step_of[2]}, {"IN_C0", 0},
    };
    upc_program_desc program;
    upc_program_desc_init(&program, "weave", local, 2);
    upc_program_defines(&program, defines, UPC_COUNT(defines));
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = recipe->step_count == 0, .bind_count = 2}; // earlier work may still read it
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        step.args[upc_program_arg(&program, args[i].name)] = args[i].value > INT32_MAX ? 0 : (int32_t)args[i].value;
    for (int i = 0; i < 3; i++) {
        const int64_t count = upc_ceil_div(items[i], local[i]);
        if (count > most)
            return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                            "a copy would take %lld work-groups on an axis; the device has %lld", (long long)count,
                            (long long)most);
        step.groups[i] = (uint32_t)count;
    }
    step.bind[0] =
        (upc_bind){gradient ? UPC_OUTPUT_GRAD : UPC_INPUT, 0, (uint64_t)t->elements * upc_type_bytes(p->type)};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, woven->at, woven->bytes};
    const upconv_status status = upc_recipe_program(recipe, &program, &step.program);
    return status ? status : upc_recipe_step(recipe, &step);
}

upconv_status upc_panel_numbers(const upc_problem *p, const upc_panel *l, const upc_filter_strides *f,
                                upc_recipe *recipe, upc_program_desc *program)
{
    const upc_panel_shape *s = &l->shape;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const bool turned = s->lanes == UPC_PANEL_IN, groups = s->lanes == UPC_PANEL_GROUPS;
    const int64_t lane = groups ? f->group : turned ? f->in : f->out, row = turned ? f->out : f->in;
    const upc_number fixed[] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"KD", d->kernel}, {"KH", h->kernel}, {"KW", w->kernel}, {"SD", d->stride}, {"SH", h->stride}, {"SW", w->stride},
        {"DD", d->dilation}, {"DH", h->dilation}, {"DW", w->dilation}, {"PD", d->pad}, {"PH", h->pad}, {"PW", w->pad},
        {"TILES", l->tiles}, {"ROW_N", l->row_n}, {"COLUMN_N", l->column.sets}, {"ROW_SETS", l->row.sets},
        {"R_N", l->row.image}, {"R_C", l->row.set}, {"R_D", l->row.axis[0]}, {"R_H", l->row.axis[1]}, {"R_W", l->row.axis[2]},
        {"C_N", l->column.image}, {"C_C", l->column.set}, {"C_D", l->column.axis[0]}, {"C_H", l->column.axis[1]},
        {"C_W", l->column.axis[2]}, {"SEGMENTS", l->segments}, {"UNITS", l->units}, {"UNITS_EACH", l->each},
        {"FILTER", (int64_t)upc_filter_elements(p)}, {"F_OUTER", groups ? s->width * f->group : f->group}, {"F_ROW", row},
        {"F_COLUMN", groups ? f->out : s->width * lane}, {"F_LANE", lane}, {"F_K", f->tap[2]},
        {"LANES_N", groups ? p->groups : turned ? p->icg : p->ocg}, {"LANES_OUTER", groups ? s->width : 0},
        {"LANES_INNER", groups ? 0 : s->width},
    };
    upc_grad_grid_args(program);
    return upc_program_fixed(recipe, program, fixed, UPC_COUNT(fixed), false);
}

upconv_status upc_panel_cook(const upc_problem *p, const upc_facts *facts, const upc_panel *l,
                             const upc_program_desc *program, const int64_t items[3], upc_recipe *recipe)
{
    const bool turned = l->shape.lanes == UPC_PANEL_IN, parts = l->shares > 1;
    const upc_tensor *given = turned ? &p->out : &p->in;
    upc_step step = {.bind_count = 4};
    recipe->workspace_bytes = l->bytes;
    upconv_status status = weave(p, facts, l, &l->column, !turned, recipe);
    if (!status && l->shape.copy)
        status = weave(p, facts, l, &l->row, turned, recipe);
    step.bind[0] = l->shape.copy ? (upc_bind){UPC_WORKSPACE, l->row.at, l->row.bytes}
                                 : (upc_bind){turned ? UPC_OUTPUT_GRAD : UPC_INPUT, 0, (uint64_t)given->elements * 4};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, l->column.at, l->column.bytes};
    step.bind[2] = (upc_bind){parts ? UPC_WORKSPACE : UPC_OUTPUT, parts ? l->parts_at : 0,
                              (uint64_t)l->shares * upc_filter_elements(p) * 4};
    step.bind[3] = (upc_bind){UPC_TABLE, 0, recipe->table_count * 4};
    if (!status)
        status = upc_grad_grid(facts, program, items, upc_gather_macs(p), &step, recipe);
    if (status || !parts)
        return status;
    return upc_total_cook(facts, l->parts_at, (int64_t)upc_filter_elements(p), l->shares, recipe);
}
