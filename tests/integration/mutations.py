#!/usr/bin/python3
"""Damaged pictures in bulk through a running fleet: bit flips, truncations, splices of every kind that it decodes.
No process dies, none grows without bound, every picture is accounted for, and a good cover is still described.

Usage: mutations.py [--count N]    default 2,000
"""
import pathlib
import random
import sys
import tempfile
import time

import fleet as f

CHUNK = 2000
RSS_GROWTH_MAX = 400 << 20


def sources():
    """Pictures to damage: the fuzz corpus, and real ones of every kind where they are at hand."""
    found = sorted(p for p in (f.ROOT / "tests/fuzz/corpus/image").iterdir() if p.is_file())
    shared = f.shared()
    if shared:
        found += sorted(p for p in (shared / "data/odd").iterdir() if p.stat().st_size < 60_000)
        found += sorted((shared / "data/covers").iterdir())[:60]
    return [p.read_bytes() for p in found if p.stat().st_size > 20]


def mutate(rng, pictures):
    data = bytearray(rng.choice(pictures))
    how = rng.randrange(4)
    if how == 0:
        for _ in range(rng.choice((1, 2, 5, 20, 200))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del data[rng.randrange(1, len(data)):]
    elif how == 2:
        other = rng.choice(pictures)
        at = rng.randrange(len(data))
        data[at:] = other[rng.randrange(len(other)):]
    else:
        at, length = rng.randrange(len(data)), rng.randrange(1, 64)
        data[at:at + length] = rng.randbytes(length)
    return bytes(data)


def memory(fleet):
    """Resident bytes of each process of the fleet, its children in it."""
    total = {}
    for name, process in fleet.processes.items():
        pids, size = [process.pid], 0
        while pids:
            pid = pids.pop()
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                size += next(int(line.split()[1]) << 10 for line in status.split("\n") if line.startswith("VmRSS"))
                pids += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except (OSError, StopIteration):
                continue
        total[name] = size
    return total


def storm(folder, count, seed=11):
    rng, pictures = random.Random(seed), sources()
    good = f.samples(folder / "covers", 12)
    folder.joinpath("chunk").mkdir()
    said = {"described": 0, "dead": 0, "refused": 0}
    with f.Fleet(folder / "home") as fleet:
        pids = {name: process.pid for name, process in fleet.processes.items()}
        first, made, started = None, 0, time.monotonic()
        while made < count:
            for old in folder.joinpath("chunk").iterdir():
                old.unlink()
            for _ in range(min(CHUNK, count - made)):
                (folder / "chunk" / f"m{made}.bin").write_bytes(mutate(rng, pictures))
                made += 1
            result = fleet.run("push", folder / "chunk", "--wait", "--json", timeout=600)
            assert result.code in (0, 1, 4), result.err
            for key in said:
                said[key] += result.json()[key]
            first = first or memory(fleet)
            if made % 10000 == 0:
                print(f"  {made}: {said}, {made / (time.monotonic() - started):.0f}/s", flush=True)
        counts = fleet.counts()
        assert sum(said.values()) == count, f"{count} pushed, {said}"
        assert counts["dead"] == said["dead"] and counts["described"] + counts["indexed"] == said["described"], (counts, said)
        assert counts["queued"] == counts["leased"] == counts["delayed"] == 0, counts
        assert {name: process.pid for name, process in fleet.processes.items()} == pids
        assert sorted(fleet.alive()) == sorted(fleet.names), "a process of the fleet died"
        grown = {name: size - first[name] for name, size in memory(fleet).items()}
        # Query and index workers hold what is described; the others must not grow with what passes through.
        assert all(grown[name] < RSS_GROWTH_MAX for name in grown if name.startswith(("broker", "descriptor"))), grown
        fleet.ok("push", f"good={folder / 'covers' / good[0]['cover']}", "--wait")
        print(f"  {count} mutated: {said}; growth in MB {({n: s >> 20 for n, s in grown.items()})}", flush=True)


if __name__ == "__main__":
    wanted = int(sys.argv[2]) if sys.argv[1:2] == ["--count"] else 2000
    with tempfile.TemporaryDirectory(prefix="cf-mutations-", ignore_cleanup_errors=True) as place:
        storm(pathlib.Path(place), wanted)
