# Writes a page as two C strings, before and after the place where its data goes: embed_page.py OUT PAGE.html
import sys

MARK = "@DATA@"


def c_string(name, text):
    lines = text.split("\n")
    yield f"static const char {name}[] =\n"
    for at, line in enumerate(lines):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\"\"?")
        end = "\\n" if at + 1 < len(lines) else ""
        yield f'    "{escaped}{end}"\n'
    yield "    ;\n"


with open(sys.argv[2], encoding="ascii") as page:
    before, after = page.read().split(MARK)
with open(sys.argv[1], "w", encoding="ascii") as out:
    out.writelines(c_string("page_before", before))
    out.writelines(c_string("page_after", after))
