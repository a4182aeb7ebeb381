#include "tile.h"

#include <math.h>

static inline float sample(const uint8_t *at, int channel, int depth)
{
    return depth == 16 ? (float)((const uint16_t *)(const void *)at)[channel] : (float)at[channel];
}

static inline bool has_alpha(int channels) { return channels == 2 || channels == 4; }

static uint32_t clamp_index(int64_t at, uint32_t size)
{
    return at < 0 ? 0 : at >= size ? size - 1 : (uint32_t)at;
}

void tile_load(const picture *image, const tile_area *tile, uint32_t border, float *planes)
{
    const int channels = image->channels, depth = image->depth, alpha = channels - 1;
    const float scale = depth == 16 ? 1.0f / 65535 : 1.0f / 255;
    const size_t pixel_bytes = (size_t)channels * (size_t)depth / 8;
    const uint32_t width = tile->width + 2 * border, height = tile->height + 2 * border;
    const size_t plane = (size_t)width * height;
    for (uint32_t y = 0; y < height; y++) {
        const uint32_t from = clamp_index((int64_t)tile->y + y - border, image->height);
        const uint8_t *row = image->pixels + from * image->row_bytes;
        float *out = planes + (size_t)y * width;
        for (uint32_t x = 0; x < width; x++) {
            const uint8_t *at = row + clamp_index((int64_t)tile->x + x - border, image->width) * pixel_bytes;
            float opacity = has_alpha(channels) ? sample(at, alpha, depth) : 0;
            for (int c = 0; c < channels; c++) {
                float value = sample(at, c, depth);
                out[c * plane + x] = has_alpha(channels) && c != alpha ? value * opacity * scale : value;
            }
        }
    }
}

static inline uint32_t to_sample(float value, float most)
{
    // Written so that a NaN becomes 0.
    return value > 0 ? (value < most ? (uint32_t)(value + 0.5f) : (uint32_t)most) : 0;
}

void tile_store(const float *planes, uint32_t width, uint32_t height, int channels, int depth, uint8_t *rows,
                size_t row_bytes)
{
    const float most = depth == 16 ? 65535 : 255;
    const int alpha = channels - 1;
    const size_t plane = (size_t)width * height;
    for (uint32_t y = 0; y < height; y++) {
        const float *in = planes + (size_t)y * width;
        uint8_t *row = rows + y * row_bytes;
        for (uint32_t x = 0; x < width; x++) {
            float factor = 1;
            if (has_alpha(channels)) {
                float opacity = in[alpha * plane + x];
                factor = to_sample(opacity, most) ? most / opacity : 0;
            }
            for (int c = 0; c < channels; c++) {
                bool colour = !has_alpha(channels) || c != alpha;
                float value = in[c * plane + x];
                uint32_t s = to_sample(colour ? value * factor : value, most);
                if (depth == 16)
                    ((uint16_t *)(void *)row)[(size_t)x * channels + c] = (uint16_t)s;
                else
                    row[(size_t)x * channels + c] = (uint8_t)s;
            }
        }
    }
}

double tile_difference(const uint8_t *a, const uint8_t *b, size_t count, int channels, int depth)
{
    const size_t pixel_bytes = (size_t)channels * (size_t)depth / 8;
    const float most = depth == 16 ? 65535 : 255;
    const int alpha = channels - 1;
    float largest = 0;
    for (size_t i = 0; i < count; i++, a += pixel_bytes, b += pixel_bytes) {
        float opacity =
            has_alpha(channels) ? fmaxf(sample(a, alpha, depth), sample(b, alpha, depth)) / most : 1;
        for (int c = 0; c < channels; c++) {
            float d = fabsf(sample(a, c, depth) - sample(b, c, depth));
            largest = fmaxf(largest, has_alpha(channels) && c == alpha ? d : d * opacity);
        }
    }
    return (double)largest;
}
