// What is known of a run: every candidate that was heard of, and the summary of each problem.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune.h"
#include "tune_line.h"

bool tune_state_init(tune_state *state, const problem_list *list)
{
    *state = (tune_state){.count = list->count};
    state->layers = calloc(list->count ? list->count : 1, sizeof *state->layers);
    if (!state->layers)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        state->layers[i].item = &list->items[i];
        state->layers[i].summary.struct_size = sizeof state->layers[i].summary;
    }
    return true;
}

void tune_state_finish(tune_state *state)
{
    for (size_t i = 0; state->layers && i < state->count; i++) {
        tune_layer *layer = &state->layers[i];
        for (size_t p = 0; p < layer->count; p++) {
            free(layer->points[p].candidate);
            free(layer->points[p].reason);
        }
        free(layer->points);
        free(layer->slots);
    }
    free(state->layers);
    state->layers = NULL;
}

// ---------------------------------------------------------------------------------------------------- candidates

static size_t hash_text(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

static size_t *slot_of(const tune_layer *layer, const char *candidate)
{
    size_t at = hash_text(candidate) & (layer->slot_count - 1);
    while (layer->slots[at] && strcmp(layer->points[layer->slots[at] - 1].candidate, candidate) != 0)
        at = (at + 1) & (layer->slot_count - 1);
    return &layer->slots[at];
}

// Room for one more candidate, in both tables.
static bool reserve(tune_layer *layer)
{
    if (layer->count == layer->capacity) {
        const size_t capacity = layer->capacity ? 2 * layer->capacity : 64;
        tune_point *points = realloc(layer->points, capacity * sizeof *points);
        if (!points)
            return false;
        layer->points = points;
        layer->capacity = capacity;
    }
    if (2 * (layer->count + 1) <= layer->slot_count)
        return true;
    const size_t wanted = layer->slot_count ? 2 * layer->slot_count : 128;
    size_t *slots = calloc(wanted, sizeof *slots);
    if (!slots)
        return false;
    free(layer->slots);
    layer->slots = slots;
    layer->slot_count = wanted;
    for (size_t i = 0; i < layer->count; i++)
        *slot_of(layer, layer->points[i].candidate) = i + 1;
    return true;
}

// The point of a candidate, made where there is none; NULL without memory.
static tune_point *point_of(tune_layer *layer, const char *candidate)
{
    if (!reserve(layer))
        return NULL;
    size_t *slot = slot_of(layer, candidate);
    if (*slot)
        return &layer->points[*slot - 1];
    tune_point *made = &layer->points[layer->count];
    *made = (tune_point){.candidate = strdup(candidate)};
    if (!made->candidate)
        return NULL;
    *slot = ++layer->count;
    return made;
}

bool tune_point_fails(const tune_point *point)
{
    return point->verdict == UPCONV_TUNE_WRONG || point->verdict == UPCONV_TUNE_CRASHED ||
           point->verdict == UPCONV_TUNE_HUNG;
}

double tune_state_gain(const tune_state *state, size_t *count)
{
    double sum = 0;
    *count = 0;
    for (size_t i = 0; i < state->count; i++)
        if (state->layers[i].summary.gain > 0) {
            sum += log(state->layers[i].summary.gain);
            ++*count;
        }
    return *count ? exp(sum / (double)*count) : 0;
}

// --------------------------------------------------------------------------------------------------------- lines

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : 0;
}

static void set_reason(tune_point *point, const char *reason)
{
    char *copy = *reason ? strdup(reason) : NULL;
    free(point->reason);
    point->reason = copy;
}

// An outcome. What a restarted worker tells again of this run is not new, and not from an earlier run's journal either; but
// what it knows by more samples is.
static void hear_point(tune_layer *layer, const upconv_tune_event *event, tune_news *news)
{
    tune_point *point = point_of(layer, event->candidate);
    if (!point)
        return;
    const bool failed = tune_point_fails(point);
    news->point = point;
    news->first = !point->heard;
    if (point->heard && event->known && (failed || news->kind == UPCONV_TUNE_LISTED || event->samples < point->samples))
        return;
    if (news->first)
        point->spent = (double)event->spent_ns * 1e-9;
    point->known = event->known && (news->first || point->known);
    point->heard = true;
    point->samples = event->samples;
    point->verdict = event->verdict;
    news->first = news->first || (!failed && tune_point_fails(point));
    set_reason(point, event->reason);
    point->time_us = event->time_us;
    point->reference_us = event->reference_us;
    point->ratio = event->ratio;
    point->spread = event->spread;
    point->predicted_us = event->predicted_us;
    point->compile_ms = event->compile_ms;
    point->spills = event->spills;
    point->temperature_c = event->temperature_c;
    point->frequency_mhz = event->frequency_mhz;
}

tune_news tune_state_blame(tune_state *state, const char *candidate, upconv_tune_verdict verdict, const char *reason)
{
    const upconv_tune_event event = {
        .candidate = candidate, .verdict = verdict, .reason = reason, .spent_ns = state->spent_ns};
    tune_news news = {.kind = UPCONV_TUNE_TRIED, .layer = &state->layers[state->at]};
    hear_point(news.layer, &event, &news);
    return news;
}

// The peaks may have been measured once more, and higher: what was said of earlier layers followed from the lower ones.
static void apply_peaks(tune_state *state)
{
    const upconv_peaks *p = &state->peaks;
    for (size_t i = 0; i < state->count && p->f32_gflops > 0 && p->copy_gbytes > 0; i++) {
        upconv_tune_summary *s = &state->layers[i].summary;
        const bool half = p->f16_gflops > 0 && strstr(s->problem, "+sum16");
        if (!(s->roofline_us > 0))
            continue;
        s->roofline_us = fmax(s->flops / (half ? p->f16_gflops : p->f32_gflops), s->bytes / p->copy_gbytes) / 1e3;
        s->default_share = s->default_us > 0 ? s->roofline_us / s->default_us : 0;
        s->tuned_share = s->tuned_us > 0 ? s->roofline_us / s->tuned_us : 0;
    }
}

static void hear_event(tune_state *state, const cJSON *object, tune_news *news)
{
    upconv_tune_event event = {.candidate = "", .stage = "", .reason = ""};
    tune_fields_read(&tune_event_fields, object, &event);
    if (event.problem >= state->count && event.kind != UPCONV_TUNE_RUN_BEGIN && event.kind != UPCONV_TUNE_RUN_END)
        return;
    const cJSON *summary = cJSON_GetObjectItemCaseSensitive(object, "summary");
    tune_layer *layer = event.problem < state->count ? &state->layers[event.problem] : NULL;
    const bool about = event.kind == UPCONV_TUNE_COMPILING || event.kind == UPCONV_TUNE_RUNNING;
    snprintf(state->candidate, sizeof state->candidate, "%s", about ? event.candidate : "");
    snprintf(state->stage, sizeof state->stage, "%s", about ? event.stage : "");
    state->words = (int64_t)number_of(object, "words");
    state->spent_ns = event.spent_ns;
    state->budget_ns = event.budget_ns;
    state->heard = session_seconds();
    state->temperature_c = event.temperature_c;
    state->frequency_mhz = event.frequency_mhz;
    news->kind = event.kind;
    if (event.kind == UPCONV_TUNE_RUN_BEGIN || event.kind == UPCONV_TUNE_RUN_END || !layer)
        return;
    news->layer = layer;
    state->at = event.problem;
    layer->begun = true;
    tune_fields_read(&tune_peaks_fields, cJSON_GetObjectItemCaseSensitive(object, "peaks"), &state->peaks);
    if (cJSON_IsObject(summary))
        tune_fields_read(&tune_summary_fields, summary, &layer->summary);
    if (cJSON_GetObjectItemCaseSensitive(object, "peaks"))
        apply_peaks(state);
    if (event.kind == UPCONV_TUNE_TRIED || event.kind == UPCONV_TUNE_LISTED)
        hear_point(layer, &event, news);
    if (event.kind == UPCONV_TUNE_PROBLEM_END)
        layer->ended = true;
}

static void hear_end(tune_state *state, const cJSON *object)
{
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(object, "error");
    state->status = (upconv_status)number_of(object, "status");
    snprintf(state->error, sizeof state->error, "%s", cJSON_IsString(why) ? why->valuestring : "");
    tune_fields_read(&tune_result_fields, object, &state->result);
    state->candidate[0] = 0;
}

tune_news tune_state_hear(tune_state *state, const char *line)
{
    tune_news news = {.kind = -1};
    cJSON *object = cJSON_Parse(line);
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(object, "kind");
    if (cJSON_IsNumber(kind) && kind->valueint == TUNE_SAYS_DEVICE) {
        tune_fields_read(&tune_device_fields, cJSON_GetObjectItemCaseSensitive(object, "device"), &state->device);
        news.kind = TUNE_SAYS_DEVICE;
    } else if (cJSON_IsNumber(kind) && kind->valueint == TUNE_SAYS_END) {
        hear_end(state, object);
        news.kind = TUNE_SAYS_END;
    } else if (cJSON_IsNumber(kind)) {
        hear_event(state, object, &news);
    }
    cJSON_Delete(object);
    return news;
}
