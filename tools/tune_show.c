// What a person sees of `upconv tune`: progress, what failed, a table at the end; or lines of JSON.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report.h"
#include "tune.h"
#include "tune_line.h"

// ------------------------------------------------------------------------------------------------------ progress

static int columns(void)
{
    struct winsize window;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col : 80;
}

// "1h02m", "4m10s", "12s".
static void print_time(char *text, size_t size, double seconds)
{
    const long whole = seconds > 0 ? lround(fmin(seconds, 1e8)) : 0;
    if (whole >= 3600)
        snprintf(text, size, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        snprintf(text, size, "%ldm%02lds", whole / 60, whole % 60);
    else
        snprintf(text, size, whole < 10 ? "%.1fs" : "%.0fs", fmax(seconds, 0));
}

// Seconds left: of the budget, or by the share of the space that was seen. Negative: nobody knows.
static double time_left(const tune_state *state)
{
    const double spent = (double)state->spent_ns * 1e-9 + (state->heard > 0 ? session_seconds() - state->heard : 0);
    double done = 0;
    if (state->budget_ns > 0)
        return fmax(0, (double)state->budget_ns * 1e-9 - spent);
    for (size_t i = 0; i < state->count; i++) {
        const tune_layer *layer = &state->layers[i];
        const double tried = fmax(layer->summary.tried, (double)layer->count);
        done += layer->ended ? 1 : layer->summary.space > 0 ? fmin(1, tried / layer->summary.space) : 0;
    }
    return done > 0 ? spent * ((double)state->count / done - 1) : -1;
}

void tune_show_progress(const tune_options *options, const tune_state *state)
{
    char line[512], left[32] = "";
    if (!options->progress || !state->count)
        return;
    const tune_layer *layer = &state->layers[state->at];
    const upconv_tune_summary *s = &layer->summary;
    const double seconds = time_left(state);
    if (seconds >= 0)
        print_time(left, sizeof left, seconds);
    int length = snprintf(line, sizeof line, "[%zu/%zu] %s", state->at + 1, state->count, report_name(layer->item));
    if (!layer->begun)
        length = snprintf(line, sizeof line, "opening the device");
    else if (!options->dry_run)
        length += snprintf(line + length, sizeof line - (size_t)length, " %u of %.0f tried, %.2fx", s->tried, s->space,
                           s->gain > 0 ? s->gain : 1.0);
    else
        length += snprintf(line + length, sizeof line - (size_t)length, " %zu of %.0f listed", layer->count, s->space);
    if (*left && length < (int)sizeof line)
        length += snprintf(line + length, sizeof line - (size_t)length, ", %s left", left);
    if (*state->candidate && length < (int)sizeof line)
        snprintf(line + length, sizeof line - (size_t)length, "  %s %s", *state->stage ? state->stage : "compile",
                 state->candidate);
    fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
}

void tune_show_nothing(const tune_options *options)
{
    if (options->progress)
        fputs("\r\033[K", stderr);
}

// ---------------------------------------------------------------------------------------------------- while it runs

static const char *or_dash(const char *text) { return *text ? text : "-"; }

static void show_listed(const tune_options *options, const tune_layer *layer, const tune_point *point)
{
    cJSON *line = options->json ? cJSON_CreateObject() : NULL;
    tune_show_nothing(options);
    if (!options->json) {
        printf("%-16s %-60s %12.1f us", or_dash(layer->item->name), point->candidate, point->predicted_us);
        if (point->verdict != UPCONV_TUNE_NONE)
            printf("  %s: %s", upconv_tune_verdict_name(point->verdict), point->reason ? point->reason : "");
        putchar('\n');
        return;
    }
    const bool fine = line && session_json_text(line, "name", layer->item->name) &&
                      session_json_text(line, "problem", layer->summary.problem) &&
                      session_json_text(line, "candidate", point->candidate) &&
                      session_json_text(line, "verdict", upconv_tune_verdict_name(point->verdict)) &&
                      session_json_text(line, "reason", point->reason ? point->reason : "") &&
                      cJSON_AddNumberToObject(line, "predicted_us", point->predicted_us) &&
                      cJSON_AddNumberToObject(line, "compile_ms", point->compile_ms) &&
                      cJSON_AddNumberToObject(line, "spills", point->spills);
    if (fine) {
        report_print_json(line);
        return;
    }
    cJSON_Delete(line);
}

void tune_show_news(const tune_options *options, const tune_state *state, const tune_news *news)
{
    if (news->kind == TUNE_SAYS_DEVICE && state->restarts == 0 && !options->json)
        printf("# %s, %s, %s; times by %s\n", state->device.name, backend_choices[state->device.backend],
               state->device.driver,
               options->replay            ? "a recorded run"
               : state->device.timestamps ? "the device's clock"
                                          : "the host's clock");
    if (!news->point || !news->first)
        return;
    if (news->kind == UPCONV_TUNE_LISTED)
        show_listed(options, news->layer, news->point);
    if (news->point->verdict == UPCONV_TUNE_DISCARDED && !news->point->known &&
        strcmp(news->point->candidate, news->layer->summary.base) == 0) {
        tune_show_nothing(options);
        fprintf(stderr, "upconv tune: %s: the cost model's default, %s, is discarded: %s; another takes its place\n",
                report_name(news->layer->item), news->point->candidate,
                news->point->reason ? news->point->reason : "");
    }
    if (!tune_point_fails(news->point) || news->point->known)
        return;
    tune_show_nothing(options);
    fprintf(stderr, "upconv tune: %s: %s: %s: %s\n", report_name(news->layer->item), news->point->candidate,
            upconv_tune_verdict_name(news->point->verdict), news->point->reason ? news->point->reason : "");
}

// ------------------------------------------------------------------------------------------------------- the table

static void show_row(const tune_options *options, const tune_layer *layer)
{
    const upconv_tune_summary *s = &layer->summary;
    const char *stop = s->stop == UPCONV_TUNE_STOP_NONE ? "-" : upconv_tune_stop_name(s->stop);
    printf("%-16s ", or_dash(layer->item->name));
    if (options->dry_run) {
        printf("%8u %9u %7u", s->tried, s->discarded, s->crashed + s->hung);
    } else if (options->verify_only) {
        printf("%8u %7u %7u %7u %7u %9u", s->tried, s->good, s->wrong, s->crashed + s->hung, s->refused, s->discarded);
    } else {
        printf("%12.1f %12.1f %6.2f", s->default_us, s->tuned_us, s->gain);
        if (s->tuned_share > 0)
            printf(" %7.1f", s->tuned_share * 100);
        else
            printf(" %7s", "-");
        printf(" %7u %6u %7u", s->tried, s->wrong, s->crashed + s->hung);
    }
    printf("  %-15s %s\n", stop, options->dry_run || options->verify_only ? layer->item->text : s->best);
}

static void show_header(const tune_options *options)
{
    if (options->dry_run)
        printf("%-16s %8s %9s %7s  %-15s %s\n", "layer", "listed", "discarded", "crashed", "stopped by", "problem");
    else if (options->verify_only)
        printf("%-16s %8s %7s %7s %7s %7s %9s  %-15s %s\n", "layer", "tried", "right", "wrong", "crashed", "refused",
               "discarded", "stopped by", "problem");
    else
        printf("%-16s %12s %12s %6s %7s %7s %6s %7s  %-15s %s\n", "layer", "default us", "tuned us", "gain", "share %",
               "tried", "wrong", "crashed", "stopped by", "tuned");
}

// What failed, with what is known of it; as much as can be read.
static void show_failures(const tune_options *options, const tune_state *state)
{
    enum { MOST = 40 };
    size_t shown = 0;
    for (size_t i = 0; i < state->count; i++)
        for (size_t p = 0; p < state->layers[i].count; p++) {
            const tune_point *point = &state->layers[i].points[p];
            if (tune_point_fails(point) && ++shown <= MOST)
                printf("# %s: %s: %s: %s%s\n", upconv_tune_verdict_name(point->verdict),
                       report_name(state->layers[i].item), point->candidate, point->reason ? point->reason : "",
                       point->known ? " (known before)" : "");
        }
    if (shown > MOST)
        printf("# and %zu more that failed%s\n", shown - MOST, options->records ? ", in the records" : "");
}

static void show_table(const tune_options *options, const tune_state *state)
{
    char time[32];
    size_t count;
    const double gain = tune_state_gain(state, &count);
    show_header(options);
    for (size_t i = 0; i < state->count; i++)
        if (state->layers[i].begun)
            show_row(options, &state->layers[i]);
    show_failures(options, state);
    print_time(time, sizeof time, (double)state->spent_ns * 1e-9);
    if (count && !options->dry_run && !options->verify_only)
        printf("# geometric mean of the gains over %zu layer%s: %.3f; %s spent%s\n", count, count == 1 ? "" : "s", gain,
               time, state->restarts ? "; the worker was started anew where it died" : "");
    if (options->records && !options->dry_run && !options->verify_only)
        printf("# records: %s\n", options->records);
}

// -------------------------------------------------------------------------------------------------------------- JSON

static bool add_failures(cJSON *line, const tune_layer *layer)
{
    cJSON *list = cJSON_AddArrayToObject(line, "failures");
    bool fine = list != NULL;
    for (size_t p = 0; fine && p < layer->count; p++) {
        const tune_point *point = &layer->points[p];
        if (!tune_point_fails(point))
            continue;
        cJSON *item = cJSON_CreateObject();
        fine = item && cJSON_AddItemToArray(list, item) && session_json_text(item, "candidate", point->candidate) &&
               session_json_text(item, "verdict", upconv_tune_verdict_name(point->verdict)) &&
               session_json_text(item, "reason", point->reason ? point->reason : "");
    }
    return fine;
}

static bool show_json_layer(const tune_state *state, const tune_layer *layer)
{
    upconv_tune_summary s = layer->summary;
    cJSON *line = cJSON_CreateObject();
    bool fine = line && session_json_text(line, "name", layer->item->name) &&
                session_json_text(line, "backend", backend_choices[state->device.backend]) &&
                session_json_text(line, "device", state->device.name) &&
                session_json_text(line, "driver", state->device.driver) &&
                tune_fields_write(&tune_summary_fields, &s, line) && add_failures(line, layer);
    if (fine) { // by its name, which outlives the number
        cJSON_ReplaceItemInObjectCaseSensitive(line, "stop", cJSON_CreateString(upconv_tune_stop_name(s.stop)));
        return report_print_json(line);
    }
    cJSON_Delete(line);
    return false;
}

static bool show_json(const tune_options *options, const tune_state *state)
{
    size_t count;
    const double gain = tune_state_gain(state, &count);
    bool fine = true;
    for (size_t i = 0; fine && i < state->count; i++)
        if (state->layers[i].begun)
            fine = show_json_layer(state, &state->layers[i]);
    cJSON *line = cJSON_CreateObject(), *summary = line ? cJSON_AddObjectToObject(line, "summary") : NULL;
    fine = fine && summary && cJSON_AddNumberToObject(summary, "problems", (double)count) &&
           cJSON_AddNumberToObject(summary, "gain", gain) &&
           cJSON_AddNumberToObject(summary, "spent_ns", (double)state->spent_ns) &&
           cJSON_AddNumberToObject(summary, "restarts", (double)state->restarts) &&
           cJSON_AddBoolToObject(summary, "interrupted", state->interrupted) &&
           (!options->records || session_json_text(summary, "records", options->records));
    if (fine)
        return report_print_json(line);
    cJSON_Delete(line);
    return false;
}

bool tune_show_end(const tune_options *options, const tune_state *state)
{
    bool any = false; // a run that failed at once has no table
    for (size_t i = 0; i < state->count; i++)
        any = any || state->layers[i].count || state->layers[i].ended;
    any = any && (!*state->error || state->spent_ns > 0 || state->finished);
    if (options->json)
        return !any || show_json(options, state);
    if (any)
        show_table(options, state);
    return true;
}
