#include "enlarge.h"

#include <stdlib.h>
#include <string.h>

static uint64_t input_bytes(const picture *image, const enlarge_filter *filter, uint64_t width,
                            uint64_t height)
{
    uint64_t border = 2 * (uint64_t)filter->radius;
    return 4 * (uint64_t)image->channels * (width + border) * (height + border);
}

static uint64_t output_bytes(const picture *image, const enlarge_filter *filter, uint64_t width,
                             uint64_t height)
{
    uint64_t scale = (uint64_t)filter->scale;
    return 4 * (uint64_t)image->channels * width * scale * height * scale;
}

void tiling_choose(tile_grid *tiling, const picture *image, const enlarge_filter *filter, uint64_t bytes,
                   uint64_t buffer_bytes)
{
    uint32_t width = image->width, height = image->height;
    for (;;) {
        uint64_t in = input_bytes(image, filter, width, height),
                 out = output_bytes(image, filter, width, height);
        if (in + out <= bytes && in <= buffer_bytes && out <= buffer_bytes)
            break;
        // Whole rows while there are enough of them for the borders to be a small part, then narrower tiles.
        if (height > 16)
            height = height - height / 8;
        else if (width > 16)
            width = width - width / 8;
        else
            break;
    }
    *tiling =
        (tile_grid){width, height, (image->width + width - 1) / width, (image->height + height - 1) / height};
}

tile_area tiling_at(const tile_grid *tiling, const picture *image, uint32_t across, uint32_t down)
{
    uint32_t x = across * tiling->width, y = down * tiling->height;
    uint32_t last_x = image->width - tiling->width, last_y = image->height - tiling->height;
    return (tile_area){x < last_x ? x : last_x, y < last_y ? y : last_y, tiling->width, tiling->height};
}

// The tile has `radius` pixels of its surroundings on every side, which lie before output 0: the front
// padding cuts off what they make, and the output's size what those on the far side make.
static upconv_problem tile_problem(const enlarge_filter *filter, const tile_grid *tiling)
{
    upconv_problem problem = {.struct_size = sizeof problem,
                              .dims = 2,
                              .batch = 1,
                              .in_channels = filter->channels,
                              .out_channels = filter->channels,
                              .groups = filter->groups};
    const uint32_t size[2] = {tiling->height, tiling->width};
    for (int axis = 0; axis < 2; axis++) {
        problem.in[axis] = (int32_t)size[axis] + 2 * filter->radius;
        problem.kernel[axis] = filter->taps;
        problem.stride[axis] = filter->scale;
        problem.pad[axis] = filter->pad + filter->radius * filter->scale;
        problem.out[axis] = (int32_t)size[axis] * filter->scale;
    }
    return problem;
}

upconv_status enlarger_init(enlarger *e, upconv_context *context, const enlarge_filter *filter,
                            const tile_grid *tiling, int depth, const char *solver)
{
    const upconv_problem problem = tile_problem(filter, tiling);
    float bias[4]; // tiles hold samples as the file has them
    for (int c = 0; filter->bias && c < filter->channels; c++)
        bias[c] = filter->bias[c] * (depth == 16 ? 65535.0f : 255.0f);
    const upconv_plan_params params = {.struct_size = sizeof params,
                                       .weights = filter->weights,
                                       .bias = filter->bias ? bias : NULL,
                                       .solver = solver};
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    *e = (enlarger){.context = context, .filter = filter};
    upconv_status status = upconv_problem_sizes(&problem, &sizes);
    if (status == UPCONV_OK)
        status = upconv_plan_create(context, &problem, &params, &e->plan);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(context, sizes.input_bytes, &e->input);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(context, sizes.output_bytes, &e->output);
    return status;
}

void enlarger_finish(enlarger *e)
{
    upconv_buffer_destroy(e->input);
    upconv_buffer_destroy(e->output);
    upconv_plan_destroy(e->plan);
    *e = (enlarger){0};
}

static upconv_status execute(enlarger *e)
{
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].buffer = e->input;
    io.at[UPCONV_OUTPUT].buffer = e->output;
    upconv_ticket ticket = 0;
    uint64_t ns = 0;
    upconv_status status = upconv_submit(e->plan, &io, &ticket);
    if (status == UPCONV_OK)
        status = upconv_wait(e->context, ticket, -1);
    if (status == UPCONV_OK)
        status = upconv_ticket_time(e->context, ticket, &ns);
    e->device_ms += (double)ns * 1e-6;
    return status;
}

upconv_status enlarger_run(enlarger *e, const picture *image, const tile_area *tile, uint8_t *rows,
                           size_t row_bytes)
{
    void *memory = NULL;
    upconv_status status = upconv_buffer_map(e->input, UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    tile_load(image, tile, (uint32_t)e->filter->radius, memory);
    status = upconv_buffer_unmap(e->input);
    if (status == UPCONV_OK)
        status = execute(e);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(e->output, UPCONV_MAP_READ, &memory);
    if (status != UPCONV_OK)
        return status;
    uint32_t scale = (uint32_t)e->filter->scale;
    tile_store(memory, tile->width * scale, tile->height * scale, image->channels, image->depth, rows,
               row_bytes);
    return upconv_buffer_unmap(e->output);
}
