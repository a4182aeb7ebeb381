// The gradients by their definition, in double precision on the host.
#include "../host.h"
#include "grad.h"

typedef struct job {
    const upc_host_arg *arg;
    const void *input, *gradient;
    float *output;
    upc_filter_strides filter;
} job;

// Over the positions along w of one line of inputs, and the line of outputs that a tap takes it to.
static double line_sum(const job *j, int64_t in, int64_t out, int64_t kw)
{
    const upc_problem *p = j->arg->problem;
    const upc_axis *w = &p->axis[2];
    const int64_t ahead = w->pad - kw * w->dilation, step_in = p->in.axis[2], step_out = p->out.axis[2];
    const int64_t first = UPC_MAX(upc_ceil_div(ahead, w->stride), 0);
    const int64_t last = UPC_MIN(upc_floor_div(w->out - 1 + ahead, w->stride), w->in - 1);
    double sum = 0;
    for (int64_t i = first; i <= last; i++)
        sum += (double)upc_host_load(j->input, p->type, in + i * step_in) *
               (double)upc_host_load(j->gradient, p->type, out + (i * w->stride - ahead) * step_out);
    return sum;
}

// at: input channel over all groups, output channel within its group, tap on each axis.
static double filter_point(const job *j, const int64_t at[5])
{
    const upc_problem *p = j->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1];
    const int64_t out_c = at[0] / p->icg * p->ocg + at[1];
    double sum = 0;
    for (int64_t n = 0; n < p->batch; n++)
        for (int64_t id = 0; id < d->in; id++) {
            const int64_t od = id * d->stride + at[2] * d->dilation - d->pad;
            for (int64_t ih = 0; od >= 0 && od < d->out && ih < h->in; ih++) {
                const int64_t oh = ih * h->stride + at[3] * h->dilation - h->pad;
                if (oh >= 0 && oh < h->out)
                    sum += line_sum(j, upc_tensor_at(&p->in, n, at[0], id, ih, 0),
                                    upc_tensor_at(&p->out, n, out_c, od, oh, 0), at[4]);
            }
        }
    return sum;
}

static double bias_point(const job *j, int64_t channel)
{
    const upc_problem *p = j->arg->problem;
    double sum = 0;
    for (int64_t n = 0; n < p->batch; n++)
        for (int64_t d = 0; d < p->axis[0].out; d++)
            for (int64_t h = 0; h < p->axis[1].out; h++) {
                const int64_t at = upc_tensor_at(&p->out, n, channel, d, h, 0);
                for (int64_t w = 0; w < p->axis[2].out; w++)
                    sum += (double)upc_host_load(j->gradient, p->type, at + w * p->out.axis[2]);
            }
    return sum;
}

// Of element number `index` in the order IOK: input channel over all groups, output channel of its group, taps.
static void filter_place(const upc_problem *p, int64_t index, int64_t at[5])
{
    const int64_t kh = p->axis[1].kernel, kw = p->axis[2].kernel, taps = p->axis[0].kernel * kh * kw, k = index % taps;
    at[0] = index / taps / p->ocg;
    at[1] = index / taps % p->ocg;
    at[2] = k / (kh * kw);
    at[3] = k / kw % kh;
    at[4] = k % kw;
}

static void filter_element(void *data, int64_t index, int thread)
{
    (void)thread;
    const job *j = data;
    const upc_problem *p = j->arg->problem;
    int64_t at[5];
    filter_place(p, index, at);
    const upc_filter_strides *f = &j->filter;
    j->output[f->first + at[0] / p->icg * f->group + at[0] % p->icg * f->in + at[1] * f->out + at[2] * f->tap[0] +
              at[3] * f->tap[1] + at[4] * f->tap[2]] = (float)filter_point(j, at);
}

static void bias_element(void *data, int64_t index, int thread)
{
    (void)thread;
    const job *j = data;
    j->output[index] = (float)bias_point(j, index);
}

upconv_status upc_host_grad_filter(const upc_env *env, const void *data, void *const *pointers)
{
    (void)env;
    const upc_host_arg *arg = data;
    job j = {.arg = arg,
             .input = pointers[UPC_HOST_INPUT],
             .gradient = pointers[UPC_HOST_OUTPUT_GRAD],
             .output = pointers[UPC_HOST_OUTPUT]};
    upc_filter_strides_get(arg->problem, arg->order, &j.filter);
    const int threads = upc_problem_macs(arg->problem) < 1e6 ? 1 : upc_processors(); // starting a thread costs more
    upc_parallel(threads, (int64_t)upc_filter_elements(arg->problem), filter_element, &j);
    return UPCONV_OK;
}

upconv_status upc_host_grad_bias(const upc_env *env, const void *data, void *const *pointers)
{
    (void)env;
    const upc_host_arg *arg = data;
    job j = {.arg = arg, .gradient = pointers[UPC_HOST_OUTPUT_GRAD], .output = pointers[UPC_HOST_OUTPUT]};
    const int threads = upc_output_elements(arg->problem) < 1000000 ? 1 : upc_processors();
    upc_parallel(threads, arg->problem->groups * arg->problem->ocg, bias_element, &j);
    return UPCONV_OK;
}

double upc_host_grad_filter_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const job j = {.arg = arg, .input = pointers[UPC_HOST_INPUT], .gradient = pointers[UPC_HOST_OUTPUT_GRAD]};
    int64_t place[5];
    filter_place(arg->problem, at[4], place);
    return filter_point(&j, place);
}

double upc_host_grad_bias_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const job j = {.arg = arg, .gradient = pointers[UPC_HOST_OUTPUT_GRAD]};
    return bias_point(&j, at[4]);
}
