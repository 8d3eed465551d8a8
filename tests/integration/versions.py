#!/usr/bin/python3
"""A space whose model is the fleet's own: a new version is filled, indexed and followed beside the one that is served,
and takes its place when all albums have it; queries are answered by the old one until then."""
import struct
import zlib

import numpy

import fleet as f

COPY = 128


def write_map(path, version, outputs, seed):
    """A linear map from copy; returns how to compute it."""
    weights = numpy.random.default_rng(seed).standard_normal((COPY, outputs)).astype("<f4")
    body = b"copy".ljust(32, b"\0") + struct.pack("<II", 1, COPY)
    body += numpy.zeros(COPY, "<f4").tobytes() + numpy.ones(COPY, "<f4").tobytes()
    body += weights.tobytes() + numpy.zeros(outputs, "<f4").tobytes()
    head = struct.pack("<7I", 1, version, 0, outputs, 1, len(body) - 40, zlib.crc32(body))
    temporary = path.with_suffix(".new")
    temporary.write_bytes(b"CFCFMAP\n" + head + bytes(4) + body)
    temporary.rename(path)

    def apply(copy):
        mapped = copy.astype("f8") @ weights.astype("f8")
        return (mapped / numpy.linalg.norm(mapped)).astype("<f4")
    return apply


def tend(fleet):
    """What a supervisor does: who left is started again. Returns how many were."""
    ended = [name for name, process in fleet.processes.items() if process.poll() is not None]
    for name in ended:
        assert fleet.processes.pop(name).returncode == 0, name
        fleet.start(name)
    return len(ended)


def until(fleet, condition, what):
    def tended():
        tend(fleet)
        return condition()
    return f.wait_for(tended, 90, what)


def asks(fleet, folder, vector):
    """The answer to a vector of cf, or None when the fleet takes none of that length."""
    (folder / "q.f32").write_bytes(vector.tobytes())
    result = fleet.run("query", "--vector", folder / "q.f32", "--space", "cf", "-k", "1", "--json", "--exact")
    if result.code == 0:
        return result.json()["neighbors"]
    said = result.err + result.out
    assert "bad_vector" in said or "no_worker" in said, (result.code, said)
    return None


def a_new_version_takes_the_place_of_the_old(folder):
    rows = f.samples(folder / "covers", 300)
    covers = folder / "covers"
    models = folder / "home" / "data" / "models"
    models.mkdir(parents=True)
    first = write_map(models / "cf-1.cfmap", 1, 8, seed=1)
    picked = rows[:: len(rows) // 10]
    copies = [f.describe(covers / row["cover"], "copy") for row in picked]

    def check(fleet, apply):
        for row, copy in zip(picked, copies):
            found = asks(fleet, folder, apply(copy))
            assert found and found[0]["album"] == row["album"] and found[0]["distance"] < 1e-3, (row, found)

    with f.Fleet(folder / "home") as fleet:
        fleet.ok("push", "--table", covers / "samples.tsv", "--root", covers, "--wait")
        check(fleet, first)
        second = write_map(models / "cf-2.cfmap", 2, 6, seed=2)
        started = 0

        def all_left():
            nonlocal started
            started += tend(fleet)
            return started >= 4
        f.wait_for(all_left, 60, "every worker to start anew with the next model")
        fleet.wait_ready()
        check(fleet, first)  # the old one is served
        assert asks(fleet, folder, second(copies[0])) is None
        order = fleet.ok("redescribe", "--space", "cf", "--wait", "--json").json()
        assert order["done"] == 300 and order["failed"] == 0, order
        until(fleet, lambda: (models / "cf-served").exists(), "the next version to be served")
        assert (models / "cf-served").read_text() == "2\n"
        until(fleet, lambda: asks(fleet, folder, second(copies[0])), "queries in the next version")
        fleet.wait_ready()
        check(fleet, second)
        assert asks(fleet, folder, first(copies[0])) is None
        # A cover that nobody has seen has its place there the moment that it is pushed.
        fresh = f.samples(folder / "fresh", 5, seed=9)[3]
        fleet.ok("push", f"fresh={folder / 'fresh' / fresh['cover']}", "--wait")
        copy = f.describe(folder / "fresh" / fresh["cover"], "copy")
        f.wait_for(lambda: asks(fleet, folder, second(copy))[0]["album"] == "fresh", 10, "the fresh one to be found")


def a_damaged_model_is_refused_or_passed_over(folder):
    models = folder / "home" / "data" / "models"
    models.mkdir(parents=True)
    write_map(models / "cf-3.cfmap", 3, 8, seed=1)
    whole = (models / "cf-3.cfmap").read_bytes()
    (models / "cf-4.cfmap").write_bytes(whole[:-5])
    fleet = f.Fleet(folder / "home")
    checked = fleet.run("config", "check")
    assert checked.code == 1 and "cf-4.cfmap" in checked.err, checked.err
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        assert "cf-4.cfmap" in (fleet.home / "test-logs" / "descriptor-0").read_text()
    (models / "cf-3.cfmap").write_bytes(whole[:-5])
    fleet.start("descriptor-0")
    assert fleet.processes.pop("descriptor-0").wait(timeout=30) == 1
    assert "cf-3.cfmap" in (fleet.home / "test-logs" / "descriptor-0").read_text()


if __name__ == "__main__":
    f.main([a_new_version_takes_the_place_of_the_old, a_damaged_model_is_refused_or_passed_over])
