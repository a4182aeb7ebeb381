// Small kernels in both languages, for tests at the seam of the backends. Every text reads SPEC0, an integer
// known at compile time: constant_id 3 in GLSL, a #define that the test puts in front in OpenCL C.
#ifndef UPC_SEAM_KERNELS_H
#define UPC_SEAM_KERNELS_H

typedef struct seam_kernel {
    const char *name;
    uint32_t binding_count, arg_count;
    const char *glsl, *opencl;
} seam_kernel;

#define GLSL_HEAD                                                                                            \
    "#version 450\n"                                                                                         \
    "layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;\n"                            \
    "layout(constant_id = 3) const int SPEC0 = 0;\n"

enum { SEAM_SCALE, SEAM_STEP, SEAM_SIX, SEAM_SPIN, SEAM_REVERSE, SEAM_COUNT };

static const seam_kernel seam_kernels[SEAM_COUNT] = {
    // b[i] = a[i] * factor + SPEC0
    {"scale", 2, 2,
     GLSL_HEAD "layout(binding = 0, std430) readonly buffer A { int a[]; };\n"
               "layout(binding = 1, std430) writeonly buffer B { int b[]; };\n"
               "layout(push_constant) uniform P { int base0, base1, count, factor; } p;\n"
               "void main() {\n"
               "    int i = int(gl_GlobalInvocationID.x);\n"
               "    if (i < p.count) b[p.base1 / 2 + i] = a[p.base0 / 2 + i] * p.factor + SPEC0;\n"
               "}\n",
     "__kernel void upc_main(__global const int *a, __global int *b, int base0, int base1, int count,\n"
     "                       int factor) {\n"
     "    int i = (int)get_global_id(0);\n"
     "    if (i < count) b[base1 / 2 + i] = a[base0 / 2 + i] * factor + SPEC0;\n"
     "}\n"},
    // a[i] = a[i] * 3 + step: order shows in the result
    {"step", 1, 2,
     GLSL_HEAD "layout(binding = 0, std430) buffer A { int a[]; };\n"
               "layout(push_constant) uniform P { int base0, count, add; } p;\n"
               "void main() {\n"
               "    int i = int(gl_GlobalInvocationID.x);\n"
               "    if (i < p.count) a[p.base0 / 2 + i] = a[p.base0 / 2 + i] * 3 + p.add + SPEC0;\n"
               "}\n",
     "__kernel void upc_main(__global int *a, int base0, int count, int add) {\n"
     "    int i = (int)get_global_id(0);\n"
     "    if (i < count) a[base0 / 2 + i] = a[base0 / 2 + i] * 3 + add + SPEC0;\n"
     "}\n"},
    // as many bindings as a launch has
    {"six", 6, 1,
     GLSL_HEAD
     "layout(binding = 0, std430) readonly buffer A { int a[]; };\n"
     "layout(binding = 1, std430) readonly buffer B { int b[]; };\n"
     "layout(binding = 2, std430) readonly buffer C { int c[]; };\n"
     "layout(binding = 3, std430) readonly buffer D { int d[]; };\n"
     "layout(binding = 4, std430) readonly buffer E { int e[]; };\n"
     "layout(binding = 5, std430) writeonly buffer F { int f[]; };\n"
     "layout(push_constant) uniform P { int base[6]; int count; } p;\n"
     "void main() {\n"
     "    int i = int(gl_GlobalInvocationID.x);\n"
     "    if (i < p.count)\n"
     "        f[p.base[5] / 2 + i] = a[p.base[0] / 2 + i] + 10 * b[p.base[1] / 2 + i] + 100 * c[p.base[2] / 2 + i] +\n"
     "                           1000 * d[p.base[3] / 2 + i] + 10000 * e[p.base[4] / 2 + i] + SPEC0;\n"
     "}\n",
     "__kernel void upc_main(__global const int *a, __global const int *b, __global const int *c,\n"
     "                       __global const int *d, __global const int *e, __global int *f,\n"
     "                       int b0, int b1, int b2, int b3, int b4, int b5, int count) {\n"
     "    int i = (int)get_global_id(0);\n"
     "    if (i < count)\n"
     "        f[b5 / 2 + i] = a[b0 / 2 + i] + 10 * b[b1 / 2 + i] + 100 * c[b2 / 2 + i] + 1000 * d[b3 / 2 + i] +\n"
     "                    10000 * e[b4 / 2 + i] + SPEC0;\n"
     "}\n"},
    // keeps every item busy for a number of rounds, and ends by itself; longer by more work-groups, because
    // llvmpipe
    // leaves an item's loops after 65535 rounds
    {"spin", 1, 1,
     GLSL_HEAD "layout(binding = 0, std430) buffer A { uint a[]; };\n"
               "layout(push_constant) uniform P { int base0, rounds; } p;\n"
               "void main() {\n"
               "    uint x = a[p.base0 / 2] + uint(SPEC0);\n"
               "    for (int i = 0; i < p.rounds; i++) x = (x ^ (x >> 13)) * 5u + uint(i);\n"
               "    if (gl_GlobalInvocationID.x == 0u || x == 7u) a[p.base0 / 2] = x;\n"
               "}\n",
     "__kernel void upc_main(__global uint *a, int base0, int rounds) {\n"
     "    uint x = a[base0 / 2] + (uint)SPEC0;\n"
     "    for (int i = 0; i < rounds; i++) x = (x ^ (x >> 13)) * 5u + (uint)i;\n"
     "    if (get_global_id(0) == 0 || x == 7u) a[base0 / 2] = x;\n"
     "}\n"},
    // b[i] = a[last - i] on a two-dimensional grid: work-group size and shared memory take part
    {"reverse", 2, 2,
     GLSL_HEAD "layout(binding = 0, std430) readonly buffer A { int a[]; };\n"
               "layout(binding = 1, std430) writeonly buffer B { int b[]; };\n"
               "layout(push_constant) uniform P { int base0, base1, width, height; } p;\n"
               "shared int tile[64];\n"
               "void main() {\n"
               "    int x = int(gl_GlobalInvocationID.x), y = int(gl_GlobalInvocationID.y);\n"
               "    int at = y * p.width + x, last = p.width * p.height - 1;\n"
               "    bool inside = x < p.width && y < p.height;\n"
               "    tile[gl_LocalInvocationIndex] = inside ? a[p.base0 / 2 + last - at] : 0;\n"
               "    barrier();\n"
               "    if (inside) b[p.base1 / 2 + at] = tile[gl_LocalInvocationIndex] + SPEC0;\n"
               "}\n",
     "__kernel void upc_main(__global const int *a, __global int *b, int base0, int base1, int width,\n"
     "                       int height) {\n"
     "    __local int tile[64];\n"
     "    int x = (int)get_global_id(0), y = (int)get_global_id(1);\n"
     "    int at = y * width + x, last = width * height - 1;\n"
     "    bool inside = x < width && y < height;\n"
     "    int local_at = (int)(get_local_id(1) * get_local_size(0) + get_local_id(0));\n"
     "    tile[local_at] = inside ? a[base0 / 2 + last - at] : 0;\n"
     "    barrier(CLK_LOCAL_MEM_FENCE);\n"
     "    if (inside) b[base1 / 2 + at] = tile[local_at] + SPEC0;\n"
     "}\n"},
};

// Refused by the compiler.
static const seam_kernel seam_broken = {
    "broken", 1, 0, GLSL_HEAD "void main() { this is no program; }\n",
    "__kernel void upc_main(__global int *a, int base0) { nor is this; }\n"};

#endif
