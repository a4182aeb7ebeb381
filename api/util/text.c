#include "util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void upc_text_add(upc_text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const size_t room = text->length < text->size ? text->size - text->length : 0;
    char nowhere[1];
    const int added = vsnprintf(room ? text->data + text->length : nowhere, room ? room : 1, format, list);
    va_end(list);
    if (added > 0)
        text->length += (size_t)added;
}

void upc_string_init(upc_string *string, const upc_env *env)
{
    memset(string, 0, sizeof *string);
    string->env = env;
}

static bool make_room(upc_string *string, size_t more)
{
    void *data = string->data;
    if (string->failed || more > SIZE_MAX - string->length - 1 ||
        !upc_grow(string->env, &data, &string->capacity, string->length + more + 1, 1)) {
        string->failed = true;
        return false;
    }
    string->data = data;
    return true;
}

void upc_string_add(upc_string *string, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, format, list);
    if (length >= 0 && make_room(string, (size_t)length)) {
        vsnprintf(string->data + string->length, (size_t)length + 1, format, again);
        string->length += (size_t)length;
    }
    va_end(again);
    va_end(list);
}

void upc_string_add_bytes(upc_string *string, const char *bytes, size_t size)
{
    if (!make_room(string, size))
        return;
    memcpy(string->data + string->length, bytes, size);
    string->length += size;
    string->data[string->length] = 0;
}

void upc_string_finish(upc_string *string)
{
    upc_free(string->env, string->data);
    upc_string_init(string, string->env);
}

// snprintf writes the process locale's decimal mark; ours is always a point.
static void to_point(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if (strchr("0123456789+-einfa", *from))
            *to++ = *from;
        else if (to == text || to[-1] != '.') // the mark may have several bytes
            *to++ = '.';
    *to = 0;
}

void upc_print_float(char *text, size_t size, float value)
{
    for (int digits = 1; digits <= 9 && size; digits++) {
        snprintf(text, size, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    if (size)
        to_point(text);
}

void upc_print_double(char *text, size_t size, double value)
{
    for (int digits = 1; digits <= 17 && size; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (size)
        to_point(text);
}

enum { PLAIN = 64 };

// By hand, because strtod obeys the locale: digits, an optional point, an optional exponent become `plain`, the same number with an
// exponent and no point, without its sign. *special: infinity or not a number, and plain is not written.
static const char *read_plain(const char *text, char plain[PLAIN], double *special, bool *negative)
{
    const char *at = text;
    *negative = *at == '-';
    *special = 0;
    at += *at == '-' || *at == '+';
    if (!strncmp(at, "inf", 3) || !strncmp(at, "nan", 3)) {
        *special = *at == 'n' ? (double)NAN : (double)INFINITY;
        return at + 3;
    }
    size_t length = 0;
    int exponent = 0, digits = 0;
    bool point = false;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        digits++;
        if (length < 40)
            plain[length++] = *at;
        else
            exponent++;
        exponent -= point;
    }
    if (!digits)
        return NULL;
    if ((*at == 'e' || *at == 'E') && (at[1] == '-' || at[1] == '+' || (at[1] >= '0' && at[1] <= '9'))) {
        char *end;
        const long given = strtol(at + 1, &end, 10);
        if (end == at + 1)
            return NULL;
        exponent += given > 9999 ? 9999 : given < -9999 ? -9999 : (int)given;
        at = end;
    }
    snprintf(plain + length, PLAIN - length, "e%d", exponent);
    return at;
}

const char *upc_parse_float(const char *text, float *value)
{
    char plain[PLAIN];
    double special;
    bool negative;
    const char *end = read_plain(text, plain, &special, &negative);
    const float magnitude = !end ? 0 : special != 0 ? (float)special : strtof(plain, NULL);
    if (end)
        *value = negative ? -magnitude : magnitude;
    return end;
}

const char *upc_parse_double(const char *text, double *value)
{
    char plain[PLAIN];
    double special;
    bool negative;
    const char *end = read_plain(text, plain, &special, &negative);
    const double magnitude = !end ? 0 : special != 0 ? special : strtod(plain, NULL);
    if (end)
        *value = negative ? -magnitude : magnitude;
    return end;
}
