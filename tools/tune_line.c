#include "tune_line.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "session.h"

typedef enum field_kind {
    FIELD_REAL,    // double
    FIELD_U32,     // uint32_t
    FIELD_I64,     // int64_t; 2^53 nanoseconds are a hundred days
    FIELD_SIZE,    // size_t
    FIELD_ENUM,    // an enumeration
    FIELD_TEXT,    // char []
    FIELD_POINTER, // const char *
} field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset, size;
} field;

struct tune_fields {
    const field *all;
    size_t count;
};

#define FIELD(type, member, kind)                                                                                      \
    {                                                                                                                  \
#member, kind, offsetof(type, member), sizeof(((type *)0)->member)                                             \
    }
#define FIELDS(all)                                                                                                    \
    {                                                                                                                  \
        all, sizeof(all) / sizeof *(all)                                                                               \
    }

#define OF(member, kind) FIELD(upconv_tune_event, member, kind)
static const field event_fields[] = {
    OF(kind, FIELD_ENUM),          OF(problem, FIELD_SIZE),       OF(problems, FIELD_SIZE),
    OF(candidate, FIELD_POINTER),  OF(stage, FIELD_POINTER),      OF(verdict, FIELD_ENUM),
    OF(reason, FIELD_POINTER),     OF(known, FIELD_U32),          OF(samples, FIELD_U32),
    OF(time_us, FIELD_REAL),       OF(reference_us, FIELD_REAL),  OF(ratio, FIELD_REAL),
    OF(spread, FIELD_REAL),        OF(predicted_us, FIELD_REAL),  OF(compile_ms, FIELD_REAL),
    OF(spills, FIELD_REAL),        OF(spent_ns, FIELD_I64),       OF(budget_ns, FIELD_I64),
    OF(temperature_c, FIELD_REAL), OF(frequency_mhz, FIELD_REAL),
};
const tune_fields tune_event_fields = FIELDS(event_fields);
#undef OF

#define OF(member, kind) FIELD(upconv_tune_summary, member, kind)
static const field summary_fields[] = {
    OF(problem, FIELD_TEXT),  OF(base, FIELD_TEXT),        OF(best, FIELD_TEXT),          OF(default_us, FIELD_REAL),
    OF(tuned_us, FIELD_REAL), OF(gain, FIELD_REAL),        OF(spread, FIELD_REAL),        OF(flops, FIELD_REAL),
    OF(bytes, FIELD_REAL),    OF(roofline_us, FIELD_REAL), OF(default_share, FIELD_REAL), OF(tuned_share, FIELD_REAL),
    OF(space, FIELD_REAL),    OF(counted, FIELD_U32),      OF(tried, FIELD_U32),          OF(good, FIELD_U32),
    OF(slow, FIELD_U32),      OF(discarded, FIELD_U32),    OF(wrong, FIELD_U32),          OF(refused, FIELD_U32),
    OF(crashed, FIELD_U32),   OF(hung, FIELD_U32),         OF(known, FIELD_U32),          OF(stop, FIELD_ENUM),
    OF(spent_ns, FIELD_I64),
};
const tune_fields tune_summary_fields = FIELDS(summary_fields);
#undef OF

#define OF(member, kind) FIELD(upconv_tune_result, member, kind)
static const field result_fields[] = {
    OF(problems, FIELD_SIZE), OF(gain, FIELD_REAL),    OF(tried, FIELD_U32),
    OF(wrong, FIELD_U32),     OF(crashed, FIELD_U32),  OF(hung, FIELD_U32),
    OF(stop, FIELD_ENUM),     OF(spent_ns, FIELD_I64), OF(culprit, FIELD_TEXT),
};
const tune_fields tune_result_fields = FIELDS(result_fields);
#undef OF

#define OF(member, kind) FIELD(upconv_device_info, member, kind)
static const field device_fields[] = {
    OF(backend, FIELD_ENUM), OF(kind, FIELD_ENUM),   OF(timestamps, FIELD_U32), OF(name, FIELD_TEXT),
    OF(vendor, FIELD_TEXT),  OF(driver, FIELD_TEXT), OF(api, FIELD_TEXT),       OF(quirks, FIELD_TEXT),
};
const tune_fields tune_device_fields = FIELDS(device_fields);
#undef OF

#define OF(member, kind) FIELD(upconv_peaks, member, kind)
static const field peaks_fields[] = {
    OF(f32_gflops, FIELD_REAL),
    OF(f16_gflops, FIELD_REAL),
    OF(copy_gbytes, FIELD_REAL),
};
const tune_fields tune_peaks_fields = FIELDS(peaks_fields);
#undef OF

static double number_at(const field *f, const char *at)
{
    double real;
    uint32_t u32;
    int64_t i64;
    size_t size;
    int choice;
    switch (f->kind) {
    case FIELD_REAL:
        return memcpy(&real, at, sizeof real), real;
    case FIELD_U32:
        return memcpy(&u32, at, sizeof u32), u32;
    case FIELD_I64:
        return memcpy(&i64, at, sizeof i64), (double)i64;
    case FIELD_SIZE:
        return memcpy(&size, at, sizeof size), (double)size;
    default:
        return memcpy(&choice, at, sizeof choice), choice;
    }
}

static void put_number(const field *f, char *at, double number)
{
    const uint32_t u32 = number > 0 ? (uint32_t)number : 0;
    const int64_t i64 = (int64_t)number;
    const size_t size = number > 0 ? (size_t)number : 0;
    const int choice = (int)number;
    const void *from = f->kind == FIELD_REAL   ? (const void *)&number
                       : f->kind == FIELD_U32  ? (const void *)&u32
                       : f->kind == FIELD_I64  ? (const void *)&i64
                       : f->kind == FIELD_SIZE ? (const void *)&size
                                               : (const void *)&choice;
    memcpy(at, from, f->size);
}

bool tune_fields_write(const tune_fields *fields, const void *from, cJSON *object)
{
    for (size_t i = 0; i < fields->count; i++) {
        const field *f = &fields->all[i];
        const char *at = (const char *)from + f->offset, *text = at;
        if (f->kind == FIELD_POINTER)
            memcpy(&text, at, sizeof text);
        if (f->kind == FIELD_TEXT || f->kind == FIELD_POINTER) {
            if (text && !session_json_text(object, f->name, text))
                return false;
            continue;
        }
        const double number = number_at(f, at);
        if (isfinite(number) && !cJSON_AddNumberToObject(object, f->name, number))
            return false;
    }
    return true;
}

void tune_fields_read(const tune_fields *fields, const cJSON *object, void *to)
{
    for (size_t i = 0; i < fields->count; i++) {
        const field *f = &fields->all[i];
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, f->name);
        char *at = (char *)to + f->offset;
        const bool text = f->kind == FIELD_TEXT || f->kind == FIELD_POINTER;
        if (!item || (text ? !cJSON_IsString(item) : !cJSON_IsNumber(item)))
            continue;
        const char *string = item->valuestring;
        if (f->kind == FIELD_TEXT)
            snprintf(at, f->size, "%s", string);
        else if (f->kind == FIELD_POINTER)
            memcpy(at, &string, sizeof string);
        else
            put_number(f, at, item->valuedouble);
    }
}
