// What the driver says of a device, as facts.
#include "cl.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 512, EXTENSIONS_SIZE = 16384 };

bool upc_cl_device_value(const upc_cl *cl, cl_device_id device, cl_device_info what, void *value, size_t size)
{
    size_t given = 0;
    memset(value, 0, size);
    if (cl->GetDeviceInfo(device, what, size, value, &given) == CL_SUCCESS && given == size)
        return true;
    memset(value, 0, size);
    return false;
}

// Some drivers pad names with spaces on either side.
static void text_trim(char *text)
{
    const size_t front = strspn(text, " \t\r\n");
    size_t length = strlen(text + front);
    while (length > 0 && strchr(" \t\r\n", text[front + length - 1]))
        length--;
    memmove(text, text + front, length);
    text[length] = 0;
}

// "" when the driver has no such text or one that does not fit.
static void device_text(const upc_cl *cl, cl_device_id device, cl_device_info what, char *text, size_t size)
{
    size_t given = 0;
    if (cl->GetDeviceInfo(device, what, size - 1, text, &given) != CL_SUCCESS || given > size - 1)
        given = 0;
    text[given] = 0;
    text_trim(text);
}

static void platform_text(const upc_cl *cl, cl_platform_id platform, cl_platform_info what, char *text, size_t size)
{
    size_t given = 0;
    if (cl->GetPlatformInfo(platform, what, size - 1, text, &given) != CL_SUCCESS || given > size - 1)
        given = 0;
    text[given] = 0;
    text_trim(text);
}

void upc_cl_platform_print(const upc_cl *cl, cl_platform_id platform, upc_text *text)
{
    char name[TEXT_SIZE], version[TEXT_SIZE];
    platform_text(cl, platform, CL_PLATFORM_NAME, name, sizeof name);
    platform_text(cl, platform, CL_PLATFORM_VERSION, version, sizeof version);
    upc_text_add(text, "%s (%s)", name, version);
}

// "OpenCL 1.2 ..." as 102; 0 when it is no version.
static int version_number(const char *text)
{
    int major = 0, minor = 0;
    return sscanf(text, "OpenCL %d.%d", &major, &minor) == 2 ? major * 100 + minor : 0;
}

bool upc_cl_usable(const upc_cl *cl, cl_device_id device, upc_text *why)
{
    char name[TEXT_SIZE], version[TEXT_SIZE];
    device_text(cl, device, CL_DEVICE_NAME, name, sizeof name);
    device_text(cl, device, CL_DEVICE_VERSION, version, sizeof version);
    cl_device_type type = 0;
    cl_bool available = CL_FALSE, compiler = CL_FALSE;
    upc_cl_device_value(cl, device, CL_DEVICE_TYPE, &type, sizeof type);
    upc_cl_device_value(cl, device, CL_DEVICE_AVAILABLE, &available, sizeof available);
    upc_cl_device_value(cl, device, CL_DEVICE_COMPILER_AVAILABLE, &compiler, sizeof compiler);
    if (!(type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_ACCELERATOR)))
        upc_text_add(why, "%s is no GPU, CPU or accelerator; ", name);
    else if (!available)
        upc_text_add(why, "%s is not available; ", name);
    else if (version_number(version) < 102)
        upc_text_add(why, "%s has \"%s\", and 1.2 is needed; ", name, version);
    else
        return true; // without a compiler too: imported binaries load everywhere
    return false;
}

static upconv_device_kind kind_of(cl_device_type type, bool unified)
{
    if (type & CL_DEVICE_TYPE_CPU)
        return UPCONV_DEVICE_CPU;
    if (type & CL_DEVICE_TYPE_GPU)
        return unified ? UPCONV_DEVICE_INTEGRATED : UPCONV_DEVICE_DISCRETE;
    return UPCONV_DEVICE_OTHER;
}

// OpenCL leaves the vendor number to the driver (Arm puts the GPU's product number there), so it comes from the name.
static const struct {
    const char *part;
    uint32_t id; // PCI's number, as Vulkan gives it
} vendors[] = {
    {"QUALCOMM", 0x5143}, {"Qualcomm", 0x5143}, {"ARM", 0x13b5},      {"Arm", 0x13b5},    {"Imagination", 0x1010},
    {"Broadcom", 0x14e4}, {"NVIDIA", 0x10de},   {"Advanced Micro", 0x1002}, {"Intel", 0x8086}, {"Apple", 0x106b},
};

static void read_ids(const upc_cl *cl, cl_device_id device, upconv_device_info *info)
{
    cl_uint given = 0;
    upc_cl_device_value(cl, device, CL_DEVICE_VENDOR_ID, &given, sizeof given);
    info->vendor_id = given;
    if (info->kind == UPCONV_DEVICE_CPU)
        return;
    for (size_t i = 0; i < UPC_COUNT(vendors); i++)
        if (strstr(info->vendor, vendors[i].part)) {
            info->vendor_id = vendors[i].id;
            info->device_id = given != vendors[i].id ? given : 0;
            return;
        }
}

// Adreno's name is only "QUALCOMM Adreno(TM)"; the model follows "Adreno(TM) " in the version of its OpenCL C, or in that
// of the device. Written as its Vulkan driver writes it.
static void read_adreno_model(const upc_cl *cl, cl_device_id device, upconv_device_info *info)
{
    static const cl_device_info places[] = {CL_DEVICE_OPENCL_C_VERSION, CL_DEVICE_VERSION};
    static const char mark[] = "Adreno(TM) ";
    if (!strstr(info->name, "Adreno"))
        return;
    for (size_t i = 0; i < UPC_COUNT(places); i++) {
        char text[TEXT_SIZE];
        device_text(cl, device, places[i], text, sizeof text);
        const char *model = strstr(text, mark);
        if (model && model[sizeof mark - 1]) {
            upc_text name = {info->name, sizeof info->name, 0};
            upc_text_add(&name, "Adreno (TM) %s", model + sizeof mark - 1);
            return;
        }
    }
}

static void copy_text(char *to, size_t size, const char *from)
{
    upc_text text = {to, size, 0};
    upc_text_add(&text, "%s", from);
}

static void read_names(const upc_cl *cl, const upc_cl_where *where, upconv_device_info *info)
{
    char text[TEXT_SIZE], platform[TEXT_SIZE];
    device_text(cl, where->device, CL_DEVICE_NAME, text, sizeof text);
    copy_text(info->name, sizeof info->name, text);
    device_text(cl, where->device, CL_DEVICE_VENDOR, text, sizeof text);
    copy_text(info->vendor, sizeof info->vendor, text);
    device_text(cl, where->device, CL_DEVICE_VERSION, text, sizeof text);
    copy_text(info->api, sizeof info->api, text);
    platform_text(cl, where->platform, CL_PLATFORM_NAME, platform, sizeof platform);
    device_text(cl, where->device, CL_DRIVER_VERSION, text, sizeof text);
    upc_text driver = {info->driver, sizeof info->driver, 0};
    upc_text_add(&driver, "%s %s", platform, text);
    read_adreno_model(cl, where->device, info);
}

static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = strstr(words, word); at; at = strstr(at + length, word))
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

// Of Khronos' extension, which older headers do not have.
enum { DOT_ACCELERATION = 0x1075 }; // CL_DEVICE_INTEGER_DOT_PRODUCT_ACCELERATION_PROPERTIES_4x8BIT_PACKED_KHR
typedef struct dot_acceleration {
    cl_bool both_signed, both_unsigned, mixed, saturating[3];
} dot_acceleration;

// Khronos' extension has all forms, and says which of them are fast; Arm's has no mixed one and was made for hardware that has the others.
static void read_dot(const upc_cl *cl, cl_device_id device, const char *words, upc_facts *facts)
{
    if (has_word(words, "cl_khr_integer_dot_product")) {
        dot_acceleration fast;
        upc_cl_device_value(cl, device, DOT_ACCELERATION, &fast, sizeof fast);
        facts->dot_takes = 1u << UPC_DOT_SIGNED | 1u << UPC_DOT_UNSIGNED | 1u << UPC_DOT_MIXED;
        facts->dot_fast = (uint8_t)((fast.both_signed ? 1u << UPC_DOT_SIGNED : 0) |
                                    (fast.both_unsigned ? 1u << UPC_DOT_UNSIGNED : 0) |
                                    (fast.mixed ? 1u << UPC_DOT_MIXED : 0));
    }
    if (has_word(words, "cl_arm_integer_dot_product_int8")) {
        facts->dot_takes |= 1u << UPC_DOT_SIGNED | 1u << UPC_DOT_UNSIGNED;
        facts->dot_fast |= 1u << UPC_DOT_SIGNED | 1u << UPC_DOT_UNSIGNED;
    }
    facts->info.int8_dot = facts->dot_fast != 0;
}

static void read_features(const upc_cl *cl, cl_device_id device, upc_facts *facts)
{
    upconv_device_info *info = &facts->info;
    enum { WARP_SIZE_NV = 0x4003, WAVEFRONT_WIDTH_AMD = 0x4043 }; // of two vendors' device attributes
    char words[EXTENSIONS_SIZE];
    device_text(cl, device, CL_DEVICE_EXTENSIONS, words, sizeof words);
    info->f16_storage = 1; // vload_half and vstore_half need no extension
    info->f16_math = has_word(words, "cl_khr_fp16");
    read_dot(cl, device, words, facts);
    cl_uint lanes = 0;
    if (has_word(words, "cl_nv_device_attribute_query"))
        upc_cl_device_value(cl, device, WARP_SIZE_NV, &lanes, sizeof lanes);
    else if (has_word(words, "cl_amd_device_attribute_query"))
        upc_cl_device_value(cl, device, WAVEFRONT_WIDTH_AMD, &lanes, sizeof lanes);
    info->subgroup_size = lanes;
}

static void read_limits(const upc_cl *cl, cl_device_id device, upc_facts *facts)
{
    upconv_limits *limits = &facts->info.limits;
    cl_ulong bytes;
    if (upc_cl_device_value(cl, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &bytes, sizeof bytes) && bytes) {
        limits->alloc_bytes = bytes;
        // Bases and indices are 32-bit counts of elements; a base can be up to one alignment above 0.
        const uint64_t reach = ((uint64_t)1 << 32) - UPC_MAX(4096u, facts->info.offset_alignment);
        limits->binding_bytes = UPC_MIN(bytes, reach) & ~(uint64_t)3;
    }
    if (upc_cl_device_value(cl, device, CL_DEVICE_LOCAL_MEM_SIZE, &bytes, sizeof bytes) && bytes)
        limits->shared_bytes = (uint32_t)UPC_MIN(bytes, (cl_ulong)1 << 30);
    size_t size;
    if (upc_cl_device_value(cl, device, CL_DEVICE_MAX_WORK_GROUP_SIZE, &size, sizeof size) && size)
        limits->group_size = (uint32_t)UPC_MIN(size, (size_t)65536);
    // Sizes are size_t, but kernels count items in an int.
    limits->group_count = (uint32_t)INT32_MAX / limits->group_size;
    size_t axes[16] = {0};
    cl_uint dimensions = 0;
    upc_cl_device_value(cl, device, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, &dimensions, sizeof dimensions);
    if (dimensions >= 3 && dimensions <= 16 &&
        upc_cl_device_value(cl, device, CL_DEVICE_MAX_WORK_ITEM_SIZES, axes, dimensions * sizeof *axes))
        for (int i = 0; i < 3; i++)
            if (axes[i])
                facts->group_axis[i] = (uint32_t)UPC_MIN(axes[i], (size_t)limits->group_size);
    const size_t pointers = UPC_LAUNCH_BINDINGS * sizeof(uint64_t);
    if (upc_cl_device_value(cl, device, CL_DEVICE_MAX_PARAMETER_SIZE, &size, sizeof size) &&
        size >= facts->push_bytes + pointers)
        facts->push_bytes = (uint32_t)UPC_MIN(size - pointers, (size_t)4096);
}

// Whether kernels may say so in assembly: on this processor, through an implementation that compiles for it by clang (and for vectors of 16,
// as its native width tells).
static bool byte_dots(const upc_cl *cl, const upc_cl_where *where, cl_device_type type)
{
#if defined(__x86_64__) && defined(__GNUC__)
    char name[TEXT_SIZE];
    platform_text(cl, where->platform, CL_PLATFORM_NAME, name, sizeof name);
    return (type & CL_DEVICE_TYPE_CPU) && !strcmp(name, "Portable Computing Language") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl");
#else
    (void)cl;
    (void)where;
    (void)type;
    return false;
#endif
}

void upc_cl_facts_read(const upc_cl *cl, const upc_cl_where *where, int index, upc_facts *facts)
{
    upc_facts_smallest(facts);
    upconv_device_info *info = &facts->info;
    const cl_device_id device = where->device;
    info->backend = UPCONV_BACKEND_OPENCL;
    info->index = index;
    cl_device_type type = 0;
    cl_bool unified = CL_FALSE;
    upc_cl_device_value(cl, device, CL_DEVICE_TYPE, &type, sizeof type);
    upc_cl_device_value(cl, device, CL_DEVICE_HOST_UNIFIED_MEMORY, &unified, sizeof unified);
    info->unified_memory = unified || (type & CL_DEVICE_TYPE_CPU);
    info->kind = kind_of(type, unified);
    read_names(cl, where, info);
    read_ids(cl, device, info);
    read_features(cl, device, facts);
    cl_uint floats = 0;
    if (upc_cl_device_value(cl, device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &floats, sizeof floats))
        facts->vector_floats = floats;
    facts->byte_dots = floats >= 16 && byte_dots(cl, where, type);
    cl_uint number = 0;
    upc_cl_device_value(cl, device, CL_DEVICE_MAX_COMPUTE_UNITS, &number, sizeof number);
    info->compute_units = number;
    upc_cl_device_value(cl, device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &number, sizeof number);
    info->offset_alignment = UPC_MAX(number / 8, 4u); // the driver counts bits
    cl_ulong bytes = 0;
    upc_cl_device_value(cl, device, CL_DEVICE_GLOBAL_MEM_SIZE, &bytes, sizeof bytes);
    info->memory_bytes = bytes;
    info->timestamps = 1; // every queue of OpenCL can profile
    read_limits(cl, device, facts);
    facts->reqd_group_size = info->vendor_id != 0x5143; // Adreno's kernels get slower by it
    upc_facts_finish(facts);
}

void upc_cl_identity(const upc_cl *cl, const upc_cl_where *where, const char *options, uint64_t identity[2])
{
    static const cl_platform_info of_platform[] = {CL_PLATFORM_NAME, CL_PLATFORM_VERSION};
    static const cl_device_info of_device[] = {CL_DEVICE_NAME,    CL_DEVICE_VENDOR,  CL_DEVICE_VERSION,
                                               CL_DRIVER_VERSION, CL_DEVICE_OPENCL_C_VERSION};
    char all[8 * TEXT_SIZE];
    upc_text text = {all, sizeof all, 0};
    cl_uint bits = 0, vendor = 0;
    upc_cl_device_value(cl, where->device, CL_DEVICE_ADDRESS_BITS, &bits, sizeof bits);
    upc_cl_device_value(cl, where->device, CL_DEVICE_VENDOR_ID, &vendor, sizeof vendor);
    upc_text_add(&text, "OpenCL binary 1\n%s\n%u %u\n", options, (unsigned)bits, (unsigned)vendor);
    char line[TEXT_SIZE];
    for (size_t i = 0; i < UPC_COUNT(of_platform); i++) {
        platform_text(cl, where->platform, of_platform[i], line, sizeof line);
        upc_text_add(&text, "%s\n", line);
    }
    for (size_t i = 0; i < UPC_COUNT(of_device); i++) {
        device_text(cl, where->device, of_device[i], line, sizeof line);
        upc_text_add(&text, "%s\n", line);
    }
    identity[0] = upc_hash(all, strlen(all), 1);
    identity[1] = upc_hash(all, strlen(all), 2);
}
