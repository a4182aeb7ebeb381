// The child's loop: a line of JSON in, a line of JSON out.
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "rival_engine.h"
#include "session.h"

enum { MOST_RUNS = 500, LINE = 65536 };

void rival_fill(float *data, size_t count)
{
    unsigned x = 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (float)(x >> 24) / 256.0f - 0.498f;
    }
}

static void answer(FILE *out, const char *key, const char *text)
{
    cJSON *object = cJSON_CreateObject();
    char *line = object && session_json_text(object, key, text) ? cJSON_PrintUnformatted(object) : NULL;
    fprintf(out, "%s\n", line ? line : "{\"refused\": \"no memory\"}");
    fflush(out);
    cJSON_free(line);
    cJSON_Delete(object);
}

static void answer_times(FILE *out, const double *us, int count)
{
    fputs("{\"us\": [", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s%.3f", i ? ", " : "", us[i]);
    fputs("]}\n", out);
    fflush(out);
}

static void run(const rival_engine *engine, void *state, double seconds, bool warm, FILE *out)
{
    double us[MOST_RUNS];
    char text[512] = "";
    int count = 0;
    bool fine = !warm || engine->run(state, text, sizeof text);
    double start = session_seconds();
    while (fine && count < MOST_RUNS && (count == 0 || session_seconds() - start < seconds)) {
        double before = session_seconds();
        fine = engine->run(state, text, sizeof text);
        us[count++] = (session_seconds() - before) * 1e6;
    }
    if (fine)
        answer_times(out, us, count);
    else
        answer(out, "refused", text);
}

static void prepare(const rival_engine *engine, void *state, const cJSON *given, FILE *out)
{
    char text[512] = "";
    const char *notation = cJSON_GetStringValue(cJSON_GetObjectItem(given, "text"));
    upconv_problem problem = {.struct_size = sizeof problem};
    if (!notation || upconv_problem_parse(notation, &problem, NULL) != UPCONV_OK) {
        answer(out, "refused", upconv_last_error());
        return;
    }
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    if (upconv_problem_sizes(&problem, &sizes) == UPCONV_OK)
        memcpy(problem.out, sizes.out, sizeof problem.out);
    bool fine = engine->prepare(state, &problem, text, sizeof text);
    answer(out, fine ? "ready" : "refused", text);
}

void rival_serve(const rival_engine *engine, FILE *in, FILE *out)
{
    char text[512] = "";
    void *state = NULL;
    char *line = malloc(LINE);
    while (line && fgets(line, LINE, in)) {
        cJSON *request = cJSON_Parse(line);
        const cJSON *seconds = cJSON_GetObjectItem(request, "run");
        const cJSON *problem = cJSON_GetObjectItem(request, "problem");
        if (cJSON_GetObjectItem(request, "device")) {
            state = engine->open(text, sizeof text);
            answer(out, state ? "hello" : "refused", text);
        } else if (!state) {
            answer(out, "refused", "not open");
        } else if (problem) {
            prepare(engine, state, problem, out);
        } else if (cJSON_IsNumber(seconds)) {
            run(engine, state, seconds->valuedouble, cJSON_IsTrue(cJSON_GetObjectItem(request, "warm")), out);
        } else {
            answer(out, "refused", "not understood");
        }
        cJSON_Delete(request);
    }
    free(line); // the process ends next: what the library holds goes with it
}
