// upconv upscale: a picture enlarged by a transposed convolution.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "enlarge.h"
#include "session.h"

typedef struct upscale {
    const char *from, *to, *solver, *filter_path, *bias_path;
    session_options where;
    int scale, kernel, megabytes;
    bool verify, json;
    picture image;
    tile_grid tiling;
    enlarge_filter filter;
    upconv_context *context, *reference_context;
    upconv_device_info device;
    enlarger main, reference;
    size_t row_bytes;               // of the enlarged picture
    uint8_t *rows, *reference_rows; // one band of it, enlarged
    image_writer *writer;
    double largest_difference, start;
} upscale;

static bool library_failed(void)
{
    failure(&upscale_command, "%s", upconv_last_error());
    return false;
}

static bool choose_filter(upscale *u)
{
    char error[512];
    const int channels = u->image.channels;
    const bool fine = u->filter_path
                          ? enlarge_filter_read(&u->filter, u->filter_path, u->bias_path, u->scale, channels, error,
                                                sizeof error)
                          : enlarge_filter_interpolation(&u->filter, (resample_kernel)u->kernel, u->scale, channels,
                                                         error, sizeof error);
    if (!fine)
        failure(&upscale_command, "%s", error);
    return fine;
}

static bool prepare(upscale *u)
{
    char error[512];
    const session_options cpu = {.backend = UPCONV_BACKEND_CPU};
    if (!image_read(u->from, &u->image, error, sizeof error)) {
        failure(&upscale_command, "%s", error);
        return false;
    }
    if (!choose_filter(u))
        return false;
    if (session_open(&u->where, &u->context, &u->device) != UPCONV_OK)
        return library_failed();
    uint64_t buffer_bytes = u->device.limits.alloc_bytes ? u->device.limits.alloc_bytes : UINT64_MAX;
    tiling_choose(&u->tiling, &u->image, &u->filter, (uint64_t)u->megabytes << 20, buffer_bytes);
    if (enlarger_init(&u->main, u->context, &u->filter, &u->tiling, u->image.depth, u->solver) !=
        UPCONV_OK)
        return library_failed();
    if (u->verify && (session_open(&cpu, &u->reference_context, NULL) != UPCONV_OK ||
                      enlarger_init(&u->reference, u->reference_context, &u->filter, &u->tiling,
                                    u->image.depth, "reference") != UPCONV_OK))
        return library_failed();
    u->row_bytes = u->image.row_bytes * (size_t)u->scale;
    u->rows = calloc((size_t)u->tiling.height * (size_t)u->scale, u->row_bytes);
    u->reference_rows = u->verify ? calloc((size_t)u->tiling.height * (size_t)u->scale, u->row_bytes) : NULL;
    if (!u->rows || (u->verify && !u->reference_rows)) {
        failure(&upscale_command, "no memory for %u rows of the enlarged picture", u->tiling.height);
        return false;
    }
    return true;
}

static void show_progress(const upscale *u, uint32_t done)
{
    uint32_t all = u->tiling.across * u->tiling.down;
    if (all > 1 && session_terminal())
        fprintf(stderr, "\r\033[K%u of %u tiles%s", done, all, done == all ? "\r\033[K" : "");
}

// All tiles of one band into u->rows.
static bool run_band(upscale *u, uint32_t down)
{
    const size_t pixel_bytes = (size_t)u->image.channels * (size_t)u->image.depth / 8;
    for (uint32_t across = 0; across < u->tiling.across; across++) {
        const tile_area t = tiling_at(&u->tiling, &u->image, across, down);
        const size_t at = (size_t)t.x * (size_t)u->scale * pixel_bytes;
        if (enlarger_run(&u->main, &u->image, &t, u->rows + at, u->row_bytes) != UPCONV_OK)
            return library_failed();
        if (u->verify &&
            enlarger_run(&u->reference, &u->image, &t, u->reference_rows + at, u->row_bytes) != UPCONV_OK)
            return library_failed();
        show_progress(u, down * u->tiling.across + across + 1);
    }
    return true;
}

static bool run_all(upscale *u)
{
    char error[512];
    const uint32_t scale = (uint32_t)u->scale;
    uint32_t written = 0; // rows of the source picture
    u->writer = image_writer_open(u->to, u->image.width * scale, u->image.height * scale, u->image.channels,
                                  u->image.depth, &u->image.colour, error, sizeof error);
    if (!u->writer) {
        failure(&upscale_command, "%s", error);
        return false;
    }
    for (uint32_t down = 0; down < u->tiling.down; down++) {
        if (!run_band(u, down))
            return false;
        const tile_area t = tiling_at(&u->tiling, &u->image, 0, down);
        const size_t skip = (size_t)(written - t.y) * scale * u->row_bytes;
        const uint32_t fresh = (t.y + t.height - written) * scale;
        if (u->verify) {
            double d =
                tile_difference(u->rows + skip, u->reference_rows + skip,
                                (size_t)fresh * u->image.width * scale, u->image.channels, u->image.depth);
            u->largest_difference = fmax(u->largest_difference, d);
        }
        if (!image_writer_rows(u->writer, u->rows + skip, fresh, error, sizeof error)) {
            failure(&upscale_command, "%s", error);
            return false;
        }
        written = t.y + t.height;
    }
    return true;
}

static bool finish_file(upscale *u)
{
    char error[512];
    bool fine = image_writer_close(u->writer, error, sizeof error);
    u->writer = NULL;
    if (!fine)
        failure(&upscale_command, "%s", error);
    return fine;
}

static bool report_json(const upscale *u, const upconv_plan_info *info, double total_ms)
{
    cJSON *line = cJSON_CreateObject();
    bool added = line && session_json_text(line, "backend", backend_choices[u->device.backend]) &&
                 session_json_text(line, "device", u->device.name) &&
                 session_json_text(line, "solver", info->solver) &&
                 session_json_text(line, "config", info->config) &&
                 cJSON_AddNumberToObject(line, "width", (double)u->image.width * u->scale) &&
                 cJSON_AddNumberToObject(line, "height", (double)u->image.height * u->scale) &&
                 cJSON_AddNumberToObject(line, "channels", u->image.channels) &&
                 cJSON_AddNumberToObject(line, "depth", u->image.depth) &&
                 cJSON_AddNumberToObject(line, "tiles", (double)u->tiling.across * u->tiling.down) &&
                 cJSON_AddNumberToObject(line, "plan_ms", info->plan_ms) &&
                 cJSON_AddNumberToObject(line, "device_ms", u->main.device_ms) &&
                 cJSON_AddNumberToObject(line, "total_ms", total_ms) &&
                 (!u->verify || cJSON_AddNumberToObject(line, "largest_difference", u->largest_difference));
    char *text = added ? cJSON_PrintUnformatted(line) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
    if (!text)
        failure(&upscale_command, "no memory for a line of JSON");
    return text != NULL;
}

static bool report(const upscale *u)
{
    upconv_plan_info info = {.struct_size = sizeof info};
    double total_ms = (session_seconds() - u->start) * 1e3;
    if (upconv_plan_info_get(u->main.plan, &info) != UPCONV_OK)
        return library_failed();
    if (u->json)
        return report_json(u, &info, total_ms);
    uint32_t tiles = u->tiling.across * u->tiling.down;
    printf("%s: %u x %u, %s, %d bits, %s x%d\n", u->to, u->image.width * (uint32_t)u->scale,
           u->image.height * (uint32_t)u->scale, image_kind(u->image.channels), u->image.depth,
           u->filter_path ? u->filter_path : resample_choices[u->kernel], u->scale);
    printf("on %s (%s), solver %s%s%s, %u tile%s: %.2f ms on the device, %.1f ms in all\n", u->device.name,
           backend_choices[u->device.backend], info.solver, *info.config ? ":" : "", info.config, tiles,
           tiles == 1 ? "" : "s", u->main.device_ms, total_ms);
    if (u->verify)
        printf("largest difference to the CPU: %.3g steps of %d bits\n", u->largest_difference,
               u->image.depth);
    return true;
}

static void upscale_finish(upscale *u)
{
    image_writer_abandon(u->writer);
    enlarger_finish(&u->main);
    enlarger_finish(&u->reference);
    upconv_context_destroy(u->context);
    upconv_context_destroy(u->reference_context);
    free(u->rows);
    free(u->reference_rows);
    enlarge_filter_finish(&u->filter);
    image_finish(&u->image);
}

static int run(int argc, char **argv)
{
    upscale u = {.scale = 2, .kernel = -1, .megabytes = 64, .start = session_seconds()};
    int operands = 0;
    const option options[] = {
        {"scale", OPTION_WHOLE, &u.scale, "N", "2 (the default), 3 or 4.", 2, RESAMPLE_MAX_SCALE, NULL},
        {"kernel", OPTION_CHOICE, &u.kernel, "NAME", "bilinear, bicubic (the default) or lanczos.", 0, 0,
         resample_choices},
        {"filter", OPTION_TEXT, &u.filter_path, "FILE.npy",
         "A filter of your own, as `upconv train` writes it, in place of --kernel: float32 of shape (channels, 1 or "
         "channels, height, width), or (1, 1, height, width) for any picture.",
         0, 0, NULL},
        {"bias", OPTION_TEXT, &u.bias_path, "FILE.npy",
         "What to add to each channel, of a range from 0 to 1; with --filter.", 0, 0, NULL},
        SESSION_OPTIONS(u.where),
        {"solver", OPTION_TEXT, &u.solver, "S", "This solver only, or one configuration (phase:tile=4).", 0, 0, NULL},
        {"verify", OPTION_FLAG, &u.verify, NULL,
         "Enlarge with the reference solver, on the CPU, as well; a difference of more than one step leaves "
         "no file and exit code 1.",
         0, 0, NULL},
        {"megabytes", OPTION_WHOLE, &u.megabytes, "N", "Larger tensors are cut into tiles (64).", 1, 65536, NULL},
        {"json", OPTION_FLAG, &u.json, NULL, "The report as one line of JSON.", 0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    int over = options_read(&upscale_command, options, argc, argv, &operands);
    if (over >= 0)
        return over;
    if (operands != 2)
        return usage_error(&upscale_command, "it takes two files, IN.png and OUT.png");
    if (u.filter_path && u.kernel >= 0)
        return usage_error(&upscale_command, "--filter and --kernel exclude each other");
    if (u.bias_path && !u.filter_path)
        return usage_error(&upscale_command, "--bias goes with --filter");
    if (u.kernel < 0)
        u.kernel = RESAMPLE_BICUBIC;
    u.from = argv[0];
    u.to = argv[1];
    bool fine = prepare(&u) && run_all(&u);
    if (fine && u.largest_difference > 1) {
        failure(&upscale_command, "%s differs from the CPU by %.3g steps of %d bits", u.device.name,
                u.largest_difference, u.image.depth);
        fine = false;
    }
    fine = fine && finish_file(&u) && report(&u);
    upscale_finish(&u);
    return fine ? TOOL_OK : TOOL_FAILURE;
}

const tool_command upscale_command = {
    "upscale", "IN.png OUT.png [options]", "A picture enlarged by a transposed convolution.",
    "The kernel is the interpolation filter at half-pixel centres; the stride is the scale. bilinear is what "
    "PyTorch's interpolate(mode='bilinear', align_corners=False) and ImageMagick's Triangle do; bicubic has "
    "a = -0.5 (Catmull-Rom, ImageMagick's Catrom; PyTorch's has a = -0.75); lanczos has three lobes, "
    "normalised so that flat areas stay flat. Beyond its edges the picture goes on as its outermost pixels "
    "do.\n"
    "PNG in and out: grey, RGB, palette, with and without alpha; 8 bits stay 8 and 16 stay 16, rounded to "
    "the "
    "nearest; palettes become RGB. Colours are interpolated as they are encoded, without a step to linear "
    "light, and weighed by their opacity; gamma and colour profile go from the one file to the other "
    "unused.\n"
    "Without --backend and --device the best device of the machine does it: a discrete GPU before one that "
    "shares the processor's memory, that before anything else.\n"
    "OUT.png appears when it is whole; what was there before stays if something fails.",
    run};
