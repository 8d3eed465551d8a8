#!/usr/bin/python3
"""A shard that is damaged on disk costs no album for good: no index is published without its covers, answers say that
something is missing, and everything heals when the files do."""
import struct

import fleet as f

COVERS = 40


def xor_every(path, step):
    data = bytearray(path.read_bytes())
    for i in range(0, len(data), step):
        data[i] ^= 0x55
    data[-64:] = bytes(byte ^ 0x55 for byte in data[-64:])  # where a table says what is where
    path.write_bytes(data)


def shard(fleet, name):
    return fleet.home / "data/shards" / name


def generations(fleet):
    return {i["space"]: i["generation"] for i in fleet.status()["indexes"]}


def push_all(fleet, folder, seed=1):
    rows = f.samples(folder, COVERS, seed)
    fleet.ok("push", "--table", folder / "samples.tsv", "--root", folder, "--wait")
    return rows


def log_lines(fleet, name, event):
    text = (fleet.home / "test-logs" / name).read_text(errors="replace")
    return [line for line in text.split("\n") if f"event={event} " in line]


def the_index_outlives_a_damaged_table(folder):
    with f.Fleet(folder / "home") as fleet:
        rows = push_all(fleet, folder / "covers")
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["indexed"] == COVERS, 30, "everything to be indexed")
        before = generations(fleet)
        fleet.stop()
        fleet.start_all()  # what lay in a log lies in tables now
        fleet.stop()
        tables = sorted(shard(fleet, "descriptor-0").glob("*.sst"), key=lambda p: p.stat().st_size)
        assert tables, "no tables"
        whole = tables[-1].read_bytes()
        xor_every(tables[-1], 2048)
        for name in fleet.names:
            if name != "descriptor-0":
                fleet.start(name)
        f.wait_for(lambda: fleet.status() and len(fleet.status()["workers"]) >= len(fleet.names) - 2, 30, "the others")
        fresh = f.samples(folder / "fresh", 1, seed=99)[0]
        fleet.ok("push", f"fresh={folder / 'fresh' / fresh['cover']}", "--wait")
        for _ in range(3):
            fleet.ok("index", "rebuild")
        f.wait_for(lambda: log_lines(fleet, "indexer-0", "shard_unreadable"), 30, "the indexer to say what is wrong")
        assert any("descriptor-0" in line for line in log_lines(fleet, "indexer-0", "shard_unreadable"))
        assert generations(fleet) == before, (before, generations(fleet))
        answer = fleet.ok("query", rows[0]["album"], "-k", 100, "--exact", "--json").json()
        assert len(answer["neighbors"]) == COVERS, len(answer["neighbors"])  # all others: 39, and the fresh one
        assert not answer["exact"] and answer["unreadable_shards"] == 1, answer
        assert "WARNING" in fleet.ok("query", rows[0]["album"]).out
        missing = fleet.run("query", "never-heard-of", "--json")
        assert missing.code != 0 and "descriptor-0" in missing.err + missing.out, missing.err + missing.out
        pids = {w["name"]: w["pid"] for w in fleet.status()["workers"]}
        tables[-1].write_bytes(whole)
        fleet.start("descriptor-0")
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: generations(fleet)["gist"] > before["gist"], 40, "the index to move on")
        f.wait_for(lambda: fleet.counts()["indexed"] == COVERS + 1, 40, "everything to be indexed again")
        healed = f.wait_for(lambda: next((a for a in [fleet.ok("query", rows[0]["album"], "-k", 100, "--exact",
                                                              "--json").json()] if a["exact"]), None), 30,
                            "an exact answer")
        assert len(healed["neighbors"]) == COVERS and "unreadable_shards" not in healed, healed
        assert {w["name"]: w["pid"] for w in fleet.status()["workers"] if w["name"] in pids} == pids, "a worker died"


def a_shard_that_cannot_be_opened_is_told(folder):
    """Without any index, too; and the query worker lives on."""
    with f.Fleet(folder / "home", indexers=0) as fleet:
        rows = push_all(fleet, folder / "covers")
        everything = fleet.ok("query", "--image", folder / "covers" / rows[0]["cover"], "-k", 100, "--exact",
                              "--json").json()
        assert everything["exact"] and len(everything["neighbors"]) == COVERS
        fleet.kill("query-0")
        fleet.kill("descriptor-1")
        manifest = next(shard(fleet, "descriptor-1").glob("MANIFEST-*"))
        whole = manifest.read_bytes()
        manifest.write_bytes(b"garbage\n")
        fleet.start("query-0")
        def answer():
            result = fleet.run("query", "--image", folder / "covers" / rows[0]["cover"], "-k", 100, "--exact", "--json")
            return result.json() if result.code == 0 else None
        partial = f.wait_for(answer, 30, "the query worker")
        assert len(partial["neighbors"]) < COVERS, "the damage did no harm"
        assert not partial["exact"] and partial["unreadable_shards"] == 1, partial
        found = {n["album"] for n in partial["neighbors"]}
        lost = next(r["album"] for r in rows if r["album"] not in found)
        result = fleet.run("query", lost, "--json")
        assert result.code != 0 and "descriptor-1" in result.err + result.out, result.err + result.out
        assert "not_found" not in result.err + result.out, result.err + result.out
        manifest.write_bytes(whole)
        f.wait_for(lambda: (lambda a: a and a["exact"] and len(a["neighbors"]) == COVERS)(answer()), 30, "the shard to come back")
        fleet.ok("query", lost)
        assert set(fleet.alive()) >= {"query-0", "broker", "descriptor-0"}


def deleted_index_files_come_back(folder):
    with f.Fleet(folder / "home") as fleet:
        push_all(fleet, folder / "covers")
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["indexed"] == COVERS, 30, "everything to be indexed")
        before = generations(fleet)["gist"]
        for path in (fleet.home / "data/index/gist").iterdir():
            path.unlink()
        f.wait_for(lambda: generations(fleet)["gist"] > before, 30, "the index to be built again")
        assert list((fleet.home / "data/index/gist").glob("*.idx"))


def too_long_a_vector(folder):
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        path = folder / "vector.f32"
        length = len(f.describe(folder / "covers" / f.samples(folder / "covers", 1)[0]["cover"], "gist"))
        path.write_bytes(struct.pack(f"<{length}f", *[3e38] * length))
        result = fleet.run("query", "--vector", path, "--json")
        assert result.code != 0 and "long" in result.err + result.out, result.err + result.out


if __name__ == "__main__":
    f.main([the_index_outlives_a_damaged_table, a_shard_that_cannot_be_opened_is_told, deleted_index_files_come_back,
            too_long_a_vector])
