// The dialect in GLSL: see README.md. api/source.c puts #version, the #defines and UPC_ARGS before this file.
#define real        float
#define real4       vec4
#define SPLAT4(s)   vec4(s)
#define REAL(x)     float(x)
#define ABS(x)      abs(x)
#define AS_FLOAT(i) intBitsToFloat(i)
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
#define IN(slot, name)    layout(binding = slot, std430) restrict readonly buffer upc_b##slot { float name[]; };
#define IN4(slot, name)   layout(binding = slot, std430) restrict readonly buffer upc_b##slot { vec4 name[]; };
#define OUT(slot, name)   layout(binding = slot, std430) restrict writeonly buffer upc_b##slot { float name[]; };
#define INOUT(slot, name) layout(binding = slot, std430) restrict buffer upc_b##slot { float name[]; };
#define OUT4(slot, name)  layout(binding = slot, std430) restrict writeonly buffer upc_b##slot { vec4 name[]; };
#define TABLE(slot)       layout(binding = slot, std430) restrict readonly buffer upc_b##slot { int upc_table[]; };
#define LOAD(b, i)        b[i]
#define LOAD4(b, i)       b[i]
#define STORE(b, i, v)    b[i] = (v)
#define STORE4(b, i, v)   b[i] = (v)
#define TAB(i)            upc_table[UPC_TABLE_BASE + (i)]
#define BASE(slot)        upc_u.upc_base##slot
#define KERNEL(buffers)   buffers layout(push_constant) uniform upc_args { UPC_ARGS } upc_u; void main()
#define GLOBAL_ID(d)      int(gl_GlobalInvocationID[d])
