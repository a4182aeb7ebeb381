#include "unpool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tensors.h"

#define PYTORCH "kernel_size stride padding output_size"
#define ONNX    "kernel_shape strides pads"
#define TFLITE  "padding stride_h stride_w filter_height filter_width"

typedef struct unpool_op {
    const char *dialect, *name, *attributes;
    upconv_index index;
} unpool_op;

static const unpool_op operations[] = {
    {"pytorch", "max_unpool1d", PYTORCH, UPCONV_INDEX_PLANE}, {"pytorch", "max_unpool2d", PYTORCH, UPCONV_INDEX_PLANE},
    {"pytorch", "max_unpool3d", PYTORCH, UPCONV_INDEX_PLANE}, {"onnx", "MaxUnpool", ONNX, UPCONV_INDEX_TENSOR},
    {"tflite", "MaxUnpooling2D", TFLITE, UPCONV_INDEX_IMAGE},
};

static const unpool_op *operation_of(const corpus_case *item)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (!strcmp(operations[i].dialect, item->dialect) && !strcmp(operations[i].name, item->op))
            return &operations[i];
    return NULL;
}

bool unpool_case(const corpus_case *item) { return operation_of(item) != NULL; }

// --------------------------------------------------------------------------------------------------------- the problem

// Where the axes are in a tensor's shape: N, C and then ours, slowest first. The last axis of TFLite's is C.
static void axes_of(const corpus_tensor *tensor, bool last, int places[5])
{
    const int dims = tensor->rank - 2;
    places[0] = 0;
    places[1] = last ? dims + 1 : 1;
    for (int a = 0; a < dims; a++)
        places[2 + a] = last ? 1 + a : 2 + a;
}

static bool read_windows(corpus_case *item, upconv_problem *p, const char *kernel, const char *stride, int32_t *pads)
{
    int32_t list[3];
    const int dims = p->dims, strides = attribute_list(item, stride, 3, list);
    const bool onnx = !strcmp(item->dialect, "onnx");
    if (strides < 0 || !attribute_ints(item, kernel, dims, 1, p->kernel) ||
        !attribute_ints(item, stride, dims, 1, p->stride))
        return false;
    if (!strides && !onnx) // PyTorch's default
        memcpy(p->stride, p->kernel, sizeof p->stride);
    if (!attribute_ints(item, onnx ? "pads" : "padding", onnx ? 2 * dims : dims, 0, pads))
        return false;
    if (!onnx)
        memcpy(pads + dims, pads, sizeof *pads * (size_t)dims);
    return true;
}

static bool read_tflite(corpus_case *item, upconv_problem *p)
{
    const char *padding;
    if (!attribute_text(item, "padding", "SAME", &padding) || !attribute_int(item, "stride_h", 1, &p->stride[0]) ||
        !attribute_int(item, "stride_w", 1, &p->stride[1]) || !attribute_int(item, "filter_height", 1, &p->kernel[0]) ||
        !attribute_int(item, "filter_width", 1, &p->kernel[1]))
        return false;
    for (int a = 0; a < 2; a++)
        p->out[a] = strcmp(padding, "SAME") ? (p->in[a] - 1) * p->stride[a] + p->kernel[a] : p->in[a] * p->stride[a];
    return true;
}

// PyTorch's output_size, spatial sizes or all; ONNX's output_shape, all axes.
static bool read_out(corpus_case *item, upconv_problem *p, int32_t *out, bool *stated)
{
    const int dims = p->dims;
    corpus_tensor *shape = case_input(item, "output_shape");
    int32_t list[5];
    const int count = attribute_list(item, "output_size", 5, list);
    *stated = count > 0 || shape;
    if (count < 0 || (shape && !tensor_load(item, shape)))
        return false;
    if (shape && (shape->array.elements != (size_t)dims + 2 || strcmp(shape->dtype, "int64")))
        return case_wrong(item, "output_shape is no list of %d numbers", dims + 2);
    if (count > 0 && count != dims && count != dims + 2)
        return case_wrong(item, "output_size has %d entries, not %d", count, dims);
    for (int a = 0; a < dims && *stated; a++)
        out[a] = shape ? (int32_t)((const int64_t *)shape->array.data)[2 + a] : list[count - dims + a];
    return true;
}

bool unpool_map(corpus_case *item, upconv_problem *p)
{
    const unpool_op *operation = operation_of(item);
    const corpus_tensor *input = case_input(item, "input X");
    const bool last = !strcmp(item->dialect, "tflite");
    if (!input || input->rank < 3 || input->rank > 5)
        return case_wrong(item, "the case has no input of 3 to 5 axes");
    if (!attributes_known(item, operation->attributes))
        return false;
    int places[5];
    axes_of(input, last, places);
    *p = (upconv_problem){.struct_size = sizeof *p,
                          .op = UPCONV_MAX_UNPOOL,
                          .dims = input->rank - 2,
                          .batch = (int32_t)input->shape[places[0]],
                          .in_channels = (int32_t)input->shape[places[1]],
                          .index = operation->index};
    for (int a = 0; a < p->dims; a++)
        p->in[a] = (int32_t)input->shape[places[2 + a]];
    if (last)
        return read_tflite(item, p);
    const bool onnx = !strcmp(item->dialect, "onnx");
    int32_t pads[6], out[3];
    bool stated;
    if (!read_windows(item, p, onnx ? "kernel_shape" : "kernel_size", onnx ? "strides" : "stride", pads) ||
        !read_out(item, p, out, &stated))
        return false;
    const char *space = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item->json, "index_space"));
    for (int a = 0; a < p->dims; a++) {
        const int32_t implied = (p->in[a] - 1) * p->stride[a] + p->kernel[a] - pads[a] - pads[p->dims + a];
        p->pad[a] = pads[a];
        p->out[a] = stated ? out[a] : implied;
        if (space && !strcmp(space, "inferred"))
            p->index_space[a] = implied;
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------------- running it

enum { BEHIND = 64 }; // canaries behind the output
static const unsigned char canary = 0xa5;

typedef struct run_state {
    upconv_problem problem; // complete
    upconv_sizes sizes;
    float *input, *expected, *output; // dense NCHW
    int32_t *indices;
    unsigned char *laid_input, *laid_output, *marks;
    int32_t *laid_indices;
} run_state;

static void run_finish(run_state *s)
{
    void *const all[] = {s->input,      s->expected,    s->output, s->indices,
                         s->laid_input, s->laid_output, s->marks,  s->laid_indices};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

// Where element `index` of dense NCHW is in a tensor as the case has it.
static size_t source_of(const corpus_tensor *tensor, const int places[5], size_t index)
{
    size_t at = 0;
    int64_t digit[5] = {0};
    for (int i = tensor->rank - 1; i >= 0; i--) {
        digit[places[i]] = (int64_t)(index % (size_t)tensor->shape[places[i]]);
        index /= (size_t)tensor->shape[places[i]];
    }
    for (int i = 0; i < tensor->rank; i++)
        at = at * (size_t)tensor->shape[i] + (size_t)digit[i];
    return at;
}

static void take_floats(const corpus_tensor *tensor, bool last, float *to)
{
    int places[5];
    axes_of(tensor, last, places);
    for (size_t i = 0; i < tensor->array.elements; i++)
        to[i] = ((const float *)tensor->array.data)[source_of(tensor, places, i)];
}

static bool take_indices(corpus_case *item, const corpus_tensor *tensor, bool last, int32_t *to)
{
    int places[5];
    axes_of(tensor, last, places);
    int32_t *narrow = malloc(tensor->array.elements * sizeof *narrow);
    bool good = narrow != NULL;
    if (good && !strcmp(tensor->dtype, "int64"))
        good = upconv_indices_narrow(tensor->array.data, tensor->array.elements, narrow) == UPCONV_OK;
    else if (good)
        memcpy(narrow, tensor->array.data, tensor->array.elements * sizeof *narrow);
    for (size_t i = 0; i < tensor->array.elements && good; i++)
        to[i] = narrow[source_of(tensor, places, i)];
    free(narrow);
    return good || case_wrong(item, "the indices cannot be read");
}

static void lay_index(void *user, int64_t at, uint64_t logical)
{
    const run_state *s = user;
    s->laid_indices[at] = s->indices[logical];
}

static bool allocate(corpus_case *item, run_state *s)
{
    const size_t in = (size_t)s->sizes.input_elements, out = (size_t)s->sizes.output_elements;
    s->input = malloc(in * sizeof *s->input);
    s->indices = malloc(in * sizeof *s->indices);
    s->expected = malloc(out * sizeof *s->expected);
    s->output = malloc(out * sizeof *s->output);
    s->laid_input = malloc((size_t)s->sizes.input_bytes);
    s->laid_indices = malloc((size_t)s->sizes.indices_bytes);
    s->laid_output = malloc((size_t)s->sizes.output_bytes + BEHIND);
    s->marks = calloc((size_t)s->sizes.output_bytes + BEHIND, 1);
    if (!s->input || !s->indices || !s->expected || !s->output || !s->laid_input || !s->laid_indices ||
        !s->laid_output || !s->marks)
        return case_wrong(item, "no memory for the tensors");
    memset(s->laid_input, 0xff, (size_t)s->sizes.input_bytes);
    memset(s->laid_indices, 0x7f, (size_t)s->sizes.indices_bytes); // what nothing may look at leads nowhere
    memset(s->laid_output, canary, (size_t)s->sizes.output_bytes + BEHIND);
    return true;
}

// Gaps behind rows, channels, and all else that may lie apart.
static void add_gaps(const upconv_problem *p, bool in, upconv_pitch *pitch)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const int64_t unit = layout == UPCONV_NC4HW4 ? 4 : 1, channels = p->in_channels;
    const int32_t *extent = in ? p->in : p->out;
    int64_t step = layout == UPCONV_NHWC ? channels + 5 : unit;
    pitch->pixel = layout == UPCONV_NHWC ? step : 0;
    step *= extent[p->dims - 1];
    if (p->dims > 1) {
        pitch->row = step += 3 * unit;
        step *= extent[p->dims - 2];
    }
    if (p->dims > 2) {
        pitch->plane = step += 6 * unit;
        step *= extent[0];
    }
    if (layout != UPCONV_NHWC) {
        pitch->channel = step += 7 * unit;
        step *= (channels + unit - 1) / unit;
    }
    pitch->image = step + 9 * unit;
}

static bool set_up(corpus_case *item, const case_runner *runner, run_state *s)
{
    char text[1024];
    upconv_problem asked;
    if (!unpool_map(item, &asked))
        return false;
    asked.type = runner->type;
    asked.in_layout = asked.out_layout = runner->layout;
    for (int pass = 0; pass < 1 + runner->gaps; pass++) { // complete, then with gaps
        s->problem = (upconv_problem){.struct_size = sizeof s->problem};
        s->sizes = (upconv_sizes){.struct_size = sizeof s->sizes};
        if (upconv_problem_print(&asked, text, sizeof text, NULL) || upconv_problem_parse(text, &s->problem, NULL) ||
            upconv_problem_sizes(&s->problem, &s->sizes))
            return case_wrong(item, "refused: %s", upconv_last_error());
        asked = s->problem;
        add_gaps(&s->problem, true, &asked.in_pitch);
        add_gaps(&s->problem, false, &asked.out_pitch);
    }
    return true;
}

static bool take_tensors(corpus_case *item, run_state *s)
{
    const bool last = !strcmp(item->dialect, "tflite");
    corpus_tensor *input = case_input(item, "input X"), *indices = case_input(item, "indices I"),
                  *output = &item->outputs[0];
    if (!indices || item->output_count != 1)
        return case_wrong(item, "the case has no indices, or not one output");
    if (!tensor_load(item, input) || !tensor_load(item, indices) || !tensor_load(item, output))
        return false;
    if (strcmp(input->dtype, "float32") || strcmp(output->dtype, "float32"))
        return case_wrong(item, "the tensors are not float32");
    if (input->array.elements != s->sizes.input_elements || indices->array.elements != s->sizes.input_elements ||
        output->array.elements != s->sizes.output_elements)
        return case_wrong(item, "the tensors have %zu, %zu and %zu elements, not %llu, as many, and %llu",
                          input->array.elements, indices->array.elements, output->array.elements,
                          (unsigned long long)s->sizes.input_elements, (unsigned long long)s->sizes.output_elements);
    if (!allocate(item, s) || !take_indices(item, indices, last, s->indices))
        return false;
    take_floats(input, last, s->input);
    take_floats(output, last, s->expected);
    test_lay(&s->problem, true, s->input, s->laid_input);
    test_each_place(&s->problem, true, lay_index, s);
    test_mark(&s->problem, s->marks);
    return true;
}

static bool compare(corpus_case *item, const run_state *s)
{
    for (size_t i = 0; i < (size_t)s->sizes.output_bytes + BEHIND; i++)
        if (!s->marks[i] && s->laid_output[i] != canary)
            return case_wrong(item, "memory between the output's elements or behind them was written");
    for (size_t i = 0; i < (size_t)s->sizes.output_elements; i++) {
        const bool half = s->problem.type == UPCONV_F16;
        const float wanted = half ? (float)test_half_to(test_half_from(s->expected[i])) : s->expected[i];
        if (s->output[i] != wanted)
            return case_wrong(item, "element %zu is %.9g, expected %.9g", i, (double)s->output[i], (double)wanted);
    }
    return true;
}

static bool check_plan(corpus_case *item, const upconv_plan *plan, const case_runner *runner)
{
    upconv_plan_info info = {.struct_size = sizeof info};
    if (upconv_plan_info_get(plan, &info) || info.backend != runner->backend)
        return case_wrong(item, "the plan runs on another backend");
    return !runner->solver || !strncmp(runner->solver, info.solver, strlen(info.solver)) ||
           case_wrong(item, "solver %s runs where %s was forced", info.solver, runner->solver);
}

case_verdict unpool_execute(corpus_case *item, const case_runner *runner)
{
    run_state s = {.input = NULL};
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {.struct_size = sizeof params, .solver = runner->solver};
    case_verdict verdict = set_up(item, runner, &s) && take_tensors(item, &s) ? CASE_RUNS : CASE_WRONG;
    if (verdict == CASE_RUNS && upconv_plan_create(runner->context, &s.problem, &params, &plan)) {
        verdict = runner->solver && strstr(upconv_last_error(), "does no max unpooling") ? CASE_SKIPPED : CASE_WRONG;
        case_wrong(item, verdict == CASE_SKIPPED ? "%s: solver %s does none" : "%s: %s", item->op,
                   verdict == CASE_SKIPPED ? runner->solver : upconv_last_error());
    }
    if (verdict == CASE_RUNS) {
        const upconv_io io = {.struct_size = sizeof io,
                              .at[UPCONV_INPUT] = {.host = s.laid_input},
                              .at[UPCONV_INDICES] = {.host = s.laid_indices},
                              .at[UPCONV_OUTPUT] = {.host = s.laid_output}};
        bool good = check_plan(item, plan, runner);
        if (good && upconv_execute_io(plan, &io))
            good = case_wrong(item, "upconv_execute_io: %s", upconv_last_error());
        if (good)
            test_unlay(&s.problem, false, s.laid_output, s.output);
        verdict = good && compare(item, &s) ? CASE_RUNS : CASE_WRONG;
    }
    upconv_plan_destroy(plan);
    run_finish(&s);
    return verdict;
}
