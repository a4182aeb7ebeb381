// Curves of a training run as a picture in SVG, which browsers and editors show and which needs nothing beside itself.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"
#include "train.h"

enum { WIDTH = 860, HEIGHT = 340, TOP = 56, BOTTOM = 48, PANEL = 340, LEFT = 64, SECOND = 494 };

typedef struct axes {
    FILE *file;
    double x0, x1, y0, y1; // of the values that are shown
    int left;              // of the panel, in pixels
} axes;

static double place_x(const axes *a, double x) { return a->left + (x - a->x0) / (a->x1 - a->x0) * PANEL; }

static double place_y(const axes *a, double y) { return TOP + (a->y1 - y) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM); }

// 1, 2 or 5 times a power of ten, so that about five of them fit the range.
static double tick_step(double range)
{
    const double power = pow(10, floor(log10(range / 5))), part = range / 5 / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void begin_panel(const axes *a, const char *title)
{
    fprintf(a->file, "<text x='%d' y='%d' class='h'>%s</text>\n", a->left, TOP - 12, title);
    // A zero of `ceil` may have a minus, which + 0.0 takes away.
    const double step_x = tick_step(a->x1 - a->x0), step_y = tick_step(a->y1 - a->y0);
    for (double i = ceil(a->y0 / step_y - 1e-9); i * step_y <= a->y1 + 1e-9 * step_y; i++) {
        const double y = place_y(a, i * step_y);
        fprintf(a->file, "<path class='g' d='M%d %.1fh%d'/><text x='%d' y='%.1f' class='e'>%.6g</text>\n", a->left, y,
                PANEL, a->left - 6, y + 4, i * step_y + 0.0);
    }
    for (double i = ceil(a->x0 / step_x - 1e-9); i * step_x <= a->x1 + 1e-9 * step_x; i++) {
        const double x = place_x(a, i * step_x);
        fprintf(a->file, "<path class='g' d='M%.1f %dv%d'/><text x='%.1f' y='%d' class='m'>%.6g</text>\n", x, TOP,
                HEIGHT - TOP - BOTTOM, x, HEIGHT - BOTTOM + 16, i * step_x + 0.0);
    }
    fprintf(a->file, "<rect class='f' x='%d' y='%d' width='%d' height='%d'/>\n", a->left, TOP, PANEL,
            HEIGHT - TOP - BOTTOM);
    fprintf(a->file, "<text x='%d' y='%d' class='m'>step</text>\n", a->left + PANEL / 2, HEIGHT - 12);
}

static void level(const axes *a, double y, const char *colour, const char *name, double shift)
{
    fprintf(a->file, "<path class='d' stroke='%s' d='M%d %.1fh%d'/>", colour, a->left, place_y(a, y), PANEL);
    fprintf(a->file, "<text x='%d' y='%.1f' class='e' fill='%s'>%s %.2f</text>\n", a->left + PANEL - 6,
            place_y(a, y) + shift, colour, name, y);
}

// Losses fall steeply and then hardly at all: their axis is logarithmic, in powers of ten.
static void loss_panel(FILE *file, const train_point *points, size_t count)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (isfinite(points[i].loss) && points[i].loss > 0) {
            low = fmin(low, log10(points[i].loss));
            high = fmax(high, log10(points[i].loss));
        }
    if (!isfinite(low))
        low = high = 0;
    const double room = fmax(0.08 * (high - low), 0.005);
    const axes a = {file, 0, fmax(points[count - 1].step, 1), low - room, high + room, LEFT};
    begin_panel(&a, "loss in training, its logarithm (base 10)");
    fprintf(file, "<path class='t' d='");
    int begun = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(points[i].loss) && points[i].loss > 0)
            fprintf(file, "%c%.1f %.1f", begun++ ? 'L' : 'M', place_x(&a, points[i].step),
                    place_y(&a, log10(points[i].loss)));
    fprintf(file, "'/>\n");
}

static void psnr_panel(FILE *file, const train_point *points, size_t count, const double *psnr)
{
    double low = fmin(psnr[JUDGE_BILINEAR], psnr[JUDGE_BICUBIC]),
           high = fmax(psnr[JUDGE_BILINEAR], psnr[JUDGE_BICUBIC]);
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        high = fmax(high, points[i].psnr);
        best = points[i].psnr > points[best].psnr ? i : best;
    }
    // A run that went wrong may fall far below; the range keeps to what matters.
    for (size_t i = 0; i < count; i++)
        low = fmin(low, fmax(points[i].psnr, high - 12));
    const double room = fmax(0.12 * (high - low), 0.05);
    const axes a = {file, 0, fmax(points[count - 1].step, 1), low - room, high + room, SECOND};
    begin_panel(&a, "PSNR of the held-out parts, dB");
    const bool above = psnr[JUDGE_BICUBIC] > psnr[JUDGE_BILINEAR];
    level(&a, psnr[JUDGE_BILINEAR], "#777777", "bilinear", above ? 14 : -5);
    level(&a, psnr[JUDGE_BICUBIC], "#b35900", "bicubic", above ? -5 : 14);
    fprintf(file, "<path class='t' d='");
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', place_x(&a, points[i].step),
                place_y(&a, fmax(points[i].psnr, a.y0)));
    fprintf(file, "'/>\n<circle cx='%.1f' cy='%.1f' r='3.5' fill='#0b61a4'/>", place_x(&a, points[best].step),
            place_y(&a, points[best].psnr));
    const bool right = place_x(&a, points[best].step) > a.left + PANEL / 2.0;
    fprintf(file, "<text x='%.1f' y='%.1f' class='%s' fill='#0b61a4'>trained %.2f</text>\n",
            place_x(&a, points[best].step) + (right ? -6 : 6), place_y(&a, points[best].psnr) + 17, right ? "e" : "s",
            points[best].psnr);
}

bool train_plot(const char *path, const char *title, const train_point *points, size_t count, const double *psnr,
                char *error, size_t error_size)
{
    file_writer writer;
    if (!file_writer_open(&writer, path, error, error_size))
        return false;
    FILE *file = writer.file;
    fprintf(
        file,
        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d'>\n"
        "<style>text{font:12px sans-serif;fill:#333}text[fill='#777777']{fill:#666}text[fill='#b35900']{fill:#b35900}"
        "text[fill='#0b61a4']{fill:#0b61a4}.h{font-weight:bold}.e{text-anchor:end}.m{text-anchor:middle}"
        ".g{stroke:#e4e4e4;fill:none}.f{stroke:#888;fill:none}.d{fill:none;stroke-width:1.5;stroke-dasharray:6 4}"
        ".t{fill:none;stroke:#0b61a4;stroke-width:2}</style>\n"
        "<rect width='100%%' height='100%%' fill='#fff'/>\n<text x='%d' y='22'>",
        WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    for (const char *c = title; *c; c++) // a device's name may hold anything
        if (*c == '<' || *c == '&')
            fprintf(file, "&#%d;", *c);
        else
            fputc((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c, file);
    fprintf(file, "</text>\n");
    loss_panel(file, points, count);
    psnr_panel(file, points, count, psnr);
    fprintf(file, "</svg>\n");
    return file_writer_close(&writer, error, error_size);
}
