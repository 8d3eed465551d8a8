#!/usr/bin/python3
"""One cover at a time through an idle fleet: from the start of `coverfleet push --wait` until it says described.

    COVERFLEET_BIN=build/release/bin tests/bench/latency.py COVERS [--pushes 50]

Each push is a process of its own, so its start is in the time; the time of `coverfleet status`, which asks the broker
once, is printed beside it. Nothing here passes or fails."""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import fleet as f  # noqa: E402


def timed(fleet, *words):
    began = time.monotonic()
    fleet.ok(*words)
    return (time.monotonic() - began) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("covers")
    parser.add_argument("--pushes", type=int, default=50)
    options = parser.parse_args()
    files = sorted(p.resolve() for p in pathlib.Path(options.covers).iterdir() if p.is_file())
    with f.Fleet(descriptors=1, queries=0, indexers=0) as fleet:
        fleet.ok("push", f"warm={files[-1]}", "--wait")
        pushes = sorted(timed(fleet, "push", f"a{i}={files[i % len(files)]}", "--wait") for i in range(options.pushes))
        asks = sorted(timed(fleet, "status") for _ in range(options.pushes))
        assert fleet.counts()["described"] == options.pushes + 1, fleet.counts()
    for name, times in (("push to described", pushes), ("status", asks)):
        print(f"{name}: median {statistics.median(times):.1f} ms, {times[0]:.1f} to {times[-1]:.1f}, "
              f"nine in ten below {times[len(times) * 9 // 10]:.1f}")


if __name__ == "__main__":
    main()
