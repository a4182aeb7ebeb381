// The dialect in OpenCL C 1.2: see README.md. api/source.c puts the #defines and UPC_ARGS before this file.
#define real        float
#define real4       float4
#define SPLAT4(s)   ((float4)(s))
#define REAL(x)     ((float)(x##f))
#define ABS(x)      fabs(x)
#define AS_FLOAT(i) as_float(i)
#define AS_INT(x)   as_int(x)
// What a kernel adds up: f32, or f16 where SUM is 16.
#if SUM == 16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define sum1         half
#define sum4         half4
#define TO_SUM(x)    convert_half(x)
#define TO_SUM4(x)   convert_half4(x)
#define FROM_SUM(x)  convert_float(x)
#define FROM_SUM4(x) convert_float4(x)
#else
#define sum1         float
#define sum4         float4
#define TO_SUM(x)    (x)
#define TO_SUM4(x)   (x)
#define FROM_SUM(x)  (x)
#define FROM_SUM4(x) (x)
#endif
#define UPC_CAT_(a, b) a##b
#define UPC_CAT(a, b)  UPC_CAT_(a, b)
#define UPC_SEP_0
#define UPC_SEP_1 ,
#define UPC_SEP_2 ,
#define UPC_SEP_3 ,
#define UPC_SEP_4 ,
#define UPC_SEP_5 ,
#define UPC_SEP_6 ,

// How an element is stored: 32 f32; 16 f16, which every device can load and store.
#define UPC_ITEM32 float
#define UPC_ITEM16 half
#define UPC_GET32(b, i)      b[i]
#define UPC_GET16(b, i)      vload_half(i, b)
#define UPC_GET4_32(b, i)    vload4(i, b)
#define UPC_GET4_16(b, i)    vload_half4(i, b)
#define UPC_PUT32(b, i, v)   b[i] = (v)
#define UPC_PUT16(b, i, v)   vstore_half_rte(v, i, b)
#define UPC_PUT4_32(b, i, v) vstore4(v, i, b)
#define UPC_PUT4_16(b, i, v) vstore_half4_rte(v, i, b)
#define UPC_FROM(slot, item, name) UPC_SEP_##slot __global const item *restrict name
#define UPC_TO(slot, item, name)   UPC_SEP_##slot __global item *restrict name
// The output, which may be the residual itself: then neither is the only way to its memory.
#if RESIDUAL
#define UPC_ALONE
#else
#define UPC_ALONE restrict
#endif
#define UPC_RESULT(slot, item, name)  UPC_SEP_##slot __global item *UPC_ALONE name

#define IN(slot, name)        UPC_FROM(slot, float, name)
#define IN4(slot, name)       UPC_FROM(slot, float, name)
#define OUT(slot, name)       UPC_TO(slot, float, name)
#define OUT4(slot, name)      UPC_TO(slot, float, name)
#define TABLE(slot)           UPC_FROM(slot, int, upc_table)
#define SRC(slot, name)       UPC_FROM(slot, UPC_CAT(UPC_ITEM, IN_STORE), name)
#define SRC4(slot, name)      UPC_FROM(slot, UPC_CAT(UPC_ITEM, IN_STORE), name)
#define DST_IN(slot, name)    UPC_RESULT(slot, const UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define DST_IN4(slot, name)   UPC_RESULT(slot, const UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define DST_OUT(slot, name)   UPC_RESULT(slot, UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define DST_OUT4(slot, name)  UPC_RESULT(slot, UPC_CAT(UPC_ITEM, OUT_STORE), name)
#define W_IN4(slot, name)     UPC_FROM(slot, UPC_CAT(UPC_ITEM, W_STORE), name)
#define W_OUT4(slot, name)    UPC_TO(slot, UPC_CAT(UPC_ITEM, W_STORE), name)
// Integers; INTS: read and written.
#define INTS_IN(slot, name)   UPC_FROM(slot, int, name)
#define INTS(slot, name)      UPC_TO(slot, int, name)
#define INTS4(slot, name)     UPC_TO(slot, int, name)
#define INT_LOAD(b, i)        b[i]
#define INT_LOAD4(b, i)       vload4(i, b)
#define INT_STORE(b, i, v)    b[i] = (v)
#define INT_STORE4(b, i, x, y, z, w) vstore4((int4)(x, y, z, w), i, b)
#define INT_RAISE(b, i, v)    atomic_max((b) + (i), v)
#define LOAD(b, i)            b[i]
#define LOAD4(b, i)           vload4(i, b)
#define STORE(b, i, v)        b[i] = (v)
#define STORE4(b, i, v)       vstore4(v, i, b)
#define SRC_LOAD(b, i)        UPC_CAT(UPC_GET, IN_STORE)(b, i)
#define SRC_LOAD4(b, i)       UPC_CAT(UPC_GET4_, IN_STORE)(b, i)
#define DST_LOAD(b, i)        UPC_CAT(UPC_GET, OUT_STORE)(b, i)
#define DST_LOAD4(b, i)       UPC_CAT(UPC_GET4_, OUT_STORE)(b, i)
#define DST_STORE(b, i, v)    UPC_CAT(UPC_PUT, OUT_STORE)(b, i, v)
#define DST_STORE4(b, i, v)   UPC_CAT(UPC_PUT4_, OUT_STORE)(b, i, v)
#define W_LOAD4(b, i)         UPC_CAT(UPC_GET4_, W_STORE)(b, i)
#define W_STORE4(b, i, v)     UPC_CAT(UPC_PUT4_, W_STORE)(b, i, v)

#define TAB(i)            upc_table[UPC_TABLE_BASE + (i)]
#define UPC_HALVES(slot)  upc_base##slot
#if UPC_REQD_GROUP
#define UPC_GROUP __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, GROUP_Z)))
#else
#define UPC_GROUP
#endif
#define KERNEL(buffers) __kernel UPC_GROUP void upc_main(buffers UPC_ARGS)
#define GLOBAL_ID(d)    ((int)get_global_id(d))
#define LOCAL_ID(d)     ((int)get_local_id(d))
#define GROUP_ID(d)     ((int)get_group_id(d))
#define BARRIER()       barrier(CLK_LOCAL_MEM_FENCE)
#define LOCAL4(name, n) __local float4 name[n];
#define OUTSIDE(what)
#define INSIDE(what)    what
// Vectors of VEC elements, where a kernel has them: at any element, not only at multiples of VEC.
#ifdef VEC
#define realv                 UPC_CAT(float, VEC)
#define intv                  UPC_CAT(int, VEC)
#define SPLATV(s)             ((realv)(s))
#define UPC_GETV32(b, i)      UPC_CAT(vload, VEC)(0, (b) + (i))
#define UPC_GETV16(b, i)      UPC_CAT(vload_half, VEC)(0, (b) + (i))
#define UPC_PUTV32(b, i, v)   UPC_CAT(vstore, VEC)(v, 0, (b) + (i))
#define UPC_PUTV16(b, i, v)   UPC_CAT(UPC_CAT(vstore_half, VEC), _rte)(v, 0, (b) + (i))
#define SRC_LOADV(b, i)       UPC_CAT(UPC_GETV, IN_STORE)(b, i)
#define W_LOADV(b, i)         UPC_CAT(UPC_GETV, W_STORE)(b, i)
#define W_LOAD(b, i)          UPC_CAT(UPC_GET, W_STORE)(b, i)
#define DST_LOADV(b, i)       UPC_CAT(UPC_GETV, OUT_STORE)(b, i)
#define DST_STOREV(b, i, v)   UPC_CAT(UPC_PUTV, OUT_STORE)(b, i, v)
#define KEEPV(array, i, v)    UPC_CAT(vstore, VEC)(v, 0, (array) + (i));
#define INT_LOADV(b, i)       UPC_CAT(vload, VEC)(0, (b) + (i))
#define WHERE_LESS(x, y, a, b) ((x) < (y) ? (a) : (b))
#define WHERE_SAME(x, y, a, b) ((x) == (y) ? (a) : (b))
// Arrays of an item's own, and one from element i of another on; their elements: one, four, VEC; and four from anywhere in src.
#define ARRAY(type, name, n)  type name[n] __attribute__((aligned(64)));
#define MINE(type, name, array, i) type *const name = (array) + (i);
#define TAKE1(array, i)       array[i]
#define TAKE4(array, i)       vload4(0, (array) + (i))
#define TAKEV(array, i)       UPC_CAT(vload, VEC)(0, (array) + (i))
// One store for a vector, where some libraries' vstore makes several; an element's alignment is all that it has.
typedef realv upc_loose __attribute__((aligned(4)));
typedef intv upc_loose_ints __attribute__((aligned(4)));
#define HOLDV(array, i, v)    *(upc_loose *)((array) + (i)) = (v);
#define KEEP1(array, i, v)    array[i] = (v);
#define KEEP4(array, i, v)    vstore4(v, 0, (array) + (i));
#define INT_STOREV(b, i, v)   UPC_CAT(vstore, VEC)(v, 0, (b) + (i))
// Such a vector, whole, from an array and from src; and what is picked from one or, where nothing picks, one by one; PICKV: from one
// that is read already.
#define PEEKV(array, i)       (*(const upc_loose *)((array) + (i)))
#define UPC_PEEKV32(b, i)     (*(__global const upc_loose *)((b) + (i)))
#define UPC_PEEKV16(b, i)     UPC_GETV16(b, i)
#define SRC_PEEKV(b, i)       UPC_CAT(UPC_PEEKV, IN_STORE)(b, i)
#define UPC_NTH(b, i, at, n)  SRC_LOAD(b, (i) + (at).s##n)
#define UPC_GATHER4(b, i, at) UPC_NTH(b, i, at, 0), UPC_NTH(b, i, at, 1), UPC_NTH(b, i, at, 2), UPC_NTH(b, i, at, 3)
#define UPC_GATHER8(b, i, at) UPC_GATHER4(b, i, (at).lo), UPC_GATHER4(b, i, (at).hi)
#define UPC_GATHER16(b, i, at) UPC_GATHER8(b, i, (at).lo), UPC_GATHER8(b, i, (at).hi)
#define SRC_GATHERV(b, i, at) ((realv)(UPC_CAT(UPC_GATHER, VEC)(b, i, at)))
#if defined(POCL_DEVICE_ADDRESS_BITS) && defined(__AVX512F__) && VEC == 16
#define UPC_PERMUTE           __builtin_ia32_permvarsf512
#elif defined(POCL_DEVICE_ADDRESS_BITS) && defined(__AVX2__) && VEC == 8
#define UPC_PERMUTE           __builtin_ia32_permvarsf256
#endif
#ifdef UPC_PERMUTE
typedef float upc_floats __attribute__((vector_size(VEC * 4)));
typedef int upc_ints __attribute__((vector_size(VEC * 4)));
#define UPC_AS(type, x)       __builtin_astype(x, type)
#define SRC_PICKV(b, i, at)   UPC_AS(realv, UPC_PERMUTE(UPC_AS(upc_floats, (realv)SRC_PEEKV(b, i)), UPC_AS(upc_ints, at)))
#define PICKV(v, at)          UPC_AS(realv, UPC_PERMUTE(UPC_AS(upc_floats, v), UPC_AS(upc_ints, at)))
#else
#define SRC_PICKV(b, i, at)   SRC_GATHERV(b, i, at)
#define PICKV(v, at)          shuffle(v, UPC_CAT(as_uint, VEC)(at))
#endif
// Entries of the table side by side: as many as a vector has elements; a quarter of that, each four times.
#define TABV(i)               UPC_CAT(vload, VEC)(0, upc_table + UPC_TABLE_BASE + (i))
#define AS_FLOATV(v)          UPC_CAT(as_float, VEC)(v)
#if VEC == 4
#define TAB_FOURS(i)          ((int4)TAB(i))
#elif VEC == 8
#define TAB_FOURS(i)          ((int8)((int4)TAB(i), (int4)TAB((i) + 1)))
#else
#define TAB_FOURS(i)          ((int16)((int4)TAB(i), (int4)TAB((i) + 1), (int4)TAB((i) + 2), (int4)TAB((i) + 3)))
#endif
// Elements that dst has before element i in a vector of the memory.
#define DST_ODD(b, i)         ((int)((size_t)((b) + (i)) / UPC_CAT(UPC_BYTES, OUT_STORE) % VEC))
#define INT_HOLDV(array, i, v) *(upc_loose_ints *)((array) + (i)) = (v);
#define INT_KEEP1             KEEP1
#define INT_KEEP4             KEEP4
#define UPC_GETU4_32(b, i)    vload4(0, (b) + (i))
#define UPC_GETU4_16(b, i)    vload_half4(0, (b) + (i))
#define SRC_LOADU4(b, i)      UPC_CAT(UPC_GETU4_, IN_STORE)(b, i)
// n elements of such an array into dst, from i on, in whole vectors past the caches where the compiler has a way to say so: a line of
// memory that is written as a whole then need not be read first. Whoever waits for the kernel takes a lock, which orders such stores.
#if defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define UPC_PAST(v, p)        __builtin_nontemporal_store(v, p)
#endif
#endif
#ifndef UPC_PAST
#define UPC_PAST(v, p)        *(p) = (v)
#endif
// Asks for what will be read soon, from element i on for n elements: processors look ahead for themselves, but not into the next page.
#if defined(__has_builtin) && defined(POCL_DEVICE_ADDRESS_BITS) // PoCL; oclgrind's compiler has it, and its interpreter has not
#if __has_builtin(__builtin_prefetch)
#define UPC_SOON(p)           __builtin_prefetch(p)
#define UPC_FAR(p)            __builtin_prefetch(p, 0, 2)
#endif
#endif
#ifndef UPC_SOON
#define UPC_SOON(p)           (void)(p)
#endif
#define SOON(b, i, n)                                                           \
    for (int upc_s = 0; upc_s < (n); upc_s += 64 / UPC_CAT(UPC_BYTES, IN_STORE)) \
        UPC_SOON((b) + (i) + upc_s);
// The same of what will be read much later: the second cache keeps it until then.
#ifndef UPC_FAR
#define UPC_FAR(p)
#endif
#define FAR(b, i, n)                                                            \
    for (int upc_s = 0; upc_s < (n); upc_s += 64 / UPC_CAT(UPC_BYTES, IN_STORE)) \
        UPC_FAR((b) + (i) + upc_s);
#define UPC_BYTES32           4
#define UPC_BYTES16           2
#define UPC_PASTV32(b, i, v)  UPC_PAST(v, (__global realv *)((b) + (i)))
#define UPC_PASTV16(b, i, v)                                                                    \
    {                                                                                           \
        UPC_CAT(ushort, VEC) upc_halves;                                                        \
        UPC_CAT(UPC_CAT(vstore_half, VEC), _rte)(v, 0, (half *)&upc_halves);                    \
        UPC_PAST(upc_halves, (__global UPC_CAT(ushort, VEC) *)((b) + (i)));                     \
    }
#define DST_PASTV(b, i, v)    UPC_CAT(UPC_PASTV, OUT_STORE)(b, i, v)
// One load or store for a vector at any element's place.
#define UPC_HOLDV32(b, i, v)  *(__global upc_loose *)((b) + (i)) = (v)
#define UPC_HOLDV16           UPC_PUTV16
#define DST_HOLDV(b, i, v)    UPC_CAT(UPC_HOLDV, OUT_STORE)(b, i, v)
#define LOADV(b, i)           UPC_PEEKV32(b, i)
#define INT_PASTV(b, i, v)    UPC_PAST(v, (__global intv *)((b) + (i)))
#define UPC_STREAM(b, i, array, from, n, size, put, past)                                       \
    {                                                                                           \
        const int upc_n = n, upc_odd = (int)((size_t)((b) + (i)) / (size) % VEC);               \
        const int upc_head = upc_odd ? min(upc_n, VEC - upc_odd) : 0;                           \
        int upc_j = 0;                                                                          \
        for (; upc_j < upc_head; upc_j++)                                                       \
            put(b, (i) + upc_j, (array)[(from) + upc_j]);                                       \
        for (; upc_j + VEC <= upc_n; upc_j += VEC)                                              \
            past(b, (i) + upc_j, TAKEV(array, (from) + upc_j));                                 \
        for (; upc_j < upc_n; upc_j++)                                                          \
            put(b, (i) + upc_j, (array)[(from) + upc_j]);                                       \
    }
#define STREAM(b, i, array, from, n) \
    UPC_STREAM(b, i, array, from, n, UPC_CAT(UPC_BYTES, OUT_STORE), DST_STORE, DST_PASTV)
#define INT_STREAM(b, i, array, from, n) UPC_STREAM(b, i, array, from, n, 4, INT_STORE, INT_PASTV)
// op(type, take, load, keep) for the elements of a run of n, `at` counting them: in the machine's vectors, in fours, one by one.
#define EACH_OF(n, op)                              \
    {                                               \
        int at = 0;                                 \
        for (; at + VEC <= (n); at += VEC)          \
            op(realv, TAKEV, SRC_LOADV, HOLDV)      \
        for (; at + 4 <= (n); at += 4)              \
            op(real4, TAKE4, SRC_LOADU4, KEEP4)     \
        for (; at < (n); at++)                      \
            op(real, TAKE1, SRC_LOAD, KEEP1)        \
    }
// Integers in the place of such a type; 0, 1, ...; every other element of two vectors, of the second the odd ones; the same of fours.
#define INTS_OF(type)         UPC_CAT(UPC_INTS_OF_, type)
#define UPC_INTS_OF_float     int
#define UPC_INTS_OF_float4    int4
#define UPC_INTS_OF_float8    int8
#define UPC_INTS_OF_float16   int16
#define EVENS_ODDS(a, b)      ((realv)((a).even, (b).odd))
// every other element of both
#define EVENS(a, b)           ((realv)((a).even, (b).even))
#define ODDS(a, b)            ((realv)((a).odd, (b).odd))
#if VEC == 4
#define FOURS_EVENS_ODDS(a, b) (a)
#define FOURS_EVENS(a, b)      (a)
#define FOURS_ODDS(a, b)       (b)
#define COUNTING              ((intv)(0, 1, 2, 3))
#elif VEC == 8
#define FOURS_EVENS_ODDS(a, b) ((realv)((a).lo, (b).hi))
#define FOURS_EVENS(a, b)      ((realv)((a).lo, (b).lo))
#define FOURS_ODDS(a, b)       ((realv)((a).hi, (b).hi))
#define COUNTING              ((intv)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define FOURS_EVENS_ODDS(a, b) ((realv)((a).lo.lo, (a).hi.lo, (b).lo.hi, (b).hi.hi))
#define FOURS_EVENS(a, b)      ((realv)((a).lo.lo, (a).hi.lo, (b).lo.lo, (b).hi.lo))
#define FOURS_ODDS(a, b)       ((realv)((a).lo.hi, (a).hi.hi, (b).lo.hi, (b).hi.hi))
#define COUNTING              ((intv)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#endif
// a.0 b.0 a.1 b.1 ... of the lower and of the upper halves; a.0 b.0 c.0 a.1 ... of thirds; the same of fours (of whole vectors, where
// they are fours)
#if VEC == 4
#define ZIP_FOURS_LOW(a, b) (a)
#define ZIP_FOURS_HIGH(a, b) (b)
#define ZIP3_FOURS_LOW(a, b, c) (a)
#define ZIP3_FOURS_MIDDLE(a, b, c) (b)
#define ZIP3_FOURS_HIGH(a, b, c) (c)
#define ZIP_LOW(a, b)  ((realv)(a.x, b.x, a.y, b.y))
#define ZIP_HIGH(a, b) ((realv)(a.z, b.z, a.w, b.w))
#define ZIP3_LOW(a, b, c) ((realv)(a.s0, b.s0, c.s0, a.s1))
#define ZIP3_MIDDLE(a, b, c) ((realv)(b.s1, c.s1, a.s2, b.s2))
#define ZIP3_HIGH(a, b, c) ((realv)(c.s2, a.s3, b.s3, c.s3))
#elif VEC == 8
#define ZIP_FOURS_LOW(a, b) ((realv)((a).lo, (b).lo))
#define ZIP_FOURS_HIGH(a, b) ((realv)((a).hi, (b).hi))
#define ZIP3_FOURS_LOW(a, b, c) ((realv)((a).lo, (b).lo))
#define ZIP3_FOURS_MIDDLE(a, b, c) ((realv)((c).lo, (a).hi))
#define ZIP3_FOURS_HIGH(a, b, c) ((realv)((b).hi, (c).hi))
#define ZIP_LOW(a, b)  ((realv)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3))
#define ZIP_HIGH(a, b) ((realv)(a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#define ZIP3_LOW(a, b, c) ((realv)(a.s0, b.s0, c.s0, a.s1, b.s1, c.s1, a.s2, b.s2))
#define ZIP3_MIDDLE(a, b, c) ((realv)(c.s2, a.s3, b.s3, c.s3, a.s4, b.s4, c.s4, a.s5))
#define ZIP3_HIGH(a, b, c) ((realv)(b.s5, c.s5, a.s6, b.s6, c.s6, a.s7, b.s7, c.s7))
#else
#define ZIP_FOURS_LOW(a, b) ((realv)((a).lo.lo, (b).lo.lo, (a).lo.hi, (b).lo.hi))
#define ZIP_FOURS_HIGH(a, b) ((realv)((a).hi.lo, (b).hi.lo, (a).hi.hi, (b).hi.hi))
#define ZIP3_FOURS_LOW(a, b, c) ((realv)((a).lo.lo, (b).lo.lo, (c).lo.lo, (a).lo.hi))
#define ZIP3_FOURS_MIDDLE(a, b, c) ((realv)((b).lo.hi, (c).lo.hi, (a).hi.lo, (b).hi.lo))
#define ZIP3_FOURS_HIGH(a, b, c) ((realv)((c).hi.lo, (a).hi.hi, (b).hi.hi, (c).hi.hi))
#define ZIP_LOW(a, b)                                                                                                    \
    ((realv)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#define ZIP_HIGH(a, b)                                                                                                   \
    ((realv)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf))
#define ZIP3_LOW(a, b, c) \
    ((realv)(a.s0, b.s0, c.s0, a.s1, b.s1, c.s1, a.s2, b.s2, \
             c.s2, a.s3, b.s3, c.s3, a.s4, b.s4, c.s4, a.s5))
#define ZIP3_MIDDLE(a, b, c) \
    ((realv)(b.s5, c.s5, a.s6, b.s6, c.s6, a.s7, b.s7, c.s7, \
             a.s8, b.s8, c.s8, a.s9, b.s9, c.s9, a.sa, b.sa))
#define ZIP3_HIGH(a, b, c) \
    ((realv)(c.sa, a.sb, b.sb, c.sb, a.sc, b.sc, c.sc, a.sd, \
             b.sd, c.sd, a.se, b.se, c.se, a.sf, b.sf, c.sf))
#endif
// The same in one instruction or two, and the other way: every other element of two vectors that follow one another, elements q, q + 3,
// q + 6, ... of three; the same of two and three fours, in each four's place. Compilers for processors, which have clang's vectors.
#if VEC == 4
#define WEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define WEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define WEAVE3_LOW(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 4, 2, 1), c, 0, 1, 4, 3)
#define WEAVE3_MIDDLE(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 5, 1, 2, 6), c, 0, 5, 2, 3)
#define WEAVE3_HIGH(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 7, 3), c, 6, 1, 2, 7)
#define WEAVE_FOURS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#define WEAVE_FOURS_HIGH(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7)
#define WEAVE3_FOURS_LOW(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3), c, 0, 1, 2, 3)
#define WEAVE3_FOURS_MIDDLE(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 4, 5, 6, 7), c, 0, 1, 2, 3)
#define WEAVE3_FOURS_HIGH(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3), c, 4, 5, 6, 7)
#define DEAL_EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define DEAL_ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
#define DEAL3_0(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 3), c, 0, 1, 2, 5)
#define DEAL3_1(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 4, 7, 3), c, 0, 1, 2, 6)
#define DEAL3_2(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 5, 2, 3), c, 0, 1, 4, 7)
#define DEAL_FOURS_EVENS DEAL_EVENS
#define DEAL_FOURS_ODDS DEAL_ODDS
#define DEAL3_FOURS_0 DEAL3_0
#define DEAL3_FOURS_1 DEAL3_1
#define DEAL3_FOURS_2 DEAL3_2
#elif VEC == 8
#define WEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define WEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define WEAVE3_LOW(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 8, 2, 1, 9, 5, 2, 10), \
                            c, 0, 1, 8, 3, 4, 9, 6, 7)
#define WEAVE3_MIDDLE(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 11, 3, 4, 12, 6, 5), \
                            c, 10, 1, 2, 11, 4, 5, 12, 7)
#define WEAVE3_HIGH(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 13, 1, 6, 14, 4, 7, 15, 7), \
                            c, 0, 13, 2, 3, 14, 5, 6, 15)
#define WEAVE_FOURS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define WEAVE_FOURS_HIGH(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#define WEAVE3_FOURS_LOW(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11), \
                            c, 0, 1, 2, 3, 4, 5, 6, 7)
#define WEAVE3_FOURS_MIDDLE(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7), \
                            c, 8, 9, 10, 11, 4, 5, 6, 7)
#define WEAVE3_FOURS_HIGH(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 12, 13, 14, 15, 4, 5, 6, 7), \
                            c, 0, 1, 2, 3, 12, 13, 14, 15)
#define DEAL_EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define DEAL_ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define DEAL3_0(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, 6, 7), \
                            c, 0, 1, 2, 3, 4, 5, 10, 13)
#define DEAL3_1(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 4, 7, 10, 13, 5, 6, 7), \
                            c, 0, 1, 2, 3, 4, 8, 11, 14)
#define DEAL3_2(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 5, 8, 11, 14, 5, 6, 7), \
                            c, 0, 1, 2, 3, 4, 9, 12, 15)
#define DEAL_FOURS_EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14)
#define DEAL_FOURS_ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15)
#define DEAL3_FOURS_0(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 10, 3, 4, 7, 14, 7), \
                            c, 0, 1, 2, 9, 4, 5, 6, 13)
#define DEAL3_FOURS_1(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 8, 11, 3, 5, 12, 15, 7), \
                            c, 0, 1, 2, 10, 4, 5, 6, 14)
#define DEAL3_FOURS_2(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 9, 2, 3, 6, 13, 6, 7), \
                            c, 0, 1, 8, 11, 4, 5, 12, 15)
#else
#define WEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define WEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define WEAVE3_LOW(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 16, 2, 1, 17, 5, 2, 18, 8, 3, 19, 11, 4, 20, 14, 5), \
                            c, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15)
#define WEAVE3_MIDDLE(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 21, 1, 6, 22, 4, 7, 23, 7, 8, 24, 10, 9, 25, 13, 10, 26), \
                            c, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15)
#define WEAVE3_HIGH(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 11, 27, 3, 12, 28, 6, 13, 29, 9, 14, 30, 12, 15, 31, 15), \
                            c, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31)
#define WEAVE_FOURS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
#define WEAVE_FOURS_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
#define WEAVE3_FOURS_LOW(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 4, 5, 6, 7), \
                            c, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15)
#define WEAVE3_FOURS_MIDDLE(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 20, 21, 22, 23, 4, 5, 6, 7, 8, 9, 10, 11, 24, 25, 26, 27), \
                            c, 0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 12, 13, 14, 15)
#define WEAVE3_FOURS_HIGH(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 1, 2, 3, 12, 13, 14, 15, 28, 29, 30, 31, 12, 13, 14, 15), \
                            c, 24, 25, 26, 27, 4, 5, 6, 7, 8, 9, 10, 11, 28, 29, 30, 31)
#define DEAL_EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define DEAL_ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define DEAL3_0(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 11, 12, 13, 14, 15), \
                            c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29)
#define DEAL3_1(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 11, 12, 13, 14, 15), \
                            c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30)
#define DEAL3_2(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 10, 11, 12, 13, 14, 15), \
                            c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31)
#define DEAL_FOURS_EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30)
#define DEAL_FOURS_ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31)
#define DEAL3_FOURS_0(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 18, 3, 4, 7, 22, 7, 8, 11, 26, 11, 12, 15, 30, 15), \
                            c, 0, 1, 2, 17, 4, 5, 6, 21, 8, 9, 10, 25, 12, 13, 14, 29)
#define DEAL3_FOURS_1(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 16, 19, 3, 5, 20, 23, 7, 9, 24, 27, 11, 13, 28, 31, 15), \
                            c, 0, 1, 2, 18, 4, 5, 6, 22, 8, 9, 10, 26, 12, 13, 14, 30)
#define DEAL3_FOURS_2(a, b, c) \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 17, 2, 3, 6, 21, 6, 7, 10, 25, 10, 11, 14, 29, 14, 15), \
                            c, 0, 1, 16, 19, 4, 5, 20, 23, 8, 9, 24, 27, 12, 13, 28, 31)
#endif
#endif
// Integers, where a program defines how they are stored: Q_IN, Q_OUT and Q_W are 8 and 9 for signed and unsigned bytes, 16 for shorts.
// Indices count up to 2^32 of the smallest, so they are taken without a sign.
#ifdef Q_IN
#define SPLATI4(s)          ((int4)(s))
#define SPLATU4(s)          ((uint4)(s))
#define AS_SIGNED(x)        as_int(x)
#define AS_UINT(x)          as_uint(x)
#define AS_INT4(x)          as_int4(x)
#define AS_UINT4(x)         as_uint4(x)
#define TO_REAL(x)          convert_float(x)
#define TO_REAL4(x)         convert_float4(x)
#define TO_INT4(x)          convert_int4(x)
#define upc_high_of(a, b)   mul_hi(a, b)
#define upc_signed_high_of(a, b) mul_hi(a, b)
#define UPC_Q8              char
#define UPC_Q9              uchar
#define UPC_Q16             short
#define Q_SRC(slot, name)   UPC_FROM(slot, UPC_CAT(UPC_Q, Q_IN), name)
#define Q_SRC4(slot, name)  UPC_FROM(slot, UPC_CAT(UPC_Q, Q_IN), name)
#define Q_W_IN4(slot, name) UPC_FROM(slot, UPC_CAT(UPC_Q, Q_W), name)
#define Q_DST(slot, name)   UPC_TO(slot, UPC_CAT(UPC_Q, Q_OUT), name)
#define Q_DST4(slot, name)  UPC_TO(slot, UPC_CAT(UPC_Q, Q_OUT), name)
#define Q_LOAD(b, i)        ((int)b[(uint)(i)])
#define Q_LOAD4(b, i)       convert_int4(vload4((uint)(i), b))
#define Q_W_LOAD4(b, i)     convert_int4(vload4((uint)(i), b))
#define Q_STORE(b, i, v)    b[(uint)(i)] = (UPC_CAT(UPC_Q, Q_OUT))(v)
#define Q_STORE4(b, i, v)   vstore4(UPC_CAT(UPC_CAT(convert_, UPC_CAT(UPC_Q, Q_OUT)), 4)(v), (uint)(i), b)
#endif
// Products of four bytes at once, added up in 32 bits: DOT says which of them have a sign (api/dot.h).
#ifdef DOT
#if defined(cl_arm_integer_dot_product_int8) && DOT != 3
#pragma OPENCL EXTENSION cl_arm_integer_dot_product_int8 : enable
#define UPC_SIGNED_BYTES(x)    as_char4(x)
#define UPC_PLAIN_BYTES(x)     as_uchar4(x)
#define UPC_SIGNED_PRODUCTS    arm_dot
#define UPC_PLAIN_PRODUCTS     arm_dot
#else
#define UPC_SIGNED_BYTES(x)    (x)
#define UPC_PLAIN_BYTES(x)     (x)
#define UPC_SIGNED_PRODUCTS    dot_4x8packed_ss_int
#define UPC_PLAIN_PRODUCTS     dot_4x8packed_uu_uint
#endif
#if DOT == 1
#define PRODUCTS4(x, w)        as_uint(UPC_SIGNED_PRODUCTS(UPC_SIGNED_BYTES(x), UPC_SIGNED_BYTES(w)))
#elif DOT == 2
#define PRODUCTS4(x, w)        UPC_PLAIN_PRODUCTS(UPC_PLAIN_BYTES(x), UPC_PLAIN_BYTES(w))
#else
#define PRODUCTS4(x, w)        as_uint(dot_4x8packed_su_int(w, x))
#endif
#define BYTES_IN(slot, name)   UPC_FROM(slot, uchar, name)
#define BYTES_LOAD(b, i)       as_uint(vload4((uint)(i), b))
#define WORDS_IN4(slot, name)  UPC_FROM(slot, uint, name)
#define WORDS_LOAD4(b, i)      vload4((uint)(i), b)
#endif
