#include "image.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

// A picture takes at most so much memory; what claims more is taken for a damaged or hostile file.
static const uint64_t most_bytes = (uint64_t)4 << 30;

const char *image_kind(int channels)
{
    static const char *const kinds[] = {"grey", "grey with alpha", "RGB", "RGB with alpha"};
    return channels >= 1 && channels <= 4 ? kinds[channels - 1] : "unknown";
}

// libpng ends a failing call by a jump. Everything that must outlive the jump is in one of the structs below,
// never in a local variable of the function that set it up.
typedef struct trap {
    jmp_buf jump;
    char sentence[256];
} trap;

static void on_error(png_structp png, png_const_charp message)
{
    trap *t = png_get_error_ptr(png);
    snprintf(t->sentence, sizeof t->sentence, "%s", message);
    longjmp(t->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png; // a warning is about something that does not matter for the pixels
    (void)message;
}

static int native_little_endian(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one;
}

// ---- reading

typedef struct reader {
    trap trap;
    FILE *file;
    png_structp png;
    png_infop info;
    picture *image;
} reader;

static void colour_finish(image_colour *colour)
{
    free(colour->profile_name);
    free(colour->profile);
    *colour = (image_colour){0};
}

void image_finish(picture *image)
{
    free(image->pixels);
    colour_finish(&image->colour);
    memset(image, 0, sizeof *image);
}

static void read_colour(reader *r)
{
    image_colour *c = &r->image->colour;
    png_fixed_point gamma, v[8];
    png_charp name;
    png_bytep profile;
    png_uint_32 size;
    int compression, intent;
    if (png_get_sRGB(r->png, r->info, &intent)) {
        c->has_srgb = true;
        c->intent = intent;
    } else if (png_get_iCCP(r->png, r->info, &name, &compression, &profile, &size)) {
        c->profile_name = strdup(name);
        c->profile = malloc(size);
        c->profile_size = size;
        if (!c->profile_name || !c->profile)
            png_error(r->png, "no memory for the colour profile");
        memcpy(c->profile, profile, size);
    }
    if (png_get_gAMA_fixed(r->png, r->info, &gamma)) {
        c->has_gamma = true;
        c->gamma = gamma;
    }
    if (png_get_cHRM_fixed(r->png, r->info, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7])) {
        c->has_chroma = true;
        for (int i = 0; i < 8; i++)
            c->chroma[i] = v[i];
    }
}

static void ask_for_plain_samples(reader *r)
{
    int type = png_get_color_type(r->png, r->info), depth = png_get_bit_depth(r->png, r->info);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (png_get_valid(r->png, r->info, PNG_INFO_tRNS))
        png_set_tRNS_to_alpha(r->png);
    if (depth == 16 && native_little_endian())
        png_set_swap(r->png);
}

static void read_pixels(reader *r)
{
    picture *m = r->image;
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    m->width = png_get_image_width(r->png, r->info);
    m->height = png_get_image_height(r->png, r->info);
    m->channels = png_get_channels(r->png, r->info);
    m->depth = png_get_bit_depth(r->png, r->info);
    m->row_bytes = png_get_rowbytes(r->png, r->info);
    if ((uint64_t)m->row_bytes * m->height > most_bytes) {
        snprintf(r->trap.sentence, sizeof r->trap.sentence,
                 "it claims %u x %u pixels, which is more than %.0f MB", m->width, m->height,
                 (double)most_bytes / 1e6);
        longjmp(r->trap.jump, 1);
    }
    m->pixels = calloc(m->height, m->row_bytes);
    if (!m->pixels)
        png_error(r->png, "no memory for the pixels");
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < m->height; y++)
            png_read_row(r->png, m->pixels + y * m->row_bytes, NULL);
    png_read_end(r->png, NULL);
}

static bool read_all(reader *r)
{
    if (setjmp(r->trap.jump))
        return false;
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r->trap, on_error, on_warning);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info) {
        snprintf(r->trap.sentence, sizeof r->trap.sentence, "no memory to read it");
        return false;
    }
    png_init_io(r->png, r->file);
    png_set_sig_bytes(r->png, 8);
    png_read_info(r->png, r->info);
    read_colour(r);
    ask_for_plain_samples(r);
    read_pixels(r);
    return true;
}

bool image_read(const char *path, picture *image, char *error, size_t error_size)
{
    reader r = {.image = image};
    png_byte signature[8];
    memset(image, 0, sizeof *image);
    r.file = fopen(path, "rb");
    if (!r.file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    errno = 0;
    size_t got = fread(signature, 1, sizeof signature, r.file);
    bool fine = false;
    if (ferror(r.file)) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
    } else if (got != sizeof signature || png_sig_cmp(signature, 0, sizeof signature) != 0) {
        snprintf(error, error_size, "%s is not a PNG file", path);
    } else if (!(fine = read_all(&r))) {
        snprintf(error, error_size, "%s cannot be read: %s", path,
                 feof(r.file) ? "it ends before the picture does" : r.trap.sentence);
    }
    if (r.png)
        png_destroy_read_struct(&r.png, r.info ? &r.info : NULL, NULL);
    fclose(r.file);
    if (!fine)
        image_finish(image);
    return fine;
}

// ---- writing

struct image_writer {
    trap trap;
    file_writer target;
    png_structp png;
    png_infop info;
    size_t row_bytes;
};

static void write_colour(image_writer *w, const image_colour *c)
{
    if (c->has_srgb)
        png_set_sRGB(w->png, w->info, c->intent);
    else if (c->profile)
        png_set_iCCP(w->png, w->info, c->profile_name, PNG_COMPRESSION_TYPE_BASE, c->profile,
                     c->profile_size);
    if (c->has_gamma)
        png_set_gAMA_fixed(w->png, w->info, c->gamma);
    if (c->has_chroma)
        png_set_cHRM_fixed(w->png, w->info, c->chroma[0], c->chroma[1], c->chroma[2], c->chroma[3],
                           c->chroma[4], c->chroma[5], c->chroma[6], c->chroma[7]);
}

static bool write_head(image_writer *w, uint32_t width, uint32_t height, int channels, int depth,
                       const image_colour *colour)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(w->trap.jump))
        return false;
    w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w->trap, on_error, on_warning);
    w->info = w->png ? png_create_info_struct(w->png) : NULL;
    if (!w->info) {
        snprintf(w->trap.sentence, sizeof w->trap.sentence, "no memory to write it");
        return false;
    }
    png_init_io(w->png, w->target.file);
    png_set_user_limits(w->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(w->png, w->info, width, height, depth, types[channels], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    // With zlib at level 6 and every filter tried, writing a large photograph takes many times as long as
    // enlarging it.
    png_set_compression_level(w->png, 3);
    png_set_filter(w->png, 0, PNG_FILTER_SUB);
    write_colour(w, colour);
    png_write_info(w->png, w->info);
    if (depth == 16 && native_little_endian())
        png_set_swap(w->png);
    w->row_bytes = png_get_rowbytes(w->png, w->info);
    return true;
}

void image_writer_abandon(image_writer *writer)
{
    if (!writer)
        return;
    if (writer->png)
        png_destroy_write_struct(&writer->png, writer->info ? &writer->info : NULL);
    file_writer_abandon(&writer->target);
    free(writer);
}

image_writer *image_writer_open(const char *path, uint32_t width, uint32_t height, int channels, int depth,
                                const image_colour *colour, char *error, size_t error_size)
{
    image_writer *w = calloc(1, sizeof *w);
    if (!w) {
        snprintf(error, error_size, "no memory to write %s", path);
        return NULL;
    }
    if (!file_writer_open(&w->target, path, error, error_size)) {
        free(w);
        return NULL;
    }
    if (write_head(w, width, height, channels, depth, colour))
        return w;
    snprintf(error, error_size, "%s cannot be written: %s", path, w->trap.sentence);
    image_writer_abandon(w);
    return NULL;
}

bool image_writer_rows(image_writer *w, const uint8_t *rows, uint32_t count, char *error, size_t error_size)
{
    if (setjmp(w->trap.jump)) {
        snprintf(error, error_size, "%s cannot be written: %s", w->target.path, w->trap.sentence);
        return false;
    }
    for (uint32_t y = 0; y < count; y++)
        png_write_row(w->png, rows + y * w->row_bytes);
    return true;
}

bool image_writer_close(image_writer *w, char *error, size_t error_size)
{
    bool fine = false;
    if (setjmp(w->trap.jump)) {
        snprintf(error, error_size, "%s cannot be written: %s", w->target.path, w->trap.sentence);
        image_writer_abandon(w);
        return false;
    }
    png_write_end(w->png, w->info);
    fine = file_writer_close(&w->target, error, error_size);
    image_writer_abandon(w);
    return fine;
}
