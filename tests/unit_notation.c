// The problem notation: what it means, its round trip, and where its errors point.
#include "../api/ops.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem parsed(const char *text)
{
    upconv_problem problem = {.struct_size = sizeof problem};
    size_t at = 0;
    if (upconv_problem_parse(text, &problem, &at) != UPCONV_OK)
        fail_msg("%s (at %zu)", upconv_last_error(), at);
    return problem;
}

// Parsing `text` and printing it gives `canonical`; parsing that gives the same problem.
static void canonical_is(const char *text, const char *canonical)
{
    const upconv_problem problem = parsed(text);
    char printed[768];
    size_t length = 0;
    assert_int_equal(upconv_problem_print(&problem, printed, sizeof printed, &length), UPCONV_OK);
    assert_string_equal(printed, canonical);
    assert_int_equal(length, strlen(canonical));
    const upconv_problem again = parsed(printed);
    assert_memory_equal(&problem, &again, sizeof again);
}

static void test_meaning(void **state)
{
    (void)state;
    canonical_is("ic64oc32_ih32oh64kh4sh2ph1", "g1mb1ic64oc32_ih32oh64kh4sh2ph1dh0_iw32ow64kw4sw2pw1dw0");
    canonical_is("ic64oc32ih32kh4sh2ph1", "g1mb1ic64oc32_ih32oh64kh4sh2ph1dh0_iw32ow64kw4sw2pw1dw0");
    canonical_is("g64mb2_ic64_oc128__ih8_kh3", "g64mb2ic64oc128_ih8oh10kh3sh1ph0dh0_iw8ow10kw3sw1pw0dw0");
    canonical_is("ic56oc1_ih180oh360kh9sh2ph4_iw320ow640",
                 "g1mb1ic56oc1_ih180oh360kh9sh2ph4dh0_iw320ow640kw9sw2pw4dw0");
    canonical_is("iw75ow608kw16sw8pw-3ic512oc256", "g1mb1ic512oc256_iw75ow608kw16sw8pw-3dw0");
    canonical_is("ic1oc2_id7kd3_ih6kh2dh1_iw5kw1sw4",
                 "g1mb1ic1oc2_id7od9kd3sd1pd0dd0_ih6oh8kh2sh1ph0dh1_iw5ow17kw1sw4pw0dw1");
    canonical_is("ic1oc1ih4kh3oh0", "g1mb1ic1oc1_ih4oh6kh3sh1ph0dh0_iw4ow6kw3sw1pw0dw0");
    canonical_is("ic1oc1iw4kw3n\"a name+\"", "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0");
    canonical_is("ic1oc1iw4kw3_n\"\"+gelu_tanh", "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0+gelu_tanh");
    canonical_is("ic1oc1iw4kw3+relu_n\"x\"", "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0+relu");
    canonical_is("ic1oc1iw4kw3+none", "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0");
    const upconv_problem p = parsed("ic1oc1ih4kh3dh2");
    assert_true(p.dims == 2 && p.dilation[0] == 3 && p.dilation[1] == 3 && p.out[0] == 10);
}

static void test_operations(void **state)
{
    (void)state;
    canonical_is("resize:ic3ih4oh8", "resize:mb1ic3oc3_ih4oh8_iw4ow8+nearest");
    canonical_is("resize:mb2ic3ih4+f16+scale:2:1.3+linear", "resize:mb2ic3oc3_ih4oh8_iw4ow5+linear+scale:2:1.3+f16");
    canonical_is("resize:ic3iw4+scale:0.333333333333333315+cubic",
                 "resize:mb1ic3oc3_iw4ow1+cubic+coefficient:-0.75+scale:0.3333333333333333");
    canonical_is(
        "resize:ic3oc3id4od2ih4oh5+cubic+exclude_outside+coefficient:-0.5+align_corners+f32_steps+relu",
        "resize:mb1ic3oc3_id4od2_ih4oh5_iw4ow5+cubic+align_corners+coefficient:-0.5+exclude_outside+f32_steps+relu");
    canonical_is("resize:ic3iw4ow7+half_pixel+prefer_floor+nearest", "resize:mb1ic3oc3_iw4ow7+nearest");
    static const char *const kept[] = {"+nearest+half_pixel_symmetric+prefer_ceil", "+nearest+pytorch_half_pixel+floor",
                                       "+nearest+asymmetric+ceil"};
    for (size_t i = 0; i < UPC_COUNT(kept); i++) {
        char text[128];
        snprintf(text, sizeof text, "resize:mb1ic3oc3_iw4ow7%s", kept[i]);
        canonical_is(text, text);
    }
    canonical_is("zeros:ic3ih4sh2ph1", "zeros:mb1ic3oc3_ih4oh6sh2ph1_iw4ow6sw2pw1");
    canonical_is("shuffle:ic12ih4sh2", "shuffle:mb1ic12oc3_ih4oh8sh2_iw4ow8sw2");
    canonical_is("shuffle:ic12oc6iw4sw2+dcr+nhwc", "shuffle:mb1ic12oc6_iw4ow8sw2+dcr+nhwc");
    const upconv_problem p = parsed("resize:ic3ih4iw5oh9ow10+cubic+scale:2.25:0");
    assert_true(p.op == UPCONV_RESIZE && p.resize_mode == UPCONV_RESIZE_CUBIC && p.scale[0] == 2.25 && p.scale[1] == 0);
    assert_true(p.cubic_coefficient == -0.75f && p.out_channels == 3 && p.kernel[0] == 0 && p.stride[0] == 0);
}

static void test_activations(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "relu", "leaky:0.1", "prelu", "clamp:0:6", "clamp:-inf:1e-45", "sigmoid",
        "tanh", "hardswish", "silu",  "gelu",      "gelu_tanh",        "leaky:-0"};
    for (size_t i = 0; i < UPC_COUNT(texts); i++) {
        char text[128], canonical[128];
        snprintf(text, sizeof text, "ic1oc1iw4kw3+%s", texts[i]);
        snprintf(canonical, sizeof canonical, "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0+%s", texts[i]);
        canonical_is(text, canonical);
    }
    for (int act = 0; act < UPCONV_ACT_COUNT; act++)
        assert_string_not_equal(upc_act_name((upconv_act)act), "unknown");
    assert_string_equal(upc_act_name(UPCONV_ACT_COUNT), "unknown");
    assert_string_equal(upc_act_name((upconv_act)-1), "unknown");
}

static void test_suffixes(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"+f16", "+f16"},
        {"+f32", ""},
        {"+sum16+f16+relu", "+relu+f16+sum16"},
        {"+nhwc", "+nhwc"},
        {"+in:nhwc+out:nhwc", "+nhwc"},
        {"+in:nc4hw4", "+in:nc4hw4"},
        {"+out:nc4hw4+in:nchw", "+out:nc4hw4"},
        {"+out:nhwc+in:nc4hw4", "+in:nc4hw4+out:nhwc"},
        {"+nchw", ""},
        {"+residual", "+residual"},
        {"+residual_after+gelu_tanh_n\"x\"", "+gelu_tanh+residual_after"},
        {"+outpitch:40:10", "+outpitch:40:10"},
        {"+inpitch:0:5", "+inpitch:10:5"},
        {"+outpitch:12:6", ""},      // dense
        {"+nhwc+outpitch:0:0:0:0:3", "+nhwc+outpitch:18:0:0:0:3"},
        {"+f16+outpitch:18+nhwc+inpitch:9+clamp:0:6+residual",
         "+clamp:0:6+f16+nhwc+residual+inpitch:9:0:0:0:2+outpitch:18:0:0:0:2"},
    };
    for (size_t i = 0; i < UPC_COUNT(texts); i++) {
        char text[160], canonical[160];
        snprintf(text, sizeof text, "mb2ic2oc2iw4kw3%s", texts[i][0]);
        snprintf(canonical, sizeof canonical, "g1mb2ic2oc2_iw4ow6kw3sw1pw0dw0%s", texts[i][1]);
        canonical_is(text, canonical);
    }
    canonical_is("ic3oc3id2kd1_ih2kh1_iw2kw1+nhwc+inpitch:99:0:40:20:9+outpitch:99:0:40:20:9",
                 "g1mb1ic3oc3_id2od2kd1sd1pd0dd0_ih2oh2kh1sh1ph0dh0_iw2ow2kw1sw1pw0dw0+nhwc+inpitch:80:0:40:20:9"
                 "+outpitch:80:0:40:20:9");
    const upconv_problem p = parsed("ic8oc8iw4kw3+f16+sum16+residual_after+in:nc4hw4+out:nhwc");
    assert_true(p.type == UPCONV_F16 && p.sum_type == UPCONV_F16 && p.residual == UPCONV_RESIDUAL_AFTER_ACT &&
                p.in_layout == UPCONV_NC4HW4 && p.out_layout == UPCONV_NHWC);
}

// Every float comes back bit for bit, also in locales whose decimal mark is a comma or has several bytes.
static void test_floats(void **state)
{
    (void)state;
    static const char *const locales[] = {"C", "de_DE.UTF-8", "ps_AF.UTF-8"};
    for (size_t l = 0; l < UPC_COUNT(locales); l++) {
        if (!setlocale(LC_ALL, locales[l]))
            continue; // not on this machine
        uint32_t bits = 12345;
        for (int i = 0; i < 20000; i++) {
            bits = bits * 1664525u + 1013904223u;
            upconv_problem problem = parsed("ic1oc1iw4kw3+leaky:1");
            memcpy(&problem.act_param[0], &bits, sizeof bits);
            if (problem.act_param[0] != problem.act_param[0])
                continue;
            char printed[128];
            assert_int_equal(upconv_problem_print(&problem, printed, sizeof printed, NULL), UPCONV_OK);
            assert_null(strchr(printed, ','));
            const upconv_problem again = parsed(printed);
            assert_memory_equal(&problem, &again, sizeof again);
        }
    }
    setlocale(LC_ALL, "C");
}

// The text is refused, and the error points at the first `^` of `marks`, or at the end where there is none.
static void points_at(const char *text, const char *marks, const char *words)
{
    upconv_problem problem = {.struct_size = sizeof problem, .dims = 77};
    size_t at = 9999;
    if (upconv_problem_parse(text, &problem, &at) != UPCONV_ERROR_INVALID)
        fail_msg("'%s' was taken", text);
    if (at != strcspn(marks, "^"))
        fail_msg("'%s': points at %zu, not %zu (%s)", text, at, strcspn(marks, "^"), upconv_last_error());
    if (!strstr(upconv_last_error(), words))
        fail_msg("'%s' is not in '%s'", words, upconv_last_error());
    assert_int_equal(problem.dims, 77);
    assert_int_equal(upconv_problem_parse(text, &problem, NULL), UPCONV_ERROR_INVALID);
}

static void test_errors(void **state)
{
    (void)state;
    points_at("", "", "'ic' is missing");
    points_at("ic4iw3kw2", "         ", "'oc' is missing");
    points_at("ic4oc4iw3", "         ", "'kw' is missing");
    points_at("ic4oc4kh3", "         ", "'ih' is missing");
    points_at("ic4oc4id3kd3", "            ", "'ih' is missing");
    points_at("ic4oc4id3kd3iw2kw1", "                  ", "'ih' is missing");
    points_at("ic4oc4ih3kw3", "            ", "'kh' is missing");
    points_at("ic4oc4xx3", "      ^", "'xx' is no field");
    points_at("ic4oc4_zzz", "       ^", "'zzz' is no field");
    points_at("ic4oc4ix3", "      ^", "'ix' is no field");
    points_at("ic4oc4ic3", "      ^", "given twice");
    points_at("ic4oc4ih_kh3", "        ^", "a number must stand here");
    points_at("ic4oc4ih-3kh3", "        ^", "a number must stand here");
    points_at("ic4oc4ih3kh3ph-", "               ^", "a number must stand here");
    points_at("ic2147483648oc4", "  ^", "too large");
    points_at("ic4oc99999999999999999999999", "     ^", "too large");
    points_at("ic4oc4iw3kw3pw-2147483649", "              ^", "too large");
    points_at("ic4oc4iw3kw3dw2147483647", "              ^", "too large");
    points_at("ic4oc4iw3kw0", "           ^", "above 0");
    points_at("g0ic4oc4iw3kw1", " ^", "above 0");
    points_at("g3ic6oc4iw3kw1", "       ^", "divisible");
    points_at("g4ic6oc4iw3kw1", "    ^", "divisible");
    points_at("_ic4oc4iw3kw3", "^", "goes on");
    points_at(" ic4oc4iw3kw3", "^", "goes on");
    points_at("ic4oc4iw3kw3_", "             ^", "must follow");
    points_at("ic4oc4iw3kw3 ", "            ^", "goes on");
    points_at("ic4oc4_+relu", "       ^", "must follow");
    points_at("IC4oc4iw3kw3", "^", "goes on");
    points_at("ic4oc4iw3kw3n\"x", "               ^", "quote");
    points_at("ic4oc4iw3kw3n\"x\"y", "                ^", "goes on");
    points_at("ic4oc4iw3kw3+", "             ^", "no activation");
    points_at("ic4oc4iw3kw3+relux", "             ^", "no activation");
    points_at("ic4oc4iw3kw3+f160", "             ^", "no activation");
    points_at("ic4oc4iw3kw3+in:nhw", "             ^", "no activation");
    points_at("ic4oc4iw3kw3+relu+tanh", "                  ^", "activation stands here a second time");
    points_at("ic4oc4iw3kw3+nhwc+out:nhwc", "                  ^", "output's layout stands here a second time");
    points_at("ic4oc4iw3kw3+f16+f16", "                 ^", "type stands here a second time");
    points_at("ic4oc4iw3kw3+sum16", "             ^", "sum_type is F16");
    points_at("ic4oc4iw3kw3+inpitch", "                    ^", "up to 5");
    points_at("ic4oc4iw3kw3+inpitch:", "                     ^", "a number");
    points_at("ic4oc4iw3kw3+inpitch:1:2:3:4:5:6", "                              ^", "goes on");
    points_at("ic4oc4iw3kw3+inpitch:9999999999999", "                     ^", "too large");
    points_at("ic4oc4iw3kw3+inpitch:11", "             ^", "in_pitch.image is 11");
    points_at("ic4oc4iw3kw3+inpitch:12+outpitch:0:1", "                        ^", "out_pitch.channel is 1");
    points_at("resize:ic4ih4kh3", "             ^", "resizing has no field 'kh'");
    points_at("resize:g2ic4ih4oh3", "       ^", "resizing has no field 'g'");
    points_at("resize:ic4ih4", "            ^", "needs one of them");
    points_at("resize:ic4oc5iw4ow8", "^", "out_channels is 5");
    points_at("resize:ic4ih4oh8+dcr", "                 ^", "setting of resizing");
    points_at("resize:ic4ih4oh8+scale", "                      ^", "up to 3");
    points_at("resize:ic4ih4oh8+scale:x", "                       ^", "a number");
    points_at("resize:ic4ih4oh8+scale:1:1:1:1", "                            ^", "goes on");
    points_at("resize:ic4ih4oh8+linear+cubic", "                        ^", "the mode stands here a second time");
    points_at("shuffle:ic6ih4sh2", "^", "divisible by the product of the strides, 4");
    points_at("ic4oc4iw3kw3+linear", "             ^", "no activation");
    points_at("turn:ic4oc4iw3kw3", "^", "'turn' is no operation");
    points_at(":ic4oc4iw3kw3", "^", "goes on");
    points_at("ic4:oc4iw3kw3", "   ^", "goes on");
    for (int op = 0; op < UPCONV_OP_COUNT; op++) {
        char text[64];
        snprintf(text, sizeof text, "%s:ic4oc4iw4", upc_op_of((upconv_op)op)->word);
        if (!upc_op_of((upconv_op)op)->built)
            points_at(text, "^", upc_op_of((upconv_op)op)->name);
    }
    points_at("ic4oc4iw3kw3+relu:3", "                 ^", "goes on");
    points_at("ic4oc4iw3kw3+leaky", "                  ^", "leaky has 1");
    points_at("ic4oc4iw3kw3+leaky:", "                   ^", "a number");
    points_at("ic4oc4iw3kw3+leaky: 1", "                   ^", "a number");
    points_at("ic4oc4iw3kw3+leaky:nan", "                   ^", "a number");
    points_at("ic4oc4iw3kw3+leaky:1e39", "                   ^", "too large");
    points_at("ic4oc4iw3kw3+leaky:0,1", "                    ^", "goes on");
    points_at("ic4oc4iw3kw3+clamp:3", "                    ^", "clamp has 2");
    points_at("ic4oc4iw3kw3+clamp:3:2", "                     ^", "below the lower");
    points_at("ic4oc4iw3kw3pw9", "              ^", "out[0] comes to");
    points_at("ic4oc4iw2000000000kw3sw2", "        ^", "out[0] comes to");
    points_at("ic2000000000oc4iw2000000000ow1kw3", "^", "2^40");
    points_at("ic4oc4iw3kw3\x80", "            ^", "goes on");
    size_t at = 5;
    upconv_problem problem = {0};
    assert_int_equal(upconv_problem_parse(NULL, &problem, &at), UPCONV_ERROR_INVALID);
    assert_int_equal(at, 0);
    assert_int_equal(upconv_problem_parse("ic1oc1iw1kw1", NULL, &at), UPCONV_ERROR_INVALID);
}

static void test_print_cuts(void **state)
{
    (void)state;
    const upconv_problem problem = parsed("ic1oc1iw4kw3+clamp:0.5:6");
    static const char whole[] = "g1mb1ic1oc1_iw4ow6kw3sw1pw0dw0+clamp:0.5:6";
    size_t length = 0;
    assert_int_equal(upconv_problem_print(&problem, NULL, 0, &length), UPCONV_OK);
    assert_int_equal(length, strlen(whole));
    for (size_t size = 1; size <= sizeof whole + 1; size++) {
        char text[sizeof whole + 2];
        memset(text, '#', sizeof text);
        assert_int_equal(upconv_problem_print(&problem, text, size, &length), UPCONV_OK);
        assert_int_equal(length, strlen(whole));
        const size_t kept = UPC_MIN(size - 1, strlen(whole));
        assert_int_equal(strlen(text), kept);
        assert_memory_equal(text, whole, kept);
        assert_true(text[UPC_MAX(size, kept + 1)] == '#');
    }
    assert_int_equal(upconv_problem_print(&problem, NULL, 1, NULL), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_problem_print(NULL, NULL, 0, NULL), UPCONV_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meaning),  cmocka_unit_test(test_operations), cmocka_unit_test(test_activations),
        cmocka_unit_test(test_floats),   cmocka_unit_test(test_errors),     cmocka_unit_test(test_print_cuts),
        cmocka_unit_test(test_suffixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
