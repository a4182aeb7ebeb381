#include "records.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../shaders/shaders.h"

enum {
    FORMAT = 1,
    DEEPEST = 16,    // nesting that is read; cJSON recurses, and a phone's thread has little stack
    NAME_BYTES = 640 // of a device's, driver's or problem's text once it is decoded
};

static const char *const backend_names[UPCONV_BACKEND_COUNT] = {"any", "vulkan", "opencl", "cpu"};
static const char *const type_names[UPCONV_TYPE_COUNT] = {"f32", "f16", "u8", "i8", "i16"};

// -------------------------------------------------------------------------------------------------- identity

// Length of the UTF-8 character at `at`, of at most `room` bytes; 0 when it is none.
static size_t utf8_length(const unsigned char *at, size_t room)
{
    static const struct {
        unsigned char mask, lead;
    } forms[] = {{0x80, 0x00}, {0xe0, 0xc0}, {0xf0, 0xe0}, {0xf8, 0xf0}};
    for (size_t length = 1; length <= 4; length++) {
        if ((at[0] & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        if (length > room || at[0] == 0xc0 || at[0] == 0xc1 || at[0] > 0xf4)
            return 0;
        for (size_t i = 1; i < length; i++)
            if ((at[i] & 0xc0) != 0x80)
                return 0;
        const bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
        const bool outside = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
        return overlong || outside ? 0 : length;
    }
    return 0;
}

// A driver's text as JSON can hold it: what is not UTF-8, or is a control character, becomes a question mark.
static void clean_text(char out[NAME_BYTES], const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const size_t size = strlen(text);
    size_t length = 0;
    for (size_t i = 0; i < size;) {
        const size_t step = utf8_length(at + i, size - i);
        if (length + UPC_MAX(step, 1) >= NAME_BYTES)
            break;
        if (step == 0 || at[i] < 0x20 || at[i] == 0x7f) {
            out[length++] = '?';
            i++;
            continue;
        }
        memcpy(out + length, at + i, step);
        length += step;
        i += step;
    }
    out[length] = 0;
}

static uint64_t hash_text(const char *text, uint64_t seed) { return upc_hash(text, strlen(text) + 1, seed); }

static uint64_t hash_number(uint64_t number, uint64_t seed)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return upc_hash(bytes, sizeof bytes, seed);
}

static uint64_t hash_device(const char *backend, const char *name, uint32_t vendor, uint32_t device,
                            uint64_t seed)
{
    return hash_number((uint64_t)vendor << 32 | device, hash_text(name, hash_text(backend, seed)));
}

static const char *backend_name(upconv_backend backend)
{
    return backend > UPCONV_BACKEND_ANY && backend < UPCONV_BACKEND_COUNT ? backend_names[backend] : "any";
}

uint64_t upc_identity_hash(const upconv_device_info *info, bool driver, uint64_t seed)
{
    char name[NAME_BYTES];
    clean_text(name, info->name);
    const uint64_t hash =
        hash_device(backend_name(info->backend), name, info->vendor_id, info->device_id, seed);
    clean_text(name, info->driver);
    return driver ? hash_text(name, hash) : hash;
}

uint64_t upc_record_device(const upconv_device_info *info) { return upc_identity_hash(info, false, 0); }

uint64_t upc_record_driver(const upconv_device_info *info)
{
    char name[NAME_BYTES];
    clean_text(name, info->driver);
    return hash_text(name, 0);
}

uint64_t upc_record_problem(const upc_problem *problem)
{
    char text[NAME_BYTES];
    upc_text notation = {text, sizeof text, 0};
    upc_problem_print(problem, &notation);
    return hash_number((uint64_t)problem->type, hash_text(text, 0));
}

uint64_t upc_record_class(const upc_problem *problem)
{
    char text[NAME_BYTES];
    upc_text form = {text, sizeof text, 0};
    const int groups = problem->groups == 1 ? 0 : problem->icg == 1 ? 1 : 2;
    upc_text_add(&form, "%d %d %d %d %d %d %d", (int)problem->op, problem->dims, (int)problem->type,
                 (int)problem->sum_type, (int)problem->in_layout, (int)problem->out_layout, groups);
    for (int i = 3 - problem->dims; i < 3; i++)
        upc_text_add(&form, " %lld %lld %lld", (long long)problem->axis[i].kernel,
                     (long long)UPC_MAX(problem->axis[i].stride, problem->axis[i].step),
                     (long long)problem->axis[i].dilation);
    // how much an output costs, and in which order things are read
    if (problem->op == UPCONV_RESIZE)
        upc_text_add(&form, " %d", (int)problem->resize.mode);
    if (problem->op == UPCONV_PIXEL_SHUFFLE)
        upc_text_add(&form, " %d", (int)problem->channel_order);
    if (upc_type_quantised(problem->type)) // sums of 32 bits or of 64
        upc_text_add(&form, " %d", (int)problem->quant.requant);
    if (problem->op == UPCONV_MAX_POOL || problem->op == UPCONV_MAX_UNPOOL)
        upc_text_add(&form, " %d", (int)problem->index);
    return hash_text(text, 0);
}

void upc_record_kin(const upconv_device_info *info, upc_kin *kin)
{
    char name[NAME_BYTES];
    clean_text(name, info->name);
    upc_kin_of(backend_name(info->backend), info->vendor_id, name, kin);
}

uint64_t upc_record_device_named(const char *backend, const char *name, uint32_t vendor_id, uint32_t device_id)
{
    return hash_device(backend, name, vendor_id, device_id, 0);
}

uint64_t upc_record_driver_named(const char *driver) { return hash_text(driver, 0); }

upconv_status upc_context_usable(const upconv_context *context)
{
    const bool hangs = context->device && atomic_load(&context->device->state) == UPCONV_ERROR_TIMEOUT;
    return hangs ? upc_context_check(context) : UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------- writing

// Written by hand rather than through cJSON: our allocator, our decimal point in every locale, and a fixed
// order of keys, so that files sort and diff well.
void upc_json_text(upc_string *line, const char *key, const char *value)
{
    upc_string_add(line, "\"%s\":\"", key);
    for (const char *at = value; *at; at++) {
        const unsigned char byte = (unsigned char)*at;
        if (byte == '"' || byte == '\\')
            upc_string_add(line, "\\%c", byte);
        else if (byte < 0x20)
            upc_string_add(line, "\\u%04x", byte);
        else
            upc_string_add_bytes(line, at, 1);
    }
    upc_string_add(line, "\",");
}

void upc_json_cleaned(upc_string *line, const char *key, const char *value)
{
    char text[NAME_BYTES];
    clean_text(text, value);
    upc_json_text(line, key, text);
}

// Nanoseconds and not finer, so that nobody has to read exponents; ratios and the like as short as they go.
void upc_json_number(upc_string *line, const char *key, double value)
{
    char number[64];
    if (value < 1 || value > 1e12) {
        upc_print_float(number, sizeof number, (float)value);
    } else {
        const long long thousandths = llround(value * 1000);
        int length = snprintf(number, sizeof number, "%lld.%03lld", thousandths / 1000, thousandths % 1000);
        while (number[length - 1] == '0')
            number[--length] = 0;
        if (number[length - 1] == '.')
            number[--length] = 0;
    }
    upc_string_add(line, "\"%s\":%s,", key, number);
}

static void add_problem(upc_string *line, const upc_problem *problem)
{
    char text[NAME_BYTES];
    upc_text notation = {text, sizeof text, 0};
    upc_problem_print(problem, &notation);
    upc_json_text(line, "problem", text);
    upc_json_text(line, "type", type_names[problem->type]);
}

static void add_today(upc_string *line)
{
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        upc_string_add(line, "\"date\":\"%04d-%02d-%02d\"}", (utc.tm_year + 1900) % 10000, utc.tm_mon + 1,
                       utc.tm_mday);
    else
        upc_string_add(line, "\"date\":\"1970-01-01\"}");
}

uint64_t upc_record_kernels(void)
{
    uint64_t hash = 0;
    for (int i = 0; i < upc_shader_count; i++)
        hash = hash_text(upc_shaders[i].text, hash_text(upc_shaders[i].name, hash));
    return hash;
}

// Which kernels were measured; those of a folder (UPCONV_SHADERS) have no name.
static void add_kernels(upc_string *line)
{
    if (!line->env->shaders)
        upc_string_add(line, "\"kernels\":\"%016llx\",", (unsigned long long)upc_record_kernels());
}

void upc_record_write_device(upc_string *line, const upconv_device_info *info)
{
    upc_json_text(line, "backend", backend_name(info->backend));
    upc_json_cleaned(line, "device", info->name);
    upc_string_add(line, "\"vendor_id\":%u,\"device_id\":%u,", info->vendor_id, info->device_id);
    upc_json_cleaned(line, "driver", info->driver);
}

upconv_backend upc_record_backend(const char *name)
{
    for (int i = 0; i < UPCONV_BACKEND_COUNT; i++)
        if (!strcmp(name, backend_names[i]))
            return (upconv_backend)i;
    return UPCONV_BACKEND_ANY;
}

void upc_record_write(upc_string *line, const upc_measurement *measurement)
{
    const upconv_device_info *info = measurement->info;
    const upc_solver *solver = measurement->solver;
    upc_string_add(line, "{\"format\":%d,", FORMAT);
    upc_json_text(line, "library", upconv_version());
    add_kernels(line);
    upc_record_write_device(line, info);
    add_problem(line, measurement->problem);
    upc_json_text(line, "solver", solver->name);
    upc_string_add(line, "\"solver_version\":%d,\"config\":{", solver->version);
    for (int i = 0; i < solver->knob_count; i++)
        upc_string_add(line, "%s\"%s\":%d", i ? "," : "", solver->knobs[i].name,
                       measurement->config->value[i]);
    upc_string_add(line, "},");
    const char *verdict = measurement->verdict ? measurement->verdict : "ok";
    if (measurement->time_us > 0 || !strcmp(verdict, "ok"))
        upc_json_number(line, "time_us", measurement->time_us);
    if (measurement->reference_us > 0)
        upc_json_number(line, "reference_us", measurement->reference_us);
    if (measurement->spread > 0)
        upc_json_number(line, "spread", measurement->spread);
    upc_json_text(line, "verdict", verdict);
    add_today(line);
}

// --------------------------------------------------------------------------------------------------- reading

// What can be said of a line before any parser sees it. NULL: it may be parsed.
static const char *refuse_bytes(const char *line, size_t length)
{
    const unsigned char *at = (const unsigned char *)line;
    int depth = 0;
    bool text = false;
    for (size_t i = 0; i < length;) {
        const size_t step = utf8_length(at + i, length - i);
        if (step == 0)
            return "not UTF-8";
        if (at[i] == 0 || (text && at[i] < 0x20))
            return "a control character";
        if (text && at[i] == '\\')
            i++;
        else if (at[i] == '"')
            text = !text;
        else if (!text && (at[i] == '{' || at[i] == '['))
            depth++;
        else if (!text && (at[i] == '}' || at[i] == ']'))
            depth--;
        if (depth > DEEPEST)
            return "nested too deeply";
        i += step;
    }
    return NULL;
}

typedef struct source { // of one record, and where its failure goes
    const cJSON *object;
    char *reason;
} source;

static bool refuse(const source *from, const char *format, ...) UPC_PRINTF(2, 3);
static bool refuse(const source *from, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(from->reason, UPC_RECORD_REASON, format, list);
    va_end(list);
    return false;
}

static bool get_text(const source *from, const char *key, const char **value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from->object, key);
    if (!cJSON_IsString(item))
        return refuse(from, "\"%s\" is %s; it must be text", key, item ? "of another type" : "missing");
    if (strlen(item->valuestring) >= NAME_BYTES)
        return refuse(from, "\"%s\" is longer than %d bytes", key, NAME_BYTES - 1);
    *value = item->valuestring;
    return true;
}

static bool whole(const cJSON *item, double low, double high)
{
    return cJSON_IsNumber(item) && item->valuedouble >= low && item->valuedouble <= high &&
           item->valuedouble == floor(item->valuedouble);
}

static bool get_whole(const source *from, const char *key, double low, double high, double *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from->object, key);
    if (!whole(item, low, high))
        return refuse(from, "\"%s\" is %s; it must be a whole number from %.0f to %.0f", key,
                      item ? "something else" : "missing", low, high);
    *value = item->valuedouble;
    return true;
}

static bool read_device(const source *from, upc_record_fields *fields)
{
    const char *backend = "", *device = "", *driver = "";
    double vendor_id = 0, device_id = 0;
    if (!get_text(from, "backend", &backend) || !get_text(from, "device", &device) ||
        !get_text(from, "driver", &driver) || !get_whole(from, "vendor_id", 0, UINT32_MAX, &vendor_id) ||
        !get_whole(from, "device_id", 0, UINT32_MAX, &device_id))
        return false;
    fields->device = hash_device(backend, device, (uint32_t)vendor_id, (uint32_t)device_id, 0);
    fields->driver = hash_text(driver, 0);
    upc_kin_of(backend, (uint32_t)vendor_id, device, &fields->kin);
    return true;
}

// A type of a newer version is no damage; `known` is false then.
static bool read_problem(const source *from, upc_record_fields *fields, bool *known)
{
    const char *text = "", *type = "";
    size_t error_at = 0;
    if (!get_text(from, "problem", &text) || !get_text(from, "type", &type))
        return false;
    upconv_problem given = {.struct_size = sizeof given};
    if (upconv_problem_parse(text, &given, &error_at) != UPCONV_OK)
        return refuse(from, "\"problem\" at character %zu: %s", error_at + 1, upc_last_error());
    if (upc_problem_from(&given, &fields->problem) != UPCONV_OK)
        return refuse(from, "\"problem\": %s", upc_last_error());
    *known = false;
    for (size_t i = 0; i < UPC_COUNT(type_names); i++)
        *known = *known || !strcmp(type, type_names[i]);
    if (*known && strcmp(type, type_names[fields->problem.type]))
        return refuse(from, "\"type\" is %s, but the problem's is %s", type, type_names[fields->problem.type]);
    fields->problem_key = *known ? upc_record_problem(&fields->problem) : hash_text(type, hash_text(text, 1));
    fields->class_key = *known ? upc_record_class(&fields->problem) : 0;
    return true;
}

// Whether this build's solver has exactly these knobs, with such values.
static bool known_config(const upc_solver *solver, const cJSON *knobs, upc_config *config)
{
    memset(config, 0, sizeof *config);
    if (cJSON_GetArraySize(knobs) != solver->knob_count)
        return false;
    for (int i = 0; i < solver->knob_count; i++) {
        const upc_knob *knob = &solver->knobs[i];
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(knobs, knob->name);
        bool found = false;
        for (int j = 0; item && j < knob->count; j++)
            found = found || knob->values[j] == item->valuedouble;
        if (!found)
            return false;
        config->value[i] = (int32_t)item->valuedouble;
    }
    return true;
}

static bool read_solver(const source *from, upc_record_fields *fields)
{
    const char *name = "";
    double version = 0;
    if (!get_text(from, "solver", &name) || !get_whole(from, "solver_version", 0, INT32_MAX, &version))
        return false;
    const cJSON *knobs = cJSON_GetObjectItemCaseSensitive(from->object, "config"), *item;
    if (!cJSON_IsObject(knobs))
        return refuse(from, "\"config\" is %s; it must be an object", knobs ? "of another type" : "missing");
    for (int i = 0; i < 2; i++)
        fields->config_key[i] = hash_number((uint64_t)version, hash_text(name, (uint64_t)i + 1));
    cJSON_ArrayForEach(item, knobs)
    {
        if (!whole(item, INT32_MIN, INT32_MAX))
            return refuse(from, "\"config\": \"%.64s\" is not a whole number of 32 bits", item->string);
        for (int i = 0; i < 2; i++) // a sum, because the order of knobs means nothing
            fields->config_key[i] +=
                hash_number((uint64_t)(int64_t)item->valuedouble, hash_text(item->string, (uint64_t)i + 3));
    }
    const upc_solver *solver = upc_solver_find(name, strlen(name));
    if (solver && solver->version == (int)version && known_config(solver, knobs, &fields->config))
        fields->solver = solver;
    return true;
}

static bool read_outcome(const source *from, upc_record_fields *fields)
{
    const char *verdict = "";
    if (!get_text(from, "verdict", &verdict))
        return false;
    fields->ok = !strcmp(verdict, "ok");
    fields->verified = !strcmp(verdict, "verified");
    const cJSON *time_us = cJSON_GetObjectItemCaseSensitive(from->object, "time_us");
    if (fields->ok &&
        !(cJSON_IsNumber(time_us) && isfinite(time_us->valuedouble) && time_us->valuedouble > 0))
        return refuse(from, "\"time_us\" is %s; it must be a number above 0",
                      time_us ? "something else" : "missing");
    fields->time_us = cJSON_IsNumber(time_us) ? time_us->valuedouble : 0;
    const cJSON *reference_us = cJSON_GetObjectItemCaseSensitive(from->object, "reference_us");
    if (cJSON_IsNumber(reference_us) && isfinite(reference_us->valuedouble))
        fields->reference_us = UPC_MAX(reference_us->valuedouble, 0);
    const cJSON *date = cJSON_GetObjectItemCaseSensitive(from->object, "date");
    if (!date)
        return true;
    static const char shape[] = "dddd-dd-dd";
    const char *text = cJSON_IsString(date) ? date->valuestring : "";
    bool good = strlen(text) == sizeof shape - 1;
    for (size_t i = 0; good && i < sizeof shape - 1; i++)
        good = shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i];
    if (!good)
        return refuse(from, "\"date\" is not YYYY-MM-DD");
    memcpy(fields->date, text, sizeof fields->date);
    return true;
}

static bool read_object(const source *from, upc_record_fields *fields)
{
    double format = 0;
    bool known = false;
    if (!cJSON_IsObject(from->object))
        return refuse(from, "not a JSON object");
    if (!get_whole(from, "format", 0, INT32_MAX, &format))
        return false;
    if (format != FORMAT)
        return refuse(from, "\"format\" is %.0f; this version reads format %d", format, FORMAT);
    if (!read_device(from, fields) || !read_problem(from, fields, &known) || !read_solver(from, fields) ||
        !read_outcome(from, fields))
        return false;
    if (!known)
        fields->solver = NULL;
    return true;
}

// cJSON reads numbers with the locale's decimal point, in some of its versions wrongly: this thread reads in
// the C locale.
static cJSON *parse(const char *line, size_t length, const char **end)
{
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const locale_t before = plain ? uselocale(plain) : (locale_t)0;
    cJSON *object = cJSON_ParseWithLengthOpts(line, length, end, 0);
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    return object;
}

cJSON *upc_json_read(const char *line, size_t length, char reason[UPC_RECORD_REASON])
{
    const source from = {NULL, reason};
    const char *bytes = refuse_bytes(line, length), *end = NULL;
    if (length > UPC_RECORD_LINE || bytes) {
        if (bytes)
            refuse(&from, "%s", bytes);
        else
            refuse(&from, "longer than %d bytes", UPC_RECORD_LINE);
        return NULL;
    }
    cJSON *object = parse(line, length, &end);
    size_t rest = end ? (size_t)(end - line) : 0;
    while (object && rest < length && strchr(" \t\r", line[rest]))
        rest++;
    if (object && rest >= length)
        return object;
    refuse(&from, "not JSON from byte %zu on", UPC_MIN(rest, length) + 1);
    cJSON_Delete(object);
    return NULL;
}

bool upc_record_read(const char *line, size_t length, upc_record_fields *fields,
                     char reason[UPC_RECORD_REASON])
{
    memset(fields, 0, sizeof *fields);
    cJSON *object = upc_json_read(line, length, reason);
    if (!object)
        return false;
    const source from = {object, reason};
    const bool ok = read_object(&from, fields);
    cJSON_Delete(object);
    return ok;
}
