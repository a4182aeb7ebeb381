#include "record_set.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

static record *append(record_set *set)
{
    if (set->count == set->capacity) {
        const size_t capacity = set->capacity ? 2 * set->capacity : 64;
        record *all = realloc(set->all, capacity * sizeof *all);
        if (!all)
            return NULL;
        set->all = all;
        set->capacity = capacity;
    }
    record *added = &set->all[set->count];
    *added = (record){.order = set->count};
    return added;
}

void record_set_finish(record_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->all[i].words);
    for (size_t i = 0; i < set->text_count; i++)
        free(set->texts[i]);
    free(set->all);
    free(set->texts);
    *set = (record_set){0};
}

// ---------------------------------------------------------------------------------------------------- reading

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

// "phase:tile=4,oc=8", in the order of the line. Returns the length that it has, as snprintf.
static size_t print_solver(const cJSON *object, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "%s", text_of(object, "solver"));
    const cJSON *knob;
    const char *between = ":";
    cJSON_ArrayForEach(knob, cJSON_GetObjectItemCaseSensitive(object, "config"))
    {
        length += (size_t)snprintf(text ? text + length : NULL, text ? size - length : 0, "%s%s=%.0f", between,
                                   knob->string, knob->valuedouble);
        between = ",";
    }
    return length;
}

// Copies what people read of a record into one piece of memory. false: there is none.
static bool read_words(record *to, const cJSON *object)
{
    static const char *const keys[] = {"backend", "device", "driver", "problem", "verdict"};
    enum { KEYS = sizeof keys / sizeof *keys };
    const char **const places[KEYS] = {&to->backend, &to->device, &to->driver, &to->problem, &to->verdict};
    const size_t solver = print_solver(object, NULL, 0) + 1;
    size_t size = solver;
    for (int i = 0; i < KEYS; i++)
        size += strlen(text_of(object, keys[i])) + 1;
    char *at = to->words = malloc(size);
    if (!at)
        return false;
    print_solver(object, at, solver);
    to->solver = at;
    at += solver;
    for (int i = 0; i < KEYS; i++) {
        *places[i] = strcpy(at, text_of(object, keys[i]));
        at += strlen(at) + 1;
    }
    const cJSON *reference = cJSON_GetObjectItemCaseSensitive(object, "reference_us");
    to->reference_us = cJSON_IsNumber(reference) && reference->valuedouble > 0 ? reference->valuedouble : 0;
    return true;
}

// A line that says it is of a later format than this program knows.
static bool newer_format(const cJSON *object)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(object, "format");
    return cJSON_IsNumber(format) && format->valuedouble > 1;
}

typedef enum line_kind { LINE_RECORD, LINE_BAD, LINE_NO_MEMORY } line_kind;

static line_kind read_line(record_set *set, const char *line, size_t length)
{
    record *to = append(set);
    if (!to)
        return LINE_NO_MEMORY;
    to->line = line;
    to->length = length;
    to->info.struct_size = sizeof to->info;
    const bool known = upconv_record_read(line, length, &to->info) == UPCONV_OK;
    // The library has refused what nests too deeply for a parser: only what it took, or might be newer, is parsed here.
    cJSON *object = known || strstr(upconv_last_error(), "format") ? cJSON_ParseWithLength(line, length) : NULL;
    line_kind kind = LINE_BAD;
    if (known && object)
        kind = read_words(to, object) ? LINE_RECORD : LINE_NO_MEMORY;
    else if (known)
        kind = LINE_NO_MEMORY;
    else if (object && newer_format(object))
        kind = LINE_RECORD;
    to->foreign = !known;
    cJSON_Delete(object);
    if (kind == LINE_RECORD)
        set->count++;
    return kind;
}

static void trim(const char **line, size_t *length)
{
    static const char blanks[] = " \t\r";
    while (*length && memchr(blanks, (*line)[*length - 1], 3))
        --*length;
    while (*length && memchr(blanks, **line, 3)) {
        ++*line;
        --*length;
    }
}

static bool read_text(record_set *set, const char *path, const char *text, size_t size)
{
    size_t at = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; // the mark that some editors put before UTF-8
    for (size_t number = 1; at < size; number++) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        at += length + 1;
        trim(&line, &length);
        const line_kind kind = length ? read_line(set, line, length) : LINE_RECORD;
        if (kind == LINE_NO_MEMORY)
            return false;
        if (kind == LINE_BAD) {
            fprintf(stderr, "%s:%zu: %s%s\n", path, number, upconv_last_error(),
                    end ? "" : " (the last line, cut short?)");
            set->bad++;
        }
    }
    return true;
}

bool record_set_read(record_set *set, const char *path, char *error, size_t error_size)
{
    char *text = NULL;
    size_t size = 0;
    if (!file_read(strcmp(path, "-") ? path : "/dev/stdin", &text, &size, error, error_size))
        return false;
    char **texts = realloc(set->texts, (set->text_count + 1) * sizeof *texts);
    if (texts) {
        set->texts = texts;
        texts[set->text_count++] = text;
    } else {
        free(text);
    }
    if (texts && read_text(set, path, text, size))
        return true;
    snprintf(error, error_size, "no memory for the records of %s", path);
    return false;
}

// ---------------------------------------------------------------------------------------------------- ordering

static int by_bytes(const record *a, const record *b)
{
    const int order = memcmp(a->line, b->line, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int by_line(const void *a, const void *b) { return by_bytes(a, b); }

// Same ones side by side, and of those the one that stays first.
static int by_key(const void *a, const void *b)
{
    const record *x = a, *y = b;
    if (x->foreign || y->foreign)
        return x->foreign && y->foreign ? by_bytes(x, y) : x->foreign - y->foreign;
    for (int i = 0; i < 2; i++)
        if (x->info.same[i] != y->info.same[i])
            return x->info.same[i] < y->info.same[i] ? -1 : 1;
    const int newer = strcmp(y->info.date, x->info.date);
    return newer ? newer : (x->order < y->order) - (x->order > y->order);
}

static bool same(const record *a, const record *b)
{
    if (a->foreign || b->foreign)
        return a->foreign && b->foreign && !by_bytes(a, b);
    return a->info.same[0] == b->info.same[0] && a->info.same[1] == b->info.same[1];
}

void record_set_settle(record_set *set)
{
    size_t kept = 0;
    if (set->count)
        qsort(set->all, set->count, sizeof *set->all, by_key);
    for (size_t i = 0; i < set->count; i++) {
        if (kept && same(&set->all[kept - 1], &set->all[i]))
            free(set->all[i].words);
        else
            set->all[kept++] = set->all[i];
    }
    set->replaced += set->count - kept;
    set->count = kept;
    if (kept)
        qsort(set->all, kept, sizeof *set->all, by_line);
}

static int by_group(const void *a, const void *b)
{
    const record *x = a, *y = b;
    if (x->foreign || y->foreign)
        return x->foreign - y->foreign;
    const char *const ours[] = {x->backend, x->device, x->driver, x->problem};
    const char *const theirs[] = {y->backend, y->device, y->driver, y->problem};
    for (int i = 0; i < 4; i++)
        if (strcmp(ours[i], theirs[i]))
            return strcmp(ours[i], theirs[i]);
    const uint64_t numbers[][2] = {{x->info.device, y->info.device}, {x->info.problem, y->info.problem}};
    for (int i = 0; i < 2; i++) // devices of one name, and types that this build does not know
        if (numbers[i][0] != numbers[i][1])
            return numbers[i][0] < numbers[i][1] ? -1 : 1;
    if (x->info.ok != y->info.ok)
        return x->info.ok ? -1 : 1;
    if (x->info.time_us != y->info.time_us)
        return x->info.time_us < y->info.time_us ? -1 : 1;
    return by_bytes(x, y);
}

void record_set_group(record_set *set)
{
    if (set->count)
        qsort(set->all, set->count, sizeof *set->all, by_group);
}

bool record_same_group(const record *a, const record *b)
{
    return !a->foreign && !b->foreign && a->info.device == b->info.device && a->info.driver == b->info.driver &&
           a->info.problem == b->info.problem;
}

bool record_set_write(const record_set *set, FILE *file)
{
    for (size_t i = 0; i < set->count; i++)
        if (fwrite(set->all[i].line, 1, set->all[i].length, file) != set->all[i].length || fputc('\n', file) == EOF)
            return false;
    return true;
}
