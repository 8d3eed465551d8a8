#!/usr/bin/python3
"""Vectors in and out: an import is searchable and comes out again as it went in, what is wrong is refused by name, and
whoever is killed in the middle, repeating it loses nothing."""
import json
import random
import signal
import struct
import subprocess

import fleet as f

DIMS = {"gist": 960, "gray16": 256}


def rows(count, space="gist", seed=1):
    """Vectors as lists of packed float32, cheap to make and all different."""
    import numpy
    return numpy.random.default_rng(seed).standard_normal((count, DIMS[space]), dtype=numpy.float32)


def write_fvecs(path, vectors):
    with open(path, "wb") as out:
        for vector in vectors:
            out.write(struct.pack("<i", len(vector)) + vector.astype("<f4").tobytes())


def read_fvecs(path):
    import numpy
    raw = numpy.fromfile(path, "<i4")
    return raw.reshape(-1, raw[0] + 1)[:, 1:].view("<f4")


def write_npy(path, vectors):
    import numpy
    numpy.save(path, vectors.astype("<f4"))


def ids_of(path):
    lines = path.read_text().rstrip("\n").split("\n")
    assert lines[0] == "album", lines[0]
    return lines[1:]


def write_ids(path, ids):
    path.write_text("album\n" + "".join(f"{i}\n" for i in ids))


def container(vectors, version=1, count=None, behind=b""):
    """The bytes of PROTOCOL.md: (space, version of the space, numbers) each."""
    out = b"\x93CFVEC\r\n" + struct.pack("<II", version, len(vectors) if count is None else count)
    for space, space_version, numbers in vectors:
        out += bytes([len(space)]) + space.encode() + struct.pack("<II", space_version, len(numbers))
        out += struct.pack(f"<{len(numbers)}f", *numbers)
    return out + behind


def exported(fleet, folder, space="gist", kind="npy"):
    """What the fleet holds of a space: {id: bytes of its vector}, and the counts."""
    import numpy
    file, ids = folder / f"out.{kind}", folder / "out.tsv"
    counts = fleet.ok("vectors", "export", "--space", space, "--out", file, "--ids", ids, "--json").json()
    vectors = numpy.load(file) if kind == "npy" else read_fvecs(file)
    names = ids_of(ids)
    assert names == sorted(names) and len(names) == len(vectors) == counts["exported"], counts
    return {name: vector.tobytes() for name, vector in zip(names, vectors)}, counts


def what_goes_in_comes_out(folder):
    vectors = rows(3000)
    ids = [f"v{i:05d}" for i in range(3000)]
    write_npy(folder / "in.npy", vectors)
    write_ids(folder / "in.tsv", ids)
    (folder / "meta.tsv").write_text("title\talbum\tartist\n" + "".join(f"T{i}\t{i}\t\n" for i in ids[::2]))
    call = ["vectors", "import", "--space", "gist", folder / "in.npy", "--ids", folder / "in.tsv", "--meta",
            folder / "meta.tsv", "--json"]
    with f.Fleet(folder / "home") as fleet:
        assert fleet.ok(*call).json() == {"accepted": 3000, "unchanged": 0, "refused": 0, "described": 3000, "dead": 0}
        assert fleet.ok(*call).json() == {"accepted": 0, "unchanged": 3000, "refused": 0, "described": 0, "dead": 0}
        held, counts = exported(fleet, folder)
        assert counts == {"exported": 3000, "flagged": 0, "not_described": 0}, counts
        assert held == {i: v.tobytes() for i, v in zip(ids, vectors)}
        assert exported(fleet, folder, kind="fvecs")[0] == held
        # Searchable in this space, and in no other.
        (folder / "q.f32").write_bytes(vectors[42].tobytes())
        nearest = f.wait_for(lambda: [n for n in fleet.neighbors("--vector", folder / "q.f32", "-k", "1") if
                                      n["album"] == "v00042"], 20, "v00042 to be found")[0]
        assert nearest["distance"] < 1 and nearest["title"] == "Tv00042", nearest
        assert len(fleet.neighbors("v00041", "-k", "5")) == 5
        other = fleet.run("query", "v00042", "--space", "gray16")
        assert other.code == 1 and "not_described" in other.err, other.err
        assert exported(fleet, folder, "gray16")[1] == {"exported": 0, "flagged": 0, "not_described": 3000}
        story = fleet.ok("show", "v00042", "--json").json()
        assert story["state"] in ("described", "indexed") and story["meta"]["title"] == "Tv00042", story
        # Nothing of the export stays behind.
        assert not [p for p in (fleet.home / "secondaries").iterdir() if p.name.startswith("export")]


def the_newest_version_is_exported(folder):
    """Over two shards: replaced, removed, pushed as a picture, flagged."""
    before, after = rows(60), rows(60, seed=2)
    ids = [f"v{i:02d}" for i in range(60)]
    (folder / "flat.ppm").write_bytes(b"P6 64 64 255\n" + bytes([90]) * (64 * 64 * 3))
    (folder / "stripes.ppm").write_bytes(
        b"P6 64 64 255\n" + bytes((x * 9 + y * 5) % 256 for y in range(64) for x in range(64) for _ in range(3)))
    with f.Fleet(folder / "home") as fleet:
        for number, vectors in enumerate((before, after)):
            part = slice(0, 60) if number == 0 else slice(20, 60)
            write_fvecs(folder / "in.fvecs", vectors[part])
            write_ids(folder / "in.tsv", ids[part])
            fleet.ok("vectors", "import", folder / "in.fvecs", "--ids", folder / "in.tsv")
        fleet.ok("remove", "v40", "v05")
        fleet.ok("push", f"v41={folder / 'flat.ppm'}", f"v42={folder / 'stripes.ppm'}", "--wait")
        f.wait_for(lambda: fleet.counts()["queued"] + fleet.counts()["leased"] == 0, 20, "the removals to be written")

        def held():
            vectors, counts = exported(fleet, folder, kind="fvecs")
            return "v05" not in vectors and "v40" not in vectors and (vectors, counts)
        vectors, counts = f.wait_for(held, 20, "the removals to be seen")
        assert counts == {"exported": 57, "flagged": 1, "not_described": 0}, counts
        assert "v41" not in vectors
        stripes = f.describe(folder / "stripes.ppm", "gist").astype("<f4").tobytes()
        assert vectors["v42"] == stripes
        for i, name in enumerate(ids):
            if name not in ("v05", "v40", "v41", "v42"):
                assert vectors[name] == (before if i < 20 else after)[i].tobytes(), name
        # Both spaces of the picture, one of the imported.
        assert exported(fleet, folder, "gray16")[1] == {"exported": 1, "flagged": 1, "not_described": 56}
        # The worker's folder is gone: said, not passed over.
        fleet.stop()
        (fleet.home / "data/shards/descriptor-7").mkdir()
        (fleet.home / "data/shards/descriptor-7/CURRENT").write_text("MANIFEST-000001\n")
        lost = fleet.run("vectors", "export", "--out", folder / "lost.npy", "--ids", folder / "lost.tsv", "--json")
        assert lost.code == 1 and lost.json()["error"] == "corrupt" and "descriptor-7" in lost.err, (lost.code, lost.err)
        assert not (folder / "lost.npy").exists() and not (folder / "lost.tsv").exists()


def containers_that_are_wrong_are_dead_letters(folder):
    good = [("gist", 1, [0.5] * 960)]
    nan = [0.5] * 959 + [float("nan")]
    wrong = {
        "cut": (container(good)[:-1], "invalid"),
        "behind": (container(good, behind=b"\0"), "invalid"),
        "none": (container([]), "invalid"),
        "twice": (container(good + good), "invalid"),
        "counted": (container(good, count=2), "invalid"),
        "format": (container(good, version=2), "bad_version"),
        "version": (container([("gist", 9, [0.5] * 960)]), "bad_version"),
        "space": (container([("gits", 1, [0.5] * 960)]), "unknown_space"),
        "dim": (container([("gist", 1, [0.5] * 256)]), "bad_vector"),
        "nan": (container([("gist", 1, nan)]), "bad_vector"),
        "zero": (container([("gist", 1, [0.0] * 960)]), "bad_vector"),
        "magic": (b"\x93CFVECx\n" + container(good)[8:], "not_an_image"),
    }
    right = {
        "one": container(good),
        "both": container([("gray16", 1, [float(i) for i in range(256)]), ("gist", 1, [1.0] * 960)]),
    }
    covers = folder / "covers"
    covers.mkdir()
    for name, (content, _) in wrong.items():
        (covers / name).write_bytes(content)
    for name, content in right.items():
        (covers / name).write_bytes(content)
    with f.Fleet(folder / "home", config=f'descriptor {{ roots = {{"{covers}"}} }}\n') as fleet:
        result = fleet.run("push", covers, "--wait", "--json")
        lines = [json.loads(line) for line in result.out.strip().split("\n")]
        assert result.code == 4 and lines[-1]["dead"] == len(wrong) and lines[-1]["described"] == 2, lines[-1]
        errors = {line["album"]: line["error"] for line in lines[:-1]}
        assert errors == {name: error for name, (_, error) in wrong.items()}, errors
        assert all(line["detail"] for line in lines[:-1])
        again = fleet.ok("push", f"one={covers / 'one'}", f"by-path={covers / 'both'}", "--by-path", "--wait", "--json").json()
        assert again["unchanged"] == 1 and again["described"] == 1, again
        assert [n["album"] for n in fleet.neighbors("both", "--space", "gray16", "-k", "2")] == ["by-path"]
        assert {n["album"] for n in fleet.neighbors("one", "-k", "5")} == {"both", "by-path"}


def files_that_do_not_fit_are_refused_before_anything_is_pushed(folder):
    import numpy
    vectors = rows(10)
    write_npy(folder / "ten.npy", vectors)
    write_ids(folder / "nine.tsv", [f"v{i}" for i in range(9)])
    write_ids(folder / "ten.tsv", [f"v{i}" for i in range(10)])
    (folder / "nameless.tsv").write_text("name\n" + "x\n" * 10)
    holes = vectors.copy()
    holes[3][7] = numpy.nan
    holes[4] = 0
    write_npy(folder / "holes.npy", holes)
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        for words, code, says in (
                (["ten.npy", "--ids", "nine.tsv"], 1, "9 rows"), (["ten.npy", "--ids", "none.tsv"], 1, "none.tsv"),
                (["ten.npy", "--ids", "nameless.tsv"], 1, "album"), (["none.npy", "--ids", "ten.tsv"], 1, "none.npy"),
                (["ten.npy", "--ids", "ten.tsv", "--space", "gray16"], 2, "960"), (["ten.npy"], 2, "--ids"),
                (["ten.npy", "--ids", "ten.tsv", "--space", "gits"], 2, "gits")):
            result = fleet.run("vectors", "import", *[folder / w if "." in w else w for w in words])
            assert result.code == code and says in result.err, (words, result.code, result.err)
        assert sum(fleet.counts().values()) == 0
        result = fleet.run("vectors", "import", folder / "holes.npy", "--ids", folder / "ten.tsv", "--json")
        lines = [json.loads(line) for line in result.out.strip().split("\n")]
        assert result.code == 4 and lines[-1]["described"] == 8 and lines[-1]["refused"] == 2, lines
        assert {(line["album"], line["error"]) for line in lines[:-1]} == {("v3", "bad_vector"), ("v4", "bad_vector")}
        before = (folder / "ten.npy").read_bytes()
        result = fleet.run("vectors", "export", "--out", folder / "ten.npy", "--ids", folder / "home/../ten.npy")
        assert result.code == 2 and "different files" in result.err and (folder / "ten.npy").read_bytes() == before


def whoever_is_killed_nothing_is_lost(folder):
    count, random_, expected, killed_early = 6000, random.Random(7), {}, 0
    victims = ("client", "broker", "descriptor-0", "descriptor-1")
    with f.Fleet(folder / "home") as fleet:
        for number, victim in enumerate(victims):
            vectors = rows(count, seed=number)
            ids = [f"{victim}-{i:05d}" for i in range(count)]
            write_npy(folder / "in.npy", vectors)
            write_ids(folder / "in.tsv", ids)
            expected.update(zip(ids, (v.tobytes() for v in vectors)))
            call = ["vectors", "import", folder / "in.npy", "--ids", folder / "in.tsv", "--json"]
            client = subprocess.Popen([f.BIN / "coverfleet", *map(str, call)], env=fleet.env, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
            target = number * count + random_.randrange(300, 2500)

            def moved():
                counts = fleet.counts()
                return client.poll() is not None or (counts and sum(counts.values()) >= target)
            f.wait_for(moved, 60, f"{target} albums to be acknowledged")
            killed_early += client.poll() is None
            if victim == "client":
                client.send_signal(signal.SIGKILL)
                client.communicate()
                fleet.ok(*call)
            else:
                fleet.restart(victim)
                out, err = client.communicate(timeout=120)
                assert client.returncode == 0, (victim, client.returncode, out, err)
            again = fleet.ok(*call).json()
            assert again["unchanged"] == count, (victim, again)
        assert killed_early > 0
        assert fleet.wait_settled(len(expected))["dead"] == 0
        held, counts = exported(fleet, folder)
        assert counts["exported"] == len(expected) and held == expected


if __name__ == "__main__":
    f.main([what_goes_in_comes_out, the_newest_version_is_exported, containers_that_are_wrong_are_dead_letters,
            files_that_do_not_fit_are_refused_before_anything_is_pushed, whoever_is_killed_nothing_is_lost])
