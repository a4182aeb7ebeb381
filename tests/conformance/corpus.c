#include "corpus.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool case_wrong(corpus_case *item, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(item->why, sizeof item->why, format, list);
    va_end(list);
    return false;
}

bool name_among(const char *name, const char *names)
{
    const size_t length = strlen(name);
    for (const char *at = names; *at; at += strspn(at, " ")) {
        const size_t word = strcspn(at, " ");
        if (word == length && !memcmp(at, name, length))
            return true;
        at += word;
    }
    return false;
}

static cJSON *read_json(const char *path, char *why, size_t why_size)
{
    size_t size;
    char *text = file_read(path, &size, why, why_size);
    if (!text)
        return NULL;
    cJSON *json = cJSON_ParseWithLength(text, size);
    free(text);
    if (!json)
        snprintf(why, why_size, "%.400s is no JSON", path);
    return json;
}

cJSON *corpus_index(const char *corpus, char *why, size_t why_size)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/index.json", corpus) >= (int)sizeof path) {
        snprintf(why, why_size, "the corpus' path is too long");
        return NULL;
    }
    cJSON *index = read_json(path, why, why_size);
    if (index && !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(index, "cases"))) {
        snprintf(why, why_size, "%s has no list of cases", path);
        cJSON_Delete(index);
        return NULL;
    }
    return index;
}

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool whole_number(const cJSON *number, double least, double most)
{
    return cJSON_IsNumber(number) && number->valuedouble == floor(number->valuedouble) &&
           number->valuedouble >= least && number->valuedouble <= most;
}

static void read_tolerance(const cJSON *object, double *rtol, double *atol)
{
    const cJSON *tolerance = cJSON_GetObjectItemCaseSensitive(object, "tolerance");
    const cJSON *relative = cJSON_GetObjectItemCaseSensitive(tolerance, "rtol");
    const cJSON *absolute = cJSON_GetObjectItemCaseSensitive(tolerance, "atol");
    *rtol = cJSON_IsNumber(relative) ? relative->valuedouble : *rtol;
    *atol = cJSON_IsNumber(absolute) ? absolute->valuedouble : *atol;
}

static bool read_tensor(corpus_case *item, const cJSON *json, corpus_tensor *tensor)
{
    tensor->name = text_of(json, "name");
    tensor->file = text_of(json, "file");
    tensor->dtype = text_of(json, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(json, "shape");
    if (!tensor->name || !tensor->file || !tensor->dtype || !cJSON_IsArray(shape))
        return case_wrong(item, "a tensor of case.json lacks its name, file, dtype or shape");
    const cJSON *extent;
    cJSON_ArrayForEach(extent, shape)
    {
        if (tensor->rank == NPY_MAX_RANK || !whole_number(extent, 0, INT32_MAX))
            return case_wrong(item, "the shape of %s in case.json is malformed", tensor->name);
        tensor->shape[tensor->rank++] = (int64_t)extent->valuedouble;
    }
    const char *layout = text_of(json, "layout");
    if (layout && strlen(layout) != (size_t)tensor->rank)
        return case_wrong(item, "the layout of %s is %s, but it has %d axes", tensor->name, layout,
                          tensor->rank);
    snprintf(tensor->layout, sizeof tensor->layout, "%s", layout ? layout : "");
    read_tolerance(item->json, &tensor->rtol, &tensor->atol);
    read_tolerance(json, &tensor->rtol, &tensor->atol);
    return true;
}

static bool read_tensors(corpus_case *item, const char *key, corpus_tensor *tensors, int *count)
{
    const cJSON *json, *list = cJSON_GetObjectItemCaseSensitive(item->json, key);
    cJSON_ArrayForEach(json, list)
    {
        if (*count == MAX_TENSORS)
            return case_wrong(item, "case.json has more than %d %s", MAX_TENSORS, key);
        if (!read_tensor(item, json, &tensors[(*count)++]))
            return false;
    }
    return *count > 0 || case_wrong(item, "case.json has no %s", key);
}

bool case_load(const char *corpus, const char *path, corpus_case *item)
{
    memset(item, 0, sizeof *item);
    item->id = path; // until case.json has said better
    if (snprintf(item->folder, sizeof item->folder, "%s/%s", corpus, path) >= (int)sizeof item->folder)
        return case_wrong(item, "the path is too long");
    char file[sizeof item->folder + 16];
    snprintf(file, sizeof file, "%s/case.json", item->folder);
    item->json = read_json(file, item->why, sizeof item->why);
    if (!item->json)
        return false;
    const char *id = text_of(item->json, "id");
    item->id = id ? id : path;
    item->dialect = text_of(item->json, "dialect");
    item->op = text_of(item->json, "op");
    item->attributes = cJSON_GetObjectItemCaseSensitive(item->json, "attributes");
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(item->json, "schema");
    if (!item->dialect || !item->op)
        return case_wrong(item, "case.json lacks its dialect or op");
    if (!whole_number(schema, 1, 1))
        return case_wrong(item, "case.json is of another schema than 1");
    return read_tensors(item, "inputs", item->inputs, &item->input_count) &&
           read_tensors(item, "outputs", item->outputs, &item->output_count);
}

void case_finish(corpus_case *item)
{
    for (int i = 0; i < item->input_count; i++)
        npy_finish(&item->inputs[i].array);
    for (int i = 0; i < item->output_count; i++)
        npy_finish(&item->outputs[i].array);
    cJSON_Delete(item->json);
    item->json = NULL;
}

bool tensor_load(corpus_case *item, corpus_tensor *tensor)
{
    if (tensor->array.data)
        return true;
    char path[sizeof item->folder + 512];
    if (snprintf(path, sizeof path, "%s/%s", item->folder, tensor->file) >= (int)sizeof path)
        return case_wrong(item, "the path of %s is too long", tensor->name);
    if (!npy_read(path, &tensor->array, item->why, sizeof item->why))
        return false;
    if (strcmp(tensor->array.type, tensor->dtype))
        return case_wrong(item, "%s is %s, but case.json says %s", tensor->file, tensor->array.type,
                          tensor->dtype);
    bool same = tensor->array.rank == tensor->rank;
    for (int i = 0; same && i < tensor->rank; i++)
        same = tensor->array.shape[i] == tensor->shape[i];
    return same || case_wrong(item, "%s has another shape than case.json says", tensor->file);
}

corpus_tensor *case_input(corpus_case *item, const char *names)
{
    for (int i = 0; i < item->input_count; i++)
        if (name_among(item->inputs[i].name, names))
            return &item->inputs[i];
    return NULL;
}

// ------------------------------------------------------------------------------------------------ attributes

const cJSON *attribute(const corpus_case *item, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item->attributes, name);
    return cJSON_IsNull(value) ? NULL : value;
}

bool attribute_text(corpus_case *item, const char *name, const char *otherwise, const char **text)
{
    const cJSON *value = attribute(item, name);
    *text = value ? cJSON_GetStringValue(value) : otherwise;
    return !value || *text || case_wrong(item, "attribute %s is no text", name);
}

int attribute_list(corpus_case *item, const char *name, int most, int32_t *values)
{
    const cJSON *value = attribute(item, name), *entry;
    if (!value)
        return 0;
    if (whole_number(value, INT32_MIN, INT32_MAX)) {
        values[0] = (int32_t)value->valuedouble;
        return 1;
    }
    int count = 0;
    bool good = cJSON_IsArray(value) && cJSON_GetArraySize(value) <= most;
    cJSON_ArrayForEach(entry, value)
    {
        good = good && whole_number(entry, INT32_MIN, INT32_MAX);
        if (good)
            values[count++] = (int32_t)entry->valuedouble;
    }
    if (good)
        return count;
    case_wrong(item, "attribute %s is no list of at most %d integers", name, most);
    return -1;
}

bool attribute_ints(corpus_case *item, const char *name, int count, int32_t otherwise, int32_t *values)
{
    values[0] = otherwise;
    const int given = attribute_list(item, name, count, values);
    if (given < 0)
        return false;
    if (given > 1 && given != count)
        return case_wrong(item, "attribute %s has %d entries, not %d", name, given, count);
    for (int i = 1; given <= 1 && i < count; i++)
        values[i] = values[0];
    return true;
}

bool attribute_int(corpus_case *item, const char *name, int32_t otherwise, int32_t *value)
{
    return attribute_ints(item, name, 1, otherwise, value);
}

bool attributes_known(corpus_case *item, const char *names)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, item->attributes)
    {
        if (!name_among(entry->string, names))
            return case_wrong(item, "unknown attribute %s", entry->string);
    }
    return true;
}
