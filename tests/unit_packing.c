// Packing: every order of weights into every layout, in both types, against a loop over the definition; what must not
// be written is not, and nothing beyond the source is read (it ends where the memory ends, which a sanitizer sees).
#include "../api/solver.h"
#include "../api/solvers/packing.h"
#include "../api/solvers/taps.h"
#include "../api/util/half.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CANARY = 0x5a, CANARIES = 64 };

static const char *const problems[] = {
    "ic8oc8_ih4kh4sh2ph1",
    "ic5oc13_ih4kh3sh2ph1",
    "g3ic6oc9_ih3kh3sh1dh1",
    "g7ic7oc7_ih4kh4sh2",
    "ic19oc21_ih2kh5sh3_iw3kw2sw2",
    "ic3oc1_iw9kw16sw8",
    "ic130oc17_ih2kh2sh2",
    "ic4oc33_ih2kh1sh1",
    "ic3oc5_ih1kh37sh32_iw1kw41sw32",
    "ic6oc5_id2kd3sd2_ih2kh3sh1dh1_iw2kw2sw2",
    "ic70oc64_ih2kh9sh4",
    "g2ic34oc10_iw4kw3sw2",
    "conv:ic5oc13_ih9kh3sh2ph1",
    "conv:g2ic16oc8_ih5kh1_iw5kw4",
    "conv:ic3oc5_id3kd2_ih6kh3dh1_iw5kw2sw3",
    "ic100oc300_ih1kh6sh2", // large enough for two threads
};

static uint64_t seed = 1;

static float number(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(seed >> 40) - (1 << 23)) / (1 << 20);
}

static float *numbers(size_t count)
{
    float *made = malloc(count * sizeof *made);
    assert_non_null(made);
    for (size_t i = 0; i < count; i++)
        made[i] = number();
    return made;
}

static char *guarded(size_t bytes)
{
    char *made = malloc(bytes + CANARIES);
    assert_non_null(made);
    memset(made, CANARY, bytes + CANARIES);
    return made;
}

static void check_guard(const char *memory, size_t bytes)
{
    for (size_t i = bytes; i < bytes + CANARIES; i++)
        assert_int_equal(memory[i], CANARY);
}

static void check_element(const void *packed, size_t at, bool half, float wanted)
{
    if (half)
        assert_int_equal(((const uint16_t *)packed)[at], upc_half_from(wanted));
    else
        assert_memory_equal((const float *)packed + at, &wanted, sizeof wanted);
}

// By the definition: what stands at [group][block][phase and tap][input channel][oc].
static void check_taps(const upc_taps *taps, const upc_problem *p, const upc_packing *how, const float *weights,
                       upconv_filter_order order, const void *packed)
{
    upc_filter_strides s;
    upc_filter_strides_get(p, order, &s);
    const int64_t kd = p->axis[0].kernel, kh = p->axis[1].kernel, kw = p->axis[2].kernel, all = kd * kh * kw;
    const int64_t blocks = (p->ocg + how->oc - 1) / how->oc;
    for (int64_t g = 0; g < p->groups; g++)
        for (int64_t o = 0; o < blocks * how->oc; o++)
            for (int64_t k = 0; k < all; k++)
                for (int64_t i = 0; i < how->icg; i++) {
                    const int64_t tap[3] = {k / (kh * kw), k / kw % kh, k % kw};
                    const int64_t from = s.first + g * s.group + i * s.in + o * s.out + tap[0] * s.tap[0] +
                                         tap[1] * s.tap[1] + tap[2] * s.tap[2];
                    const int64_t place = (g * blocks + o / how->oc) * all + upc_taps_position(taps, p, tap);
                    check_element(packed, (size_t)((place * how->icg + i) * how->oc + o % how->oc),
                                  how->type == UPCONV_F16, o < p->ocg && i < p->icg ? weights[from] : 0);
                }
}

static void pack_one(const upc_env *env, const upc_problem *p, bool phases, const upc_packing *how,
                     upconv_filter_order order)
{
    upc_taps taps;
    assert_int_equal(upc_taps_init(&taps, env, p, phases), UPCONV_OK);
    float *weights = numbers(upc_weights_elements(p));
    const size_t bytes = upc_taps_packed_bytes(p, how);
    char *packed = guarded(bytes);
    assert_int_equal(upc_taps_pack(&taps, p, how, weights, order, packed), UPCONV_OK);
    check_taps(&taps, p, how, weights, order, packed);
    check_guard(packed, bytes);
    free(packed);
    free(weights);
    upc_taps_finish(&taps);
}

static void parse(const char *text, upc_problem *p)
{
    upconv_problem given = {.struct_size = sizeof given};
    assert_int_equal(upconv_problem_parse(text, &given, NULL), UPCONV_OK);
    assert_int_equal(upc_problem_from(&given, p), UPCONV_OK);
}

static void every_order_into_every_layout(void **state)
{
    (void)state;
    static const int64_t channels[] = {1, 3, 4, 8, 16, 64};
    upc_env env;
    upc_env_init(&env, NULL);
    for (size_t i = 0; i < UPC_COUNT(problems); i++) {
        upc_problem p;
        parse(problems[i], &p);
        for (size_t c = 0; c < UPC_COUNT(channels); c++)
            for (int way = 0; way < 4 * UPCONV_FILTER_COUNT; way++) {
                const upc_packing how = {
                    .oc = channels[c], .icg = p.icg + (c % 2 ? 3 : 0), .type = way % 2 ? UPCONV_F16 : UPCONV_F32};
                pack_one(&env, &p, way / 2 % 2, &how, (upconv_filter_order)(way / 4));
            }
    }
}

static void *no_memory(void *user, size_t size)
{
    int *left = user;
    return (*left)-- > 0 ? malloc(size) : NULL;
}

static void release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static void without_memory(void **state)
{
    (void)state;
    upc_env env;
    upc_env_init(&env, NULL);
    upc_problem p;
    parse(problems[0], &p);
    upc_taps taps;
    assert_int_equal(upc_taps_init(&taps, &env, &p, true), UPCONV_OK);
    const upc_packing how = {.oc = 4, .icg = p.icg};
    float *weights = numbers(upc_weights_elements(&p));
    char *packed = guarded(upc_taps_packed_bytes(&p, &how));
    upc_env poor = env;
    taps.env = &poor;
    for (int most = 0; most < 3; most++) {
        int left = most;
        poor.allocator = (upconv_allocator){&left, no_memory, release};
        assert_int_equal(upc_taps_pack(&taps, &p, &how, weights, UPCONV_FILTER_IOK, packed),
                         most < 2 ? UPCONV_ERROR_HOST_MEMORY : UPCONV_OK);
    }
    taps.env = &env;
    upc_taps_finish(&taps);
    free(weights);
    free(packed);
}

// Columns of channel and phase, a panel's last ones beyond the end, taps that some phases have not, gaps between rows.
static void check_map(const upc_pack_map *m, const float *from, const char *to, size_t bytes)
{
    const size_t size = m->half ? 2 : 4;
    char *wanted = guarded(bytes);
    for (int64_t p = 0; p < m->panels; p++)
        for (int64_t t = 0; t < m->taps; t++)
            for (int64_t i = 0; i < m->inner; i++)
                for (int64_t c = 0; c < m->columns; c++) {
                    const int64_t column = p * m->columns + c;
                    const bool none =
                        m->column[column] < 0 || (m->missing && m->missing[t * m->panels * m->columns + column]);
                    const float value = none ? 0 : from[m->column[column] + m->tap[t].from + i * m->from_inner];
                    const uint16_t half = upc_half_from(value);
                    memcpy(wanted + (size_t)(p * m->to_panel + m->tap[t].to + i * m->to_inner + c) * size,
                           m->half ? (const void *)&half : (const void *)&value, size);
                }
    assert_memory_equal(to, wanted, bytes + CANARIES);
    free(wanted);
}

static void columns_of_phases(void **state)
{
    (void)state;
    enum {
        OUT = 5,
        IN = 37,
        KERNEL = 5,
        STRIDE = 2,
        TAPS = 3,
        COLUMNS = 8,
        PANELS = 2
    }; // 10 columns, taps 0, 2, 4 and 1, 3
    int64_t column[PANELS * COLUMNS];
    uint8_t missing[TAPS][PANELS * COLUMNS];
    upc_pack_tap tap[TAPS];
    for (int way = 0; way < 12; way++) {
        const bool koi = way % 2, half = way / 2 % 2;
        const int64_t gap = way / 4, out = koi ? IN : KERNEL, k = koi ? IN * OUT : 1, row = COLUMNS + gap;
        for (int c = 0; c < PANELS * COLUMNS; c++)
            column[c] = c < OUT * STRIDE ? c / STRIDE * out + c % STRIDE * k : -1;
        for (int t = 0; t < TAPS; t++) {
            tap[t] = (upc_pack_tap){t * STRIDE * k, t * IN * row};
            for (int c = 0; c < PANELS * COLUMNS; c++)
                missing[t][c] = t * STRIDE + c % STRIDE >= KERNEL;
        }
        const upc_pack_map map = {.groups = 1,
                                  .panels = PANELS,
                                  .taps = TAPS,
                                  .inner = IN,
                                  .columns = COLUMNS,
                                  .from_inner = koi ? 1 : OUT * KERNEL,
                                  .to_panel = TAPS * IN * row,
                                  .to_inner = row,
                                  .tap = tap,
                                  .column = column,
                                  .missing = missing[0],
                                  .half = half};
        const size_t bytes = (size_t)(PANELS * TAPS * IN * row) * (half ? 2 : 4);
        float *from = numbers(IN * OUT * KERNEL);
        char *to = guarded(bytes);
        upc_pack_run(&map, from, to);
        check_map(&map, from, to, bytes);
        free(from);
        free(to);
    }
}

// The solvers whose weights are no blocks: a matrix of [input channel][output channel and tap] a group.
static void matrices(void **state)
{
    (void)state;
    upc_env env;
    upc_env_init(&env, NULL);
    const upc_solver *gemm = upc_solver_find("gemm", 4);
    assert_non_null(gemm);
    for (size_t i = 0; i < UPC_COUNT(problems); i++)
        for (int order = 0; order < UPCONV_FILTER_COUNT; order++) {
            upc_problem p;
            parse(problems[i], &p);
            if (!upc_solver_does(gemm, p.op))
                continue;
            upc_filter_strides from, to;
            upc_filter_strides_get(&p, (upconv_filter_order)order, &from);
            upc_filter_strides_get(&p, UPCONV_FILTER_IOK, &to);
            const size_t count = upc_weights_elements(&p);
            float *weights = numbers(count);
            char *packed = guarded(count * 4);
            const upc_facts facts = {0};
            const upc_config config = {{0}};
            assert_int_equal(gemm->pack(&env, &p, &facts, &config, weights, (upconv_filter_order)order, packed),
                             UPCONV_OK);
            const int64_t taps = p.axis[0].kernel * p.axis[1].kernel * p.axis[2].kernel;
            for (int64_t e = 0; e < (int64_t)count; e++) {
                const int64_t k = e % taps, o = e / taps % p.ocg, c = e / taps / p.ocg % p.icg,
                              g = e / taps / p.ocg / p.icg;
                check_element(packed, (size_t)(g * to.group + c * to.in + o * to.out + k * to.tap[2]), false,
                              weights[g * from.group + c * from.in + o * from.out + k * from.tap[2]]);
            }
            check_guard(packed, count * 4);
            free(packed);
            free(weights);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_into_every_layout),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(columns_of_phases),
        cmocka_unit_test(matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
