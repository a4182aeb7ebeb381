// upconv train: an upsampling layer learns from pictures what interpolation does not know.
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "enlarge_filter.h"
#include "npy.h"
#include "session.h"
#include "train.h"

typedef struct training {
    session_options where;
    const char *folder;
    int scale, kernel, channels, steps, every, batch, patch, loss, seed, patience, anchor;
    double rate, beta1, beta2, decay;
    bool bias, verify, json;
    train_set set;
    train_shape shape;
    upconv_context *context, *cpu;
    upconv_device_info device;
    train_layer layer;
    train_judge judge;
    train_adam adam;
    size_t weights; // of filter and bias together
    float *start, *now, *best, *gradient, *input, *minus_target;
    train_point *points; // one a report
    size_t reports, best_report;
    double began, verified;
    const char *stopped; // why the loop ended
} training;

static const char *const channels_choices[] = {"one", "each", "mixed", NULL};
static const char *const loss_choices[] = {"mse", "charbonnier", NULL};
static const char *const anchor_choices[] = {"start", "zero", NULL};

static volatile sig_atomic_t interrupted;

// A second signal ends the program as if this were not here.
static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void watch_signals(void)
{
    const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now, ours = {.sa_handler = interrupt, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaction(signals[i], &ours, NULL);
    }
}

static bool failed(upconv_status status)
{
    failure(&train_command, "%s", status == UPCONV_ERROR_HOST_MEMORY ? "no memory" : upconv_last_error());
    return false;
}

// ---- before the first step

static bool add_picture(training *t, const picture *image, const char *name)
{
    char error[512];
    const bool fine = train_set_add(&t->set, image, name, t->scale, t->patch, error, sizeof error);
    if (!fine)
        failure(&train_command, "%s", error);
    return fine;
}

static bool read_pictures(training *t, int count, char **paths)
{
    char error[512], name[32];
    picture image;
    for (int i = 0; i < count; i++) {
        if (!image_read(paths[i], &image, error, sizeof error)) {
            failure(&train_command, "%s", error);
            return false;
        }
        const bool fine = add_picture(t, &image, paths[i]);
        image_finish(&image);
        if (!fine)
            return false;
    }
    for (int i = 0; count == 0 && i < 4; i++) {
        snprintf(name, sizeof name, "built-in picture %d", i + 1);
        if (!train_leaves(384, (uint64_t)i, &image))
            return failed(UPCONV_ERROR_HOST_MEMORY);
        const bool fine = add_picture(t, &image, name);
        image_finish(&image);
        if (!fine)
            return false;
    }
    return true;
}

static void choose_shape(training *t)
{
    const int channels = t->channels == TRAIN_ONE ? 1 : t->set.channels;
    t->shape = (train_shape){.scale = t->scale,
                             .kernel = t->kernel,
                             .pad = (t->kernel - t->scale) / 2,
                             .radius = enlarge_filter_radius(t->kernel, t->scale),
                             .channels = channels,
                             .groups = t->channels == TRAIN_MIXED ? 1 : channels,
                             .bias = t->bias};
    t->weights = train_filter_count(&t->shape) + (t->bias ? (size_t)channels : 0);
}

static bool allocate(training *t)
{
    const size_t planes = (size_t)t->batch * (size_t)t->shape.channels;
    const size_t low = (size_t)(t->patch + 2 * t->shape.radius), high = (size_t)(t->patch * t->scale);
    float **const arrays[] = {&t->start, &t->now, &t->best, &t->gradient};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = calloc(t->weights, sizeof(float));
    t->input = malloc(sizeof(float) * planes * low * low);
    t->minus_target = malloc(sizeof(float) * planes * high * high);
    t->points = calloc((size_t)(t->steps / t->every) + 2, sizeof *t->points);
    t->adam = (train_adam){.beta1 = t->beta1,
                           .beta2 = t->beta2,
                           .decay = t->decay,
                           .count = t->weights,
                           .mean = calloc(t->weights, sizeof(double)),
                           .square = calloc(t->weights, sizeof(double))};
    return t->start && t->now && t->best && t->gradient && t->input && t->minus_target && t->points && t->adam.mean &&
           t->adam.square;
}

static bool prepare(training *t)
{
    const session_options cpu = {.backend = UPCONV_BACKEND_CPU};
    if (mkdir(t->folder, 0777) != 0 && errno != EEXIST) {
        failure(&train_command, "%s cannot be made: %s", t->folder, strerror(errno));
        return false;
    }
    choose_shape(t);
    if (!allocate(t))
        return failed(UPCONV_ERROR_HOST_MEMORY);
    // Everything begins as bilinear interpolation, and the bias as nothing.
    const upconv_problem problem = train_problem(&t->shape, t->batch, t->patch, t->patch);
    upconv_status status = upconv_filter_bilinear(&problem, UPCONV_FILTER_IOK, t->start);
    if (status == UPCONV_OK)
        status = session_open(&t->where, &t->context, &t->device);
    if (status == UPCONV_OK)
        status = train_layer_init(&t->layer, t->context, &t->shape, (train_loss)t->loss, t->batch, t->patch);
    if (status == UPCONV_OK)
        status = train_judge_init(&t->judge, t->context, &t->shape, &t->set);
    if (status == UPCONV_OK && t->verify)
        status = session_open(&cpu, &t->cpu, NULL);
    if (status != UPCONV_OK)
        return failed(status);
    memcpy(t->now, t->start, sizeof *t->now * t->weights);
    if (t->anchor == 0)
        t->adam.anchor = t->start;
    return true;
}

// ---- what is shown, and kept

static bool say_json(cJSON *line, bool added)
{
    char *text = added ? cJSON_PrintUnformatted(line) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
    return text ? true : failed(UPCONV_ERROR_HOST_MEMORY);
}

static bool say_head(const training *t)
{
    const double *psnr = t->judge.psnr;
    if (t->json) {
        cJSON *line = cJSON_CreateObject();
        return say_json(line, line && session_json_text(line, "backend", backend_choices[t->device.backend]) &&
                                  session_json_text(line, "device", t->device.name) &&
                                  cJSON_AddNumberToObject(line, "scale", t->scale) &&
                                  cJSON_AddNumberToObject(line, "kernel", t->kernel) &&
                                  cJSON_AddNumberToObject(line, "weights", (double)t->weights) &&
                                  cJSON_AddNumberToObject(line, "pictures", t->set.count) &&
                                  cJSON_AddNumberToObject(line, "bilinear", psnr[JUDGE_BILINEAR]) &&
                                  cJSON_AddNumberToObject(line, "bicubic", psnr[JUDGE_BICUBIC]));
    }
    printf("on %s (%s): x%d, kernel %d x %d, %s filter%s, %zu weights; %d picture%s\n", t->device.name,
           backend_choices[t->device.backend], t->scale, t->kernel, t->kernel, channels_choices[t->channels],
           t->bias ? " and bias" : "", t->weights, t->set.count, t->set.count == 1 ? "" : "s");
    printf("%8s %12s %9s %9s %9s\n", "step", "loss", "PSNR", "bilinear", "bicubic");
    return true;
}

static bool say_report(const training *t)
{
    const train_point *p = &t->points[t->reports - 1];
    if (t->json) {
        cJSON *line = cJSON_CreateObject();
        return say_json(line, line && cJSON_AddNumberToObject(line, "step", p->step) &&
                                  (isnan(p->loss) || cJSON_AddNumberToObject(line, "loss", p->loss)) &&
                                  cJSON_AddNumberToObject(line, "psnr", p->psnr));
    }
    char loss[32] = "-";
    if (!isnan(p->loss))
        snprintf(loss, sizeof loss, "%.6g", p->loss);
    printf("%8d %12s %9.3f %9.3f %9.3f%s\n", p->step, loss, p->psnr, t->judge.psnr[JUDGE_BILINEAR],
           t->judge.psnr[JUDGE_BICUBIC], t->best_report == t->reports - 1 ? "  best" : "");
    fflush(stdout);
    return true;
}

static bool path_of(const training *t, const char *name, char *path, size_t size)
{
    if ((size_t)snprintf(path, size, "%s/%s", t->folder, name) < size)
        return true;
    failure(&train_command, "the name of the folder, %.40s..., is too long", t->folder);
    return false;
}

static bool write_filter(const training *t)
{
    char path[4096], bias_path[4096], error[4600];
    const train_shape *s = &t->shape;
    const size_t count = train_filter_count(s);
    const npy_array filter = {4, {s->channels, s->channels / s->groups, s->kernel, s->kernel}, count, t->best};
    const npy_array bias = {1, {s->channels}, (size_t)s->channels, t->best + count};
    if (!path_of(t, "filter.npy", path, sizeof path) || !path_of(t, "bias.npy", bias_path, sizeof bias_path))
        return false;
    bool fine = npy_write(path, &filter, error, sizeof error);
    if (fine && s->bias)
        fine = npy_write(bias_path, &bias, error, sizeof error);
    // an earlier run's does not belong to this filter
    if (fine && !s->bias && remove(bias_path) && errno != ENOENT) {
        fine = false;
        snprintf(error, sizeof error, "%s, of an earlier run: %s", bias_path, strerror(errno));
    }
    if (!fine)
        failure(&train_command, "%s", error);
    return fine;
}

static bool write_plot(const training *t)
{
    char path[4096], error[4600], title[256];
    snprintf(title, sizeof title, "x%d, kernel %d x %d, %s filter%s, %s, on %.60s (%s)", t->scale, t->kernel, t->kernel,
             channels_choices[t->channels], t->bias ? " and bias" : "", loss_choices[t->loss], t->device.name,
             backend_choices[t->device.backend]);
    if (!path_of(t, "plot.svg", path, sizeof path))
        return false;
    if (train_plot(path, title, t->points, t->reports, t->judge.psnr, error, sizeof error))
        return true;
    failure(&train_command, "%s", error);
    return false;
}

// Rates the weights; the best so far are kept, and written at once, so that nothing is lost whatever comes.
static bool report(training *t, int step, double loss)
{
    char error[4600];
    const upconv_status status = train_judge_run(&t->judge, t->now);
    if (status != UPCONV_OK)
        return failed(status);
    const double psnr = t->judge.psnr[JUDGE_TRAINED];
    const bool better = t->reports == 0 || psnr > t->points[t->best_report].psnr;
    t->points[t->reports++] = (train_point){step, loss, psnr};
    if (better) {
        t->best_report = t->reports - 1;
        memcpy(t->best, t->now, sizeof *t->best * t->weights);
        if (!write_filter(t))
            return false;
        if (!train_judge_write(&t->judge, t->folder, error, sizeof error)) {
            failure(&train_command, "%s", error);
            return false;
        }
    }
    return write_plot(t) && say_report(t);
}

// ---- the loop

static bool verify_gradient(training *t)
{
    const upconv_status status = train_layer_verify(&t->layer, t->cpu, t->input, t->gradient, &t->verified);
    if (status != UPCONV_OK)
        return failed(status);
    if (!(t->verified <= 1)) {
        failure(&train_command, "the gradient of %s differs from the CPU's by %.3g times what rounding may do",
                t->device.name, t->verified);
        return false;
    }
    return true;
}

static bool one_step(training *t, int step, uint64_t *state, double *loss)
{
    // The rate falls along half a cosine to a hundredth, so that the last steps average over batches.
    const double rate = t->rate * (0.01 + 0.99 * 0.5 * (1 + cos(M_PI * (step - 1) / t->steps)));
    train_set_batch(&t->set, &t->shape, t->batch, t->patch, state, t->input, t->minus_target);
    const upconv_status status = train_layer_step(&t->layer, t->input, t->minus_target, t->now, t->gradient, loss);
    if (status != UPCONV_OK)
        return failed(status);
    if (step == 1 && t->verify && !verify_gradient(t))
        return false;
    train_adam_step(&t->adam, rate, t->gradient, t->now);
    bool finite = isfinite(*loss);
    for (size_t i = 0; i < t->weights; i++)
        finite = finite && isfinite(t->now[i]);
    if (!finite)
        failure(&train_command, "the loss is no longer finite at step %d; --lr is %g, a smaller one may help", step,
                t->rate);
    return finite;
}

static bool train(training *t)
{
    uint64_t state = (uint64_t)t->seed;
    double sum = 0;
    int since = 0;
    if (!report(t, 0, NAN))
        return false;
    for (int step = 1; step <= t->steps && !t->stopped; step++) {
        double loss = 0;
        if (!one_step(t, step, &state, &loss))
            return false;
        sum += loss;
        since++;
        if (interrupted)
            t->stopped = "interrupted";
        if (step % t->every && step < t->steps && !t->stopped)
            continue;
        if (!report(t, step, sum / since))
            return false;
        sum = since = 0;
        if (!t->stopped && t->patience && t->reports - 1 - t->best_report >= (size_t)t->patience)
            t->stopped = "patience";
    }
    if (!t->stopped)
        t->stopped = "steps";
    return true;
}

// Taps of one phase make one output; flat areas stay flat where each phase adds up to one. The range of these sums.
static void phase_sums(const training *t, double *least, double *most)
{
    const train_shape *s = &t->shape;
    const int in = s->channels / s->groups, area = s->kernel * s->kernel;
    *least = INFINITY;
    *most = -INFINITY;
    for (int out = 0; out < s->channels; out++)
        for (int phase = 0; phase < s->scale * s->scale; phase++) {
            double sum = 0;
            for (int i = 0; i < in; i++)
                for (int k = 0; k < area; k++) {
                    const int y = k / s->kernel, x = k % s->kernel;
                    if (y % s->scale == phase / s->scale && x % s->scale == phase % s->scale)
                        sum += (double)t->best[(s->groups == 1 ? i * s->channels + out : out) * area + k];
                }
            *least = fmin(*least, sum);
            *most = fmax(*most, sum);
        }
}

static bool say_end(const training *t)
{
    const train_point *best = &t->points[t->best_report];
    const double seconds = session_seconds() - t->began;
    double least, most;
    phase_sums(t, &least, &most);
    if (t->json) {
        cJSON *line = cJSON_CreateObject();
        return say_json(line, line && session_json_text(line, "stopped", t->stopped) &&
                                  cJSON_AddNumberToObject(line, "best_step", best->step) &&
                                  cJSON_AddNumberToObject(line, "best_psnr", best->psnr) &&
                                  cJSON_AddNumberToObject(line, "least_sum", least) &&
                                  cJSON_AddNumberToObject(line, "most_sum", most) &&
                                  (!t->verify || cJSON_AddNumberToObject(line, "gradient_share", t->verified)) &&
                                  cJSON_AddNumberToObject(line, "seconds", seconds));
    }
    if (t->verify)
        printf("gradient of step 1: off the CPU's by %.3g of what rounding may do\n", t->verified);
    printf(
        "best: %.2f dB at step %d, %+.2f to bilinear, %+.2f to bicubic; phases add up to %.4f to %.4f; %.1f s (%s)\n",
        best->psnr, best->step, best->psnr - t->judge.psnr[JUDGE_BILINEAR], best->psnr - t->judge.psnr[JUDGE_BICUBIC],
        least, most, seconds, t->stopped);
    printf("upconv upscale IN.png OUT.png --scale %d --filter %s/filter.npy", t->scale, t->folder);
    if (t->bias)
        printf(" --bias %s/bias.npy", t->folder);
    putchar('\n');
    return true;
}

static void training_finish(training *t)
{
    train_layer_finish(&t->layer);
    train_judge_finish(&t->judge);
    upconv_context_destroy(t->context);
    upconv_context_destroy(t->cpu);
    train_set_finish(&t->set);
    void *const memory[] = {t->start,        t->now,    t->best,      t->gradient,   t->input,
                            t->minus_target, t->points, t->adam.mean, t->adam.square};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

// ---- the command line

static int check_options(training *t)
{
    if (t->kernel == 0)
        t->kernel = 4 * t->scale - t->scale % 2;
    if (t->kernel < t->scale || (t->kernel - t->scale) % 2)
        return usage_error(&train_command, "--kernel is %d; for --scale %d it is %d, or 2, 4, ... more, up to %d",
                           t->kernel, t->scale, t->scale, RESAMPLE_MAX_TAPS);
    if (t->every > t->steps)
        t->every = t->steps;
    return -1;
}

static int read_options(training *t, int argc, char **argv, int *operands)
{
    const option options[] = {
        {"out", OPTION_TEXT, &t->folder, "FOLDER", "Where the files go (trained); it is made if it is not there.", 0, 0,
         NULL},
        {"scale", OPTION_WHOLE, &t->scale, "N", "2 (the default), 3 or 4.", 2, RESAMPLE_MAX_SCALE, NULL},
        {"kernel", OPTION_WHOLE, &t->kernel, "N",
         "Positions a side: the scale, or 2, 4, ... more. For scale 2, 3 and 4 bilinear interpolation has 4, 5 and 8, "
         "bicubic 8, 11 and 16, the default.",
         2, RESAMPLE_MAX_TAPS, NULL},
        {"channels", OPTION_CHOICE, &t->channels, "NAME",
         "one (the default): one filter for all channels; each: each has its own; mixed: each output channel sees all.",
         0, 0, channels_choices},
        {"bias", OPTION_FLAG, &t->bias, NULL, "Learn a bias as well.", 0, 0, NULL},
        {"steps", OPTION_WHOLE, &t->steps, "N", "Batches (1000).", 1, 1e6, NULL},
        {"every", OPTION_WHOLE, &t->every, "N", "Steps between two reports (50).", 1, 1e6, NULL},
        {"batch", OPTION_WHOLE, &t->batch, "N", "Crops a step (16).", 1, 1024, NULL},
        {"patch", OPTION_WHOLE, &t->patch, "N", "Pixels a side of a crop, of the small picture (32).", 4, 512, NULL},
        {"loss", OPTION_CHOICE, &t->loss, "NAME",
         "mse (the default), or charbonnier: the mean of sqrt(error^2 + 0.001^2).", 0, 0, loss_choices},
        {"lr", OPTION_REAL, &t->rate, "X",
         "Adam's learning rate at the start (0.01); it falls to a hundredth along a cosine.", 1e-9, 100, NULL},
        {"beta1", OPTION_REAL, &t->beta1, "X", "Adam's memory of gradients (0.9).", 0, 0.999999, NULL},
        {"beta2", OPTION_REAL, &t->beta2, "X", "Adam's memory of their squares (0.999).", 0, 0.999999, NULL},
        {"decay", OPTION_REAL, &t->decay, "X",
         "Weight decay (0.01), decoupled: a step takes rate * decay of the weights away.", 0, 1000, NULL},
        {"decay-to", OPTION_CHOICE, &t->anchor, "NAME",
         "What weights decay to: start (the default), which is bilinear interpolation; or zero, as in AdamW.", 0, 0,
         anchor_choices},
        {"patience", OPTION_WHOLE, &t->patience, "N", "Reports without a better PSNR before it stops (10); 0: never.",
         0, 1e6, NULL},
        {"seed", OPTION_WHOLE, &t->seed, "N", "Of the random crops (1).", 0, 2147483647, NULL},
        {"verify", OPTION_FLAG, &t->verify, NULL,
         "Compare the first step's gradient with the CPU's reference solver; more than rounding ends with exit code 1.",
         0, 0, NULL},
        SESSION_OPTIONS(t->where),
        {"json", OPTION_FLAG, &t->json, NULL, "Reports as lines of JSON.", 0, 0, NULL},
        {NULL, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const int over = options_read(&train_command, options, argc, argv, operands);
    return over < 0 ? check_options(t) : over;
}

static int run(int argc, char **argv)
{
    training t = {.folder = "trained",
                  .scale = 2,
                  .steps = 1000,
                  .every = 50,
                  .batch = 16,
                  .patch = 32,
                  .patience = 10,
                  .seed = 1,
                  .rate = 0.01,
                  .beta1 = 0.9,
                  .beta2 = 0.999,
                  .decay = 0.01,
                  .began = session_seconds()};
    int operands = 0;
    const int over = read_options(&t, argc, argv, &operands);
    if (over >= 0)
        return over;
    watch_signals();
    const bool fine = read_pictures(&t, operands, argv) && prepare(&t) && say_head(&t) && train(&t) && say_end(&t);
    training_finish(&t);
    return fine && !interrupted ? TOOL_OK : TOOL_FAILURE;
}

const tool_command train_command = {
    "train", "[PICTURE.png ...] [options]", "An upsampling layer trained on pictures, for upscale --filter.",
    "Each picture is made small (the mean of scale x scale pixels), and a transposed convolution learns the way back "
    "on the device: from bilinear interpolation, with Adam and weight decay, on random crops of the upper three "
    "quarters of each picture. The lower quarter (1024 x 512 pixels of it at most) is held out: PSNR is what the "
    "layer reaches there, beside bilinear and bicubic (a = -0.5) interpolation on the same device. The filter kept is "
    "the one that did best there. Without pictures it makes its own.\n"
    "The folder gets filter.npy (float32 of shape (channels, channels / groups, kernel, kernel)), bias.npy with "
    "--bias (without it, that of an earlier run is removed), plot.svg (loss and PSNR), the first picture's held-out "
    "part as low.png, bilinear.png, bicubic.png, "
    "trained.png and truth.png, and sides.png: a detail of these five, in this order. Each is written as soon as "
    "there is something better.\n"
    "Ctrl-C ends after the step at hand, with exit code 1 and the best filter so far. The same seed on the same "
    "device gives the same filter.",
    run};
