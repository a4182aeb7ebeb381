// The frameworks' conventions: published examples, the rules that they refuse by, and each convention against
// a definition of its own that counts positions instead of using the formula.
#include <upconv/upconv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem axis_of(int in, int kernel, int stride, int dilation)
{
    return (upconv_problem){
        .dims = 1, .in = {in}, .kernel = {kernel}, .stride = {stride}, .dilation = {dilation}};
}

static void is(upconv_status status, const upconv_problem *problem, int pad, int out)
{
    if (status != UPCONV_OK)
        fail_msg("refused: %s", upconv_last_error());
    if (problem->pad[0] != pad || problem->out[0] != out)
        fail_msg("pad %d, out %d; expected pad %d, out %d", problem->pad[0], problem->out[0], pad, out);
}

// INVALID, the words in the sentence, and nothing written.
static void refused(upconv_status status, const upconv_problem *problem, const char *words)
{
    assert_int_equal(status, UPCONV_ERROR_INVALID);
    if (!strstr(upconv_last_error(), words))
        fail_msg("'%s' is not in '%s'", words, upconv_last_error());
    assert_true(!problem || (problem->pad[0] == 0 && problem->out[0] == 0));
}

#define ONE(n)    ((const int32_t[]){n})
#define TWO(m, n) ((const int32_t[]){m, n})

static void test_pytorch(void **state)
{
    (void)state;
    upconv_problem p = axis_of(12, 3, 2, 1);
    is(upconv_problem_pytorch(&p, ONE(1), NULL), &p, 1, 23);
    is(upconv_problem_pytorch(&p, ONE(1), ONE(1)), &p, 1, 24);
    is(upconv_problem_pytorch_size(&p, ONE(1), ONE(24)), &p, 1, 24);
    is(upconv_problem_pytorch_size(&p, ONE(1), NULL), &p, 1, 23);
    p = axis_of(4, 3, 1, 3);
    is(upconv_problem_pytorch(&p, NULL, ONE(2)), &p, 0, 12); // below the dilation, not the stride
    p = axis_of(12, 3, 2, 1);
    refused(upconv_problem_pytorch(&p, ONE(-1), NULL), &p, "padding[0] is -1");
    refused(upconv_problem_pytorch(&p, NULL, ONE(2)), &p, "output_padding[0] is 2");
    refused(upconv_problem_pytorch(&p, NULL, ONE(-1)), &p, "output_padding[0] is -1");
    refused(upconv_problem_pytorch(&p, ONE(13), NULL), &p, "axis 0 comes to -1");
    refused(upconv_problem_pytorch_size(&p, ONE(1), ONE(22)), &p,
            "output_size[0] is 22; it must be from 23 to 24");
    refused(upconv_problem_pytorch_size(&p, ONE(1), ONE(25)), &p, "output_size[0] is 25");
    refused(upconv_problem_pytorch(NULL, NULL, NULL), NULL, "problem is NULL");
    p.kernel[0] = 0;
    refused(upconv_problem_pytorch(&p, NULL, NULL), &p, "kernel[0] is 0");
}

static void test_tensor_order(void **state)
{
    (void)state;
    upconv_problem p = {.dims = 3, .in = {2, 3, 4}, .kernel = {3, 4, 5}, .stride = {1, 2, 3}};
    assert_int_equal(upconv_problem_pytorch(&p, (const int32_t[]){0, 1, 2}, (const int32_t[]){0, 0, 1}),
                     UPCONV_OK);
    assert_true(p.pad[0] == 0 && p.pad[1] == 1 && p.pad[2] == 2);
    assert_true(p.out[0] == 4 && p.out[1] == 6 && p.out[2] == 11);
    const int32_t pads[] = {0, 1, 0, 1, 0, 2}; // all fronts, then all ends
    assert_int_equal(upconv_problem_onnx(&p, NULL, pads, NULL, NULL), UPCONV_OK);
    assert_true(p.pad[0] == 0 && p.pad[1] == 1 && p.pad[2] == 0);
    assert_true(p.out[0] == 3 && p.out[1] == 7 && p.out[2] == 12);
}

static void test_tensorflow(void **state)
{
    (void)state;
    upconv_problem p = axis_of(3, 3, 2, 1);
    is(upconv_problem_tensorflow(&p, "SAME", NULL, NULL), &p, 0, 6); // one too many: cut at the end
    is(upconv_problem_tensorflow(&p, "SAME", NULL, ONE(5)), &p, 1, 5);
    is(upconv_problem_tensorflow(&p, "VALID", NULL, NULL), &p, 0, 7);
    is(upconv_problem_tensorflow(&p, "VALID", NULL, ONE(8)), &p, 0, 8);
    is(upconv_problem_tensorflow(&p, "EXPLICIT", TWO(1, 0), ONE(6)), &p, 1, 6);
    p = axis_of(3, 2, 5, 1);
    is(upconv_problem_tensorflow(&p, "VALID", NULL, NULL), &p, 0, 15); // the stride is larger than the kernel
    is(upconv_problem_tensorflow(&p, "SAME", NULL, NULL), &p, 0, 15);
    p = axis_of(3, 3, 2, 1);
    refused(upconv_problem_tensorflow(&p, "SAME", NULL, ONE(7)), &p, "output_shape[0] is 7");
    refused(upconv_problem_tensorflow(&p, "SAME", NULL, ONE(4)), &p, "belongs to an input of 2, not 3");
    refused(upconv_problem_tensorflow(&p, "VALID", NULL, ONE(6)), &p, "output_shape[0] is 6");
    refused(upconv_problem_tensorflow(&p, "VALID", NULL, ONE(9)), &p, "output_shape[0] is 9");
    refused(upconv_problem_tensorflow(&p, "VALID", NULL, ONE(0)), &p, "output_shape[0] is 0");
    refused(upconv_problem_tensorflow(&p, "EXPLICIT", TWO(1, 0), ONE(9)), &p, "output_shape[0] is 9");
    refused(upconv_problem_tensorflow(&p, "EXPLICIT", TWO(1, -1), ONE(6)), &p, "explicit_pads[1] is -1");
    refused(upconv_problem_tensorflow(&p, "EXPLICIT", NULL, ONE(6)), &p, "explicit_pads is NULL");
    refused(upconv_problem_tensorflow(&p, "EXPLICIT", TWO(1, 0), NULL), &p, "output_shape is NULL");
    refused(upconv_problem_tensorflow(&p, "SAME", TWO(1, 0), NULL), &p, "explicit_pads is given");
    refused(upconv_problem_tensorflow(&p, "same", NULL, NULL), &p, "padding is same");
    refused(upconv_problem_tensorflow(&p, NULL, NULL, NULL), &p, "padding is NULL");
}

// The TensorFlow rule from the other side: the forward convolution of `out` positions must give `in`.
static void test_tensorflow_forward(void **state)
{
    (void)state;
    int taken = 0;
    for (int kernel = 1; kernel <= 5; kernel++)
        for (int stride = 1; stride <= 4; stride++)
            for (int out = 1; out <= 20; out++)
                for (int in = 1; in <= 6; in++) {
                    const int forward_same = (out + stride - 1) / stride;
                    int forward_valid = 0;
                    for (int o = 0; o + kernel <= out; o += stride)
                        forward_valid++;
                    upconv_problem p = axis_of(in, kernel, stride, 1);
                    const bool same = upconv_problem_tensorflow(&p, "SAME", NULL, ONE(out)) == UPCONV_OK;
                    const bool valid = upconv_problem_tensorflow(&p, "VALID", NULL, ONE(out)) == UPCONV_OK;
                    assert_int_equal(same, forward_same == in);
                    assert_int_equal(valid, forward_valid == in);
                    taken += same + valid;
                }
    assert_true(taken > 200);
}

static void test_keras(void **state)
{
    (void)state;
    upconv_problem p = axis_of(3, 4, 3, 1);
    is(upconv_problem_keras(&p, "same", NULL), &p, 0, 9);
    is(upconv_problem_keras(&p, "same", ONE(1)), &p, 1, 7);
    is(upconv_problem_keras(&p, "valid", NULL), &p, 0, 10);
    is(upconv_problem_keras(&p, "valid", ONE(2)), &p, 0, 12);
    p = axis_of(3, 7, 16, 1);
    is(upconv_problem_keras(&p, "valid", NULL), &p, 0, 48);
    p = axis_of(5, 4, 1, 1);
    is(upconv_problem_keras(&p, "same", NULL), &p, 1, 5);
    p = axis_of(5, 3, 1, 2);
    is(upconv_problem_keras(&p, "same", NULL), &p, 2, 5);
    p = axis_of(3, 4, 3, 1);
    refused(upconv_problem_keras(&p, "same", ONE(3)), &p, "output_padding[0] is 3");
    refused(upconv_problem_keras(&p, "valid", ONE(-1)), &p, "output_padding[0] is -1");
    refused(upconv_problem_keras(&p, "SAME", NULL), &p, "padding is SAME");
    refused(upconv_problem_keras(&p, NULL, NULL), &p, "padding is NULL");
    p = axis_of(1, 4, 2, 1);
    refused(upconv_problem_keras(&p, "same", ONE(0)), &p, "axis 0 comes to 0");
    p = axis_of(3, 3, 2, 2);
    refused(upconv_problem_keras(&p, "valid", NULL), &p, "stride is 2 and dilation is 2");
}

static void test_onnx(void **state)
{
    (void)state;
    upconv_problem p = axis_of(3, 3, 2, 1);
    is(upconv_problem_onnx(&p, NULL, NULL, NULL, NULL), &p, 0, 7);
    is(upconv_problem_onnx(&p, "NOTSET", TWO(1, 2), NULL, NULL), &p, 1, 4);
    is(upconv_problem_onnx(&p, "VALID", NULL, ONE(1), NULL), &p, 0, 8);
    is(upconv_problem_onnx(&p, "SAME_UPPER", NULL, NULL, NULL), &p, 0, 6);
    is(upconv_problem_onnx(&p, "SAME_LOWER", NULL, NULL, NULL), &p, 1, 6);
    is(upconv_problem_onnx(&p, "SAME_LOWER", TWO(0, 0), NULL, NULL), &p, 1, 6);
    is(upconv_problem_onnx(&p, NULL, NULL, NULL, ONE(4)), &p, 2, 4); // the larger half at the front
    is(upconv_problem_onnx(&p, "SAME_UPPER", TWO(3, 3), NULL, ONE(4)), &p, 1, 4); // pads are overridden
    is(upconv_problem_onnx(&p, "SAME_UPPER", NULL, ONE(1), ONE(4)), &p, 2,
       4);                                                           // output padding takes part in the total
    is(upconv_problem_onnx(&p, NULL, NULL, NULL, ONE(9)), &p, 0, 9); // too short: nothing is cut
    p = axis_of(3, 2, 5, 1);
    is(upconv_problem_onnx(&p, "SAME_LOWER", NULL, NULL, NULL), &p, 0, 15);
    p = axis_of(3, 3, 2, 1);
    refused(upconv_problem_onnx(&p, "same", NULL, NULL, NULL), &p, "auto_pad is same");
    refused(upconv_problem_onnx(&p, NULL, TWO(0, -1), NULL, NULL), &p, "pads[1] is -1");
    refused(upconv_problem_onnx(&p, "VALID", TWO(0, 1), NULL, NULL), &p, "pads[1] is 1");
    refused(upconv_problem_onnx(&p, NULL, NULL, ONE(2), NULL), &p, "output_padding[0] is 2");
    refused(upconv_problem_onnx(&p, NULL, NULL, NULL, ONE(0)), &p, "output_shape[0] is 0");
    refused(upconv_problem_onnx(&p, NULL, TWO(4, 4), NULL, NULL), &p, "axis 0 comes to -1");
}

static void test_overflow(void **state)
{
    (void)state;
    upconv_problem p = axis_of(INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX);
    refused(upconv_problem_pytorch(&p, NULL, ONE(INT32_MAX - 1)), &p, "must be from 1 to 2147483647");
    refused(upconv_problem_tensorflow(&p, "VALID", NULL, NULL), &p, "must be from 1 to 2147483647");
    refused(upconv_problem_tensorflow(&p, "EXPLICIT", TWO(INT32_MAX, INT32_MAX), ONE(INT32_MAX)), &p,
            "belongs to");
    refused(upconv_problem_keras(&p, "same", NULL), &p, "only one of them");
    refused(upconv_problem_onnx(&p, "SAME_UPPER", NULL, NULL, NULL), &p, "must be from 1 to 2147483647");
    refused(upconv_problem_onnx(&p, "SAME_UPPER", NULL, NULL, ONE(1)), &p, "front padding of axis 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch),    cmocka_unit_test(test_tensor_order),
        cmocka_unit_test(test_tensorflow), cmocka_unit_test(test_tensorflow_forward),
        cmocka_unit_test(test_keras),      cmocka_unit_test(test_onnx),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
