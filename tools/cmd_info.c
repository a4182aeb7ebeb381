// upconv info: everything that a bug report should say about the machine.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "commands.h"
#include "session.h"

static const char *const kind_names[] = {"other", "cpu", "integrated gpu", "discrete gpu"};

static const char *kind_name(upconv_device_kind kind)
{
    unsigned at = (unsigned)kind;
    return at < sizeof kind_names / sizeof *kind_names ? kind_names[at] : "other";
}

static const char *backend_name(upconv_backend backend)
{
    unsigned at = (unsigned)backend;
    return at < UPCONV_BACKEND_COUNT ? backend_choices[at] : "unknown";
}

static void system_text(char *text, size_t size)
{
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(text, size, "%s %s %s", name.sysname, name.release, name.machine);
    else
        snprintf(text, size, "unknown");
}

// The numbers of a device, for both forms of the report.
typedef struct number {
    const char *key, *label, *unit;
    double value;
} number;
enum { NUMBERS = 16 };

static void device_numbers(const upconv_device_info *d, number numbers[NUMBERS])
{
    const upconv_limits *l = &d->limits;
    const number all[NUMBERS] = {
        {"vendor_id", "vendor id", "", d->vendor_id},
        {"device_id", "device id", "", d->device_id},
        {"memory_bytes", "memory", "bytes", (double)d->memory_bytes},
        {"compute_units", "compute units", "", d->compute_units},
        {"subgroup_size", "subgroup size", "", d->subgroup_size},
        {"offset_alignment", "offset alignment", "bytes", d->offset_alignment},
        {"binding_bytes", "largest binding", "bytes", (double)l->binding_bytes},
        {"alloc_bytes", "largest buffer", "bytes", (double)l->alloc_bytes},
        {"group_count", "work-groups per axis", "", l->group_count},
        {"group_size", "work-group size", "", l->group_size},
        {"shared_bytes", "shared memory", "bytes", l->shared_bytes},
        {"dispatch_macs", "multiply-adds per dispatch", "", (double)l->dispatch_macs},
        {"f16_storage", "f16 storage", NULL, d->f16_storage},
        {"f16_math", "f16 arithmetic", NULL, d->f16_math},
        {"int8_dot", "int8 dot product", NULL, d->int8_dot},
        {"timestamps", "times by the device", NULL, d->timestamps},
    };
    memcpy(numbers, all, sizeof all);
}

// What contexts on the device make of products of four bytes: looks, which takes a moment.
static void probe(const upconv_device_info *d, upconv_type type, char *text, size_t size)
{
    char index[16];
    snprintf(index, sizeof index, "%d", d->index);
    const upconv_context_params params = {.struct_size = sizeof params, .backend = d->backend, .device = index};
    upconv_context *context = NULL;
    if (upconv_context_create(&params, &context) || upconv_int8_dot(context, type, text, size, NULL))
        snprintf(text, size, "%s", upconv_last_error());
    upconv_context_destroy(context);
}

static const struct {
    upconv_type type;
    const char *key, *label;
} probed[] = {{UPCONV_U8, "u8_dot_products", "products of four u8"},
              {UPCONV_I8, "i8_dot_products", "products of four i8"}};
enum { PROBED = 2 };

static void print_device(int at, const upconv_device_info *d, bool look)
{
    number numbers[NUMBERS];
    device_numbers(d, numbers);
    printf("\ndevice %d: %s\n", at, d->name);
    printf("  %-28s%s, index %d\n", "backend", backend_name(d->backend), d->index);
    printf("  %-28s%s%s\n", "kind", kind_name(d->kind),
           d->unified_memory ? ", memory shared with the host" : "");
    printf("  %-28s%s\n  %-28s%s\n  %-28s%s\n", "vendor", d->vendor, "driver", d->driver, "api", d->api);
    for (int i = 0; i < NUMBERS; i++) {
        const number *n = &numbers[i];
        if (!n->unit)
            printf("  %-28s%s\n", n->label, n->value != 0 ? "yes" : "no");
        else if (i < 2)
            printf("  %-28s0x%x\n", n->label, (unsigned)n->value);
        else
            printf("  %-28s%.0f%s%s\n", n->label, n->value, *n->unit ? " " : "", n->unit);
    }
    printf("  %-28s%s\n", "quirks in force", d->quirks[0] ? d->quirks : "none");
    for (int i = 0; i < PROBED && look; i++) {
        char text[256];
        probe(d, probed[i].type, text, sizeof text);
        printf("  %-28s%s\n", probed[i].label, text);
    }
}

static void print_text(bool look)
{
    char system[256];
    system_text(system, sizeof system);
    printf("upconv %s on %s\n", upconv_version(), system);
    upconv_backend_info b = {.struct_size = sizeof b};
    for (int32_t i = 0; upconv_backend_at(i, &b) == UPCONV_OK; i++) {
        if (!b.built) {
            printf("backend %s: %s\n", b.name, b.detail);
            continue;
        }
        const char *state = b.loaded ? "loaded" : "could not be loaded";
        printf("backend %s: %s, %d device%s%s%s\n", b.name, state, b.devices, b.devices == 1 ? "" : "s",
               b.detail[0] ? "; " : "", b.detail);
    }
    upconv_device_info d = {.struct_size = sizeof d};
    int32_t count = 0;
    while (upconv_device_at(count, &d) == UPCONV_OK)
        print_device(count++, &d, look);
    if (count == 0)
        printf("\nno device found: %s\n", upconv_last_error());
}

static void print_list(void)
{
    upconv_device_info d = {.struct_size = sizeof d};
    for (int32_t i = 0; upconv_device_at(i, &d) == UPCONV_OK; i++)
        printf("%s\t%d\t%s\t%s\n", backend_name(d.backend), d.index, kind_name(d.kind), d.name);
}

static bool add_backend(cJSON *backends, const upconv_backend_info *b)
{
    cJSON *object = cJSON_CreateObject();
    return cJSON_AddItemToArray(backends, object) && session_json_text(object, "name", b->name) &&
           cJSON_AddBoolToObject(object, "built", b->built != 0) &&
           cJSON_AddBoolToObject(object, "loaded", b->loaded != 0) &&
           cJSON_AddNumberToObject(object, "devices", b->devices) &&
           session_json_text(object, "detail", b->detail);
}

static bool add_device(cJSON *devices, const upconv_device_info *d, bool look)
{
    cJSON *object = cJSON_CreateObject();
    bool added = cJSON_AddItemToArray(devices, object) && session_json_text(object, "name", d->name) &&
                 session_json_text(object, "backend", backend_name(d->backend)) &&
                 cJSON_AddNumberToObject(object, "index", d->index) &&
                 session_json_text(object, "kind", kind_name(d->kind)) &&
                 cJSON_AddBoolToObject(object, "unified_memory", d->unified_memory != 0) &&
                 session_json_text(object, "vendor", d->vendor) &&
                 session_json_text(object, "driver", d->driver) && session_json_text(object, "api", d->api);
    number numbers[NUMBERS];
    device_numbers(d, numbers);
    for (int i = 0; added && i < NUMBERS; i++)
        added = numbers[i].unit
                    ? cJSON_AddNumberToObject(object, numbers[i].key, numbers[i].value) != NULL
                    : cJSON_AddBoolToObject(object, numbers[i].key, numbers[i].value != 0) != NULL;
    for (int i = 0; added && look && i < PROBED; i++) {
        char text[256];
        probe(d, probed[i].type, text, sizeof text);
        added = session_json_text(object, probed[i].key, text);
    }
    return added && session_json_text(object, "quirks", d->quirks);
}

static bool fill_json(cJSON *report, bool look)
{
    char system[256];
    system_text(system, sizeof system);
    if (!session_json_text(report, "version", upconv_version()) ||
        !session_json_text(report, "system", system))
        return false;
    cJSON *backends = cJSON_AddArrayToObject(report, "backends");
    upconv_backend_info b = {.struct_size = sizeof b};
    for (int32_t i = 0; backends && upconv_backend_at(i, &b) == UPCONV_OK; i++)
        if (!add_backend(backends, &b))
            return false;
    cJSON *devices = cJSON_AddArrayToObject(report, "devices");
    upconv_device_info d = {.struct_size = sizeof d};
    for (int32_t i = 0; devices && upconv_device_at(i, &d) == UPCONV_OK; i++)
        if (!add_device(devices, &d, look))
            return false;
    return backends && devices;
}

static int run(int argc, char **argv)
{
    bool json = false, list = false, look = false;
    int operands = 0;
    const option options[] = {
        {"json", OPTION_FLAG, &json, NULL, "One JSON object: version, system, backends, devices.", 0, 0, NULL},
        {"list", OPTION_FLAG, &list, NULL, "Only a line a device: backend, index, kind and name, separated by tabs.", 0,
         0, NULL},
        {"probe", OPTION_FLAG, &look, NULL,
         "Also whether products of four bytes are right on each device and faster, where it has instructions for them: "
         "runs there.",
         0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&info_command, options, argc, argv, &operands);
    if (over >= 0)
        return over;
    if (operands)
        return usage_error(&info_command, "it takes no '%s'", argv[0]);
    if (json && list)
        return usage_error(&info_command, "--json and --list exclude each other");
    if (!json) {
        if (list)
            print_list();
        else
            print_text(look);
        return TOOL_OK;
    }
    cJSON *report = cJSON_CreateObject();
    char *text = report && fill_json(report, look) ? cJSON_Print(report) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(report);
    return text ? TOOL_OK : failure(&info_command, "no memory for the report");
}

const tool_command info_command = {
    "info", "[--json | --list] [--probe]",
    "Every backend and every device: driver, limits, facts, quirks; for bug reports.",
    "It is useful also where nothing is found: it says which loader was missing, and exits with 0.", run};
