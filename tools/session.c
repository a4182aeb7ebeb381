#include "session.h"

#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const backend_choices[] = {"any", "vulkan", "opencl", "cpu", NULL};

static int rank(const upconv_device_info *info)
{
    static const int ranks[] = {[UPCONV_DEVICE_DISCRETE] = 3,
                                [UPCONV_DEVICE_INTEGRATED] = 2,
                                [UPCONV_DEVICE_OTHER] = 1,
                                [UPCONV_DEVICE_CPU] = 0};
    unsigned kind = (unsigned)info->kind;
    return kind < sizeof ranks / sizeof *ranks ? ranks[kind] : 0;
}

// Finds the best device; false where there is none at all.
static bool best_device(upconv_device_info *best)
{
    bool found = false;
    upconv_device_info info = {.struct_size = sizeof info};
    for (int32_t i = 0; upconv_device_at(i, &info) == UPCONV_OK; i++) {
        if (!found || rank(&info) > rank(best))
            *best = info;
        found = true;
    }
    return found;
}

upconv_status session_open(const session_options *options, upconv_context **context, upconv_device_info *info)
{
    upconv_context_params params = {
        .struct_size = sizeof params, .backend = (upconv_backend)options->backend, .device = options->device,
        .statistics = options->statistics};
    upconv_device_info best;
    char index[16];
    bool wish = options->backend != UPCONV_BACKEND_ANY || options->device || getenv("UPCONV_BACKEND") ||
                getenv("UPCONV_DEVICE");
    if (!wish && best_device(&best)) {
        snprintf(index, sizeof index, "%d", best.index);
        params.backend = best.backend;
        params.device = index;
    }
    upconv_context *opened = NULL;
    upconv_status status = upconv_context_create(&params, &opened);
    if (status == UPCONV_OK && info) {
        info->struct_size = sizeof *info;
        status = upconv_context_device(opened, info);
    }
    if (status != UPCONV_OK)
        upconv_context_destroy(opened);
    else
        *context = opened;
    return status;
}

upconv_status session_import(upconv_context *context, const char *text, size_t length)
{
    const upconv_status status = length ? upconv_tuning_import(context, text, length) : UPCONV_OK;
    const bool torn = length && *text == '{' && !memchr(text, '\n', length);
    return status == UPCONV_ERROR_DATA && torn ? UPCONV_OK : status;
}

bool session_records(const tool_command *command, upconv_context *context, const char *path)
{
    char error[512];
    size_t size = 0;
    char *text = NULL;
    if (!path)
        return true;
    if (!file_read(path, &text, &size, error, sizeof error)) {
        failure(command, "%s", error);
        return false;
    }
    const bool fine = session_import(context, text, size) == UPCONV_OK;
    if (!fine)
        failure(command, "%s: %s", path, upconv_last_error());
    free(text);
    return fine;
}

bool session_problem(const tool_command *command, const char *text, upconv_problem *problem)
{
    size_t at = 0;
    if (upconv_problem_parse(text, problem, &at) == UPCONV_OK)
        return true;
    size_t length = strlen(text);
    if (at > length)
        at = length;
    fprintf(stderr, "upconv %s: %s\n  %s\n  %*s^\n", command->name, upconv_last_error(), text, (int)at, "");
    return false;
}

bool session_floats(const tool_command *command, const upconv_problem *problem)
{
    if (problem->type <= UPCONV_F16)
        return true;
    fprintf(stderr, "upconv %s: quantised types cannot be compared with other libraries\n", command->name);
    return false;
}

char *session_problem_text(const upconv_problem *problem)
{
    size_t length = 0;
    if (upconv_problem_print(problem, NULL, 0, &length) != UPCONV_OK)
        return NULL;
    char *text = malloc(length + 1);
    if (text && upconv_problem_print(problem, text, length + 1, NULL) != UPCONV_OK) {
        free(text);
        text = NULL;
    }
    return text;
}

// The length of the UTF-8 character at text, 0 where there is none.
static size_t utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead;
        size_t length;
        unsigned long first;
    } forms[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if ((text[0] & forms[f].mask) != forms[f].lead)
            continue;
        unsigned long point = text[0] & (unsigned char)~forms[f].mask;
        for (size_t i = 1; i < forms[f].length; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text[i] & 0x3f);
        }
        bool surrogate = point >= 0xd800 && point < 0xe000;
        return point < forms[f].first || point > 0x10ffff || surrogate ? 0 : forms[f].length;
    }
    return 0;
}

bool session_json_text(cJSON *object, const char *key, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return false;
    for (size_t at = 0; copy[at];) {
        size_t length = utf8_length((const unsigned char *)copy + at);
        if (length == 0)
            copy[at] = '?';
        at += length ? length : 1;
    }
    bool added = cJSON_AddStringToObject(object, key, copy) != NULL;
    free(copy);
    return added;
}

bool session_terminal(void) { return isatty(STDERR_FILENO) == 1; }

double session_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
