# Writes the kernels and shells as C strings: embed.py OUT FILE...
import os
import sys

out, files = sys.argv[1], sys.argv[2:]
with open(out, "w", encoding="ascii") as f:
    f.write('#include "shaders.h"\n\n')
    f.write("const upc_shader upc_shaders[] = {\n")
    for path in files:
        name = os.path.basename(path)
        text = open(path, encoding="ascii").read()
        f.write('    {"%s",\n' % name)
        for line in text.splitlines():
            escaped = line.replace("\\", "\\\\").replace('"', '\\"')
            f.write('     "%s\\n"\n' % escaped)
        f.write("    },\n")
    f.write("};\nconst int upc_shader_count = %d;\n" % len(files))
