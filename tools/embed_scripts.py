# Writes scripts as C strings: embed_scripts.py OUT COMMON.py FILE.py... FILE.py becomes script_FILE, after what is
# common.
import os
import sys


def c_strings(path):
    with open(path, encoding="ascii") as script:
        for line in script.read().splitlines():
            escaped = line.replace("\\", "\\\\").replace('"', '\\"')
            yield f'    "{escaped}\\n"\n'


with open(sys.argv[1], "w", encoding="ascii") as out:
    for path in sys.argv[3:]:
        out.write(f"static const char script_{os.path.splitext(os.path.basename(path))[0]}[] =\n")
        out.writelines(c_strings(sys.argv[2]))
        out.writelines(c_strings(path))
        out.write("    ;\n")
