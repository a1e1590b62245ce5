"""Writes the sources of a program that takes gcc a while: write_sources.py FOLDER FILES, or --answer FILES for what the program prints."""
import pathlib
import sys

FUNCTIONS = 2200


def constant(file: int, function: int) -> int:
    return (file * 7919 + function * 104729) % 1000003


def write_file(folder: pathlib.Path, file: int) -> None:
    lines = []
    for function in range(FUNCTIONS):
        lines.append(
            f"static unsigned part{function}(unsigned x) {{ unsigned y = x; for (unsigned i = 0; i < 16; i++) {{ y ^= (y << 5) + (y >> 3) + i;"
            f" if (y & 1) y = y * 31 + x; else y -= x >> 2; switch (y % 5) {{ case 0: y += 3; break; case 1: y ^= 9; break; default: y--; }} }}"
            f" return (y >> 31 >> 1) + {constant(file, function)}u; }}"
        )
    total = " + ".join(f"part{function}(x)" for function in range(FUNCTIONS))
    lines.append(f"unsigned file{file}(unsigned x) {{ return {total}; }}")
    (folder / f"file{file}.c").write_text("\n".join(lines) + "\n")


def main() -> None:
    files = int(sys.argv[2])
    if sys.argv[1] == "--answer":
        print(sum(constant(file, function) for file in range(files) for function in range(FUNCTIONS)) % 2**32)
        return
    folder = pathlib.Path(sys.argv[1])
    for file in range(files):
        write_file(folder, file)
    declarations = " ".join(f"unsigned file{file}(unsigned);" for file in range(files))
    total = " + ".join(f"file{file}(1)" for file in range(files))
    (folder / "main.c").write_text(f'#include <stdio.h>\n{declarations}\nint main(void) {{ printf("the program says %u\\n", {total}); return 0; }}\n')
    objects = " ".join(f"file{file}.o" for file in range(files))
    (folder / "Makefile").write_text(
        f"all: program\n\t@./program\nprogram: main.c {objects}\n\t@gcc -o $@ $^\n%.o: %.c\n\t@echo compiling $<\n\t@gcc -O2 -c -o $@ $<\n"
    )


main()
