#!/usr/bin/python3
"""A whole fleet under load, with and without full rebuilds: imports vectors, waits for the index, runs fleet_load.

    COVERFLEET_BIN=build/release/bin tests/bench/fleet_load.py [--vectors X.fvecs|X.npy] [--count 500000] [--covers FOLDER]
        [--descriptors 1] [--queries 1] [--config "indexer { threads = 1 }"]
        [-- what fleet_load takes: --seconds 30 --rebuild-every 5s …]

Vectors are those of the file (gist), again and again with 2 % of noise until there are --count of them; without a file,
random ones. Covers are the pictures of a folder; without one, 300 drawn samples. The program fleet_load (target of that
name, tests/bench/fleet_load/main.c) lies beside the bin folder. The import is measured too. A fleet describes and indexes every
cover in all of its spaces, and only gist is asked here: what that one costs, --config "descriptor { spaces = {gist} }" tells.
Nothing here passes or fails, but the exit code is 1 when a query failed or a cover was not found."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import fleet as f  # noqa: E402

DIM, BLOCK = 960, 20000


def rows_of(path):
    import numpy
    if path is None:
        return numpy.random.default_rng(1).random((BLOCK, DIM), dtype=numpy.float32)
    if path.endswith(".npy"):
        return numpy.load(path, mmap_mode="r")
    return numpy.memmap(path, "<f4", "r").reshape(-1, DIM + 1)[:, 1:]


def make_vectors(folder, path, count):
    import numpy
    rows, random = rows_of(path), numpy.random.default_rng(1)
    out = numpy.lib.format.open_memmap(folder / "vectors.npy", "w+", numpy.float32, (count, DIM))
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        block = numpy.array(rows[numpy.arange(first, last) % len(rows)])
        if last > len(rows):
            block *= 1 + 0.02 * random.standard_normal(block.shape, dtype=numpy.float32)
        out[first:last] = block
    out.flush()
    (folder / "ids.tsv").write_text("album\n" + "".join(f"v{i:08d}\n" for i in range(count)))


def wait_indexed(fleet, count, seconds):
    def indexed():
        indexes = fleet.ok("index", "status", "--json").json()["indexes"]
        gist = [i for i in indexes if i["space"] == "gist"]
        return gist and gist[0]["count"] >= count and gist[0]
    return f.wait_for(indexed, seconds, f"{count} albums to be indexed")


def cpu_of(fleet):
    """Seconds of processor time so far, by process; a decoder counts for itself."""
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = {}
    for name, process in fleet.processes.items():
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        seconds[name] = (int(fields[11]) + int(fields[12])) / ticks
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors")
    parser.add_argument("--count", type=int, default=500000)
    parser.add_argument("--covers")
    parser.add_argument("--descriptors", type=int, default=1)
    parser.add_argument("--queries", type=int, default=1, help="query workers")
    parser.add_argument("--config", default="")
    parser.add_argument("--wait", type=int, default=900, help="seconds that the index may take")
    parser.add_argument("rest", nargs="*", help="after --: options of fleet_load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cf-load-") as name:
        folder = pathlib.Path(name)
        make_vectors(folder, options.vectors, options.count)
        covers = options.covers
        if not covers:
            f.samples(folder / "samples")
            covers = folder / "samples"
        with f.Fleet(folder / "home", config=options.config, descriptors=options.descriptors,
                     queries=options.queries) as fleet:
            began = time.monotonic()
            fleet.ok("vectors", "import", folder / "vectors.npy", "--ids", folder / "ids.tsv", timeout=3600)
            imported = time.monotonic() - began
            print(f"{options.count} vectors imported in {imported:.1f} s, {options.count / imported:.0f}/s", flush=True)
            fleet.ok("index", "rebuild", "--space", "gist")
            index = wait_indexed(fleet, options.count, options.wait)
            print(f"indexed {time.monotonic() - began - imported:.1f} s later: {index}", flush=True)
            began, before = time.monotonic(), cpu_of(fleet)
            done = subprocess.run([f.BIN.parent / "bench/fleet_load", "--ids", folder / "ids.tsv", "--vectors",
                                   folder / "vectors.npy", "--covers", covers, *options.rest], env=fleet.env)
            elapsed, after = time.monotonic() - began, cpu_of(fleet)
            shares = ", ".join(f"{name} {(after[name] - before[name]) / elapsed:.0%}" for name in after)
            print(f"of one processor: {shares}, without the decoders; load of the machine "
                  f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
            print(f"albums at the end: {fleet.counts()}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
