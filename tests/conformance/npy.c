#include "npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr, *name;
    size_t item;
} types[] = {
    {"<f4", "float32", 4}, {"<i8", "int64", 8}, {"<i4", "int32", 4},
    {"<i2", "int16", 2},   {"|i1", "int8", 1},  {"|u1", "uint8", 1},
};

static bool wrong(char *why, size_t size, const char *what)
{
    snprintf(why, size, "%s", what);
    return false;
}

// The value of a key of the header's dictionary, with spaces skipped; NULL: not there. The header ends with a
// 0.
static const char *header_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    at++;
    return at + strspn(at, " ");
}

static bool parse_type(const char *header, npy *array)
{
    const char *at = header_value(header, "'descr'");
    if (!at || *at != '\'')
        return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const size_t length = strlen(types[i].descr);
        if (!strncmp(at + 1, types[i].descr, length) && at[1 + length] == '\'') {
            array->type = types[i].name;
            array->item = types[i].item;
            return true;
        }
    }
    return false;
}

// "(2, 3)", "(3,)", "()"; the elements' bytes must fit a size_t.
static bool parse_shape(const char *header, npy *array)
{
    const char *at = header_value(header, "'shape'");
    if (!at || *at != '(')
        return false;
    at++;
    array->rank = 0;
    array->elements = 1;
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, " ")) {
        if (*at < '0' || *at > '9' || array->rank == NPY_MAX_RANK)
            return false;
        int64_t extent = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            if (__builtin_mul_overflow(extent, 10, &extent) ||
                __builtin_add_overflow(extent, *at - '0', &extent))
                return false;
        array->shape[array->rank++] = extent;
        if (__builtin_mul_overflow(array->elements, (uint64_t)extent, &array->elements))
            return false;
        at += strspn(at, " ");
        if (*at == ',')
            at++;
        else if (*at != ')')
            return false;
    }
    size_t bytes;
    return !__builtin_mul_overflow(array->elements, array->item, &bytes);
}

static bool parse_header(const char *header, npy *array, char *why, size_t why_size)
{
    if (!parse_type(header, array))
        return wrong(why, why_size, "the NPY header's 'descr' is missing or of an unknown type");
    const char *order = header_value(header, "'fortran_order'");
    if (!order || strncmp(order, "False", 5))
        return wrong(why, why_size, "the NPY header's 'fortran_order' is missing or not False");
    if (!parse_shape(header, array))
        return wrong(why, why_size, "the NPY header's 'shape' is missing, malformed or too large");
    return true;
}

bool npy_parse(const void *bytes, size_t size, npy *array, char *why, size_t why_size)
{
    const unsigned char *raw = bytes;
    memset(array, 0, sizeof *array);
    if (size < 10 || memcmp(raw, "\x93NUMPY", 6))
        return wrong(why, why_size, "this is no NPY file");
    if (raw[6] != 1 && raw[6] != 2)
        return wrong(why, why_size, "the NPY file is of another version than 1.0 and 2.0");
    const size_t prefix = raw[6] == 1 ? 10 : 12;
    if (size < prefix)
        return wrong(why, why_size, "the NPY file ends within its header");
    size_t length = (size_t)raw[8] | (size_t)raw[9] << 8;
    if (raw[6] == 2)
        length |= (size_t)raw[10] << 16 | (size_t)raw[11] << 24;
    if (length > size - prefix)
        return wrong(why, why_size, "the NPY file ends within its header");
    char *header = malloc(length + 1);
    if (!header)
        return wrong(why, why_size, "no memory for an NPY header");
    memcpy(header, raw + prefix, length);
    header[length] = 0;
    const bool understood = parse_header(header, array, why, why_size);
    free(header);
    if (!understood)
        return false;
    const size_t data_bytes = array->elements * array->item;
    if (size - prefix - length != data_bytes) {
        snprintf(why, why_size, "the NPY file has %zu bytes of data; its shape needs %zu",
                 size - prefix - length, data_bytes);
        return false;
    }
    array->data = malloc(data_bytes ? data_bytes : 1);
    if (!array->data)
        return wrong(why, why_size, "no memory for an array");
    memcpy(array->data, raw + prefix + length, data_bytes);
    return true;
}

char *file_read(const char *path, size_t *size, char *why, size_t why_size)
{
    errno = 0;
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long length = -1;
    if (file && !fseek(file, 0, SEEK_END) && (length = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET))
        bytes = malloc((size_t)length + 1);
    if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    if (bytes) {
        bytes[length] = 0;
        *size = (size_t)length;
    } else {
        snprintf(why, why_size, "%s cannot be read: %s", path, errno ? strerror(errno) : "it ends early");
    }
    if (file)
        fclose(file);
    return bytes;
}

bool npy_read(const char *path, npy *array, char *why, size_t why_size)
{
    size_t size;
    char *bytes = file_read(path, &size, why, why_size);
    if (!bytes)
        return false;
    const bool understood = npy_parse(bytes, size, array, why, why_size);
    free(bytes);
    if (!understood) {
        const size_t said = strlen(why);
        snprintf(why + said, why_size - said, " (%s)", path);
    }
    return understood;
}

void npy_finish(npy *array)
{
    free(array->data);
    memset(array, 0, sizeof *array);
}
