#!/usr/bin/python3
"""`coverfleet eval` on a small world whose truth is known: covers of two families, users of two tastes. What is planted
is found, what is chance stays chance, a planted leak is told and changes nothing, and a bad table is one sentence.

Usage: judge.py [--long]: with ten million lines, one of them bad."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

import fleet as f

USERS, ALBUMS, HISTORY, JUDGED = 160, 120, 30, 12


def run(*arguments, cwd):
    return f.Result(subprocess.run([f.BIN / "coverfleet", "eval", *map(str, arguments)], cwd=cwd, text=True,
                                   capture_output=True, timeout=280))


def ok(*arguments, cwd):
    result = run(*arguments, cwd=cwd)
    assert result.code == 0, f"{arguments}: exit {result.code}: {result.err}{result.out}"
    return result


def refused(words, *arguments, cwd, code=1):
    result = run(*arguments, "--json", cwd=cwd)  # which shows no progress, however slow the machine is
    assert result.code == code and words in result.err, f"{arguments}: exit {result.code}: {result.err}"
    lines = [line for line in result.err.split("\n") if line]
    assert code == 2 or len(lines) == 1, f"more than one sentence: {result.err}"
    assert code == 2 or list(json.loads(result.out)) == ["error", "detail"], f"no error for machines: {result.out}"


def write(path, header, rows):
    path.write_text("\t".join(header) + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))


def paint(path, family, rng):
    """Bars across or upright, so that a look tells the family."""
    size, step, phase = 48, rng.randrange(5, 8), rng.randrange(8)
    pixels = bytearray()
    for y in range(size):
        for x in range(size):
            value = 220 if ((y if family else x) + phase) // step % 2 else 40
            pixels += bytes([max(0, min(255, value + rng.randrange(-25, 26)))] * 3)
    path.write_bytes(b"P6 %d %d 255\n" % (size, size) + bytes(pixels))


def world(folder, seed=1):
    """User u likes albums of family u % 2 nine times in ten, and those of the other one in ten; quality does the rest."""
    rng = random.Random(seed)
    quality = [rng.gauss(0, 1) for _ in range(ALBUMS)]
    (folder / "covers").mkdir()
    for album in range(ALBUMS):
        paint(folder / "covers" / f"{album}.ppm", album % 2, rng)
    listens, liked, thumbs = [], [], []
    for user in range(USERS):
        albums = rng.sample(range(ALBUMS), HISTORY + JUDGED)
        for at, album in enumerate(albums):
            pull = (2 if album % 2 == user % 2 else -2) + quality[album] + rng.gauss(0, 1)
            sign = "+1" if pull > 0 else "-1"
            if at < HISTORY:
                listens.append((f"u{user}", f"a{album}", 1, 1000 + at))
                liked.append((f"u{user}", f"a{album}", sign))
            else:
                thumbs.append((f"u{user}", f"a{album}", sign))
    write(folder / "listens.tsv", ("user", "album", "count", "time"), listens)
    write(folder / "liked.tsv", ("user", "album", "thumb"), liked)
    write(folder / "thumbs.tsv", ("user", "album", "thumb"), thumbs)
    write(folder / "covers.tsv", ("album", "cover"), [(f"a{a}", f"covers/{a}.ppm") for a in range(ALBUMS)])
    return listens, liked, thumbs


TABLES = ("--listens", "listens.tsv", "--thumbs", "thumbs.tsv", "--liked", "liked.tsv")


def the_truth_is_found(folder):
    report = json.loads(ok(*TABLES, "--covers", "covers.tsv", "--out", "judged", "--json", cwd=folder).out)
    models = {m["model"]: m for m in report["models"]}
    auc = {name: m["per_user"]["value"] for name, m in models.items()}
    random_one = models["random"]["per_user"]
    assert random_one["low"] < .5 < random_one["high"], random_one
    assert report["leaks"] == 0 and report["thumbs"] == USERS * JUDGED
    for name in ("koren", "item_item", "vector_exp", "gist", "mapped", "mapped cold", "look", "listening", "both"):
        assert auc[name] > .75, f"{name}: {auc[name]}"
    assert auc["popularity"] < auc["koren"] - .05, auc  # popularity knows nothing of tastes
    for m in models.values():
        assert m["per_user"]["low"] <= m["per_user"]["value"] <= m["per_user"]["high"], m
    assert "likes" in models["koren"]["way"] and "held-out likes" in models["koren"]["way"], models["koren"]
    assert "fitted on the other users" in models["both"]["way"]
    for name in ("look", "listening", "both", "mapped", "mapped cold"):
        assert models[name]["pooled"]["value"] is None, f"{name}: scores of different folds are never pooled"
    pairs = {(d["model"], d["less"]): d["per_user"] for d in report["differences"]}
    assert len(pairs) == len(models) * (len(models) - 1) // 2
    found = pairs.get(("koren", "random")) or pairs[("random", "koren")]
    assert abs(abs(found["value"]) - abs(auc["koren"] - auc["random"])) < 1e-9
    assert found["low"] > 0 or found["high"] < 0, "koren is not chance"
    svg = (folder / "judged" / "auc.svg").read_text()
    assert "<svg" in svg and (folder / "judged" / "auc.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "judged" / "auc.json").read_text())["models"] == report["models"]
    return report


def the_table_says_the_same(folder, report):
    text = ok(*TABLES, cwd=folder).out
    for m in report["models"]:
        if m["model"] in ("random", "popularity", "koren"):
            line = next(line for line in text.split("\n") if line.startswith(m["model"] + " "))
            assert f"{m['per_user']['value']:.3f}" in line, (line, m)
    assert "not one scale" in text and "row less column" in text and "cold (0)" in text


def a_leak_is_told_and_changes_nothing(folder, rows):
    """What is judged, planted among what is trained on, in both tables."""
    listens, liked, thumbs = rows
    clean = json.loads(ok(*TABLES, "--json", cwd=folder).out)
    write(folder / "leaky.tsv", ("user", "album", "count", "time"),
          listens + [(u, a, 9, 5000) for u, a, sign in thumbs if sign == "+1"])
    write(folder / "leaky_liked.tsv", ("user", "album", "thumb"), liked + thumbs[:100])
    leaky = json.loads(ok("--listens", "leaky.tsv", "--thumbs", "thumbs.tsv", "--liked", "leaky_liked.tsv", "--json",
                          cwd=folder).out)
    assert leaky["leaks"] == 100 + sum(sign == "+1" for _, _, sign in thumbs)
    told = ok("--listens", "leaky.tsv", "--thumbs", "thumbs.tsv", "--liked", "liked.tsv", cwd=folder).out
    assert "they were not trained on" in told and f"{leaky['leaks'] - 100} listens and likes are judged" in told
    for a, b in zip(clean["models"], leaky["models"]):
        assert a["per_user"] == b["per_user"], (a, b)


def nothing_after_a_thumb_trains(folder, rows):
    """With times, a user's listens from the first judged thumb on go, whatever album they are of."""
    listens, _, thumbs = rows
    write(folder / "timed.tsv", ("user", "album", "thumb", "time"), [(u, a, s, 1000 + HISTORY // 2) for u, a, s in thumbs])
    report = json.loads(ok("--listens", "listens.tsv", "--thumbs", "timed.tsv", "--json", cwd=folder).out)
    assert report["leaks"] == len(listens) // 2, report["leaks"]
    write(folder / "early.tsv", ("user", "album", "thumb", "time"), [(u, a, s, 999) for u, a, s in thumbs])
    refused("nothing is left to train on", "--listens", "listens.tsv", "--thumbs", "early.tsv", cwd=folder)


def nothing_of_anybody_after_the_first_thumb_trains(folder, rows):
    """One thumb has a time, of one user: by it all users' listens are cut."""
    listens, liked, thumbs = rows
    write(folder / "first.tsv", ("user", "album", "thumb", "time"),
          [(*thumbs[0], 1000 + HISTORY // 2), *((*t, "") for t in thumbs[1:])])
    tables = ("--listens", "listens.tsv", "--thumbs", "first.tsv", "--json")
    assert json.loads(ok(*tables, cwd=folder).out)["leaks"] == HISTORY // 2
    report = json.loads(ok(*tables, "--liked", "liked.tsv", "--cut-all", cwd=folder).out)
    assert report["leaks"] == len(listens) // 2 + len(liked), report["leaks"]  # likes have no times
    refused("no thumb has a time", *TABLES, "--cut-all", cwd=folder)
    write(folder / "early.tsv", ("user", "album", "thumb", "time"), [(*thumbs[0], 999), *((*t, 5000) for t in thumbs[1:])])
    refused("came after the first judged thumb of anybody", "--listens", "listens.tsv", "--thumbs", "early.tsv", "--cut-all",
            cwd=folder)


def albums_without_a_vector_are_counted(folder, rows):
    thumbs = rows[2]
    lines = (folder / "covers.tsv").read_text().split("\n")
    (folder / "fewer.tsv").write_text("\n".join(lines[:1] + lines[21:]))
    report = json.loads(ok(*TABLES, "--covers", "fewer.tsv", "--json", cwd=folder).out)
    models = {m["model"]: m for m in report["models"]}
    missing = sum(int(a[1:]) < 20 for _, a, _ in thumbs)
    for name in ("gray16", "gist", "mapped", "mapped cold"):
        assert models[name]["unknown"] == missing, (name, models[name]["unknown"], missing)
    write(folder / "foreign.tsv", ("album", "cover"), [("elsewhere", "covers/1.ppm")])
    result = run(*TABLES, "--covers", "foreign.tsv", cwd=folder)
    assert result.code == 1 and "no album of the tables has a vector: are the ids the same?" in result.err, result.err


def likes_that_tell_too_little_choose_nothing(folder, rows):
    """Likes of one kind only, or a fold of them: standard numbers, and no error."""
    liked = [(u, a, "+1") for u, a, sign in rows[1] if sign == "+1"]
    write(folder / "ups.tsv", ("user", "album", "thumb"), liked)
    tables = ("--listens", "listens.tsv", "--thumbs", "thumbs.tsv", "--json")
    models = json.loads(ok(*tables, "--liked", "ups.tsv", "--covers", "covers.tsv", cwd=folder).out)["models"]
    ways = {m["model"]: m["way"] for m in models}
    assert ways["koren"] == "listens" and ways["gist"] == "mean" and "mapped" in ways, ways
    write(folder / "uneven.tsv", ("user", "album", "thumb"),
          [(u, a, "+1" if i % 5 else "-1") for i, (u, a, _) in enumerate(rows[1])])
    models = json.loads(ok(*tables, "--liked", "uneven.tsv", cwd=folder).out)["models"]
    assert {m["way"] for m in models if m["model"] in ("popularity", "koren", "rnn")} == {"listens"}, models


def what_is_held_out_is_held_out_whole(folder, rows):
    """A pair that was thumbed for several seeds: chance likes stay chance where they are chosen by."""
    rng = random.Random(5)
    signs = [(u, a, rng.choice(("+1", "-1"))) for u, a, _ in rows[1]]
    write(folder / "seeded.tsv", ("user", "album", "thumb", "seed"), [(*row, f"a{s}") for row in signs for s in range(4)])
    models = json.loads(ok("--listens", "listens.tsv", "--thumbs", "thumbs.tsv", "--liked", "seeded.tsv", "--json",
                           cwd=folder).out)["models"]
    way = next(m["way"] for m in models if m["model"] == "koren")
    held_out = float(way.split(": ")[1].split(" on held-out likes")[0])
    assert held_out < .6, way


def seeds_are_compared_apart(folder):
    """What is far from one seed may be near for another: only thumbs of one user and seed are compared."""
    rows = []
    for user in range(USERS):
        rows += [(f"u{user}", f"a{a}", sign, f"a{seed}") for a, sign, seed in
                 ((2, "+1", 0), (4, "+1", 0), (3, "-1", 6), (5, "-1", 6), (8, "+1", 10), (7, "-1", 10), (9, "+1", 11),
                  (12, "-1", 11))]
    def judged(name):
        report = json.loads(ok("--listens", "listens.tsv", "--thumbs", name, "--covers", "covers.tsv", "--json",
                               cwd=folder).out)
        return report["seeded"], {m["model"]: m for m in report["models"]}
    write(folder / "for_seeds.tsv", ("user", "album", "thumb", "seed"), rows)
    seeded, models = judged("for_seeds.tsv")
    assert seeded == len(rows) and models["gist"]["pooled"]["value"] is not None, models["gist"]
    for name in ("random", "gist", "koren", "both"):  # two of each user's four seeds have one sign only
        assert models[name]["per_user"]["users"] == 2 * USERS, models[name]
    assert models["gist"]["per_user"]["value"] == 1, models["gist"]
    write(folder / "for_some.tsv", ("user", "album", "thumb", "seed"), [(*row[:3], "") for row in rows[:8]] + rows[8:])
    seeded, models = judged("for_some.tsv")
    assert seeded == len(rows) - 8 and models["gist"]["pooled"]["value"] is None, "two measures are pooled"
    assert models["koren"]["pooled"]["value"] is not None and models["gist"]["per_user"]["users"] == 2 * USERS - 1, models["gist"]


def is_alive(pid):
    """Not gone, and no corpse that somebody has yet to bury."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def an_end_leaves_nothing(folder):
    """The process that describes waits for a table that does not come: it ends with its parent, and so does their folder."""
    os.mkfifo(folder / "slow.tsv")
    for number in (signal.SIGTERM, signal.SIGINT):
        temporary = folder / f"tmp{number}"
        temporary.mkdir()
        judge = subprocess.Popen([f.BIN / "coverfleet", "eval", *TABLES, "--covers", "slow.tsv", "--json"], cwd=folder,
                                 env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL)
        slow = os.open(folder / "slow.tsv", os.O_WRONLY)  # as soon as the other process reads
        children = [int(pid) for pid in pathlib.Path(f"/proc/{judge.pid}/task/{judge.pid}/children").read_text().split()]
        assert children and len(list(temporary.iterdir())) == 1, (children, list(temporary.iterdir()))
        judge.send_signal(number)
        assert judge.wait(60) == -number, judge.returncode
        assert not list(temporary.iterdir()), list(temporary.iterdir())
        f.wait_for(lambda: not any(is_alive(pid) for pid in children), 60, "the process that described to be gone")
        os.close(slow)


def albums_that_nobody_heard_are_no_error(folder, rows):
    """Covers are judged all the same; a mapping has nothing to learn from."""
    write(folder / "new.tsv", ("user", "album", "thumb"), [(u, "new" + a, sign) for u, a, sign in rows[2]])
    write(folder / "new_covers.tsv", ("album", "cover"), [(f"newa{a}", f"covers/{a}.ppm") for a in range(ALBUMS)])
    result = ok("--listens", "listens.tsv", "--thumbs", "new.tsv", "--covers", "new_covers.tsv", "--json", cwd=folder)
    names = [m["model"] for m in json.loads(result.out)["models"]]
    assert "gist" in names and "mapped" not in names, names
    assert "mapped: fewer than 60 albums have both listens and a vector in every space: passed over" in result.err, result.err


def one_user_has_no_interval(folder):
    write(folder / "one.tsv", ("user", "album", "thumb"), [("u1", "a1", "+1"), ("u1", "a2", "-1")])
    tables = ("--listens", "listens.tsv", "--thumbs", "one.tsv")
    text = ok(*tables, "--out", "one", cwd=folder).out
    assert "of one user" in text and "too few" in text and "nan" not in text and "*" not in text.replace("; *", ""), text
    assert "nan" not in (folder / "one" / "auc.svg").read_text()
    per_user = json.loads((folder / "one" / "auc.json").read_text())["models"][0]["per_user"]
    assert per_user["value"] is not None and per_user["low"] is None, per_user


def bad_tables_are_one_sentence(folder):
    def bad(name, text, words, thumbs=True):
        (folder / name).write_text(text)
        mine = ("--listens", "listens.tsv", "--thumbs", name) if thumbs else ("--listens", name, "--thumbs", "thumbs.tsv")
        refused(words, *mine, cwd=folder)

    good = "user\talbum\tthumb\nu1\ta1\t+1\n"
    bad("bad.tsv", "user\talbum\nu1\ta1\n", 'bad.tsv:1: there is no column "thumb"')
    bad("bad.tsv", good + "u1\ta2\t3\n", 'bad.tsv:3: the thumb must be +1 or -1: "3"')
    bad("bad.tsv", good + "u1\t\t-1\n", "bad.tsv:3: the album must have 1 to 255 bytes")
    bad("bad.tsv", good, "of 1 thumbs all are up: an AUC needs both kinds")
    bad("bad.tsv", "", "bad.tsv: the file is empty")
    bad("bad.tsv", "user\talbum\tthumb\n", "there are no thumbs in it")
    bad("bad.tsv", "user\tcount\nu1\t1\n", 'bad.tsv:1: there is no column "album"', thumbs=False)
    bad("bad.tsv", "user\talbum\tcount\nu1\ta1\t1\nu1\ta2\t-4\n", 'bad.tsv:3: the count must be a number above 0: "-4"',
        thumbs=False)
    bad("bad.tsv", "user\talbum\tcount\nu1\ta1\t1e12\nu1\ta2\t3e38\n", 'bad.tsv:3: the count must be at most 1e12: "3e38"',
        thumbs=False)
    bad("bad.tsv", "user\talbum\ttime\nu1\ta1\tyesterday\n", "bad.tsv:2: the time must be seconds", thumbs=False)
    bad("bad.tsv", "user\talbum\n", "there are no listens in it", thumbs=False)
    refused("No such file", "--listens", "nowhere.tsv", "--thumbs", "thumbs.tsv", cwd=folder)
    refused("nowhere.tsv: No such file", *TABLES, "--covers", "nowhere.tsv", cwd=folder)
    refused("bad.tsv: not a folder", *TABLES, "--covers", "nowhere.tsv", "--out", "bad.tsv", cwd=folder)  # before the covers
    refused("are needed", "--listens", "listens.tsv", cwd=folder, code=2)
    refused("either --covers or --fleet", *TABLES, "--covers", "covers.tsv", "--fleet", cwd=folder, code=2)


def one_bad_line_in_many(folder, lines):
    bad = lines * 7 // 9
    with open(folder / "many.tsv", "w") as out:
        out.write("user\talbum\tcount\ttime\n")
        for line in range(2, lines + 2):
            out.write(f"u{line * 7919 % 100003}\ta{line * 104729 % 30011}\t{'x' if line == bad else 1}\t{line}\n")
    refused(f'many.tsv:{bad}: the count must be a number above 0: "x"', "--listens", "many.tsv", "--thumbs", "thumbs.tsv",
            cwd=folder)
    (folder / "many.tsv").unlink()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = world(folder)
        if "--long" in sys.argv[1:]:
            one_bad_line_in_many(folder, 10_000_000)
            return
        bad_tables_are_one_sentence(folder)
        one_bad_line_in_many(folder, 200_000)
        report = the_truth_is_found(folder)
        the_table_says_the_same(folder, report)
        a_leak_is_told_and_changes_nothing(folder, rows)
        nothing_after_a_thumb_trains(folder, rows)
        nothing_of_anybody_after_the_first_thumb_trains(folder, rows)
        albums_without_a_vector_are_counted(folder, rows)
        likes_that_tell_too_little_choose_nothing(folder, rows)
        what_is_held_out_is_held_out_whole(folder, rows)
        seeds_are_compared_apart(folder)
        an_end_leaves_nothing(folder)
        albums_that_nobody_heard_are_no_error(folder, rows)
        one_user_has_no_interval(folder)


if __name__ == "__main__":
    main()
