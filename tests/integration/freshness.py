#!/usr/bin/python3
"""A new cover is found by image within a second of its acknowledgement, also during a rebuild; a removed one is gone
within a second, also when no descriptor worker runs. The second is generous to a busy machine by its median only."""
import statistics
import time

import fleet as f


def time_until(condition, seconds, what):
    started = time.monotonic()
    f.wait_for(condition, seconds, what)
    return time.monotonic() - started


def appears_and_goes(folder):
    rows = f.samples(folder / "covers", 400)
    covers = folder / "covers"
    fresh = f.samples(folder / "fresh", 12, seed=99)
    with f.Fleet(folder / "home") as fleet:
        fleet.ok("push", "--table", covers / "samples.tsv", "--root", covers, "--wait")
        found, gone = [], []
        for i, row in enumerate(fresh):
            picture = folder / "fresh" / row["cover"]
            if i % 2:
                fleet.ok("index", "rebuild")
            fleet.ok("push", f"fresh-{i}={picture}")
            found.append(time_until(lambda: any(n["album"] == f"fresh-{i}" for n in fleet.neighbors("--image", picture, "-k", 3)),
                                    10, f"fresh-{i} to be found"))
        for name in ("descriptor-0", "descriptor-1"):
            fleet.kill(name)
        for i, row in enumerate(fresh):
            picture = folder / "fresh" / row["cover"]
            fleet.ok("remove", f"fresh-{i}")
            gone.append(time_until(lambda: all(n["album"] != f"fresh-{i}" for n in fleet.neighbors("--image", picture, "-k", 3)),
                                   10, f"fresh-{i} to be gone"))
        # A query worker that starts anew learns of the removals that no shard knows yet.
        fleet.restart("query-0")
        f.wait_for(lambda: any(w["name"] == "query-0" for w in fleet.status()["workers"]), 20, "the query worker")
        near = fleet.neighbors(rows[0]["album"], "-k", 500)
        assert not any(n["album"].startswith("fresh-") for n in near), "a removed album came back with the restart"
        fleet.start("descriptor-0")
        f.wait_for(lambda: fleet.counts()["removed"] == 12 and not fleet.ok("queue", "list", "--json").json()["jobs"], 30,
                   "the tombstones to reach a shard")
        near = fleet.neighbors(rows[0]["album"], "-k", 500)
        assert not any(n["album"].startswith("fresh-") for n in near)
        print(f"  found after {statistics.median(found) * 1000:.0f} ms (most {max(found) * 1000:.0f}), "
              f"gone after {statistics.median(gone) * 1000:.0f} ms (most {max(gone) * 1000:.0f})", flush=True)


def known_when_described(folder):
    """What `push --wait` calls described can be asked for by its id at once."""
    rows = f.samples(folder / "covers", 24)
    with f.Fleet(folder / "home", config="query { poll_ms = 1000 }\n") as fleet:
        for row in rows:
            fleet.ok("push", f"{row['album']}={folder / 'covers' / row['cover']}", "--wait")
            fleet.ok("query", row["album"])


if __name__ == "__main__":
    f.main([appears_and_goes, known_when_described])
