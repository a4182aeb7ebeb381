// What is made of the facts of a device: its family, and what known faults of drivers take back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../api/internal.h"

static void facts_know_their_family(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t vendor_id;
        upconv_device_kind kind;
        upc_family family;
    } table[] = {
        {"QUALCOMM Adreno(TM)", 0, UPCONV_DEVICE_INTEGRATED, UPC_FAMILY_ADRENO},
        {"Turnip", 0x5143, UPCONV_DEVICE_INTEGRATED, UPC_FAMILY_ADRENO},
        {"Mali-G52", 0, UPCONV_DEVICE_INTEGRATED, UPC_FAMILY_MALI},
        {"V3D 4.2.14", 0, UPCONV_DEVICE_INTEGRATED, UPC_FAMILY_V3D},
        {"PowerVR Rogue", 0x1010, UPCONV_DEVICE_INTEGRATED, UPC_FAMILY_POWERVR},
        {"llvmpipe", 0x10005, UPCONV_DEVICE_CPU, UPC_FAMILY_CPU},
        {"something new", 0xabcd, UPCONV_DEVICE_OTHER, UPC_FAMILY_UNKNOWN},
    };
    for (size_t i = 0; i < UPC_COUNT(table); i++) {
        upc_facts facts;
        upc_facts_smallest(&facts);
        snprintf(facts.info.name, sizeof facts.info.name, "%s", table[i].name);
        facts.info.vendor_id = table[i].vendor_id;
        facts.info.kind = table[i].kind;
        upc_facts_finish(&facts);
        assert_int_equal(facts.family, table[i].family);
        assert_true(facts.sum_scalars >= 16 && facts.info.limits.dispatch_macs > 0);
    }
}

static void quirks_take_features_back(void **state)
{
    (void)state;
    upc_facts facts;
    upc_facts_smallest(&facts);
    facts.info.backend = UPCONV_BACKEND_VULKAN;
    facts.info.vendor_id = 0x1010;
    facts.info.int8_dot = facts.dot_takes = facts.dot_fast = 2;
    upc_facts_finish(&facts);
    assert_true(!facts.info.int8_dot && !facts.dot_takes && !facts.dot_fast);
    assert_non_null(strstr(facts.info.quirks, "powervr-int-dot"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_know_their_family),
        cmocka_unit_test(quirks_take_features_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
