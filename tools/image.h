// Pictures in memory, and PNG files in and out.
#ifndef TOOL_IMAGE_H
#define TOOL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a file says of the meaning of its numbers. upconv neither uses nor changes it: it goes from the one
// file to the other.
typedef struct image_colour {
    bool has_gamma, has_chroma, has_srgb;
    int32_t gamma, chroma[8]; // as in the file: times 100000
    int intent;
    char *profile_name; // of an ICC profile; NULL: none
    uint8_t *profile;
    uint32_t profile_size;
} image_colour;

typedef struct picture {
    uint32_t width, height;
    int channels; // 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    int depth;    // 8, or 16: samples of the processor's byte order
    size_t row_bytes;
    uint8_t *pixels;
    image_colour colour;
} picture;

// Reads a PNG file of any kind: palettes become RGB, transparent colours an alpha channel, depths below 8
// become 8. false: a sentence is in error, and image is empty.
bool image_read(const char *path, picture *image, char *error, size_t error_size);
void image_finish(picture *image); // takes a zeroed one

// Writes a PNG file row by row. It appears at its place, whole, at close.
typedef struct image_writer image_writer;
image_writer *image_writer_open(const char *path, uint32_t width, uint32_t height, int channels, int depth,
                                const image_colour *colour, char *error,
                                size_t error_size); // NULL: see error
bool image_writer_rows(image_writer *writer, const uint8_t *rows, uint32_t count, char *error,
                       size_t error_size);
bool image_writer_close(image_writer *writer, char *error, size_t error_size); // ends the writer in any case
void image_writer_abandon(image_writer *writer);                               // takes NULL; leaves no file

const char *image_kind(int channels); // "grey", "grey with alpha", "RGB", "RGB with alpha"

#endif
