// The dialect in OpenCL C 1.2: see README.md. api/source.c puts the #defines and UPC_ARGS before this file.
#define real        float
#define real4       float4
#define SPLAT4(s)   ((float4)(s))
#define REAL(x)     ((float)(x##f))
#define ABS(x)      fabs(x)
#define AS_FLOAT(i) as_float(i)
#define UPC_SEP_0
#define UPC_SEP_1 ,
#define UPC_SEP_2 ,
#define UPC_SEP_3 ,
#define UPC_SEP_4 ,
#define UPC_SEP_5 ,
#define IN(slot, name)    UPC_SEP_##slot __global const float *restrict name
#define IN4(slot, name)   UPC_SEP_##slot __global const float *restrict name
#define OUT(slot, name)   UPC_SEP_##slot __global float *restrict name
#define INOUT(slot, name) UPC_SEP_##slot __global float *restrict name
#define OUT4(slot, name)  UPC_SEP_##slot __global float *restrict name
#define TABLE(slot)       UPC_SEP_##slot __global const int *restrict upc_table
#define LOAD(b, i)        b[i]
#define LOAD4(b, i)       vload4(i, b)
#define STORE(b, i, v)    b[i] = (v)
#define STORE4(b, i, v)   vstore4(v, i, b)
#define TAB(i)            upc_table[UPC_TABLE_BASE + (i)]
#define BASE(slot)        upc_base##slot
#if UPC_REQD_GROUP
#define UPC_GROUP __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, GROUP_Z)))
#else
#define UPC_GROUP
#endif
#define KERNEL(buffers) __kernel UPC_GROUP void upc_main(buffers UPC_ARGS)
#define GLOBAL_ID(d)    ((int)get_global_id(d))
