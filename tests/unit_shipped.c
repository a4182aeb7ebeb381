// Tuning records that come with the library: how they are found, what is stronger than they are, and that the numbers in the
// generated table are the library's own. Built twice: with the table of this build, and with one made from golden/shipped.jsonl.
#include "tuning_lines.h"

#include "../api/records.h"
#include "../api/shipped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAR "ic64oc32_ih60iw48_kh4sh2ph1"
enum { MOST = 8 };

// A table made to order, with a maker for every record.
typedef struct table {
    upc_string text[MOST];
    char head[MOST][512];
    upc_shipped_maker makers[MOST];
    upc_shipped_record records[MOST];
    upc_shipped shipped;
} table;

static void table_add(table *t, fake_context *fake, const line_spec *spec)
{
    const size_t i = t->shipped.record_count++;
    const upconv_device_info *info = &fake->context.facts.info;
    upc_record_fields fields;
    char reason[UPC_RECORD_REASON];
    t->shipped.maker_count = t->shipped.record_count;
    t->shipped.makers = t->makers;
    t->shipped.records = t->records;
    upc_string_init(&t->text[i], &fake->context.env);
    tuning_add_line(&t->text[i], fake, spec);
    assert_true(upc_record_read(t->text[i].data, t->text[i].length - 1, &fields, reason));
    t->text[i].data[t->text[i].length - 1] = 0; // its line feed
    const char *tail = strstr(t->text[i].data, "\"problem\"");
    snprintf(t->head[i], sizeof t->head[i], "%.*s", (int)(tail - t->text[i].data), t->text[i].data);
    t->records[i] = (upc_shipped_record){fields.problem_key, fields.class_key, tail};
    t->makers[i] = (upc_shipped_maker){"vulkan",
                                       spec->device ? spec->device : info->name,
                                       spec->driver ? spec->driver : info->driver,
                                       info->vendor_id,
                                       info->device_id,
                                       t->head[i],
                                       (uint32_t)i,
                                       1};
}

static void table_finish(table *t)
{
    for (size_t i = 0; i < t->shipped.record_count; i++)
        upc_string_finish(&t->text[i]);
}

static upc_record found(fake_context *fake, const char *notation)
{
    const upc_problem problem = tuning_problem(notation);
    upc_record record = {0};
    upc_tuning_find(fake->context.tuning, &problem, &fake->context.facts, NULL, &record);
    return record;
}

static void kinship(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        uint32_t vendor;
        int kin; // 0: none, 1: vendor, 2: family
    } cases[] = {
        {"Adreno (TM) 660", "Turnip Adreno (TM) 618", 0x5143, 2},
        {"Adreno (TM) 660", "QUALCOMM Adreno(TM) 740", 0x5143, 1},
        {"Turnip Adreno (TM) 750 (raytracing disabled)", "Adreno (TM) 740", 0x5143, 2},
        {"Mali-G52 r1", "Mali-G31", 0x13b5, 2},
        {"Mali-G52 r1", "Mali-G57", 0x13b5, 1},
        {"Mali-G310", "Mali-G710", 0x13b5, 2},
        {"Mali-G720", "Immortalis-G925", 0x13b5, 2},
        {"Mali-T880", "Mali-T760 (Panfrost)", 0x13b5, 2},
        {"V3D 4.2.14.0", "V3D 4.2", 0x14e4, 2},
        {"V3D 4.2.14.0", "V3D 7.1.10.0", 0x14e4, 1},
        {"PowerVR Rogue GE8320", "PowerVR Rogue GM9446", 0x1010, 2},
        {"PowerVR B-Series BXM-8-256", "PowerVR D-Series DXT-48-1536", 0x1010, 1},
        {"llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe (LLVM 19.1.7, 256 bits)", 0x10005, 2},
        {"llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe (LLVM 15.0.6, 128 bits)", 0x10005, 1},
        {"pthread-skylake-avx512-AMD EPYC", "cpu-skylake-avx512-Intel(R) Xeon(R)", 0, 2},
        {"pthread-skylake-avx512-AMD EPYC", "pthread-haswell-AMD EPYC", 0, 1},
        {"pthread--cortex-a72", "cpu-cortex-a72", 0x13b5, 2},
        {"pthread", "Mali-G52", 0x13b5, 0}, // Arm's number, but a processor
        {"pthread", "pthread", 0x13b5, 2},
        {"NVIDIA H200", "NVIDIA H200", 0x10de, 2},
        {"NVIDIA H200", "NVIDIA GeForce RTX 4090", 0x10de, 1},
        {"Vivante GC7000", "Vivante GC7000", 0x10001, 2},
        {"Vivante GC7000", "Vivante GC1700", 0x10001, 1},
        {"AMD EPYC", "AMD Ryzen", 0, 0},
        {"Adreno (TM) 660", "Mali-G52", 0, 0},
    };
    for (size_t i = 0; i < UPC_COUNT(cases); i++) {
        upc_kin a, b, other;
        upc_kin_of("vulkan", cases[i].vendor, cases[i].a, &a);
        upc_kin_of("vulkan", cases[i].vendor, cases[i].b, &b);
        upc_kin_of("opencl", cases[i].vendor, cases[i].a, &other);
        const int kin = a.family == b.family ? 2 : a.vendor && a.vendor == b.vendor ? 1 : 0;
        if (kin != cases[i].kin)
            fail_msg("%s, %s: %d", cases[i].a, cases[i].b, kin);
        assert_true(other.family != a.family && (!a.vendor || other.vendor != a.vendor));
    }
}

static void strength(void **state)
{
    (void)state;
    static const line_spec shipped[] = {
        {.time_us = 40},
        {.time_us = 7, .driver = "turnip 24.0"},
        {.time_us = 20, .problem = "ic64oc32_ih64iw48_kh4sh2ph1"},
        {.time_us = 3, .device = "Adreno 640", .problem = "ic64oc32_ih32iw48_kh2sh2"},
        {.time_us = 2, .device = "Adreno 740", .problem = "ic64oc32_ih32iw48_kh2sh2"},
        {.time_us = 1, .device = "Adreno 740", .problem = "ic64oc32_ih32iw48_kh3sh2"},
    };
    fake_context fake;
    table t = {0};
    tuning_setup(&fake);
    for (size_t i = 0; i < UPC_COUNT(shipped); i++)
        table_add(&t, &fake, &shipped[i]);
    assert_null(found(&fake, UP2X).solver);
    upc_tuning_ship(fake.context.tuning, &t.shipped);
    upc_record record = found(&fake, UP2X);
    assert_true(record.time_us == 40 && record.tier == UPCONV_TIER_EXACT && record.shipped && !record.unverified);
    record = found(&fake, NEAR);
    assert_true(record.time_us == 20 && record.tier == UPCONV_TIER_NEAREST && record.shipped);
    record = found(&fake, "ic64oc32_ih32iw48_kh2sh2");
    assert_true(record.time_us == 3 && record.tier == UPCONV_TIER_FAMILY && record.shipped);
    record = found(&fake, "ic64oc32_ih32iw48_kh3sh2");
    assert_true(record.time_us == 1 && record.tier == UPCONV_TIER_VENDOR && record.shipped);
    assert_null(found(&fake, "ic64oc32_ih32iw48_kh5sh2").solver);
    // A farther record of the app's own is no reason to leave a shipped one; one of this problem is, though it be slower.
    tuning_import_specs(&fake, &(line_spec){.time_us = 30, .problem = "ic64oc32_ih34iw48_kh4sh2ph1"}, 1);
    assert_true(found(&fake, UP2X).time_us == 40);
    tuning_import_specs(&fake, &(line_spec){.time_us = 50, .date = "2020-01-01"}, 1);
    record = found(&fake, UP2X);
    assert_true(record.time_us == 50 && record.tier == UPCONV_TIER_EXACT && !record.shipped);
    fake_file file = {0};
    tuning_exported(&fake, &file); // own records only
    assert_int_equal(tuning_lines(&file), 2);
    fake_file_finish(&file);
    table_finish(&t);
    tuning_finish(&fake);
}

// What the app saw fail is stronger than what came with the library, of whatever date.
static void own_failures(void **state)
{
    (void)state;
    fake_context fake;
    table t = {0};
    tuning_setup(&fake);
    table_add(&t, &fake, &(line_spec){.time_us = 40, .date = "2030-01-01"});
    upc_tuning_ship(fake.context.tuning, &t.shipped);
    assert_true(found(&fake, UP2X).time_us == 40);
    tuning_import_specs(&fake, &(line_spec){.verdict = "crash", .date = "2026-01-01"}, 1);
    assert_null(found(&fake, UP2X).solver);
    table_finish(&t);
    tuning_finish(&fake);
}

static upconv_status say(fake_context *fake, const upc_problem *problem, const upc_record *record, const char *verdict)
{
    const upc_measurement seen = {.problem = problem,
                                  .info = &fake->context.facts.info,
                                  .solver = record->solver,
                                  .config = &record->config,
                                  .verdict = verdict};
    return upc_tuning_keep(fake->context.tuning, &seen);
}

// A record of another driver is to be verified once; what came of it is a record of its own, which survives a file.
static void other_driver(void **state)
{
    (void)state;
    fake_context fake, next;
    tuning_setup(&fake);
    tuning_setup(&next);
    const upc_problem problem = tuning_problem(UP2X);
    const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
    upc_config one, two;
    assert_true(tuning_config(solver, &problem, &fake.context.facts, 0, &one));
    assert_true(tuning_config(solver, &problem, &fake.context.facts, 1, &two));
    const line_spec specs[] = {{.time_us = 10, .driver = "turnip 23.0", .config = &one},
                               {.time_us = 12, .driver = "turnip 23.1", .config = &two}};
    tuning_import_specs(&fake, specs, UPC_COUNT(specs));
    upc_record record = found(&fake, UP2X);
    assert_true(record.time_us == 10 && record.tier == UPCONV_TIER_DRIVER && record.unverified);
    assert_int_equal(say(&fake, &problem, &record, "wrong"), UPCONV_OK);
    record = found(&fake, UP2X);
    assert_true(record.time_us == 12 && record.tier == UPCONV_TIER_DRIVER && record.unverified);
    assert_int_equal(say(&fake, &problem, &record, "verified"), UPCONV_OK);
    record = found(&fake, UP2X);
    assert_true(record.time_us == 12 && record.tier == UPCONV_TIER_DRIVER && !record.unverified);
    fake_file file = {0};
    tuning_exported(&fake, &file);
    assert_int_equal(tuning_import(&next, file.data, file.size), UPCONV_OK);
    record = found(&next, UP2X);
    assert_true(record.time_us == 12 && record.tier == UPCONV_TIER_DRIVER && !record.unverified);
    snprintf(next.context.facts.info.driver, sizeof next.context.facts.info.driver, "turnip 25");
    record = found(&next, UP2X); // a new driver, a new question
    assert_true(record.time_us == 10 && record.tier == UPCONV_TIER_DRIVER && record.unverified);
    fake_file_finish(&file);
    tuning_finish(&fake);
    tuning_finish(&next);
}

// Without memory a look-up finds less, and nothing else happens.
static void no_memory(void **state)
{
    (void)state;
    fake_context fake;
    table t = {0};
    tuning_setup(&fake);
    table_add(&t, &fake, &(line_spec){.time_us = 40});
    table_add(&t, &fake, &(line_spec){.time_us = 10, .driver = "other"});
    for (long n = 1; n < 20; n++) {
        upc_tuning_ship(fake.context.tuning, &t.shipped);
        atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + n);
        const upc_record record = found(&fake, UP2X);
        assert_true(!record.solver || record.time_us == 40 || record.time_us == 10);
        atomic_store(&fake.fail_at, 0);
    }
    assert_true(found(&fake, UP2X).time_us == 40);
    table_finish(&t);
    tuning_finish(&fake);
}

// The table of the build: every line reads, by the rules of any other, and is found under the numbers that it has.
static void generated(void **state)
{
    (void)state;
    const upc_shipped *shipped = &upc_shipped_records;
    fake_context fake;
    tuning_setup(&fake);
    size_t seen = 0, used = 0;
    for (size_t i = 0; i < shipped->maker_count; i++) {
        const upc_shipped_maker *maker = &shipped->makers[i];
        for (uint32_t at = maker->first; at < maker->first + maker->count; at++, seen++) {
            upc_record_fields fields;
            char reason[UPC_RECORD_REASON];
            upc_string line;
            upc_string_init(&line, &fake.context.env);
            upc_string_add(&line, "%s%s", maker->head, shipped->records[at].tail);
            if (!upc_record_read(line.data, line.length, &fields, reason))
                fail_msg("%s: %s", line.data, reason);
            upc_string_finish(&line);
            assert_true(fields.problem_key == shipped->records[at].problem);
            assert_true(fields.class_key == shipped->records[at].kind);
            assert_true(fields.device ==
                        upc_record_device_named(maker->backend, maker->device, maker->vendor_id, maker->device_id));
            used += fields.ok && fields.solver;
        }
    }
    assert_int_equal(seen, shipped->record_count);
    printf("%zu records of %zu devices and drivers; this build has the solvers and knobs of %zu\n", seen,
           shipped->maker_count, used);
    tuning_finish(&fake);
}

// How long look-ups take among very many; said, not judged.
static void many(void **state)
{
    (void)state;
    enum { MAKERS = 60, EACH = 200, ALL = MAKERS * EACH };
    static const char *const notations[] = {UP2X "+relu", UP2X, UP2X};
    static const char *const what[] = {"known exactly", "first look-up nearby", "second look-up nearby"};
    fake_context fake;
    table t = {0};
    tuning_setup(&fake);
    table_add(&t, &fake, &(line_spec){.time_us = 40, .problem = UP2X "+relu"});
    upc_shipped_maker *makers = calloc(MAKERS, sizeof *makers);
    upc_shipped_record *records = calloc(ALL, sizeof *records);
    assert_true(makers && records);
    for (uint32_t i = 0; i < MAKERS; i++) {
        makers[i] = t.makers[0];
        makers[i].device_id += i;
        makers[i].first = i * EACH;
        makers[i].count = EACH;
    }
    for (size_t i = 0; i < ALL; i++) { // a tenth of each device's are of one class
        records[i] = t.records[0];
        records[i].problem = i ? i : records[i].problem;
        records[i].kind = i % 10 ? i : records[i].kind;
    }
    const upc_shipped shipped = {makers, MAKERS, records, ALL};
    upc_tuning_ship(fake.context.tuning, &shipped);
    for (int i = 0; i < 3; i++) {
        const uint64_t start = upc_now_ns();
        assert_true(found(&fake, notations[i]).time_us == 40);
        printf("%s, among %d shipped records, %d of the class: %.3f ms\n", what[i], ALL, ALL / 10,
               (double)(upc_now_ns() - start) / 1e6);
    }
    table_finish(&t);
    tuning_finish(&fake);
    free(makers);
    free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinship),      cmocka_unit_test(strength),  cmocka_unit_test(own_failures),
        cmocka_unit_test(other_driver), cmocka_unit_test(no_memory), cmocka_unit_test(generated),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
