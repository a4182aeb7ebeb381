// The report of `upconv tune`: a page that needs nothing beside itself. Its plots are drawn from the data in it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "page.h"
#include "tune.h"
#include "tune_line.h"

static bool add_point(cJSON *points, const tune_point *p)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"time_us", p->time_us},
                   {"ratio", p->ratio},
                   {"spread", p->spread},
                   {"predicted_us", p->predicted_us},
                   {"compile_ms", p->compile_ms},
                   {"spent", p->spent},
                   {"temperature_c", p->temperature_c},
                   {"frequency_mhz", p->frequency_mhz}};
    cJSON *item = cJSON_CreateObject();
    bool fine = item && cJSON_AddItemToArray(points, item) && session_json_text(item, "candidate", p->candidate) &&
                session_json_text(item, "verdict", upconv_tune_verdict_name(p->verdict)) &&
                session_json_text(item, "reason", p->reason ? p->reason : "") &&
                cJSON_AddBoolToObject(item, "known", p->known);
    for (size_t i = 0; fine && i < sizeof numbers / sizeof *numbers; i++)
        fine = cJSON_AddNumberToObject(item, numbers[i].name, numbers[i].value) != NULL;
    return fine;
}

static bool add_layer(cJSON *layers, const tune_layer *layer)
{
    cJSON *item = cJSON_CreateObject(), *points = NULL;
    bool fine = item && cJSON_AddItemToArray(layers, item) && session_json_text(item, "name", layer->item->name) &&
                session_json_text(item, "text", layer->item->text) &&
                tune_fields_write(&tune_summary_fields, &layer->summary, item) &&
                cJSON_ReplaceItemInObjectCaseSensitive(
                    item, "stop", cJSON_CreateString(upconv_tune_stop_name(layer->summary.stop))) &&
                (points = cJSON_AddArrayToObject(item, "points"));
    for (size_t i = 0; fine && i < layer->count; i++)
        fine = add_point(points, &layer->points[i]);
    return fine;
}

static bool add_device(cJSON *page, const tune_state *state)
{
    cJSON *device = cJSON_AddObjectToObject(page, "device"), *peaks = cJSON_AddObjectToObject(page, "peaks");
    return device && session_json_text(device, "name", state->device.name) &&
           session_json_text(device, "backend", backend_choices[state->device.backend]) &&
           session_json_text(device, "driver", state->device.driver) && peaks &&
           cJSON_AddNumberToObject(peaks, "f32_gflops", state->peaks.f32_gflops) &&
           cJSON_AddNumberToObject(peaks, "f16_gflops", state->peaks.f16_gflops) &&
           cJSON_AddNumberToObject(peaks, "copy_gbytes", state->peaks.copy_gbytes);
}

static bool add_run(cJSON *page, const tune_options *o, const tune_state *state)
{
    char date[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    size_t count;
    if (gmtime_r(&now, &utc))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
    return session_json_text(page, "version", upconv_version()) && session_json_text(page, "date", date) &&
           session_json_text(page, "strategy", o->strategy ? o->strategy : upconv_tune_strategy_name(0)) &&
           cJSON_AddNumberToObject(page, "seed", o->seed) && cJSON_AddBoolToObject(page, "sustained", o->sustained) &&
           cJSON_AddBoolToObject(page, "replay", o->replay != NULL) &&
           cJSON_AddBoolToObject(page, "interrupted", state->interrupted) &&
           cJSON_AddNumberToObject(page, "budget_s", (double)state->budget_ns * 1e-9) &&
           cJSON_AddNumberToObject(page, "spent_s", (double)state->spent_ns * 1e-9) &&
           cJSON_AddNumberToObject(page, "gain", tune_state_gain(state, &count));
}

// The data as text; NULL without memory.
static char *page_data(const tune_options *o, const tune_state *state)
{
    cJSON *page = cJSON_CreateObject(), *layers = NULL;
    bool fine =
        page && add_run(page, o, state) && add_device(page, state) && (layers = cJSON_AddArrayToObject(page, "layers"));
    for (size_t i = 0; fine && i < state->count; i++)
        if (state->layers[i].begun)
            fine = add_layer(layers, &state->layers[i]);
    char *text = fine ? cJSON_PrintUnformatted(page) : NULL;
    cJSON_Delete(page);
    return text;
}

bool tune_report_write(const tune_options *options, const tune_state *state, char *error, size_t size)
{
    file_writer writer;
    char *data = page_data(options, state);
    if (!data) {
        snprintf(error, size, "no memory for the report");
        return false;
    }
    const bool open = file_writer_open(&writer, options->report, error, size);
    if (open) {
        fputs(page_before, writer.file);
        for (const char *at = data; *at; at++)
            if (*at == '<') // no text may end the script that the data stands in
                fputs("\\u003c", writer.file);
            else
                fputc(*at, writer.file);
        fputs(page_after, writer.file);
    }
    cJSON_free(data);
    return open && file_writer_close(&writer, error, size);
}
