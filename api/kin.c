#include "kin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/util.h"

enum { GENERATION = 64 };

static const char *find(const char *text, const char *part)
{
    const size_t length = strlen(part);
    for (; *text; text++)
        if (!strncasecmp(text, part, length))
            return text;
    return NULL;
}

// "Adreno (TM) 660" -> "6": the digit that counts generations.
static void adreno(const char *name, char generation[GENERATION])
{
    for (const char *at = name; *at; at++) {
        const size_t digits = strspn(at, "0123456789");
        if (digits >= 3)
            snprintf(generation, GENERATION, "%c", *at);
        if (digits)
            at += digits - 1;
    }
}

// Arm's product numbers do not count up: the architectures by name.
static void mali(const char *name, char generation[GENERATION])
{
    static const struct {
        const char *architecture;
        int products[16];
    } table[] = {
        {"bifrost", {31, 51, 52, 71, 72, 76}},
        {"valhall", {57, 68, 77, 78, 310, 510, 610, 615, 710, 715}},
        {"fifth", {620, 625, 720, 725, 925}},
    };
    const char *at = find(name, "mali-") ? find(name, "mali-") : find(name, "immortalis-");
    if (!at)
        return;
    at = strchr(at, '-') + 1;
    const int product = atoi(at + 1);
    if (toupper((unsigned char)*at) == 'T')
        snprintf(generation, GENERATION, "midgard");
    for (size_t i = 0; i < UPC_COUNT(table) && toupper((unsigned char)*at) == 'G'; i++)
        for (size_t j = 0; j < UPC_COUNT(table[i].products) && table[i].products[j]; j++)
            if (table[i].products[j] == product)
                snprintf(generation, GENERATION, "%s", table[i].architecture);
}

// "V3D 4.2.14" -> "4".
static void v3d(const char *name, char generation[GENERATION])
{
    const char *at = find(name, "v3d ");
    if (at && isdigit((unsigned char)at[4]))
        snprintf(generation, GENERATION, "%d", atoi(at + 4));
}

// "PowerVR Rogue GE8320" -> "Rogue", "PowerVR B-Series BXM-8-256" -> "B-Series".
static void powervr(const char *name, char generation[GENERATION])
{
    const char *at = find(name, "powervr ");
    if (at)
        snprintf(generation, GENERATION, "%.*s", (int)strcspn(at + 8, " "), at + 8);
}

// "llvmpipe (LLVM 15.0.6, 256 bits)" -> "256": another version of LLVM is another device by name, but no other machine.
static void llvmpipe(const char *name, char generation[GENERATION])
{
    const char *at = strchr(name, ',');
    if (at && strstr(at, "bits"))
        snprintf(generation, GENERATION, "%d", atoi(at + 1));
}

// "pthread-skylake-avx512-AMD EPYC" -> "skylake-avx512", "cpu-cortex-a76" -> "cortex-a76": what PoCL compiles for. Where the
// name has none, PoCL did not know the processor.
static void pocl(const char *name, char generation[GENERATION])
{
    const char *target = strchr(name, '-');
    if (!target)
        return;
    target += strspn(target, "-");
    const size_t word = strcspn(target, " ");
    size_t end = word;
    while (end && target[word] && target[end - 1] != '-') // the first word of the processor's own name
        end--;
    snprintf(generation, GENERATION, "%.*s", (int)(end && target[word] ? end - 1 : word), target);
}

static const struct maker {
    const char *name;
    uint32_t vendor_id; // PCI's or Khronos', 0: go by the device's name alone
    const char *device; // in the device's name
    bool first;         // it begins with that
    void (*generation)(const char *name, char generation[GENERATION]); // NULL: as many generations as names
} makers[] = {
    {"llvmpipe", 0, "llvmpipe", true, llvmpipe},
    {"pocl", 0, "pthread", true, pocl},
    {"pocl", 0, "cpu-", true, pocl},
    {"adreno", 0x5143, "adreno", false, adreno},
    {"mali", 0x13b5, "mali", false, mali},
    {"mali", 0x13b5, "immortalis", false, mali},
    {"v3d", 0x14e4, "v3d", false, v3d},
    {"powervr", 0x1010, "powervr", false, powervr},
    {"intel", 0x8086, "intel", false, NULL},
    {"amd", 0x1002, "radeon", false, NULL},
    {"nvidia", 0x10de, "nvidia", false, NULL},
    {"apple", 0x106b, "apple", false, NULL},
};

static const struct maker *maker_of(uint32_t vendor_id, const char *name)
{
    for (size_t i = 0; i < UPC_COUNT(makers); i++) {
        const char *at = find(name, makers[i].device);
        if ((at && (at == name || !makers[i].first)) || (makers[i].vendor_id && makers[i].vendor_id == vendor_id))
            return &makers[i];
    }
    return NULL;
}

static uint64_t hash(const char *text, uint64_t seed) { return upc_hash(text, strlen(text) + 1, seed); }

void upc_kin_of(const char *backend, uint32_t vendor_id, const char *name, upc_kin *kin)
{
    const struct maker *maker = maker_of(vendor_id, name);
    char number[16], generation[GENERATION] = "";
    snprintf(number, sizeof number, "%u", vendor_id);
    *kin = (upc_kin){0};
    if (maker || vendor_id)
        kin->vendor = hash(maker ? maker->name : number, hash(backend, 1));
    if (maker && maker->generation)
        maker->generation(name, generation);
    // a generation that nobody has a rule for, or whose name says nothing: devices of one name
    kin->family = hash(*generation ? generation : name, hash(maker ? maker->name : number, hash(backend, 2)));
}
