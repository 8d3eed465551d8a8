#!/usr/bin/python3
"""A fleet that gains spaces: albums at rest get their vectors from their thumbnails, each once, while pushes and queries
go on and workers are killed; a shard whose slot was removed is done too."""

import signal
import subprocess

import numpy

import fleet as f

OLD = "descriptor {\n  spaces = {gray16, gist}\n  workers = 2\n}\n"


def start_anew(fleet, config="", names=None):
    """Down and up again, as after a change of the configuration."""
    fleet.stop()
    (fleet.home / "coverfleet.conf").write_text(config)
    fleet.names = names or fleet.names
    fleet.start_all()


def exported(fleet, folder, space):
    file, ids = folder / f"{space}.npy", folder / f"{space}.tsv"
    counts = fleet.ok("vectors", "export", "--space", space, "--out", file, "--ids", ids, "--json").json()
    names = ids.read_text().rstrip("\n").split("\n")[1:]
    assert len(set(names)) == len(names) == counts["exported"], counts
    return dict(zip(names, numpy.load(file))), counts


def push(fleet, covers, rows, **options):
    pairs = "".join(f"{row['album']}={covers / row['cover']}\n" for row in rows)
    return fleet.ok("push", "-", "--wait", "--json", stdin=pairs, **options).json()


def import_some(fleet, folder, count):
    numpy.save(folder / "in.npy", numpy.random.default_rng(1).standard_normal((count, 960), dtype=numpy.float32))
    (folder / "in.tsv").write_text("album\n" + "".join(f"given-{i}\n" for i in range(count)))
    fleet.ok("vectors", "import", "--space", "gist", folder / "in.npy", "--ids", folder / "in.tsv")


def hide(covers, rows):
    """So that nobody can fetch them again."""
    for name in {row["cover"] for row in rows}:
        (covers / name).rename(covers / f"{name}.hidden")


def show(covers, rows):
    for name in {row["cover"] for row in rows}:
        (covers / f"{name}.hidden").rename(covers / name)


def progress(fleet):
    return fleet.ok("redescribe", "--status", "--json").json()


def check_vectors(fleet, folder, covers, rows, given):
    """Every album has each vector once, and the one that a first description would have given it."""
    for space in ("copy", "style"):
        vectors, counts = exported(fleet, folder, space)
        assert sorted(vectors) == sorted(row["album"] for row in rows), space
        assert counts["not_described"] == given, counts
        for row in rows[:: len(rows) // 12]:
            assert numpy.array_equal(vectors[row["album"]], f.describe(covers / row["cover"], space)), row
    assert len(exported(fleet, folder, "gist")[0]) == len(rows) + given


def check_queries(fleet, covers, rows):
    for row in rows[:: len(rows) // 8]:
        hits = fleet.neighbors("--image", covers / row["cover"], "--space", "copy", "-k", "1")
        assert hits[0]["album"] == row["album"] and hits[0]["distance"] < 1e-3, (row, hits)
        assert fleet.neighbors(row["album"], "--space", "style", "-k", "3", "--exact")


def gained_while_it_works(folder):
    rows = f.samples(folder / "covers", 1000)
    covers = folder / "covers"
    old, fresh = rows[:900], rows[900:]
    with f.Fleet(folder / "home", config=OLD) as fleet:
        assert push(fleet, covers, old)["described"] == 900
        import_some(fleet, folder, 5)
        fleet.ok("index", "rebuild")
        refused = fleet.run("query", old[0]["album"], "--space", "copy")
        assert refused.code in (1, 2) and "gray16, gist" in refused.err, refused.err
        assert fleet.run("redescribe", "--space", "copy").code == 2

        hide(covers, old)
        start_anew(fleet)
        assert fleet.run("query", old[0]["album"], "--space", "copy").code == 1  # not described there yet
        assert fleet.neighbors(old[0]["album"], "--space", "gist", "-k", "3")
        order = fleet.ok("redescribe", "--json").json()
        assert not order["finished"] and order["spaces"] == ["gray16", "gist", "copy", "style", "cf"], order
        f.wait_for(lambda: progress(fleet)["done"] >= 16, 60, "the first albums to be described again")
        fleet.restart("descriptor-0")
        assert push(fleet, covers, fresh)["described"] == 100
        assert fleet.neighbors(old[0]["album"], "--space", "gist", "-k", "3")
        fleet.restart("broker")
        fleet.wait_ready()
        done = fleet.ok("redescribe", "--status", "--wait", "--json").json()
        assert done["finished"] and done["order"] == order["order"], done
        show(covers, old)
        assert done["no_thumbnail"] == 5 and done["failed"] == 0, done
        check_vectors(fleet, folder, covers, rows, 5)
        check_queries(fleet, covers, rows)
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: all(i["tail"] == 0 for i in fleet.status()["indexes"]), 60, "all to be indexed")

        def indexed():
            counts = {i["space"]: i["count"] for i in fleet.status()["indexes"]}
            return counts == {"gray16": 1000, "gist": 1005, "copy": 1000, "style": 1000}
        f.wait_for(indexed, 60, "every index to hold every album once")
        check_queries(fleet, covers, rows)
        # Once more changes nothing, and takes nothing but a look.
        again = fleet.ok("redescribe", "--wait", "--json").json()
        assert again["finished"] and again["done"] == 0 and again["order"] > order["order"], again


def a_shard_without_an_owner(folder):
    rows = f.samples(folder / "covers", 120)
    covers = folder / "covers"
    with f.Fleet(folder / "home", config=OLD) as fleet:
        push(fleet, covers, rows)
        shards = {fleet.ok("show", row["album"], "--json").json()["shard"] for row in rows}
        assert shards == {"descriptor-0", "descriptor-1"}, shards
        start_anew(fleet, names=["broker", "descriptor-0", "query-0", "indexer-0"])
        done = fleet.ok("redescribe", "--space", "copy,style", "--wait", "--json").json()
        assert done["done"] == 120 and {s["shard"] for s in done["shards"]} == shards, done
        fleet.start("descriptor-1")  # its shard was let go
        f.wait_for(lambda: len(fleet.status()["workers"]) == 4, 30, "the second descriptor to be back")
        check_vectors(fleet, folder, covers, rows, 0)


def a_newer_order_ends_the_wait_for_an_older_one(folder):
    rows = f.samples(folder / "covers", 30)
    with f.Fleet(folder / "home", config=OLD, descriptors=1) as fleet:
        push(fleet, folder / "covers", rows)
        start_anew(fleet)
        fleet.processes["descriptor-0"].send_signal(signal.SIGSTOP)  # so that the first one cannot be done
        waiting = subprocess.Popen([f.BIN / "coverfleet", "redescribe", "--space", "copy", "--wait"], env=fleet.env,
                                   text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        f.wait_for(lambda: progress(fleet)["spaces"] == ["copy"], 30, "the first order")
        fleet.ok("redescribe", "--space", "style")
        said = waiting.communicate(timeout=30)[1]
        fleet.processes["descriptor-0"].send_signal(signal.SIGCONT)
        assert waiting.returncode == 1 and "superseded" in said, (waiting.returncode, said)


def a_bad_model_stops_the_fleet(folder):
    bad = folder / "bad.bin"
    bad.write_bytes(b"CVRNET\r\n" + bytes(100))
    home = folder / "home"
    home.mkdir()
    (home / "coverfleet.conf").write_text(f'descriptor {{\n  model = "{bad}"\n}}\n')
    fleet = f.Fleet(home, config=(home / "coverfleet.conf").read_text())
    checked = fleet.run("config", "check")
    assert checked.code == 1 and str(bad) in checked.err, checked.err
    for name in ("descriptor-0", "query-0"):
        fleet.start(name)
        assert fleet.processes.pop(name).wait(timeout=30) == 1
        assert str(bad) in (home / "test-logs" / name).read_text()


if __name__ == "__main__":
    f.main([gained_while_it_works, a_shard_without_an_owner, a_newer_order_ends_the_wait_for_an_older_one,
            a_bad_model_stops_the_fleet])
