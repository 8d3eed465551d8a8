#!/usr/bin/python3
"""From listens to neighbours: a mapping is trained on a fleet's own vectors, published, served as the space cf, asked for
albums that nobody has played and for a cover never seen before, and refreshed by a second one."""
import fcntl
import json
import os
import random
import subprocess

import fleet as f
import versions as v

USERS, EACH, UNPLAYED_EVERY = 120, 25, 6


def style_of(album):
    return album.rsplit("-", 1)[0]


def write_listens(path, albums, seed=1):
    """Every user has one style, and strays one time in ten."""
    rng = random.Random(seed)
    styles = sorted({style_of(a) for a in albums})
    by_style = {s: [a for a in albums if style_of(a) == s] for s in styles}
    with open(path, "w") as out:
        out.write("user\talbum\tcount\n")
        for user in range(USERS):
            own = by_style[styles[user % len(styles)]]
            for _ in range(EACH):
                album = rng.choice(albums) if rng.random() < .1 else rng.choice(own)
                out.write(f"u{user}\t{album}\t1\n")


def share_of_style(neighbours, style):
    assert neighbours, "no neighbours"
    return sum(style_of(n["album"]) == style for n in neighbours) / len(neighbours)


def restarted(fleet):
    """Every worker leaves when the models of the home change, and is started again."""
    started = 0

    def all_left():
        nonlocal started
        started += v.tend(fleet)
        return started >= 4
    f.wait_for(all_left, 60, "every worker to start anew")
    fleet.wait_ready()


def ordered_at_once(fleet):
    """While the workers still have the old model, or are on their way to the next."""
    order = subprocess.Popen([f.BIN / "coverfleet", "redescribe", "--space", "cf", "--wait", "--deadline", "60s", "--json"],
                             env=fleet.env, text=True, stdout=subprocess.PIPE)
    v.until(fleet, lambda: order.poll() is not None, "the order to be done")
    done = json.loads(order.communicate()[0])
    assert order.returncode == 0 and done["done"] == done["total"] > 0, done


def ask(fleet, *arguments):
    """Neighbours in cf. A query worker that leaves for another model is started again by who watches."""
    def answered():
        result = fleet.run("query", *arguments, "--space", "cf", "-k", "10", "--json")
        assert result.code == 0 or "no_worker" in result.err, result.err
        return result.code == 0 and result.json()["neighbors"]
    return v.until(fleet, answered, "an answer in cf")


def answers_by_listening(fleet, folder, rows, unplayed, fresh):
    def served():
        result = fleet.run("query", rows[0]["album"], "--space", "cf", "-k", "5", "--json")
        return result.code == 0
    v.until(fleet, served, "queries in cf")
    by_album = [share_of_style(ask(fleet, a), style_of(a)) for a in unplayed[:20]]
    assert sum(by_album) / len(by_album) > .8, by_album
    by_image = [share_of_style(ask(fleet, "--image", path), style_of(name)) for name, path in fresh]
    assert sum(by_image) / len(by_image) > .8, by_image


def train(fleet, folder, seed):
    return fleet.ok("map", "train", "--listens", folder / "listens.tsv", "--fleet", "--publish", "--seed", str(seed),
                    "--json").json()


def unplayed_albums_have_listening_neighbours(folder):
    drawn = f.samples(folder / "covers", 330)
    fresh = [(r["album"], folder / "covers" / r["cover"]) for r in drawn[::33]]
    rows = [r for i, r in enumerate(drawn) if i % 33]
    unplayed = [r["album"] for i, r in enumerate(rows) if i % UNPLAYED_EVERY == 0]
    write_listens(folder / "listens.tsv", [r["album"] for i, r in enumerate(rows) if i % UNPLAYED_EVERY])
    models = folder / "home" / "data" / "models"
    with f.Fleet(folder / "home") as fleet:
        fleet.ok("push", *(f"{r['album']}={folder / 'covers' / r['cover']}" for r in rows), "--wait")
        first = train(fleet, folder, 1)
        assert first["version"] == 1 and (models / "cf-1.cfmap").exists(), first
        assert max(kind["cosine"] for kind in first["unseen_albums"]) > .5, first
        info = fleet.ok("map", "info", models / "cf-1.cfmap", "--json").json()
        assert info["outputs"] == 40 and [s["space"] for s in info["spaces"]][:2] == ["gray16", "gist"], info
        assert info["origin"]["listen_count"] == USERS * EACH, info
        assert info["origin"]["unseen_albums"] == first["unseen_albums"], info
        assert '"listen_count":3000' in fleet.ok("map", "info", models / "cf-1.cfmap").out
        restarted(fleet)
        order = fleet.ok("redescribe", "--space", "cf", "--wait", "--json").json()
        assert order["failed"] == 0, order
        answers_by_listening(fleet, folder, rows, unplayed, fresh)
        second = train(fleet, folder, 2)
        assert second["version"] == 2
        info = fleet.ok("map", "info", models / "cf-2.cfmap", "--json").json()
        assert "cf" not in [s["space"] for s in info["spaces"]], info
        ordered_at_once(fleet)
        v.until(fleet, lambda: (models / "cf-served").exists() and (models / "cf-served").read_text() == "2\n",
                "the second mapping to be served")
        answers_by_listening(fleet, folder, rows, unplayed, fresh)
        for arguments, words in ((("map", "train", "--listens", folder / "listens.tsv", "--fleet"), "are needed"),
                                 (("map", "info"), "info takes one file")):
            result = fleet.run(*arguments)
            assert result.code == 2 and words in result.err, result.err
        damaged = folder / "damaged.cfmap"
        damaged.write_bytes((models / "cf-1.cfmap").read_bytes()[:-1] + b"\x55")
        result = fleet.run("map", "info", damaged)
        assert result.code == 1 and "damaged.cfmap" in result.err, result.err


def a_space_that_the_fleet_lacks_is_passed_over(folder):
    rows = f.samples(folder / "covers", 120)
    albums = [r["album"] for r in rows]
    write_listens(folder / "listens.tsv", albums)
    rng = random.Random(1)
    with open(folder / "thumbs.tsv", "w") as out:
        out.write("user\talbum\tthumb\n")
        for user in range(USERS):
            out.writelines(f"u{user}\t{a}\t{rng.choice(['+1', '-1'])}\n" for a in rng.sample(albums, 8))
    tables = ("--listens", folder / "listens.tsv", "--thumbs", folder / "thumbs.tsv", "--fleet")
    with f.Fleet(folder / "home", config="descriptor { spaces = {gray16} }\n", descriptors=1) as fleet:
        result = fleet.run("eval", *tables, "--json")
        assert result.code == 1 and "no album of the tables has a vector" in result.err, result.err
        assert "passed over" not in result.err, result.err
        fleet.ok("push", *(f"{r['album']}={folder / 'covers' / r['cover']}" for r in rows), "--wait")
        result = fleet.ok("eval", *tables, "--json")
        models = [m["model"] for m in result.json()["models"]]
        assert "gray16" in models and "mapped" in models and "gist" not in models, models
        for space in ("gist", "copy", "style"):
            assert f"coverfleet eval: {space}: no album of the tables has a vector: passed over" in result.err, result.err
        assert "gray16: no album" not in result.err, result.err


def offline(folder, covers):
    done = subprocess.run([f.BIN / "coverfleet", "map", "train", "--listens", "listens.tsv", "--covers", covers, "--root",
                           "covers", "--out", "model.cfmap", "--json"], cwd=folder, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    return max(kind["cosine"] for kind in figures["unseen_albums"]), figures["blind_cosine"]


def what_needs_no_cover_is_told(folder):
    """Albums have a direction in common: a mapping of covers that say nothing points that way, and no mapping is judged by it."""
    rows = f.samples(folder / "covers", 120)
    albums, covers = [r["album"] for r in rows], [r["cover"] for r in rows]
    write_listens(folder / "listens.tsv", albums)
    cosine, blind = offline(folder, "covers/samples.tsv")
    assert cosine > blind + .2, (cosine, blind)
    random.Random(1).shuffle(covers)
    (folder / "shuffled.tsv").write_text("album\tcover\n" + "".join(f"{a}\t{c}\n" for a, c in zip(albums, covers)))
    cosine, same = offline(folder, "shuffled.tsv")
    assert same == blind and abs(cosine - blind) < .1, (cosine, blind)


def what_cannot_be_written_is_told_before(folder):
    """The tables are not there: whoever looked at them first would say so."""
    (folder / "file").write_text("")
    for place, words in ((("--out", "nowhere/m.cfmap"), "nowhere/m.cfmap: No such file"), (("--out", "."), "is no regular file"),
                         (("--publish",), "file")):
        done = subprocess.run([f.BIN / "coverfleet", "map", "train", "--listens", "none.tsv", "--covers", "none.tsv", *place],
                              cwd=folder, env={**os.environ, "COVERFLEET_HOME": str(folder / "file")}, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 1 and words in done.stderr and "none.tsv" not in done.stderr, done.stderr


def is_waited_for(pid):
    return any(" -> " in line and f" {pid} " in line for line in open("/proc/locks"))


def a_version_is_given_once(folder):
    """Somebody else publishes at the same moment: who comes second takes the next version, and replaces nothing."""
    rows = f.samples(folder / "covers", 120)
    write_listens(folder / "listens.tsv", [r["album"] for r in rows])
    models = folder / "home" / "data" / "models"
    models.mkdir(parents=True)
    home = os.open(models, os.O_RDONLY)
    fcntl.flock(home, fcntl.LOCK_EX)
    second = subprocess.Popen([f.BIN / "coverfleet", "map", "train", "--listens", "listens.tsv", "--covers", "covers/samples.tsv",
                               "--publish", "--json"], cwd=folder, env={**os.environ, "COVERFLEET_HOME": str(folder / "home")},
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    f.wait_for(lambda: is_waited_for(second.pid) or second.poll() is not None, 120, "the second to have trained")
    (models / "cf-1.cfmap").write_bytes(b"of the first")
    os.close(home)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0 and json.loads(out)["version"] == 2, (out, err)
    assert (models / "cf-1.cfmap").read_bytes() == b"of the first"
    assert (models / "cf-given").read_text() == "2\n"


if __name__ == "__main__":
    f.main([what_cannot_be_written_is_told_before, what_needs_no_cover_is_told, a_version_is_given_once,
            a_space_that_the_fleet_lacks_is_passed_over, unplayed_albums_have_listening_neighbours])
