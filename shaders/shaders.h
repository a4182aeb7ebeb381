// The kernels and shells, embedded when the library is built (embed.py).
#ifndef UPC_SHADERS_H
#define UPC_SHADERS_H

typedef struct upc_shader {
    const char *name; // file name: "phase.kernel", "shell.glsl"
    const char *text;
} upc_shader;

extern const upc_shader upc_shaders[];
extern const int upc_shader_count;

#endif
