#!/usr/bin/python3
"""What the tree promises about itself: who may include whom, one home for each library, short files and functions.

Usage: check.py ROOT. Prints each breach and exits 1 if there is one. The ratchets at the top only ever go down.
"""
import pathlib
import re
import subprocess
import sys

FILE_LINES_MAX = 800
LONG_FUNCTION_LINES = 60
LONG_FUNCTION_SHARE_MAX = 0.10
LONGEST_FUNCTION_MAX = 130

# Room -> rooms that it may include besides itself (STYLE: "The tree shows the design").
BASE = {"common/base"}
CODEC = BASE | {"proto"}
ARROWS = {
    "common/base": set(),
    "common/io": BASE,
    "common/image": BASE,
    "common/ann": BASE,
    "common/store": BASE,
    "common/descriptor": BASE | {"common/image"},
    "common/decoder": BASE | {"common/image"},
    "common/vecfile": BASE,
    "common/recommend": BASE,
    "proto": BASE,
    "proto/client": CODEC | {"common/io"},
    "proto/examples": CODEC | {"proto/client"},
    "broker": CODEC | {"common/io", "common/store"},
    "broker/core": CODEC | {"common/descriptor"},
    "workers/runner": CODEC | {"common/io", "common/image", "common/decoder"},
    "workers": CODEC | {"common/io", "common/image", "common/decoder", "common/descriptor", "common/ann",
                        "common/store", "workers/runner"},
    "deploy": CODEC | {"proto/client", "common/image", "common/decoder", "common/vecfile", "common/descriptor", "common/ann",
                       "common/store", "common/recommend"},
}
# Third-party header -> the only files that may know it.
HOMES = {
    "zmq.h": {"common/io/loop.c", "common/io/outbox.c", "common/io/outbox.h"},
    "rocksdb/c.h": {"common/store/kv.c"},
    "msgpack.h": {"proto/record.c"},
    "jpeglib.h": {"common/image/decode_jpeg.c", "common/image/thumb.c"},
    "png.h": {"common/image/decode_png.c"},
    "webp/decode.h": {"common/image/decode_webp.c"},
    "confuse.h": {"common/base/config.c"},
    "xxhash.h": {"common/base/hash.c"},
    "openssl/evp.h": {"common/base/hash.c"},
    "cairo.h": {"deploy/cli/chart.c"},
    "cairo-svg.h": {"deploy/cli/chart.c"},
    "cblas.h": {"common/recommend/blas.c"},
    "lapacke.h": {"common/recommend/blas.c"},
    "zlib.h": {"common/base/hash.c"},
    "dnnl.h": {"common/descriptor/covernet_dnnl.c"},
    "omp.h": {"common/descriptor/covernet_dnnl.c"},
    "seccomp.h": {"common/decoder/sandbox.c"},
    "popt.h": {"deploy/cli/args.c"},
    "kiss_fft.h": {"common/descriptor/gist.c", "common/descriptor/gist_fft.c", "common/descriptor/fft.c"},
}
ROOMS = ("broker", "workers", "common", "proto", "deploy")
# Marks of work left undone, and paths of somebody's own machine.
FORBIDDEN = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|/home/\w")


def room_of(path):
    """The longest key of ARROWS that `path` lies in; a role of workers is a room of its own for its own files."""
    parts = path.split("/")
    for n in range(len(parts) - 1, 0, -1):
        room = "/".join(parts[:n])
        if room in ARROWS:
            return room
    return parts[0]


def may_include(source, target):
    own = "/".join(source.split("/")[:2])
    if target.startswith(own + "/") and source.count("/") > 1 or room_of(source) == room_of(target) != "workers":
        return True
    if room_of(source) == "broker" and room_of(target) == "broker/core":
        return True
    return room_of(target) in ARROWS.get(room_of(source), set())


def check_includes(root, path, text, breaches):
    for line, name in enumerate(text.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', name)
        if not found:
            continue
        target = found.group(2)
        if found.group(1) == '"' and (root / target).exists() and not may_include(path, target):
            breaches.append(f"{path}:{line}: {room_of(path)} may not include {target}")
        for header, homes in HOMES.items():
            if f"/{target}".endswith(f"/{header}") and path not in homes:
                breaches.append(f"{path}:{line}: {header} belongs to {', '.join(sorted(homes))} only")


def function_lengths(text):
    """Lines of each function: from its opening brace in column 0 to its closing one."""
    start = None
    for number, line in enumerate(text.split("\n")):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start - 1
            start = None


def check_sizes(files, breaches):
    functions = []
    for path, text in files.items():
        if text.count("\n") > FILE_LINES_MAX:
            breaches.append(f"{path}: {text.count(chr(10))} lines, at most {FILE_LINES_MAX}")
        if path.endswith(".c"):
            functions += [(length, f"{path}:{start}") for start, length in function_lengths(text)]
    functions.sort(reverse=True)
    long = [f for f in functions if f[0] > LONG_FUNCTION_LINES]
    if functions and len(long) > LONG_FUNCTION_SHARE_MAX * len(functions):
        breaches.append(f"{len(long)} of {len(functions)} functions are over {LONG_FUNCTION_LINES} lines")
    breaches += [f"{where}: a function of {length} lines, at most {LONGEST_FUNCTION_MAX}"
                 for length, where in functions if length > LONGEST_FUNCTION_MAX]
    if functions:
        print(f"{len(functions)} functions, median {functions[len(functions) // 2][0]} lines, longest {functions[0]}")


def check_headers_alone(root, headers, breaches):
    for header in headers:
        done = subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", f"-I{root}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                               "-x", "c", "-"], input=f'#include "{header}"\n', text=True, capture_output=True)
        if done.returncode != 0:
            breaches.append(f"{header} does not compile alone:\n{done.stderr}")


def check_packages(root, breaches):
    """What the build requires is installed by deploy/deps without --dev: a machine that has it already hides that."""
    listed = subprocess.run([root / "deploy/deps", "--list"], text=True, capture_output=True, check=True).stdout.split()
    brought = subprocess.run(["dpkg-query", "-W", "-f", "${Depends} ", *listed], text=True, capture_output=True).stdout
    listed += re.findall(r"[a-z0-9][a-z0-9.+-]+", brought)
    modules = re.findall(r"pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET (\S+)\)", (root / "CMakeLists.txt").read_text())
    for module in modules:
        folder = subprocess.run(["pkg-config", "--variable=pcfiledir", module], text=True, capture_output=True).stdout.strip()
        file = pathlib.Path(folder, f"{module}.pc").resolve()
        owner = subprocess.run(["dpkg", "-S", file], text=True, capture_output=True).stdout.split(":")[0]
        if owner not in listed:
            breaches.append(f"deploy/deps: {owner or 'the package'} of {module}, which CMakeLists.txt requires, is not in its list")


def check_names(files, breaches):
    """A name is defined once: of two libraries with the same function the linker takes either, without a word."""
    homes = {}
    for path, text in files.items():
        for found in re.finditer(r"^(?!static |typedef |return |else )[a-z][\w ]*[ *](\w+)\([^;{]*\)\n\{", text, re.M):
            homes.setdefault(found.group(1), set()).add(path)
    breaches += [f"{name}() is in {' and in '.join(sorted(paths))}" for name, paths in homes.items()
                 if len(paths) > 1 and name != "main"]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = {}
    for top in ROOMS + ("tests",):
        for file in sorted((root / top).rglob("*")):
            if file.suffix in (".c", ".h", ".py", ".sh", ".txt", ".cmake", ".md") or (file.is_file() and not file.suffix):
                if file.is_file() and "corpus" not in file.parts and "golden" not in file.parts[:-1]:
                    files[str(file.relative_to(root))] = file.read_text(errors="replace")
    breaches = []
    for path, text in files.items():
        if path.startswith(ROOMS) and path.endswith((".c", ".h")):
            check_includes(root, path, text, breaches)
        if path != "tests/style/check.py":
            for number, line in enumerate(text.split("\n"), 1):
                if FORBIDDEN.search(line):
                    breaches.append(f"{path}:{number}: {line.strip()[:100]}")
    check_sizes({p: t for p, t in files.items() if p.endswith((".c", ".h"))}, breaches)
    check_packages(root, breaches)
    check_names({p: t for p, t in files.items() if p.startswith(ROOMS) and p.endswith(".c")}, breaches)
    check_headers_alone(root, [p for p in files if p.endswith(".h") and p.startswith(ROOMS)], breaches)
    print("\n".join(breaches) or f"{len(files)} files: in order")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
