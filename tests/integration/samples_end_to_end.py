#!/usr/bin/python3
"""The whole way of a cover on drawn samples: push, describe, index, query in all three ways, replace, remove."""
import shutil

import numpy

import fleet as f


def exact_neighbors(vectors, albums, query, k, skip=None):
    order = numpy.argsort(((vectors - query) ** 2).sum(axis=1), kind="stable")
    return [albums[i] for i in order if albums[i] != skip][:k]


def recall(found, truth):
    return len(set(found) & set(truth)) / len(truth)


def check_queries(fleet, folder, rows):
    """By id, by image and by vector, in both spaces, against exact search over vectors described offline."""
    picked = rows[:: max(1, len(rows) // 40)]
    for space in ("gray16", "gist"):
        vectors = numpy.stack([f.describe(folder / row["cover"], space) for row in rows])
        albums = [row["album"] for row in rows]
        got = []
        for i, row in enumerate(rows):
            if row not in picked:
                continue
            truth = exact_neighbors(vectors, albums, vectors[i], 10, skip=row["album"])
            raw = folder / "query.f32"
            raw.write_bytes(vectors[i].astype("<f4").tobytes())
            by_id = fleet.neighbors(row["album"], "--space", space)
            by_image = fleet.neighbors("--image", folder / row["cover"], "--space", space, "-k", 11)
            by_vector = fleet.neighbors("--vector", raw, "--space", space, "-k", 11)
            assert by_image[0]["distance"] < 1e-3 and by_vector[0]["distance"] < 1e-3
            got.append(recall([n["album"] for n in by_id], truth))
            for answer in (by_image, by_vector):
                got.append(recall([n["album"] for n in answer if n["album"] != row["album"]][:10], truth))
            certain = fleet.neighbors(row["album"], "--space", space, "--exact")
            for neighbor, tolerance in ((by_id[0], 2e-2), (certain[0], 1e-4)):  # rows of eight bits, and vectors
                expected = float(numpy.sqrt(((vectors[albums.index(neighbor["album"])] - vectors[i]) ** 2).sum()))
                assert abs(neighbor["distance"] - expected) <= tolerance * max(1.0, expected)
            assert row["album"] not in [n["album"] for n in by_id]
        assert numpy.mean(got) >= 0.95, f"{space}: recall {numpy.mean(got):.3f}"


def whole_way(folder):
    rows = f.samples(folder / "covers", 300)
    covers = folder / "covers"
    with f.Fleet(folder / "home") as fleet:
        push = ("push", "--table", covers / "samples.tsv", "--root", covers, "--wait", "--json")
        first = fleet.ok(*push).json()
        assert first == {"accepted": 300, "unchanged": 0, "refused": 0, "described": 300, "dead": 0}, first
        again = fleet.ok(*push).json()
        assert again == {"accepted": 0, "unchanged": 300, "refused": 0, "described": 0, "dead": 0}, again
        check_queries(fleet, covers, rows)

        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["indexed"] == 300, 60, "all albums to be indexed")
        check_queries(fleet, covers, rows)
        answer = fleet.ok("query", rows[0]["album"], "--json").json()
        assert answer["generation"] >= 1 and "stale_ms" in answer and answer["space"]
        disc = next(r["album"] for r in rows if "disc" in r["album"])
        near = [n["album"] for n in fleet.neighbors(disc, "-k", 5)]
        assert sum("disc" in album for album in near) >= 4, f"neighbours of {disc}: {near}"
        assert fleet.neighbors(disc, "--include-self", "-k", 1)[0]["album"] == disc
        titled = fleet.neighbors(disc, "-k", 1)[0]
        assert titled["title"]

        story = fleet.ok("show", disc, "--json").json()
        assert story["state"] == "indexed" and story["spaces"], story

        # A replaced cover is found by its new look, not by its old one.
        other = next(r for r in rows if "disc" not in r["album"])
        fleet.ok("push", f"{disc}={covers / other['cover']}", "--wait")
        f.wait_for(lambda: fleet.neighbors(other["album"], "-k", 1)[0]["album"] == disc, 5, "the new look to be found")

        # A removed album is gone at once, in all ways of asking, and stays gone when it is indexed away.
        fleet.ok("remove", disc)
        assert fleet.run("query", disc).code == 1
        assert disc not in [n["album"] for n in fleet.neighbors(other["album"], "-k", 300)]
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["described"] == 0, 60, "the index")
        assert disc not in [n["album"] for n in fleet.neighbors(other["album"], "-k", 300)]
        counts = fleet.counts()
        assert counts["indexed"] == 299 and counts["removed"] == 1, counts
        assert fleet.ok("show", disc, "--json").json()["state"] == "removed"
        assert fleet.run("remove", disc).code == 1


def a_folder_and_standard_input(folder):
    rows = f.samples(folder / "covers", 24)
    plain = folder / "plain"
    plain.mkdir()
    for row in rows:
        shutil.copy(folder / "covers" / row["cover"], plain)
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        assert fleet.ok("push", plain, "--wait", "--json").json()["described"] == 24
        lines = "".join(f"copy-{i}={plain / row['cover']}\n" for i, row in enumerate(rows))
        assert fleet.ok("push", "-", "--wait", "--json", stdin=lines).json()["described"] == 24
        twin = fleet.neighbors("copy-3", "-k", 1)[0]
        assert twin["distance"] == 0


def queue_is_operable(folder):
    rows = f.samples(folder / "covers", 12)
    covers = folder / "covers"
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        fleet.ok("queue", "pause")
        pairs = [f"{row['album']}={covers / row['cover']}" for row in rows]
        assert fleet.ok("push", *pairs, "--json").json()["accepted"] == 12
        assert fleet.counts()["queued"] == 12
        listed = fleet.ok("queue", "list", "--json").json()
        assert len(listed["jobs"]) == 12
        assert fleet.run("query", rows[0]["album"]).code == 1
        assert fleet.ok("show", rows[0]["album"], "--json").json()["state"] == "queued"
        fleet.restart("broker")
        f.wait_for(lambda: fleet.counts() and fleet.counts()["queued"] == 12, 10, "the queue after a restart")
        fleet.wait_ready()
        fleet.ok("queue", "purge", rows[0]["album"])
        fleet.ok("queue", "resume")
        fleet.wait_settled(11)
        (folder / "broken.jpg").write_bytes(b"this is no picture at all")
        result = fleet.run("push", f"broken={folder / 'broken.jpg'}", "--wait", "--json")
        assert result.code in (1, 4) and result.json()["dead"] == 1, result.out + result.err
        assert "not_an_image" in result.err + result.out
        dead = fleet.ok("queue", "list", "--state", "dead", "--json").json()["jobs"]
        assert [job["album"] for job in dead] == ["broken"] and dead[0]["error"] == "not_an_image"
        fleet.ok("queue", "retry", "broken")
        f.wait_for(lambda: fleet.counts()["dead"] == 1, 10, "the retried job to fail again")
        fleet.ok("queue", "purge", "--state", "dead")
        assert fleet.counts()["dead"] == 0
        started = fleet.ok("push", f"late={covers / rows[1]['cover']}", "--delay", "1500ms", "--json").json()
        assert started["accepted"] == 1 and fleet.counts()["delayed"] == 1
        fleet.wait_settled(12)


if __name__ == "__main__":
    f.main([whole_way, a_folder_and_standard_input, queue_is_operable])
