#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "session.h"

// Shares of the peaks that a measurement reached, and which of the two bounds its time from below.
typedef struct roof {
    double fma, copy;
    const char *bound;
} roof;

static bool has_peaks(const report *r) { return r->peaks.f32_gflops > 0 && r->peaks.copy_gbytes > 0; }

static roof roof_of(const report *r, const measurement *m)
{
    double most = m->f16_sums && r->peaks.f16_gflops > 0 ? r->peaks.f16_gflops : r->peaks.f32_gflops;
    double fma = m->gflops / most, copy = m->gbytes / r->peaks.copy_gbytes;
    return (roof){fma, copy, fma >= copy ? "fma" : "copy"};
}

const char *report_name(const named_problem *item) { return *item->name ? item->name : item->text; }

void report_device(const report *r)
{
    printf("# %s, %s, %s; times by %s\n", r->device.name, backend_choices[r->device.backend], r->device.driver,
           r->device.timestamps ? "the device's clock" : "the host's clock");
}

bool report_peaks(const report *r)
{
    if (!r->json) {
        printf("# measured peaks: %.1f GFLOPS of multiply-adds in f32, ", r->peaks.f32_gflops);
        if (r->peaks.f16_gflops > 0)
            printf("%.1f in f16, ", r->peaks.f16_gflops);
        printf("%.1f GB/s of copying\n", r->peaks.copy_gbytes);
        return true;
    }
    cJSON *line = cJSON_CreateObject();
    bool added = line && cJSON_AddStringToObject(line, "backend", backend_choices[r->device.backend]) &&
                 session_json_text(line, "device", r->device.name) &&
                 cJSON_AddNumberToObject(line, "peak_f32_gflops", r->peaks.f32_gflops) &&
                 cJSON_AddNumberToObject(line, "peak_f16_gflops", r->peaks.f16_gflops) &&
                 cJSON_AddNumberToObject(line, "peak_copy_gbytes", r->peaks.copy_gbytes);
    if (!added) {
        cJSON_Delete(line);
        line = NULL;
    }
    return report_print_json(line);
}

void report_roof_header(const report *r)
{
    if (has_peaks(r))
        printf(" %6s %6s %-5s", "fma %", "copy %", "bound");
}

void report_roof(const report *r, const measurement *m)
{
    if (!has_peaks(r))
        return;
    roof at = roof_of(r, m);
    printf(" %6.1f %6.1f %-5s", at.fma * 100, at.copy * 100, at.bound);
}

void report_header(const report *r)
{
    printf("%-16s %-10s %12s %12s %9s %8s", "name", "solver", "median us", "best us", "GFLOPS", "GB/s");
    report_roof_header(r);
    printf("  %-44s %s\n", "problem", "config");
}

cJSON *report_json(const report *r, const named_problem *item, const upconv_problem *problem)
{
    char *text = session_problem_text(problem);
    cJSON *line = cJSON_CreateObject();
    bool added = text && line && session_json_text(line, "name", item->name) &&
                 session_json_text(line, "problem", text) &&
                 cJSON_AddStringToObject(line, "backend", backend_choices[r->device.backend]) &&
                 session_json_text(line, "device", r->device.name);
    free(text);
    if (added)
        return line;
    cJSON_Delete(line);
    return NULL;
}

bool report_add_measurement(const report *r, cJSON *line, const measurement *m)
{
    bool added = line && session_json_text(line, "solver", m->solver) && session_json_text(line, "config", m->config) &&
                 cJSON_AddNumberToObject(line, "median_us", m->median_us) &&
                 cJSON_AddNumberToObject(line, "best_us", m->best_us) &&
                 cJSON_AddNumberToObject(line, "gflops", m->gflops) &&
                 cJSON_AddNumberToObject(line, "workspace_bytes", (double)m->workspace_bytes) &&
                 cJSON_AddNumberToObject(line, "plan_ms", m->plan_ms);
    if (!added || !has_peaks(r))
        return added;
    roof at = roof_of(r, m);
    return cJSON_AddNumberToObject(line, "fma_share", at.fma) && cJSON_AddNumberToObject(line, "copy_share", at.copy) &&
           cJSON_AddStringToObject(line, "bound", at.bound);
}

bool report_print_json(cJSON *line)
{
    char *text = line ? cJSON_PrintUnformatted(line) : NULL;
    bool fine = text != NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
    return fine;
}

bool report_line(const report *r, const named_problem *item, const upconv_problem *problem, const measurement *m)
{
    if (r->json) {
        cJSON *line = report_json(r, item, problem);
        if (!report_add_measurement(r, line, m)) {
            cJSON_Delete(line);
            return false;
        }
        return report_print_json(line);
    }
    printf("%-16s %-10s %12.1f %12.1f %9.2f %8.2f", *item->name ? item->name : "-", m->solver, m->median_us, m->best_us,
           m->gflops, m->gbytes);
    report_roof(r, m);
    printf("  %-44s %s\n", item->text, m->config);
    return true;
}
