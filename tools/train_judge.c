// How good a filter is, on the parts of the pictures that were held out, and how good interpolation is there.
// Pictures are made and rounded as `upconv upscale` makes them, and compared as files would be.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tile.h"
#include "train.h"

static bool picture_like(picture *made, const picture *model)
{
    *made = (picture){.width = model->width,
                      .height = model->height,
                      .channels = model->channels,
                      .depth = 8,
                      .row_bytes = model->row_bytes};
    made->pixels = calloc(model->height, model->row_bytes);
    return made->pixels != NULL;
}

static tile_area whole(const picture *image) { return (tile_area){0, 0, image->width, image->height}; }

static void store(const float *planes, const picture *to)
{
    tile_store(planes, to->width, to->height, to->channels, 8, to->pixels, to->row_bytes);
}

// What a device interpolates: the library's own operation, on the picture as it is.
static upconv_status interpolate(upconv_context *context, train_part *part, int method)
{
    const picture *low = &part->pair->low, *high = &part->pair->high;
    const upconv_problem problem = {.struct_size = sizeof problem,
                                    .op = UPCONV_RESIZE,
                                    .batch = 1,
                                    .in_channels = low->channels,
                                    .in = {(int32_t)low->height, (int32_t)low->width},
                                    .out = {(int32_t)high->height, (int32_t)high->width},
                                    .resize_mode = method == JUDGE_BICUBIC ? UPCONV_RESIZE_CUBIC : UPCONV_RESIZE_LINEAR,
                                    .cubic_coefficient = method == JUDGE_BICUBIC ? -0.5f : 0};
    const tile_area area = whole(low);
    float *input = malloc(sizeof *input * low->height * low->row_bytes);
    upconv_plan *plan = NULL;
    if (!input)
        return UPCONV_ERROR_HOST_MEMORY;
    tile_load(low, &area, 0, input);
    upconv_status status = upconv_plan_create(context, &problem, NULL, &plan);
    if (status == UPCONV_OK)
        status = upconv_execute(plan, input, part->planes);
    if (status == UPCONV_OK)
        store(part->planes, &part->made[method]);
    upconv_plan_destroy(plan);
    free(input);
    return status;
}

// The layer, with weights given at each execution, on a picture that does not change.
static upconv_status prepare(const train_judge *judge, train_part *part)
{
    const picture *low = &part->pair->low;
    const train_shape *shape = judge->shape;
    // A layer of one channel takes the channels of a picture for a batch: in memory that is the same.
    const int batch = low->channels / shape->channels;
    const upconv_problem problem = train_problem(shape, batch, (int)low->height, (int)low->width);
    const tile_area area = whole(low);
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    void *memory = NULL;
    upconv_status status = upconv_problem_sizes(&problem, &sizes);
    if (status == UPCONV_OK)
        status = upconv_plan_create(judge->context, &problem, NULL, &part->plan);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(judge->context, sizes.input_bytes, &part->input);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(judge->context, sizes.output_bytes, &part->output);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(part->input, UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    tile_load(low, &area, (uint32_t)shape->radius, memory);
    return upconv_buffer_unmap(part->input);
}

static double squared_errors(const picture *a, const picture *b)
{
    double sum = 0;
    for (size_t i = 0; i < a->height * a->row_bytes; i++)
        sum += (a->pixels[i] - b->pixels[i]) * (a->pixels[i] - b->pixels[i]);
    return sum;
}

static void rate(train_judge *judge, int method)
{
    double errors = 0, samples = 0;
    for (int i = 0; i < judge->count; i++) {
        const picture *truth = &judge->parts[i].pair->high;
        errors += squared_errors(&judge->parts[i].made[method], truth);
        samples += (double)truth->height * (double)truth->row_bytes;
    }
    // Without any error the ratio has no end; half a step in one sample is where it stops.
    judge->psnr[method] = 10 * log10(255.0 * 255 * samples / fmax(errors, 0.25));
}

upconv_status train_judge_init(train_judge *judge, upconv_context *context, const train_shape *shape,
                               const train_set *set)
{
    *judge = (train_judge){.shape = shape, .context = context, .count = set->count};
    judge->parts = calloc((size_t)set->count, sizeof *judge->parts);
    upconv_status status = UPCONV_OK;
    if (!judge->parts) {
        judge->count = 0;
        return UPCONV_ERROR_HOST_MEMORY;
    }
    for (int i = 0; i < set->count && status == UPCONV_OK; i++) {
        train_part *part = &judge->parts[i];
        part->pair = &set->held_out[i];
        part->planes = malloc(sizeof *part->planes * part->pair->high.height * part->pair->high.row_bytes);
        bool memory = part->planes != NULL;
        for (int m = 0; m < JUDGE_METHODS; m++)
            memory = picture_like(&part->made[m], &part->pair->high) && memory;
        status = memory ? interpolate(context, part, JUDGE_BILINEAR) : UPCONV_ERROR_HOST_MEMORY;
        if (status == UPCONV_OK)
            status = interpolate(context, part, JUDGE_BICUBIC);
        if (status == UPCONV_OK)
            status = prepare(judge, part);
    }
    if (status == UPCONV_OK)
        status = upconv_buffer_create(context, train_filter_count(shape) * sizeof(float), &judge->filter);
    if (status == UPCONV_OK && shape->bias)
        status = upconv_buffer_create(context, (size_t)shape->channels * sizeof(float), &judge->bias);
    if (status == UPCONV_OK) {
        rate(judge, JUDGE_BILINEAR);
        rate(judge, JUDGE_BICUBIC);
    }
    return status;
}

void train_judge_finish(train_judge *judge)
{
    for (int i = 0; i < judge->count; i++) {
        train_part *part = &judge->parts[i];
        for (int m = 0; m < JUDGE_METHODS; m++)
            image_finish(&part->made[m]);
        upconv_plan_destroy(part->plan);
        upconv_buffer_destroy(part->input);
        upconv_buffer_destroy(part->output);
        free(part->planes);
    }
    upconv_buffer_destroy(judge->filter);
    upconv_buffer_destroy(judge->bias);
    free(judge->parts);
    *judge = (train_judge){0};
}

static upconv_status fill(upconv_buffer *buffer, const float *values, size_t count, float factor)
{
    void *memory = NULL;
    const upconv_status status = upconv_buffer_map(buffer, UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        ((float *)memory)[i] = values[i] * factor;
    return upconv_buffer_unmap(buffer);
}

static upconv_status enlarge(train_judge *judge, train_part *part)
{
    upconv_io io = {.struct_size = sizeof io};
    upconv_ticket ticket = 0;
    void *memory = NULL;
    io.at[UPCONV_INPUT].buffer = part->input;
    io.at[UPCONV_WEIGHTS].buffer = judge->filter;
    io.at[UPCONV_OUTPUT].buffer = part->output;
    io.at[UPCONV_BIAS].buffer = judge->bias;
    upconv_status status = upconv_submit(part->plan, &io, &ticket);
    if (status == UPCONV_OK)
        status = upconv_wait(judge->context, ticket, -1);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(part->output, UPCONV_MAP_READ, &memory);
    if (status != UPCONV_OK)
        return status;
    store(memory, &part->made[JUDGE_TRAINED]);
    return upconv_buffer_unmap(part->output);
}

upconv_status train_judge_run(train_judge *judge, const float *weights)
{
    const size_t count = train_filter_count(judge->shape);
    upconv_status status = fill(judge->filter, weights, count, 1);
    // The planes hold samples from 0 to 255, the weights were learnt from 0 to 1.
    if (status == UPCONV_OK && judge->shape->bias)
        status = fill(judge->bias, weights + count, (size_t)judge->shape->channels, 255);
    for (int i = 0; i < judge->count && status == UPCONV_OK; i++)
        status = enlarge(judge, &judge->parts[i]);
    if (status == UPCONV_OK)
        rate(judge, JUDGE_TRAINED);
    return status;
}

// ---- pictures as files

static bool write_picture(const char *folder, const char *name, const picture *image, char *error, size_t error_size)
{
    static const image_colour unsaid;
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) {
        snprintf(error, error_size, "the name of %s in its folder is too long", name);
        return false;
    }
    image_writer *writer =
        image_writer_open(path, image->width, image->height, image->channels, 8, &unsaid, error, error_size);
    if (!writer)
        return false;
    if (!image_writer_rows(writer, image->pixels, image->height, error, error_size)) {
        image_writer_abandon(writer);
        return false;
    }
    return image_writer_close(writer, error, error_size);
}

enum { SQUARE = 48, ZOOM = 4, GAP = 4 }; // of sides.png: pixels of the enlarged picture; each as ZOOM x ZOOM

// Where a square has the most squared error.
static void worst_square(const picture *made, const picture *truth, uint32_t side, uint32_t *at_x, uint32_t *at_y)
{
    double most = -1;
    for (uint32_t y = 0; y + side <= truth->height; y += 8)
        for (uint32_t x = 0; x + side <= truth->width; x += 8) {
            double sum = 0;
            for (uint32_t v = 0; v < side; v++)
                for (size_t i = 0; i < (size_t)side * (size_t)truth->channels; i++) {
                    const size_t at = (y + v) * truth->row_bytes + x * (size_t)truth->channels + i;
                    sum += (made->pixels[at] - truth->pixels[at]) * (made->pixels[at] - truth->pixels[at]);
                }
            if (sum > most) {
                most = sum;
                *at_x = x;
                *at_y = y;
            }
        }
}

static bool write_sides(const train_part *part, int scale, const char *folder, char *error, size_t error_size)
{
    const picture *truth = &part->pair->high, *made = part->made;
    const picture *const panels[] = {&part->pair->low, &made[JUDGE_BILINEAR], &made[JUDGE_BICUBIC],
                                     &made[JUDGE_TRAINED], truth};
    enum { PANELS = sizeof panels / sizeof *panels };
    const uint32_t least = truth->width < truth->height ? truth->width : truth->height;
    const uint32_t side = least < SQUARE ? least : SQUARE, step = side * ZOOM + GAP;
    const size_t channels = (size_t)truth->channels;
    picture sides = {.width = PANELS * step - GAP, .height = side * ZOOM, .channels = truth->channels, .depth = 8};
    uint32_t x0 = 0, y0 = 0;
    worst_square(&made[JUDGE_BILINEAR], truth, side, &x0, &y0);
    sides.row_bytes = sides.width * channels;
    sides.pixels = malloc(sides.row_bytes * sides.height);
    if (!sides.pixels) {
        snprintf(error, error_size, "no memory for sides.png");
        return false;
    }
    memset(sides.pixels, 255, sides.row_bytes * sides.height);
    for (uint32_t p = 0; p < PANELS; p++)
        for (uint32_t y = 0; y < side * ZOOM; y++)
            for (uint32_t x = 0; x < side * ZOOM; x++) {
                const uint32_t shrink = p == 0 ? (uint32_t)scale : 1;
                const uint32_t from_y = (y0 + y / ZOOM) / shrink, from_x = (x0 + x / ZOOM) / shrink;
                memcpy(sides.pixels + y * sides.row_bytes + (p * step + x) * channels,
                       panels[p]->pixels + from_y * panels[p]->row_bytes + from_x * channels, channels);
            }
    const bool fine = write_picture(folder, "sides.png", &sides, error, error_size);
    image_finish(&sides);
    return fine;
}

bool train_judge_write(const train_judge *judge, const char *folder, char *error, size_t error_size)
{
    const train_part *part = &judge->parts[0];
    return write_picture(folder, "low.png", &part->pair->low, error, error_size) &&
           write_picture(folder, "bilinear.png", &part->made[JUDGE_BILINEAR], error, error_size) &&
           write_picture(folder, "bicubic.png", &part->made[JUDGE_BICUBIC], error, error_size) &&
           write_picture(folder, "trained.png", &part->made[JUDGE_TRAINED], error, error_size) &&
           write_picture(folder, "truth.png", &part->pair->high, error, error_size) &&
           write_sides(part, judge->shape->scale, folder, error, error_size);
}
