#include "statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "tensors.h"

// The statistics of one step, as text and as JSON.
typedef struct figures {
    char *text; // "Instruction Count 93, ..."; NULL: none
    cJSON *object;
    bool failed;
} figures;

static void add(void *user, const char *name, double value)
{
    figures *f = user;
    size_t length = f->text ? strlen(f->text) : 0;
    char *grown = realloc(f->text, length + strlen(name) + 40);
    if (!grown) {
        f->failed = true;
        return;
    }
    sprintf(grown + length, "%s%s %.10g", length ? ", " : "", name, value);
    f->text = grown;
    if (!cJSON_AddNumberToObject(f->object, name, value))
        f->failed = true;
}

static void finish(figures *f)
{
    free(f->text);
    cJSON_Delete(f->object);
}

// What was printed of the steps before: those that run one program have the same figures and share a line.
typedef struct steps {
    const report *report;
    cJSON *array; // JSON
    char *text;   // of the steps first .. last
    uint32_t first, last;
} steps;

static void print_steps(steps *s)
{
    if (s->text && s->first == s->last)
        printf("  step %u: %s\n", s->first, s->text);
    else if (s->text)
        printf("  steps %u to %u: %s\n", s->first, s->last, s->text);
    free(s->text);
    s->text = NULL;
}

static bool add_step(steps *s, uint32_t step, figures *f)
{
    if (s->report->json) {
        cJSON *entry = cJSON_CreateObject();
        if (!entry || !cJSON_AddNumberToObject(entry, "step", step) || !cJSON_AddItemToArray(s->array, entry)) {
            cJSON_Delete(entry);
            return false;
        }
        if (!cJSON_AddItemToObject(entry, "statistics", f->object))
            return false;
        f->object = NULL;
        return true;
    }
    const char *text = f->text ? f->text : "the driver gives no statistics";
    if (s->text && s->last + 1 == step && !strcmp(s->text, text)) {
        s->last = step;
        return true;
    }
    print_steps(s);
    s->text = strdup(text);
    s->first = s->last = step;
    return s->text != NULL;
}

static bool all_steps(steps *s, const upconv_plan *plan, uint32_t count)
{
    bool fine = true;
    for (uint32_t step = 0; step < count && fine; step++) {
        figures f = {.object = cJSON_CreateObject()};
        fine = f.object != NULL;
        // a step that is no kernel (a host function, another library's product) has none
        if (fine && upconv_plan_statistics(plan, step, add, &f) == UPCONV_OK)
            fine = !f.failed && add_step(s, step, &f);
        finish(&f);
    }
    if (!s->report->json)
        print_steps(s);
    free(s->text);
    return fine;
}

static bool print(const report *r, const named_problem *item, const upconv_problem *problem, const upconv_plan *plan,
                  const upconv_plan_info *info)
{
    steps s = {.report = r};
    if (!r->json) {
        printf("%s %s: %s %s, %u step%s, %llu bytes of workspace, %.1f ms in compilers\n",
               *item->name ? item->name : "-", item->text, info->solver, info->config, info->dispatches,
               info->dispatches == 1 ? "" : "s", (unsigned long long)info->workspace_bytes, info->compile_ms);
        return all_steps(&s, plan, info->dispatches);
    }
    cJSON *line = report_json(r, item, problem);
    bool added = line && session_json_text(line, "solver", info->solver) &&
                 session_json_text(line, "config", info->config) &&
                 cJSON_AddNumberToObject(line, "workspace_bytes", (double)info->workspace_bytes) &&
                 cJSON_AddNumberToObject(line, "plan_ms", info->plan_ms) &&
                 cJSON_AddNumberToObject(line, "compile_ms", info->compile_ms) &&
                 (s.array = cJSON_AddArrayToObject(line, "steps")) && all_steps(&s, plan, info->dispatches);
    if (!added) {
        cJSON_Delete(line);
        line = NULL;
    }
    return report_print_json(line);
}

bool statistics_problem(const report *r, upconv_context *context, const measure_options *options,
                        const named_problem *item, const upconv_problem *problem, char *error, size_t error_size)
{
    tensors t;
    upconv_plan *plan = NULL;
    upconv_plan_info info = {.struct_size = sizeof info};
    if (!tensors_init(&t, problem, error, error_size))
        return false;
    upconv_status status = tensors_plan(&t, context, options->solver, options->effort, &plan);
    tensors_finish(&t);
    if (status == UPCONV_OK)
        status = upconv_plan_info_get(plan, &info);
    if (status != UPCONV_OK)
        snprintf(error, error_size, "%s", upconv_last_error());
    bool fine = status == UPCONV_OK && print(r, item, problem, plan, &info);
    if (status == UPCONV_OK && !fine)
        snprintf(error, error_size, "no memory for the statistics");
    upconv_plan_destroy(plan);
    return fine;
}
