// The NPY reader on damaged files: every truncation and every changed byte of the header is an error or an
// array of the size that its shape says, never a crash.
#include "conformance/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A version 1.0 file of `data` bytes behind that header text.
static size_t make(unsigned char *file, const char *header, size_t data)
{
    const size_t length = strlen(header);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + 10, header, length);
    for (size_t i = 0; i < data; i++)
        file[10 + length + i] = (unsigned char)i;
    return 10 + length + data;
}

static bool parse(const unsigned char *file, size_t size, npy *array)
{
    // An exact copy shows reads past the end to a sanitizer.
    unsigned char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, file, size);
    char why[200] = "";
    const bool taken = npy_parse(copy, size, array, why, sizeof why);
    assert_true(taken || why[0]);
    free(copy);
    return taken;
}

static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n";

static void test_good(void **state)
{
    (void)state;
    unsigned char file[512];
    npy array;
    size_t size = make(file, good, 24);
    assert_true(parse(file, size, &array));
    assert_string_equal(array.type, "float32");
    assert_true(array.rank == 2 && array.shape[0] == 2 && array.shape[1] == 3 && array.elements == 6);
    assert_memory_equal(array.data, file + size - 24, 24);
    npy_finish(&array);
    size = make(file, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", 1);
    assert_true(parse(file, size, &array));
    assert_true(array.rank == 0 && array.elements == 1);
    npy_finish(&array);
    size = make(file, "{'shape': (3,), 'fortran_order': False, 'descr': '<i8'}", 24);
    assert_true(parse(file, size, &array));
    assert_true(array.rank == 1 && array.shape[0] == 3 && !strcmp(array.type, "int64"));
    npy_finish(&array);
    size = make(file, "{'descr': '<i2', 'fortran_order': False, 'shape': (0, 7), }\n", 0);
    assert_true(parse(file, size, &array));
    npy_finish(&array);
}

static void test_truncated(void **state)
{
    (void)state;
    unsigned char file[512];
    npy array;
    const size_t size = make(file, good, 24);
    for (size_t i = 0; i < size; i++)
        assert_false(parse(file, i, &array));
    file[size] = 0;
    assert_false(parse(file, size + 1, &array)); // and nothing may follow
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",
        "{}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
        "{'descr': '<f4', 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, x), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2,3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }",
    };
    unsigned char file[512];
    npy array;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (parse(file, make(file, headers[i], 24), &array))
            fail_msg("taken: %s", headers[i]);
}

static void test_changed(void **state)
{
    (void)state;
    unsigned char file[512];
    const size_t size = make(file, good, 24);
    for (size_t i = 0; i < size - 24; i++)
        for (int byte = 0; byte < 256; byte++) {
            const unsigned char kept = file[i];
            file[i] = (unsigned char)byte;
            npy array;
            if (parse(file, size, &array)) {
                assert_true(array.elements * array.item == 24 || i < 10);
                npy_finish(&array);
            }
            file[i] = kept;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
