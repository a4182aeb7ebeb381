// What drivers get wrong, as a table, and what is known of devices beyond what drivers report.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "backend.h"

void upc_facts_smallest(upc_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    facts->info.struct_size = sizeof facts->info;
    facts->info.offset_alignment = 256;
    facts->info.limits = (upconv_limits){.struct_size = sizeof(upconv_limits), .binding_bytes = 128u << 20,
                                         .alloc_bytes = 256u << 20, .group_count = 65535, .group_size = 256,
                                         .shared_bytes = 16384, .dispatch_macs = 0};
    facts->group_axis[0] = facts->group_axis[1] = 256;
    facts->group_axis[2] = 64;
    facts->push_bytes = 128;
    facts->sum_scalars = 16;
}

static bool has(const char *text, const char *part)
{
    const size_t length = strlen(part);
    for (; *text; text++)
        if (!strncasecmp(text, part, length))
            return true;
    return false;
}

// By PCI or Khronos vendor number, or by what the names say where OpenCL gives no number that helps.
static upc_family family_of(const upconv_device_info *info)
{
    static const struct {
        uint32_t vendor;
        const char *name; // in the device's or vendor's name
        upc_family family;
    } table[] = {
        {0x5143, "adreno", UPC_FAMILY_ADRENO}, {0x13b5, "mali", UPC_FAMILY_MALI},
        {0x14e4, "v3d", UPC_FAMILY_V3D},       {0x1010, "powervr", UPC_FAMILY_POWERVR},
        {0x8086, "intel", UPC_FAMILY_INTEL},   {0x1002, "radeon", UPC_FAMILY_AMD},
        {0x10de, "nvidia", UPC_FAMILY_NVIDIA}, {0x106b, "apple", UPC_FAMILY_APPLE},
    };
    if (info->kind == UPCONV_DEVICE_CPU)
        return UPC_FAMILY_CPU;
    for (size_t i = 0; i < UPC_COUNT(table); i++)
        if (info->vendor_id == table[i].vendor || has(info->name, table[i].name) || has(info->vendor, table[i].name))
            return table[i].family;
    return UPC_FAMILY_UNKNOWN;
}

// Known faults. A NULL part matches anything. `report` is where the fault was described.
static const struct quirk {
    const char *name;
    upconv_backend backend; // ANY: both
    upc_family family;      // UNKNOWN: any
    const char *device;     // part of the device's name
    const char *driver;     // part of the driver's name and version
    enum { NO_F16, NO_F16_MATH, NO_DOT, LOOP_ROUNDS } effect;
    const char *report;
} quirks[] = {
    // 16-bit storage gives wrong results on Vivante.
    {"vivante-f16-storage", UPCONV_BACKEND_ANY, UPC_FAMILY_UNKNOWN, "GC1700", NULL, NO_F16, "Tencent/ncnn src/gpu.cpp"},
    {"powervr-int-dot", UPCONV_BACKEND_VULKAN, UPC_FAMILY_POWERVR, NULL, NULL, NO_DOT, "ggml-org/llama.cpp#28502"},
    // Ends an item's loops after 65,535 rounds in all, nested ones counted together, without a word.
    {"llvmpipe-loop-rounds", UPCONV_BACKEND_VULKAN, UPC_FAMILY_CPU, "llvmpipe", NULL, LOOP_ROUNDS,
     "Mesa, LP_MAX_TGSI_LOOP_ITERATIONS; measured here"},
    {"v3d-no-f16", UPCONV_BACKEND_ANY, UPC_FAMILY_V3D, NULL, NULL, NO_F16_MATH, "the hardware has no f16 arithmetic"},
};

static void apply_quirks(upc_facts *facts)
{
    upconv_device_info *info = &facts->info;
    upc_text names = {info->quirks, sizeof info->quirks, 0};
    for (size_t i = 0; i < UPC_COUNT(quirks); i++) {
        const struct quirk *quirk = &quirks[i];
        if ((quirk->backend && quirk->backend != info->backend) || (quirk->family && quirk->family != facts->family) ||
            (quirk->device && !has(info->name, quirk->device)) || (quirk->driver && !has(info->driver, quirk->driver)))
            continue;
        if (quirk->effect == NO_F16)
            info->f16_storage = info->f16_math = 0;
        if (quirk->effect == NO_F16_MATH)
            info->f16_math = 0;
        if (quirk->effect == NO_DOT)
            info->int8_dot = facts->dot_takes = facts->dot_fast = 0;
        if (quirk->effect == LOOP_ROUNDS)
            facts->loop_rounds = 65535;
        upc_text_add(&names, "%s%s", names.length ? " " : "", quirk->name);
    }
}

// Adrenos before the 660 load single elements from buffers. 0: the name tells no number.
static int adreno_model(const char *name)
{
    int model = 0;
    for (const char *at = name; *at && !model; at++)
        if (*at >= '1' && *at <= '9' && sscanf(at, "%3d", &model) == 1 && model < 100)
            model = 0;
    return model;
}

void upc_facts_finish(upc_facts *facts)
{
    upconv_device_info *info = &facts->info;
    facts->family = family_of(info);
    apply_quirks(facts);
    // Sums that an item keeps without spilling, from the mobile compilers: see docs/performance.md.
    static const uint32_t sums[UPC_FAMILY_COUNT] = {
        [UPC_FAMILY_UNKNOWN] = 16, [UPC_FAMILY_CPU] = 32,   [UPC_FAMILY_ADRENO] = 16, [UPC_FAMILY_MALI] = 16,
        [UPC_FAMILY_V3D] = 16,     [UPC_FAMILY_POWERVR] = 16, [UPC_FAMILY_INTEL] = 32, [UPC_FAMILY_AMD] = 32,
        [UPC_FAMILY_NVIDIA] = 32,  [UPC_FAMILY_APPLE] = 32,
    };
    facts->sum_scalars = sums[facts->family];
    facts->narrow_loads = facts->family == UPC_FAMILY_ADRENO && adreno_model(info->name) < 660;
    facts->reqd_group_size = info->backend == UPCONV_BACKEND_OPENCL && facts->family != UPC_FAMILY_ADRENO;
    // About a tenth of a second at a rate that the slowest of the kind reaches with a plain kernel. Nothing watches a CPU, but
    // its waits are bounded too.
    if (!info->limits.dispatch_macs)
        info->limits.dispatch_macs = info->kind == UPCONV_DEVICE_DISCRETE ? (uint64_t)1 << 34
                                     : info->kind == UPCONV_DEVICE_CPU    ? (uint64_t)1 << 34
                                                                          : (uint64_t)1 << 28;
}
