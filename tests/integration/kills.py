#!/usr/bin/python3
"""Promise 1 under kill -9: every acknowledged album ends described or dead-lettered, none twice, queries right.

Usage: kills.py            each role killed in mid-ingest
       kills.py --storm S  two descriptor workers killed at random every second for S seconds while albums arrive
"""
import concurrent.futures
import pathlib
import random
import sys
import tempfile
import time

import fleet as f


def push_in_background(pool, fleet, covers, *more):
    return pool.submit(fleet.run, "push", "--table", covers / "samples.tsv", "--root", covers, "--wait", "--json", *more)


def check_all_there(fleet, rows):
    counts = fleet.wait_settled(len(rows))
    assert counts["described"] + counts["indexed"] == len(rows), counts
    assert counts["dead"] == 0 and counts["removed"] == 0, counts
    listed = fleet.ok("query", rows[0]["album"], "-k", 1000, "--exact", "--json").json()["neighbors"]
    albums = [n["album"] for n in listed]
    assert len(albums) == len(set(albums)), "an album is answered twice"
    assert set(albums) == {r["album"] for r in rows[1:]}, "the answer misses albums"


def kill_each_role(folder):
    rows = f.samples(folder / "covers", 600)
    for victims in (["descriptor-0"], ["broker"], ["query-0"], ["indexer-0"], ["broker", "descriptor-0", "descriptor-1"]):
        home = folder / f"home-{'-'.join(victims)}"
        with f.Fleet(home) as fleet, concurrent.futures.ThreadPoolExecutor() as pool:
            pushed = push_in_background(pool, fleet, folder / "covers")
            for round_number in range(3):
                at_least = 100 * (round_number + 1)
                f.wait_for(lambda: pushed.done() or (fleet.counts() or {"described": 0, "indexed": 0})["described"]
                           + (fleet.counts() or {"indexed": 0})["indexed"] >= at_least, 60, "progress")
                for victim in victims:
                    fleet.kill(victim)
                for victim in victims:
                    fleet.start(victim)
            done = pushed.result(timeout=120)
            assert done.code == 0, done.err
            said = done.json()
            assert said["accepted"] + said["unchanged"] == 600 and said["refused"] == said["dead"] == 0, said
            fleet.wait_ready()
            check_all_there(fleet, rows)
            assert sorted(fleet.alive()) == sorted(fleet.names)
        print(f"  killed {', '.join(victims)}: 600 of 600", flush=True)


def storm(folder, seconds, rate=50, seed=7):
    """The covers come from the real table when it is there, else they are drawn."""
    shared = f.shared()
    if shared:
        table = (shared / "data/albums.tsv").read_text().rstrip("\n").split("\n")[1:]
        covers = [(line.split("\t")[0], shared / "data" / line.split("\t")[1]) for line in table]
    else:
        covers = [(r["album"], folder / "covers" / r["cover"]) for r in f.samples(folder / "covers", rate * seconds)]
    rng = random.Random(seed)
    with f.Fleet(folder / "home") as fleet, concurrent.futures.ThreadPoolExecutor() as pool:
        started, next_kill, kills, pushes, sent = time.monotonic(), 1.0, 0, [], 0
        while (now := time.monotonic() - started) < seconds or sent < len(covers):
            due = min(len(covers), int(now * rate))
            if due - sent >= rate // 2 or (due == len(covers) and sent < due):
                pairs = [f"{album}={path}" for album, path in covers[sent:due]]
                pushes.append(pool.submit(fleet.run, "push", *pairs, "--json"))
                sent = due
            if now >= next_kill and now < seconds:
                victim = rng.choice(["descriptor-0", "descriptor-1"])
                fleet.kill(victim)
                fleet.start(victim)
                kills, next_kill = kills + 1, next_kill + 1.0
            time.sleep(0.02)
        accepted = sum(p.result().json()["accepted"] for p in pushes)
        assert accepted == len(covers), f"{accepted} of {len(covers)} accepted"
        counts = fleet.wait_settled(len(covers), 180)
        assert counts["dead"] == 0, counts
        assert counts["described"] + counts["indexed"] == len(covers), counts
        fleet.wait_ready()
        albums = [n["album"] for n in fleet.neighbors(covers[0][0], "-k", 1000)]
        assert len(albums) == len(set(albums))
        print(f"  {kills} kills, {accepted} acknowledged, {counts}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--storm"]:
        with tempfile.TemporaryDirectory(prefix="cf-storm-", ignore_cleanup_errors=True) as place:
            storm(pathlib.Path(place), int(sys.argv[2]))
    else:
        f.main([kill_each_role])
