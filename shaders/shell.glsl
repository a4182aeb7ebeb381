// The dialect in GLSL: see README.md. api/source.c puts #version, the #defines and UPC_ARGS before this file.
#if IN_STORE == 16 || OUT_STORE == 16 || W_STORE == 16
#extension GL_EXT_shader_16bit_storage : require
#endif
#if SUM == 16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
#endif
#ifdef LANES
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_control_flow_attributes : require
#endif
#define real        float
#define real4       vec4
#define SPLAT4(s)   vec4(s)
#define REAL(x)     float(x)
#define ABS(x)      abs(x)
#define AS_FLOAT(i) intBitsToFloat(i)
#define AS_INT(x)   floatBitsToInt(x)
// What a kernel adds up: f32, or f16 where SUM is 16.
#if SUM == 16
#define sum1        float16_t
#define sum4        f16vec4
#else
#define sum1        float
#define sum4        vec4
#endif
#define TO_SUM(x)   sum1(x)
#define TO_SUM4(x)  sum4(x)
#define FROM_SUM(x) float(x)
#define FROM_SUM4(x) vec4(x)
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
#define UPC_CAT_(a, b)    a##b
#define UPC_CAT(a, b)     UPC_CAT_(a, b)

// How an element is stored: 32 f32; 16 f16; 17 f16, two in a word, for devices without 16-bit storage. There a lone element is stored
// by two atomic operations, since its neighbour in the word belongs to another item.
#define UPC_ITEM32 float
#define UPC_ITEM16 float16_t
#define UPC_ITEM17 uint
#define UPC_ITEM4_32 vec4
#define UPC_ITEM4_16 f16vec4
#define UPC_ITEM4_17 uvec2
#define UPC_GET32(b, i)      b[i]
#define UPC_GET16(b, i)      float(b[i])
#define UPC_GET17(b, i)      unpackHalf2x16(b[(i) >> 1])[(i) & 1]
#define UPC_GET4_32(b, i)    b[i]
#define UPC_GET4_16(b, i)    vec4(b[i])
#define UPC_GET4_17(b, i)    vec4(unpackHalf2x16(b[i].x), unpackHalf2x16(b[i].y))
#define UPC_PUT32(b, i, v)   b[i] = (v)
#define UPC_PUT16(b, i, v)   b[i] = float16_t(v)
#define UPC_PUT17(b, i, v)                                                                  \
    {                                                                                       \
        const int upc_word = (i) >> 1, upc_shift = ((i) & 1) << 4;                          \
        atomicAnd(b[upc_word], 0xffff0000u >> upc_shift);                                   \
        atomicOr(b[upc_word], packHalf2x16(vec2(v, 0.0)) << upc_shift);                     \
    }
#define UPC_PUT4_32(b, i, v) b[i] = (v)
#define UPC_PUT4_16(b, i, v) b[i] = f16vec4(v)
#define UPC_PUT4_17(b, i, v) b[i] = uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw))
#define UPC_BUFFER(slot, access, item, name) layout(binding = slot, std430) restrict access buffer upc_b##slot { item name[]; };
// The output, which may be the residual itself: then neither is the only way to its memory.
#if RESIDUAL
#define UPC_ALONE
#else
#define UPC_ALONE restrict
#endif
#define UPC_RESULT(slot, access, item, name) \
    layout(binding = slot, std430) UPC_ALONE access buffer upc_b##slot { item name[]; };
#define UPC_BOTH

#define IN(slot, name)        UPC_BUFFER(slot, readonly, float, name)
#define IN4(slot, name)       UPC_BUFFER(slot, readonly, vec4, name)
#define OUT(slot, name)       UPC_BUFFER(slot, writeonly, float, name)
#define OUT4(slot, name)      UPC_BUFFER(slot, writeonly, vec4, name)
#define TABLE(slot)           UPC_BUFFER(slot, readonly, int, upc_table)
// *_TEXEL: the binding is a texel buffer, whose format says how an element is stored.
#if SRC_TEXEL
#define SRC(slot, name)       layout(binding = slot) uniform samplerBuffer name;
#define SRC4(slot, name)      layout(binding = slot) uniform samplerBuffer name;
#define SRC_LOAD(b, i)        texelFetch(b, i).x
#define SRC_LOAD4(b, i)       texelFetch(b, i)
#else
#define SRC(slot, name)       UPC_BUFFER(slot, readonly, UPC_CAT(UPC_ITEM, IN_STORE), name)
#define SRC4(slot, name)      UPC_BUFFER(slot, readonly, UPC_CAT(UPC_ITEM4_, IN_STORE), name)
#define SRC_LOAD(b, i)        UPC_CAT(UPC_GET, IN_STORE)(b, i)
#define SRC_LOAD4(b, i)       UPC_CAT(UPC_GET4_, IN_STORE)(b, i)
#endif
#if W_TEXEL
#define W_IN4(slot, name)     layout(binding = slot) uniform samplerBuffer name;
#define W_LOAD4(b, i)         texelFetch(b, i)
#else
#define W_IN4(slot, name)     UPC_BUFFER(slot, readonly, UPC_CAT(UPC_ITEM4_, W_STORE), name)
#define W_LOAD4(b, i)         UPC_CAT(UPC_GET4_, W_STORE)(b, i)
#endif
#define DST_IN(slot, name)    UPC_RESULT(slot, readonly, UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define DST_OUT(slot, name)   UPC_RESULT(slot, UPC_BOTH, UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define DST_OUT4(slot, name)  UPC_RESULT(slot, UPC_BOTH, UPC_CAT(UPC_ITEM4_, OUT_STORE), name)
#define DST_IN4(slot, name)   UPC_RESULT(slot, readonly, UPC_CAT(UPC_ITEM4_, OUT_STORE), name)
#define W_OUT4(slot, name)    UPC_BUFFER(slot, writeonly, UPC_CAT(UPC_ITEM4_, W_STORE), name)
// Integers; INTS: read and written.
#define INTS_IN(slot, name)   UPC_BUFFER(slot, readonly, int, name)
#define INTS(slot, name)      layout(binding = slot, std430) restrict buffer upc_b##slot { int name[]; };
#define INTS4(slot, name)     layout(binding = slot, std430) restrict buffer upc_b##slot { ivec4 name[]; };
#define INT_LOAD(b, i)        b[i]
#define INT_LOAD4(b, i)       b[i]
#define INT_STORE(b, i, v)    b[i] = (v)
#define INT_STORE4(b, i, x, y, z, w) b[i] = ivec4(x, y, z, w)
#define INT_RAISE(b, i, v)    atomicMax(b[i], v)
#define int4                  ivec4
#define LOAD(b, i)            b[i]
#define LOAD4(b, i)           b[i]
#define STORE(b, i, v)        b[i] = (v)
#define STORE4(b, i, v)       b[i] = (v)
#define DST_LOAD(b, i)        UPC_CAT(UPC_GET, OUT_STORE)(b, i)
#define DST_LOAD4(b, i)       UPC_CAT(UPC_GET4_, OUT_STORE)(b, i)
#define DST_STORE(b, i, v)    UPC_CAT(UPC_PUT, OUT_STORE)(b, i, v)
#define DST_STORE4(b, i, v)   UPC_CAT(UPC_PUT4_, OUT_STORE)(b, i, v)
#define W_STORE4(b, i, v)     UPC_CAT(UPC_PUT4_, W_STORE)(b, i, v)

#define TAB(i)            upc_table[UPC_TABLE_BASE + (i)]
#define UPC_HALVES(slot)  upc_u.upc_base##slot
#define KERNEL(buffers)   buffers layout(push_constant) uniform upc_args { UPC_ARGS } upc_u; void main()
#define GLOBAL_ID(d)      int(gl_GlobalInvocationID[d])
#define LOCAL_ID(d)       int(gl_LocalInvocationID[d])
#define GROUP_ID(d)       int(gl_WorkGroupID[d])
#define BARRIER()         barrier()
// Shared memory: the same declaration stands before the kernel, OUTSIDE(...), and first in its body, INSIDE(...).
#define LOCAL4(name, n)   shared vec4 name[n];
#define OUTSIDE(what)     what
#define INSIDE(what)

// Of kernels for whole subgroups, of LANES items. SUBGROUP: its number along x of the grid.
#ifdef LANES
#define LANE              int(gl_SubgroupInvocationID)
#define SUBGROUP          int(gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID)
#define SHUFFLE(x, i)     subgroupShuffle(x, uint(i))
#define UNROLL            [[unroll]]
#endif
// Vectors of VEC elements, where a kernel has them, at any element: here always of 4.
#ifdef VEC
#define realv               real4
// every other element of both
#define EVENS(a, b)         vec4((a).xz, (b).xz)
#define ODDS(a, b)          vec4((a).yw, (b).yw)
#define SPLATV(s)           SPLAT4(s)
#define SRC_LOADV(b, i)     vec4(SRC_LOAD(b, i), SRC_LOAD(b, (i) + 1), SRC_LOAD(b, (i) + 2), SRC_LOAD(b, (i) + 3))
#define W_LOADV(b, i)       W_LOAD4(b, (i) >> 2)
#define W_LOAD(b, i)        W_LOAD4(b, (i) >> 2)[(i) & 3]
#define DST_LOADV(b, i)     vec4(DST_LOAD(b, i), DST_LOAD(b, (i) + 1), DST_LOAD(b, (i) + 2), DST_LOAD(b, (i) + 3))
#define DST_STOREV(b, i, v)             \
    {                                   \
        DST_STORE(b, i, (v).x);         \
        DST_STORE(b, (i) + 1, (v).y);   \
        DST_STORE(b, (i) + 2, (v).z);   \
        DST_STORE(b, (i) + 3, (v).w);   \
    }
#define KEEPV(array, i, v)              \
    {                                   \
        array[(i) + 0] = (v).x;         \
        array[(i) + 1] = (v).y;         \
        array[(i) + 2] = (v).z;         \
        array[(i) + 3] = (v).w;         \
    }
#define WHERE_LESS(x, y, a, b) mix(b, a, lessThan(x, y))
#define ZIP_LOW(a, b)       vec4(a.x, b.x, a.y, b.y)
#define ZIP_HIGH(a, b)      vec4(a.z, b.z, a.w, b.w)
#endif
// Integers, where a program defines how they are stored: Q_IN, Q_OUT and Q_W are 8 and 9 for signed and unsigned bytes, 16 for signed
// halves of words. All go through words, which every device has; a lone element is stored by two atomic operations, since its
// neighbours in the word belong to other items.
#ifdef Q_IN
#define uint4              uvec4
#define SPLATI4(s)         ivec4(s)
#define SPLATU4(s)         uvec4(s)
#define AS_SIGNED(x)       int(x)
#define AS_UINT(x)         uint(x)
#define AS_INT4(x)         ivec4(x)
#define AS_UINT4(x)        uvec4(x)
#define TO_REAL(x)         float(x)
#define TO_REAL4(x)        vec4(x)
#define TO_INT4(x)         ivec4(x)
// The upper word of a product.
uint upc_high_of(uint a, uint b)
{
    uint high, low;
    umulExtended(a, b, high, low);
    return high;
}
int upc_signed_high_of(int a, int b)
{
    int high, low;
    imulExtended(a, b, high, low);
    return high;
}
ivec4 upc_take8(uint w)
{
    const int i = int(w);
    return ivec4(bitfieldExtract(i, 0, 8), bitfieldExtract(i, 8, 8), bitfieldExtract(i, 16, 8), i >> 24);
}
ivec4 upc_take9(uint w) { return ivec4(int(w & 255u), int((w >> 8) & 255u), int((w >> 16) & 255u), int(w >> 24)); }
ivec4 upc_take16(uvec2 w)
{
    const ivec2 i = ivec2(w);
    return ivec4(bitfieldExtract(i.x, 0, 16), i.x >> 16, bitfieldExtract(i.y, 0, 16), i.y >> 16);
}
uint upc_put8(ivec4 v)
{
    const uvec4 u = uvec4(v) & 255u;
    return u.x | (u.y << 8) | (u.z << 16) | (u.w << 24);
}
uvec2 upc_put16(ivec4 v)
{
    const uvec4 u = uvec4(v);
    return uvec2((u.x & 65535u) | (u.y << 16), (u.z & 65535u) | (u.w << 16));
}
#define upc_put9           upc_put8
#define UPC_WORDS8         uint
#define UPC_WORDS9         uint
#define UPC_WORDS16        uvec2
#define UPC_Q8(b, i)       bitfieldExtract(int(b[(i) >> 2]), ((i) & 3) << 3, 8)
#define UPC_Q9(b, i)       int(bitfieldExtract(b[(i) >> 2], ((i) & 3) << 3, 8))
#define UPC_Q16(b, i)      bitfieldExtract(int(b[(i) >> 1]), ((i) & 1) << 4, 16)
#define UPC_QPUT(b, i, v, mask, word, shift)                         \
    {                                                                \
        const int upc_word = word, upc_shift = shift;                \
        atomicAnd(b[upc_word], ~(mask << upc_shift));                \
        atomicOr(b[upc_word], (uint(v) & mask) << upc_shift);        \
    }
#define UPC_QPUT8(b, i, v)  UPC_QPUT(b, i, v, 255u, (i) >> 2, ((i) & 3) << 3)
#define UPC_QPUT9(b, i, v)  UPC_QPUT8(b, i, v)
#define UPC_QPUT16(b, i, v) UPC_QPUT(b, i, v, 65535u, (i) >> 1, ((i) & 1) << 4)
#define Q_SRC(slot, name)   UPC_BUFFER(slot, readonly, uint, name)
#define Q_SRC4(slot, name)  UPC_BUFFER(slot, readonly, UPC_CAT(UPC_WORDS, Q_IN), name)
#define Q_W_IN4(slot, name) UPC_BUFFER(slot, readonly, UPC_CAT(UPC_WORDS, Q_W), name)
#define Q_DST(slot, name)   UPC_BUFFER(slot, UPC_BOTH, uint, name)
#define Q_DST4(slot, name)  UPC_BUFFER(slot, writeonly, UPC_CAT(UPC_WORDS, Q_OUT), name)
#define Q_LOAD(b, i)        UPC_CAT(UPC_Q, Q_IN)(b, i)
#define Q_LOAD4(b, i)       UPC_CAT(upc_take, Q_IN)(b[i])
#define Q_W_LOAD4(b, i)     UPC_CAT(upc_take, Q_W)(b[i])
#define Q_STORE(b, i, v)    UPC_CAT(UPC_QPUT, Q_OUT)(b, i, v)
#define Q_STORE4(b, i, v)   b[i] = UPC_CAT(upc_put, Q_OUT)(v)
#endif
// Products of four bytes at once, added up in 32 bits: DOT says which of them have a sign (api/dot.h). As instructions of SPIR-V by
// their numbers (SPV_KHR_integer_dot_product), since not every glslang has the extension of GLSL for them; the literal says that
// bytes come packed in words.
#ifdef DOT
#define UPC_DOT_INSTRUCTION(number) \
    spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = number)
#if DOT == 1
UPC_DOT_INSTRUCTION(4450) int upc_dot(uint a, uint b, spirv_literal int how);
#define PRODUCTS4(x, w)     uint(upc_dot(x, w, 0))
#elif DOT == 2
UPC_DOT_INSTRUCTION(4451) uint upc_dot(uint a, uint b, spirv_literal int how);
#define PRODUCTS4(x, w)     upc_dot(x, w, 0)
#else
UPC_DOT_INSTRUCTION(4452) int upc_dot(uint a, uint b, spirv_literal int how);
#define PRODUCTS4(x, w)     uint(upc_dot(w, x, 0))
#endif
#define BYTES_IN(slot, name)   UPC_BUFFER(slot, readonly, uint, name)
#define BYTES_LOAD(b, i)       b[i]
#define WORDS_IN4(slot, name)  UPC_BUFFER(slot, readonly, uvec4, name)
#define WORDS_LOAD4(b, i)      b[i]
#endif
