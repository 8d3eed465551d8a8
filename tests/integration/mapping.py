#!/usr/bin/python3
"""From listens to neighbours: a mapping is trained on a fleet's own vectors, published, served as the space cf, asked for
albums that nobody has played and for a cover never seen before, and refreshed by a second one."""
import random

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


def answers_by_listening(fleet, folder, rows, unplayed, fresh):
    def served():
        result = fleet.run("query", rows[0]["album"], "--space", "cf", "-k", "5", "--json")
        return result.code == 0
    v.until(fleet, served, "queries in cf")
    by_album = [share_of_style(fleet.ok("query", a, "--space", "cf", "-k", "10", "--json").json()["neighbors"], style_of(a))
                for a in unplayed[:20]]
    assert sum(by_album) / len(by_album) > .8, by_album
    by_image = [share_of_style(fleet.ok("query", "--image", path, "--space", "cf", "-k", "10",
                                        "--json").json()["neighbors"], style_of(name)) for name, path in fresh]
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
        kept = (models / "cf-1.cfmap.json").read_text()
        assert max(kind["cosine"] for kind in first["unseen_albums"]) > .5 and '"listen_count": 3000' in kept, first
        info = fleet.ok("map", "info", models / "cf-1.cfmap", "--json").json()
        assert info["outputs"] == 40 and [s["space"] for s in info["spaces"]][:2] == ["gray16", "gist"], info
        restarted(fleet)
        order = fleet.ok("redescribe", "--space", "cf", "--wait", "--json").json()
        assert order["failed"] == 0, order
        answers_by_listening(fleet, folder, rows, unplayed, fresh)
        second = train(fleet, folder, 2)
        assert second["version"] == 2
        restarted(fleet)
        fleet.ok("redescribe", "--space", "cf", "--wait", "--json")
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


if __name__ == "__main__":
    f.main([unplayed_albums_have_listening_neighbours])
