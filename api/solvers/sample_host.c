// Resizing, zero insertion and pixel shuffle by their definitions, in double precision on the host.
#include "../host.h"
#include "../sample.h"

typedef struct sampling {
    const upc_host_arg *arg;
    const void *const *pointers;
    upc_sample_axis axis[3];
} sampling;

// Of three axes, from the channel `c` of the output.
static double sum_of(const upc_problem *p, const void *input, int64_t image, int64_t c, const upc_sample *const at[3],
                     const int taps[3])
{
    const int64_t channel = upc_sample_channel(p, c) + at[0]->part + at[1]->part + at[2]->part;
    if (at[0]->first < 0 || at[1]->first < 0 || at[2]->first < 0)
        if (p->op == UPCONV_ZERO_INSERT)
            return 0;
    if (taps[0] * taps[1] * taps[2] == 1) // as it is, also what is not a number
        return upc_host_load(input, p->type,
                             upc_tensor_at(&p->in, image, channel, at[0]->first, at[1]->first, at[2]->first));
    double sum = 0;
    for (int i = 0; i < taps[0] * taps[1] * taps[2]; i++) {
        const int tap[3] = {i / taps[2] / taps[1], i / taps[2] % taps[1], i % taps[2]};
        double weight = 1;
        int64_t from[3];
        for (int a = 0; a < 3; a++) {
            weight *= taps[a] == 1 ? 1 : at[a]->weight[tap[a]];
            from[a] = upc_sample_position(&p->axis[a], at[a]->first, tap[a]);
        }
        sum += weight *
               (double)upc_host_load(input, p->type, upc_tensor_at(&p->in, image, channel, from[0], from[1], from[2]));
    }
    return sum;
}

static double finished(const upc_problem *p, const void *const *pointers, int64_t channel, double sum, int64_t at)
{
    const float *slopes = pointers[UPC_HOST_SLOPES];
    const double residual = p->residual ? upc_host_load(pointers[UPC_HOST_RESIDUAL], p->type, at) : 0;
    if (p->act == UPCONV_ACT_NONE && !p->residual)
        return sum;
    return upc_host_finish(p, sum, p->act == UPCONV_ACT_PRELU ? slopes[channel] : 0, residual);
}

// Row number `index` of the output, over all images, channels, planes and lines.
static void make_row(void *data, int64_t index, int thread)
{
    (void)thread;
    const sampling *s = data;
    const upc_problem *p = s->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t oh = index % h->out, od = index / h->out % d->out, c = index / h->out / d->out;
    const int64_t image = c / p->ocg, channel = c % p->ocg, row = upc_tensor_at(&p->out, image, channel, od, oh, 0);
    const int taps[3] = {s->axis[0].taps, s->axis[1].taps, s->axis[2].taps};
    for (int64_t o = 0; o < w->out; o++) {
        const upc_sample *const at[3] = {&s->axis[0].at[od], &s->axis[1].at[oh], &s->axis[2].at[o]};
        const int64_t to = row + o * p->out.axis[2];
        const double sum = sum_of(p, s->pointers[UPC_HOST_INPUT], image, channel, at, taps);
        upc_host_store((void *)(uintptr_t)s->pointers[UPC_HOST_OUTPUT], p->type, to,
                       (float)finished(p, s->pointers, channel, sum, to));
    }
}

upconv_status upc_host_sample(const upc_env *env, const void *data, void *const *pointers)
{
    const upc_host_arg *arg = data;
    const upc_problem *p = arg->problem;
    const void *given[UPC_HOST_POINTERS];
    sampling s = {.arg = arg, .pointers = given};
    upconv_status status = UPCONV_OK;
    for (int i = 0; i < UPC_HOST_POINTERS; i++)
        given[i] = pointers[i];
    for (int a = 0; a < 3 && !status; a++)
        status = upc_sample_axis_init(env, p, a, &s.axis[a]);
    const int64_t rows = p->batch * p->ocg * p->axis[0].out * p->axis[1].out;
    const int threads = upc_output_elements(p) < 30000 ? 1 : upc_processors(); // starting a thread costs more
    if (!status)
        upc_parallel(threads, rows, make_row, &s);
    for (int a = 0; a < 3; a++)
        upc_free(env, s.axis[a].at);
    return status;
}

double upc_host_sample_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const upc_problem *p = arg->problem;
    const int count = upc_sample_taps(p), taps[3] = {count, count, count};
    upc_sample samples[3];
    for (int a = 0; a < 3; a++)
        upc_sample_get(p, a, at[2 + a], &samples[a]);
    const upc_sample *const where[3] = {&samples[0], &samples[1], &samples[2]};
    return finished(p, pointers, at[1], sum_of(p, pointers[UPC_HOST_INPUT], at[0], at[1], where, taps),
                    upc_output_at(p, at));
}
