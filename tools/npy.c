#include "npy.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

// What is in a file: "\x93NUMPY", two bytes of version, the length of the header (2 bytes in version 1, then 4, little
// endian), the header, which is a Python dictionary as text, and the elements.
static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, MOST_HEADER = 4096, ALIGNMENT = 64 };

typedef struct parser {
    const char *path;
    char *error;
    size_t error_size;
} parser;

static bool wrong(const parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(const parser *p, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int said = snprintf(p->error, p->error_size, "%s: ", p->path);
    if (said >= 0 && (size_t)said < p->error_size)
        vsnprintf(p->error + said, p->error_size - (size_t)said, format, list);
    va_end(list);
    return false;
}

// What follows 'key': in the header, or NULL.
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static bool parse_type(const parser *p, const char *header)
{
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    if (!type || *type != '\'' || !strchr(type + 1, '\''))
        return wrong(p, "its header has no 'descr', the type of the elements");
    const int length = (int)strcspn(type + 1, "'");
    if (length != 3 || memcmp(type + 1, "<f4", 3))
        return wrong(p, "its elements are of type '%.*s'; they must be '<f4' (float32, little endian)",
                     length < 20 ? length : 20, type + 1);
    if (!order || (strncmp(order, "False", 5) && strncmp(order, "True", 4)))
        return wrong(p, "its header has no 'fortran_order' of True or False");
    if (*order == 'T')
        return wrong(p, "it is in Fortran order; it must be in C order (numpy.ascontiguousarray)");
    return true;
}

// "(3, 1, 4, 4)", "(3,)".
static bool parse_shape(const parser *p, const char *header, npy_array *array)
{
    const char *at = value_of(header, "'shape'");
    if (!at || *at++ != '(')
        return wrong(p, "its header has no 'shape'");
    array->elements = 1;
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, " ")) {
        char *end;
        if (*at < '0' || *at > '9')
            return wrong(p, "its 'shape' is no list of numbers");
        if (array->rank == NPY_MAX_RANK)
            return wrong(p, "its 'shape' has more than %d axes", NPY_MAX_RANK);
        errno = 0;
        const long long extent = strtoll(at, &end, 10);
        if (errno || extent < 1 || extent > NPY_MAX_ELEMENTS / (long long)array->elements)
            return wrong(p, "axis %d of its shape is %.*s; extents must be above 0 and their product at most %d",
                         array->rank, (int)(end - at) < 20 ? (int)(end - at) : 20, at, NPY_MAX_ELEMENTS);
        array->shape[array->rank++] = extent;
        array->elements *= (size_t)extent;
        at = end + strspn(end, " ");
        if (*at == ',')
            at++;
        else if (*at != ')')
            return wrong(p, "its 'shape' is no list of numbers");
    }
    return true;
}

// The elements, from the file's bytes; a float's are in little endian order on every machine.
static bool take_values(const parser *p, const unsigned char *bytes, npy_array *array)
{
    array->values = malloc(array->elements * sizeof *array->values);
    if (!array->values)
        return wrong(p, "no memory for its %zu elements", array->elements);
    for (size_t i = 0; i < array->elements; i++, bytes += 4) {
        const uint32_t word = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
        memcpy(&array->values[i], &word, sizeof word);
        if (!isfinite(array->values[i]))
            return wrong(p, "element %zu is %s; all must be finite", i, isnan(array->values[i]) ? "NaN" : "infinite");
    }
    return true;
}

static bool parse(const parser *p, const unsigned char *raw, size_t size, npy_array *array)
{
    if (size < MAGIC || memcmp(raw, magic, MAGIC))
        return wrong(p, "it is no NPY file (numpy.save)");
    if (size < 12)
        return wrong(p, "it ends within its header, after %zu bytes", size);
    if (raw[6] < 1 || raw[6] > 3)
        return wrong(p, "its format has version %d.%d; known are 1 to 3", raw[6], raw[7]);
    const size_t before = raw[6] == 1 ? 10 : 12;
    size_t length = (size_t)raw[8] | (size_t)raw[9] << 8;
    if (raw[6] > 1)
        length |= (size_t)raw[10] << 16 | (size_t)raw[11] << 24;
    if (length > size - before)
        return wrong(p, "it ends within its header, which is said to have %zu bytes", length);
    if (length >= MOST_HEADER)
        return wrong(p, "its header has %zu bytes; it may have %d", length, MOST_HEADER - 1);
    char header[MOST_HEADER];
    memcpy(header, raw + before, length);
    header[length] = 0;
    if (!parse_type(p, header) || !parse_shape(p, header, array))
        return false;
    const size_t have = size - before - length;
    if (have != array->elements * 4) {
        char shape[64];
        npy_shape_text(array, shape, sizeof shape);
        return wrong(p, "it has %zu bytes of elements; its shape %s asks for %zu", have, shape, array->elements * 4);
    }
    return take_values(p, raw + before + length, array);
}

bool npy_read(const char *path, npy_array *array, char *error, size_t error_size)
{
    const parser p = {path, error, error_size};
    char *bytes = NULL;
    size_t size = 0;
    *array = (npy_array){0};
    if (!file_read(path, &bytes, &size, error, error_size))
        return false;
    const bool fine = parse(&p, (const unsigned char *)bytes, size, array);
    free(bytes);
    if (!fine)
        npy_finish(array);
    return fine;
}

void npy_finish(npy_array *array)
{
    free(array->values);
    *array = (npy_array){0};
}

void npy_shape_text(const npy_array *array, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < array->rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? ", " : "", (long long)array->shape[i]);
    if (at < size)
        snprintf(text + at, size - at, array->rank == 1 ? ",)" : ")");
}

bool npy_write(const char *path, const npy_array *array, char *error, size_t error_size)
{
    file_writer writer;
    char shape[64], header[256];
    npy_shape_text(array, shape, sizeof shape);
    int length = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    // Spaces and a line feed fill the header up, so that the elements begin at a multiple of the alignment.
    const int whole = (10 + length + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - 10;
    memset(header + length, ' ', (size_t)(whole - length));
    header[whole - 1] = '\n';
    if (!file_writer_open(&writer, path, error, error_size))
        return false;
    fwrite(magic, 1, MAGIC, writer.file);
    const unsigned char head[4] = {1, 0, (unsigned char)(whole & 255), (unsigned char)(whole >> 8)};
    fwrite(head, 1, sizeof head, writer.file);
    fwrite(header, 1, (size_t)whole, writer.file);
    for (size_t i = 0; i < array->elements; i++) {
        uint32_t word;
        memcpy(&word, &array->values[i], sizeof word);
        const unsigned char bytes[4] = {(unsigned char)word, (unsigned char)(word >> 8), (unsigned char)(word >> 16),
                                        (unsigned char)(word >> 24)};
        fwrite(bytes, 1, sizeof bytes, writer.file);
    }
    return file_writer_close(&writer, error, error_size); // which also sees what could not be written above
}
