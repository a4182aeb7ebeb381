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
#define WHERE_LESS(x, y, a, b) ((x) < (y) ? (a) : (b))
// a.0 b.0 a.1 b.1 ... of the lower and of the upper halves
#if VEC == 4
#define ZIP_LOW(a, b)  ((realv)(a.x, b.x, a.y, b.y))
#define ZIP_HIGH(a, b) ((realv)(a.z, b.z, a.w, b.w))
#elif VEC == 8
#define ZIP_LOW(a, b)  ((realv)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3))
#define ZIP_HIGH(a, b) ((realv)(a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#else
#define ZIP_LOW(a, b)                                                                                                    \
    ((realv)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#define ZIP_HIGH(a, b)                                                                                                   \
    ((realv)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf))
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
