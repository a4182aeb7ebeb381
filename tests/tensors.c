// Tensors of any type, layout and pitches, by the rules of upconv.h and by no code of the library.
#include "tensors.h"

#include <math.h>
#include <string.h>

// ----------------------------------------------------------------------------------------------- half precision

// Of a value that is not NaN, ties to even.
uint16_t test_half_from(double value)
{
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const double size = fabs(value);
    if (size >= 65520) // half way to what would come after the largest
        return sign | 0x7c00;
    int exponent = 0;
    frexp(size, &exponent); // size = f * 2^exponent, f from 1/2 to 1
    const int last = exponent - 11 < -24 ? -24 : exponent - 11; // of the 11 bits
    const double units = nearbyint(ldexp(size, -last)); // at most 2048
    return sign | (uint16_t)(units < 1024 ? units : (last + 24) * 1024 + units); // 2048 carries into the exponent
}

double test_half_to(uint16_t half)
{
    const int exponent = half >> 10 & 31, bits = half & 1023;
    const double size = exponent == 31 ? (bits ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + bits, exponent - 25)
                                       : ldexp(bits, -24);
    return half & 0x8000 ? -size : size;
}

double test_half_ulp(double value)
{
    int exponent = 0;
    frexp(value, &exponent);
    return ldexp(1, exponent - 11 < -24 ? -24 : exponent - 11);
}

// ------------------------------------------------------------------------------------------------------ places

// How far apart things lie, dense unless a pitch says more; the position on each of the problem's axes, slowest first.
typedef struct steps {
    int64_t image, channel, axis[3];
    bool blocks; // of four channels
} steps;

static steps steps_of(const upconv_problem *p, bool in)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const upconv_pitch *pitch = in ? &p->in_pitch : &p->out_pitch;
    const int32_t *extent = in ? p->in : p->out;
    const int channels = in ? p->in_channels : p->out_channels, dims = p->dims;
    // from the fastest axis on
    const int64_t given[3] = {layout == UPCONV_NHWC ? pitch->pixel : 0, pitch->row, pitch->plane};
    steps s = {.channel = 1, .blocks = layout == UPCONV_NC4HW4};
    int64_t step = layout == UPCONV_NHWC ? channels : s.blocks ? 4 : 1;
    for (int a = dims - 1; a >= 0; a--) {
        const int64_t wanted = given[dims - 1 - a];
        s.axis[a] = wanted ? wanted : step;
        step = s.axis[a] * extent[a];
    }
    if (layout != UPCONV_NHWC) {
        s.channel = pitch->channel ? pitch->channel : step;
        step = s.channel * (s.blocks ? (channels + 3) / 4 : channels);
    }
    s.image = pitch->image ? pitch->image : step;
    return s;
}

static int64_t place(const steps *s, int dims, int n, int c, const int at[3])
{
    int64_t index = n * s->image + (s->blocks ? c / 4 * s->channel + c % 4 : c * s->channel);
    for (int a = 0; a < dims; a++)
        index += at[a] * s->axis[a];
    return index;
}

bool test_next(int index[3], const int32_t extent[3], int dims)
{
    for (int a = dims - 1; a >= 0; a--) {
        if (++index[a] < extent[a])
            return true;
        index[a] = 0;
    }
    return false;
}

void test_each_place(const upconv_problem *p, bool in, void (*visit)(void *user, int64_t at, uint64_t logical),
                     void *user)
{
    const steps s = steps_of(p, in);
    const int channels = in ? p->in_channels : p->out_channels;
    uint64_t logical = 0;
    for (int n = 0; n < p->batch; n++)
        for (int c = 0; c < channels; c++) {
            int at[3] = {0, 0, 0};
            do
                visit(user, place(&s, p->dims, n, c, at), logical++);
            while (test_next(at, in ? p->in : p->out, p->dims));
        }
}

size_t test_alignment(const upconv_problem *p, bool in)
{
    const steps s = steps_of(p, in);
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const int32_t *extent = in ? p->in : p->out;
    const size_t element = p->type == UPCONV_F16 ? 2 : 4;
    bool fours = layout == UPCONV_NC4HW4 || (layout == UPCONV_NHWC && (in ? p->in_channels : p->out_channels) % 4 == 0);
    if (layout == UPCONV_NHWC) {
        for (int a = 0; a < p->dims; a++)
            fours = fours && (extent[a] == 1 || s.axis[a] % 4 == 0);
        fours = fours && (p->batch == 1 || s.image % 4 == 0);
    }
    return fours ? 4 * element : element;
}

// ---------------------------------------------------------------------------------------------------- the tensors

typedef struct laying {
    bool half;
    float *dense;
    const float *from;
    unsigned char *memory;
    const unsigned char *laid;
    size_t pack;
} laying;

static void lay_one(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    const uint16_t half = test_half_from(l->from[logical]);
    if (l->half)
        memcpy(l->memory + 2 * (size_t)at, &half, sizeof half);
    else
        memcpy(l->memory + 4 * (size_t)at, &l->from[logical], sizeof(float));
}

void test_lay(const upconv_problem *problem, bool in, const float *dense, void *memory)
{
    laying l = {.half = problem->type == UPCONV_F16, .from = dense, .memory = memory};
    test_each_place(problem, in, lay_one, &l);
}

static void unlay_one(void *user, int64_t at, uint64_t logical)
{
    const laying *l = user;
    uint16_t half;
    if (l->half) {
        memcpy(&half, l->laid + 2 * (size_t)at, sizeof half);
        l->dense[logical] = (float)test_half_to(half);
    } else {
        memcpy(&l->dense[logical], l->laid + 4 * (size_t)at, sizeof(float));
    }
}

void test_unlay(const upconv_problem *problem, bool in, const void *memory, float *dense)
{
    laying l = {.half = problem->type == UPCONV_F16, .dense = dense, .laid = memory};
    test_each_place(problem, in, unlay_one, &l);
}

static void mark_one(void *user, int64_t at, uint64_t logical)
{
    (void)logical;
    const laying *l = user;
    const size_t size = l->half ? 2 : 4, first = (size_t)at / l->pack * l->pack;
    memset(l->memory + first * size, 1, l->pack * size);
}

void test_mark(const upconv_problem *problem, unsigned char *marks)
{
    const size_t pack = problem->out_layout == UPCONV_NC4HW4 ? 4 : 1;
    laying l = {.half = problem->type == UPCONV_F16, .memory = marks, .pack = pack};
    test_each_place(problem, false, mark_one, &l);
}
