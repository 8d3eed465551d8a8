#!/usr/bin/python3
"""A whole descriptor worker against the sum of its parts, and two against one, with the fleet around them.

    COVERFLEET_BIN=build/release/bin tests/bench/worker.py COVERS [--albums 60000] [--repeat 3] [--bytes] [--json]

COVERS is a folder of pictures, repeated under new album ids until there are --albums of them. A repetition measures the
parts alone (the program worker_parts beside the bin folder, target of that name), then a real fleet with one worker, then
one with two: everything is pushed while the queue is paused, and the clock runs from resume until the last album is
described. CPU time is that of the worker with its keeper and decoder, from /proc. Medians are printed. Nothing here
passes or fails."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import fleet as f  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def stat_of(pid):
    """(parent, seconds of CPU) of a process, or None."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def cpu_of_family(root):
    """Seconds of CPU of a process and of its living descendants."""
    stats = {int(p.name): stat_of(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()}
    stats = {pid: stat for pid, stat in stats.items() if stat}
    family = {root}
    while True:
        more = {pid for pid, (parent, _) in stats.items() if parent in family} - family
        if not more:
            return sum(stats[pid][1] for pid in family if pid in stats)
        family |= more


def switches_of(pid):
    """Context switches of all threads of a process."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def pictures(folder):
    return sorted(str(p.resolve()) for p in pathlib.Path(folder).iterdir() if p.is_file())


def parts(files, repeat):
    program = f.BIN.parent / "bench/worker_parts"
    with tempfile.TemporaryDirectory(prefix="cf-bench-") as scratch:
        done = subprocess.run([program, scratch, str(repeat), *files], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def fleet_run(options, files, workers):
    root = str(pathlib.Path(options.covers).resolve())
    config = f'descriptor {{ roots = {{"{root}"}}\n{options.config} }}\n'
    with f.Fleet(config=config, descriptors=workers, queries=0, indexers=0) as fleet:
        fleet.ok("queue", "pause")
        lines = "".join(f"a{i:07d}\t{files[i % len(files)]}\n" for i in range(options.albums))
        way = [] if options.bytes else ["--by-path"]
        pushed = fleet.ok("push", "-", "--json", *way, stdin=lines, timeout=3600).json()
        assert pushed["accepted"] == options.albums, pushed
        pids = [p.pid for n, p in fleet.processes.items() if n.startswith("descriptor")]
        broker = fleet.processes["broker"].pid

        def cpu():
            return sum(map(cpu_of_family, pids)), cpu_of_family(broker)

        began, (workers_cpu, broker_cpu) = time.monotonic(), cpu()
        switches = sum(map(switches_of, pids))
        fleet.ok("queue", "resume")
        while True:
            time.sleep(0.2)
            counts = fleet.counts()
            if counts["described"] + counts["dead"] >= options.albums:
                break
        seconds = time.monotonic() - began
        workers_after, broker_after = cpu()
        assert counts["dead"] <= options.dead, counts
        return {"covers_per_s": options.albums / seconds, "seconds": seconds,
                "cpu_us": (workers_after - workers_cpu) / options.albums * 1e6,
                "broker_cpu_us": (broker_after - broker_cpu) / options.albums * 1e6,
                "switches": (sum(map(switches_of, pids)) - switches) / options.albums}


def repetition(options, files):
    part = parts(files, options.rounds)
    one = fleet_run(options, files, 1)
    two = fleet_run(options, files, 2)
    names = ("decode", "describe", "write")
    sum_cpu, sum_wall = (sum(part[n][key] for n in names) for key in ("cpu_us", "wall_us"))
    return {"decode_us": part["decode"]["cpu_us"], "describe_us": part["describe"]["cpu_us"],
            "write_us": part["write"]["cpu_us"], "write_wall_us": part["write"]["wall_us"],
            "hash_us": part["hash"]["cpu_us"], "sum_us": sum_cpu,
            "child_cost": part["child"]["cpu_us"] / part["decode"]["cpu_us"] - 1,
            "one_covers_per_s": one["covers_per_s"], "one_cpu_us": one["cpu_us"], "one_switches": one["switches"],
            "one_seconds": one["seconds"], "broker_cpu_us": one["broker_cpu_us"],
            "two_covers_per_s": two["covers_per_s"], "two_cpu_us": two["cpu_us"],
            "share_of_parts_wall": one["covers_per_s"] * sum_wall / 1e6, "share_of_parts_cpu": sum_cpu / one["cpu_us"],
            "two_vs_one_cpu": one["cpu_us"] / two["cpu_us"]}


ROWS = [("decode alone, µs CPU a cover", "decode_us", "{:.0f}", ""),
        ("describe alone (both spaces), µs CPU", "describe_us", "{:.0f}", ""),
        ("synced write alone, batches of 64, µs CPU", "write_us", "{:.0f}", ""),
        ("SHA-256 alone, µs CPU (not in the sum)", "hash_us", "{:.1f}", ""),
        ("sum of parts, µs CPU", "sum_us", "{:.0f}", ""),
        ("decoding in the sandboxed child costs more by", "child_cost", "{:.1%}", "< 5 %"),
        ("one worker, covers/s", "one_covers_per_s", "{:.0f}", ""),
        ("one worker, µs CPU a cover with its child", "one_cpu_us", "{:.0f}", ""),
        ("one worker, context switches a cover", "one_switches", "{:.2f}", ""),
        ("broker, µs CPU a cover", "broker_cpu_us", "{:.0f}", ""),
        ("one worker of what the sum of parts allows, covers/s", "share_of_parts_wall", "{:.0%}", ">= 85 %"),
        ("one worker of what the sum of parts allows, by CPU time", "share_of_parts_cpu", "{:.0%}", ">= 85 %"),
        ("two workers, covers/s", "two_covers_per_s", "{:.0f}", ""),
        ("two workers, µs CPU a cover", "two_cpu_us", "{:.0f}", ""),
        ("two workers of one, covers per CPU-second", "two_vs_one_cpu", "{:.0%}", ">= 90 %")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("covers")
    parser.add_argument("--albums", type=int, default=60000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="of the parts, in each repetition")
    parser.add_argument("--bytes", action="store_true", help="push the bytes, not the paths")
    parser.add_argument("--dead", type=int, default=0, help="how many may be refused")
    parser.add_argument("--config", default="", help="more settings of the section descriptor")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = pictures(options.covers)
    runs = []
    for i in range(options.repeat):
        runs.append(repetition(options, files))
        print(f"repetition {i + 1} of {options.repeat} done", file=sys.stderr, flush=True)
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if options.json:
        print(json.dumps({"albums": options.albums, "repeat": options.repeat, "median": medians, "runs": runs}))
        return
    print("| | median | of all | aim |\n|---|---|---|---|")
    for text, key, form, aim in ROWS:
        values = sorted(run[key] for run in runs)
        print(f"| {text} | {form.format(medians[key])} | {form.format(values[0])} to {form.format(values[-1])} | {aim} |")


if __name__ == "__main__":
    main()
