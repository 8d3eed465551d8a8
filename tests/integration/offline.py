#!/usr/bin/python3
"""Vectors without a fleet: describe a folder, build an index, search it, against exact search by numpy; what is wrong
is refused by name and leaves nothing behind."""
import json
import os
import pathlib
import signal
import subprocess

import numpy

import fleet as f

K = 10


def run(*arguments, cwd=None):
    env = {**os.environ, "COVERFLEET_HOME": str(cwd or "/nonexistent")}
    return f.Result(subprocess.run([f.BIN / "coverfleet", *map(str, arguments)], cwd=cwd, env=env, text=True,
                                   capture_output=True, timeout=200))


def ok(*arguments, cwd=None):
    result = run(*arguments, cwd=cwd)
    assert result.code == 0, f"{arguments}: exit {result.code}: {result.err}{result.out}"
    return result


def refused(code, word, *arguments, cwd=None):
    before = sorted(p.name for p in pathlib.Path(cwd).iterdir())
    result = run(*arguments, cwd=cwd)
    assert result.code == code and word in result.err, f"{arguments}: exit {result.code}: {result.err}"
    after = sorted(p.name for p in pathlib.Path(cwd).iterdir())
    assert before == after, f"{arguments} left {set(after) ^ set(before)}"
    return result


def tsv(path):
    lines = path.read_text().rstrip("\n").split("\n")
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"))) for line in lines[1:]]


def vecs(path, kind):
    raw = numpy.fromfile(path, "<i4")
    rows = raw.reshape(-1, raw[0] + 1)
    assert (rows[:, 0] == raw[0]).all()
    return rows[:, 1:].view(kind)


def write_fvecs(path, vectors):
    dims = numpy.full((len(vectors), 1), vectors.shape[1], "<i4")
    numpy.hstack([dims, vectors.astype("<f4").view("<i4")]).tofile(path)


def nearest(vectors, query, k, skip=None):
    distances = numpy.sqrt(((vectors.astype("f8") - query) ** 2).sum(axis=1))
    if skip is not None:
        distances[skip] = numpy.inf
    order = numpy.argsort(distances, kind="stable")[:k]
    return order, distances[order]


def clusters(count, dim, seed):
    rng = numpy.random.default_rng(seed)
    centres = rng.normal(size=(60, dim))
    return (centres[rng.integers(0, 60, count)] + 0.5 * rng.normal(size=(count, dim))).astype("f4")


def answers(path, names):
    found = {}
    for row in tsv(path):
        found.setdefault(row["query"], []).append((names.index(row["item"]), float(row["distance"])))
    return found


def the_evening(folder):
    """Three commands from a folder of covers to neighbours by name."""
    rows = f.samples(folder / "covers", 400)
    ok("describe", "covers", "--space", "gist", "--out", "gist.npy", "--ids", "gist.tsv", cwd=folder)
    ids = tsv(folder / "gist.tsv")
    vectors = numpy.load(folder / "gist.npy")
    assert vectors.shape == (400, 960) and vectors.dtype == numpy.float32 and len(ids) == 400
    assert [r["album"] for r in ids] == sorted(r["album"] for r in rows)
    for row in range(0, 400, 40):
        assert (vectors[row] == f.describe(folder / ids[row]["cover"], "gist")).all()

    built = json.loads(ok("ann", "build", "--input", "gist.npy", "--ids", "gist.tsv", "--out", "gist.idx", "--json",
                          cwd=folder).out)
    assert built["count"] == 400 and built["dim"] == 960 and built["metric"] == "l2"
    ok("ann", "pairs", "gist.idx", "-k", K, "--out", "pairs.tsv", cwd=folder)
    names = [r["album"] for r in ids]
    found = answers(folder / "pairs.tsv", names)
    assert len(found) == 400 and all(len(hits) == K for hits in found.values())
    shares = []
    for name, hits in found.items():
        own = names.index(name)
        assert own not in [item for item, _ in hits]
        truth, _ = nearest(vectors, vectors[own], K, skip=own)
        shares.append(len({item for item, _ in hits} & set(truth)) / K)
    assert numpy.mean(shares) >= 0.95, numpy.mean(shares)


def bad_pictures_are_passed_over_by_name(folder):
    f.samples(folder / "covers", 30)
    whole = {p.stem for p in (folder / "covers").glob("*.ppm")}
    (folder / "covers" / "aaa.jpg").write_text("no picture")
    (folder / "covers" / "mmm.png").write_bytes(b"")
    (folder / "covers" / "notes.txt").write_text("passed over")
    result = run("describe", "covers", "--space", "gray16", "--out", "v.fvecs", "--ids", "v.tsv", "--threads", "3",
                 "--json", cwd=folder)
    assert result.code == 4, result.err
    assert "aaa.jpg: not_an_image" in result.err and "mmm.png: not_an_image" in result.err
    told = result.json()
    assert (told["described"], told["refused"], told["passed_over"]) == (30, 2, 2), told  # samples.tsv is the other
    assert {r["album"] for r in tsv(folder / "v.tsv")} == whole
    assert vecs(folder / "v.fvecs", "<f4").shape == (30, 256)
    one, eight = folder / "one.npy", folder / "eight.npy"
    for threads, path in ((1, one), (8, eight)):
        ok("describe", "--table", "covers/samples.tsv", "--space", "gray16", "--out", path, "--threads", threads,
           cwd=folder)
    assert one.read_bytes() == eight.read_bytes()

    (folder / "covers" / f"{min(whole)}.pnm").write_bytes((folder / "covers" / f"{min(whole)}.ppm").read_bytes())
    result = run("describe", "covers", "--out", "u.fvecs", "--ids", "u.tsv", cwd=folder)
    assert result.code == 4 and f'"{min(whole)}" is both covers/{min(whole)}.pnm and covers/{min(whole)}.ppm' in result.err, result.err
    ok("ann", "build", "--input", "u.fvecs", "--ids", "u.tsv", "--out", "u.idx", cwd=folder)
    (folder / "twice.tsv").write_text("album\tcover\n" + "".join(f"a\tcovers/{n}.ppm\n" for n in sorted(whole)[:2]))
    result = run("describe", "--table", "twice.tsv", "--out", "t.npy", "--ids", "t.tsv", cwd=folder)
    assert result.code == 4 and '"a" is both' in result.err and len(tsv(folder / "t.tsv")) == 1, result.err

    (folder / "bad").mkdir()
    (folder / "bad" / "x.jpg").write_text("no picture")
    (folder / "empty").mkdir()
    refused(1, "not_an_image", "describe", "bad", "--out", "b.npy", "--ids", "b.tsv", cwd=folder)
    refused(1, "no covers", "describe", "empty", "--out", "b.npy", cwd=folder)
    refused(1, "none.tsv", "describe", "--table", "none.tsv", "--out", "b.npy", cwd=folder)
    refused(1, "b.doc", "describe", "covers", "--out", "b.doc", cwd=folder)


def what_is_wrong_is_refused_and_leaves_nothing(folder):
    vectors = clusters(500, 24, 1)
    numpy.save(folder / "x.npy", vectors)
    (folder / "ids.tsv").write_text("".join(f"R-{i}\n" for i in range(500)))
    (folder / "few.tsv").write_text("".join(f"R-{i}\n" for i in range(499)))
    (folder / "many.tsv").write_text("".join(f"R-{i}\n" for i in range(501)))
    (folder / "twice.tsv").write_text("".join(f"R-{i % 499}\n" for i in range(500)))
    bad = vectors.copy()
    bad[317, 5] = numpy.inf
    numpy.save(folder / "bad.npy", bad)
    (folder / "cut.npy").write_bytes((folder / "x.npy").read_bytes()[:-5])
    numpy.save(folder / "ints.npy", vectors.astype("i8"))
    numpy.save(folder / "wide.npy", numpy.zeros((3, 5000), "f4"))
    (folder / "none.fvecs").write_bytes(b"")

    def build(code, word, name, *more):
        refused(code, word, "ann", "build", "--input", name, "--out", "x.idx", *more, cwd=folder)
    build(2, "row 317: its value 5", "bad.npy", "--ids", "ids.tsv", "--full")
    build(1, "truncated", "cut.npy")
    build(1, "<i8", "ints.npy")
    build(1, "5000", "wide.npy")
    build(1, "empty", "none.fvecs")
    build(1, "not_found", "missing.npy")
    build(1, "few.tsv has fewer ids", "x.npy", "--ids", "few.tsv")
    build(1, "many.tsv has more ids", "x.npy", "--ids", "many.tsv")
    build(1, 'twice.tsv: the id "R-0" comes twice', "x.npy", "--ids", "twice.tsv", "--full")
    build(1, "No such file", "x.npy", "--ids", "ids.tsv", "--out", "nowhere/x.idx")

    ok("ann", "build", "--input", "x.npy", "--out", "x.idx", "--ids", "ids.tsv", cwd=folder)
    numpy.save(folder / "thin.npy", vectors[:, :7])
    refused(2, "dimension 7", "ann", "search", "x.idx", "--queries", "thin.npy", "--out", "r.npy", cwd=folder)
    refused(1, ".ivecs", "ann", "search", "x.idx", "--queries", "x.npy", "--out", "r.fvecs", cwd=folder)
    refused(1, "must end in .ivecs, .npy or .tsv", "ann", "search", "x.idx", "--queries", "x.npy", "--out", "r.foo",
            cwd=folder)
    refused(1, "must end in .fvecs or .npy", "ann", "search", "x.idx", "--queries", "x.npy", "--distances", "r.ivec",
            cwd=folder)
    refused(1, "must end in .fvecs or .npy", "ann", "build", "--input", "ids.tsv", "--out", "y.idx", cwd=folder)
    refused(2, "row 317", "ann", "search", "x.idx", "--queries", "bad.npy", "--out", "r.npy", "--distances", "d.npy",
            cwd=folder)
    refused(1, "fewer ids", "ann", "search", "x.idx", "--queries", "x.npy", "--ids", "few.tsv", "--out", "r.tsv",
            cwd=folder)
    refused(1, "--full", "ann", "search", "x.idx", "--queries", "x.npy", "--exact", "--out", "r.npy", cwd=folder)
    refused(1, "x.npy", "ann", "info", "x.npy", cwd=folder)
    numpy.save(folder / "other.npy", vectors[::-1])
    refused(1, "other.npy", "ann", "search", "x.idx", "--queries", "x.npy", "--exact", "--vectors", "other.npy",
            "--out", "r.npy", cwd=folder)
    numpy.save(folder / "less.npy", vectors[:-1])
    refused(1, "less.npy holds 499", "ann", "verify", "x.idx", "--vectors", "less.npy", cwd=folder)
    ok("ann", "verify", "x.idx", "--vectors", "x.npy", cwd=folder)
    raw = bytearray((folder / "x.idx").read_bytes())
    raw[len(raw) // 2] ^= 0x10
    (folder / "x.idx").write_bytes(raw)
    refused(1, "corrupt", "ann", "verify", "x.idx", cwd=folder)


def exact_is_exact(folder):
    vectors, queries = clusters(3000, 48, 2), clusters(3100, 48, 2)[3000:]
    numpy.save(folder / "x.npy", vectors.astype("f8"))  # float32 values in doubles
    write_fvecs(folder / "x.fvecs", vectors)
    write_fvecs(folder / "q.fvecs", queries)
    names = [f"R-{i}" for i in range(len(vectors))]
    (folder / "ids.tsv").write_text("title\talbum\n" + "".join(f"t\t{name}\n" for name in names))
    ok("ann", "build", "--input", "x.npy", "--ids", "ids.tsv", "--out", "x.idx", "--full", cwd=folder)
    assert (numpy.load(folder / "x.idx.full.npy") == vectors).all()
    truth = [nearest(vectors, q, K) for q in queries]
    for more in ((), ("--vectors", "x.fvecs"), ("--vectors", "x.npy", "--threads", "2")):
        told = ok("ann", "search", "x.idx", "--queries", "q.fvecs", "-k", K, "--exact", "--out", "r.tsv", "--json",
                  *more, cwd=folder).json()
        assert told["exact"] is True and told["queries"] == 100
        found = answers(folder / "r.tsv", names)
        for i, (items, distances) in enumerate(truth):
            hits = found[str(i)]
            assert [item for item, _ in hits] == list(items)
            assert numpy.allclose([d for _, d in hits], distances, rtol=1e-5)
    for recall in ("0.8", "0.99"):
        told = ok("ann", "search", "x.idx", "--queries", "q.fvecs", "--recall", recall, "--out", "r.tsv", "--stats",
                  cwd=folder).json()
        assert told["recall"] == float(recall) and told["queries_per_second"] > 0
        latency = told["latency_ms"]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
        assert told["index"]["bytes_per_vector"] > 48
        found = answers(folder / "r.tsv", names)
        share = numpy.mean([len({i for i, _ in found[str(q)]} & set(truth[q][0])) / K for q in range(100)])
        assert share >= float(recall) - 0.03, (recall, share)


def rows_are_numbered_as_the_input(folder):
    """Without ids: numbers of rows, in .ivecs and .npy; short answers are filled up."""
    vectors, queries = clusters(2000, 32, 3), clusters(2050, 32, 3)[2000:]
    write_fvecs(folder / "x.fvecs", vectors)
    numpy.save(folder / "q.npy", queries)
    ok("ann", "build", "--input", "x.fvecs", "--out", "x.idx", "--full", "--threads", "2", cwd=folder)
    search = ("ann", "search", "x.idx", "--queries", "q.npy", "-k", K)
    ok(*search, "--exact", "--out", "r.ivecs", "--distances", "d.fvecs", cwd=folder)
    ok(*search, "--exact", "--out", "r.npy", "--distances", "d.npy", cwd=folder)
    items, distances = vecs(folder / "r.ivecs", "<i4"), vecs(folder / "d.fvecs", "<f4")
    assert (items == numpy.load(folder / "r.npy")).all() and (distances == numpy.load(folder / "d.npy")).all()
    for i, query in enumerate(queries):
        truth, far = nearest(vectors, query, K)
        assert list(items[i]) == list(truth) and numpy.allclose(distances[i], far, rtol=1e-5)
    ok("ann", "pairs", "x.idx", "-k", 3, "--exact", "--out", "p.ivecs", cwd=folder)
    pairs = vecs(folder / "p.ivecs", "<i4")
    for i in range(0, 2000, 97):
        assert list(pairs[i]) == list(nearest(vectors, vectors[i], 3, skip=i)[0])

    numpy.save(folder / "three.npy", vectors[:3])
    ok("ann", "build", "--input", "three.npy", "--out", "three.idx", cwd=folder)
    ok("ann", "pairs", "three.idx", "-k", 4, "--out", "p.npy", "--distances", "d.npy", cwd=folder)
    pairs, far = numpy.load(folder / "p.npy"), numpy.load(folder / "d.npy")
    assert (pairs[:, 2:] == -1).all() and (far[:, 2:] == numpy.finfo("f4").max).all()
    assert sorted(pairs[0, :2]) == [1, 2]
    numpy.save(folder / "zero.npy", vectors[:0])
    ok("ann", "build", "--input", "zero.npy", "--out", "zero.idx", cwd=folder)
    ok("ann", "search", "zero.idx", "--queries", "three.npy", "--out", "z.npy", cwd=folder)
    assert (numpy.load(folder / "z.npy") == -1).all()


def cosine_is_by_direction(folder):
    vectors = clusters(1500, 40, 4) * numpy.random.default_rng(5).uniform(0.1, 30, (1500, 1)).astype("f4")
    numpy.save(folder / "x.npy", vectors)
    numpy.save(folder / "q.npy", vectors[:50] * 7)
    ok("ann", "build", "--input", "x.npy", "--out", "x.idx", "--metric", "cosine", cwd=folder)
    assert ok("ann", "info", "x.idx", "--json", cwd=folder).json()["metric"] == "cosine"
    ok("ann", "search", "x.idx", "--queries", "q.npy", "--exact", "--vectors", "x.npy", "--out", "r.npy",
       "--distances", "d.npy", cwd=folder)
    items, distances = numpy.load(folder / "r.npy"), numpy.load(folder / "d.npy")
    units = vectors.astype("f8") / numpy.linalg.norm(vectors.astype("f8"), axis=1, keepdims=True)
    for i in range(50):
        far = numpy.sort(numpy.sqrt(numpy.maximum(0, 2 - 2 * units @ units[i])))[:K]
        assert items[i][0] == i and numpy.allclose(distances[i], far, atol=2e-3)


def the_same_whatever_the_threads(folder):
    vectors = clusters(4000, 30, 6)
    numpy.save(folder / "x.npy", vectors)
    (folder / "ids.tsv").write_text("".join(f"R-{i}\n" for i in range(4000)))
    found = []
    for threads in ("1", "3"):
        ok("ann", "build", "--input", "x.npy", "--ids", "ids.tsv", "--out", "x.idx", "--seed", "9", "--threads",
           threads, cwd=folder)
        ok("ann", "pairs", "x.idx", "--out", "p.tsv", "--threads", threads, cwd=folder)
        found.append(sorted((folder / "p.tsv").read_text().split("\n")))
    assert found[0] == found[1]


def an_interrupted_build_leaves_nothing(folder):
    """Whenever the signal comes, there is a whole index or none, and never a part of one."""
    numpy.save(folder / "x.npy", clusters(60000, 64, 7))
    (folder / "ids.tsv").write_text("".join(f"R-{i}\n" for i in range(60000)))
    inputs = {"x.npy", "ids.tsv"}
    for delay in (0.02, 0.1, 0.25, 0.5):
        build = subprocess.Popen([f.BIN / "coverfleet", "ann", "build", "--input", "x.npy", "--ids", "ids.tsv",
                                  "--out", "x.idx", "--full"], cwd=folder, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            build.wait(delay)
        except subprocess.TimeoutExpired:
            build.send_signal(signal.SIGINT)
        code = build.wait(60)
        left = {p.name for p in folder.iterdir()} - inputs
        if code == 0:
            assert left == {"x.idx", "x.idx.full.npy"}, left
            ok("ann", "verify", "x.idx", cwd=folder)
        else:
            assert not left, (code, left)
        for name in left:
            (folder / name).unlink()


def what_cannot_be_written_is_said_once(folder):
    """Answers of one call appear together or not at all; a full standard output is one line."""
    numpy.save(folder / "x.npy", clusters(300, 24, 8))
    ok("ann", "build", "--input", "x.npy", "--out", "x.idx", cwd=folder)
    before = sorted(p.name for p in folder.iterdir())
    short = ["prlimit", "--fsize=2000", "env", "--ignore-signal=XFSZ", f.BIN / "coverfleet", "ann", "pairs", "x.idx", "-k", "1",
             "--out", "p.npy", "--distances", "d.fvecs"]  # 1,328 and 2,400 bytes
    done = subprocess.run(short, cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1 and "d.fvecs: File too large" in done.stderr, done.stderr
    assert sorted(p.name for p in folder.iterdir()) == before

    (folder / "p.ppm").write_bytes(b"P6 16 16 255\n" + bytes(range(256)) * 3)
    for more in ((), ("--json",), ("--format", "f32")):
        with open("/dev/full", "w") as full:
            done = subprocess.run([f.BIN / "coverfleet", "describe", "p.ppm", *more], cwd=folder, text=True, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "standard output: No space left on device" in done.stderr, done.stderr


if __name__ == "__main__":
    f.main([the_evening, bad_pictures_are_passed_over_by_name, what_is_wrong_is_refused_and_leaves_nothing,
            exact_is_exact, rows_are_numbered_as_the_input, cosine_is_by_direction, the_same_whatever_the_threads,
            an_interrupted_build_leaves_nothing, what_cannot_be_written_is_said_once])
