#!/usr/bin/python3
"""What services ask for beyond the nearest, in a real fleet on drawn samples: radius, collapse, exclusion, filters, several
spaces, many targets, large k, vectors, explanations; and what must be refused."""
import itertools
import math

import msgpack
import numpy
import zmq

import fleet as f

SCALE = {"gray16": 22.5, "gist": 2.0}
ARTISTS = ("Maurizio", "Basic Channel", "Drexciya", "Model 500")
GENRES = ("Dub", "Techno")


class Wire:
    """By hand on the wire, from PROTOCOL.md."""

    def __init__(self, fleet):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(f"ipc://{fleet.home}/run/client.sock")
        self.ids = itertools.count(1)

    def ask(self, kind, **fields):
        number = next(self.ids)
        self.socket.send(msgpack.packb({"v": 1, "kind": kind, "id": number, **fields}))
        assert self.socket.poll(20000), f"no answer to {kind}"
        reply = msgpack.unpackb(self.socket.recv())
        assert reply["id"] == number
        return reply

    def refuses(self, error, word, **fields):
        query = {"space": "gist", "k": 3, "targets": [{"album": "a-0"}], **fields}
        reply = self.ask("query", **query)
        assert reply["kind"] == "error" and reply["error"] == error and word in reply["detail"], (fields, reply)

    def close(self):
        self.context.destroy(linger=0)


class Catalogue:
    """The same albums as the fleet has, for exact answers."""

    def __init__(self, fleet, folder, rows):
        self.albums = [f"a-{i}" for i in range(len(rows))] + ["twin-0", "twin-1"]
        covers = [folder / row["cover"] for row in rows] + [folder / rows[0]["cover"]] * 2
        self.artist = {a: ARTISTS[i % 4] for i, a in enumerate(self.albums)}
        self.genre = {a: GENRES[i % 2] for i, a in enumerate(self.albums)}
        self.vectors = {s: numpy.stack([f.describe(c, s) for c in covers]).astype(float) for s in SCALE}
        table = folder / "features.tsv"
        table.write_text("album\tcover\tartist\tgenre\n" + "".join(
            f"{a}\t{c}\t{self.artist[a]}\t{self.genre[a]}\n" for a, c in zip(self.albums, covers)))
        pushed = fleet.ok("push", "--table", table, "--wait", "--json").json()
        assert pushed["described"] == len(self.albums), pushed

    def distances(self, album, weights):
        """By the formula of PROTOCOL.md, or plain in one space."""
        at = self.albums.index(album)
        if isinstance(weights, str):
            return numpy.sqrt(((self.vectors[weights] - self.vectors[weights][at]) ** 2).sum(axis=1))
        total = sum(weights.values())
        return numpy.sqrt(sum(w / total * ((self.vectors[s] - self.vectors[s][at]) ** 2).sum(axis=1) / SCALE[s] ** 2
                              for s, w in weights.items()))

    def nearest(self, album, weights, keep=lambda a: True):
        far = self.distances(album, weights)
        order = numpy.argsort(far, kind="stable")
        return [(self.albums[i], far[i]) for i in order if self.albums[i] != album and keep(self.albums[i])]


def same_neighbors(found, truth):
    """Equal distances may stand in any order."""
    assert len(found) == len(truth), (len(found), len(truth))
    for neighbor, (_, distance) in zip(found, truth):
        assert abs(neighbor["distance"] - distance) <= 1e-2 * max(1.0, distance), (neighbor, distance)
    assert len({n["album"] for n in found} & {album for album, _ in truth}) >= 0.9 * len(truth)


def radius_and_exclusion(fleet, catalogue):
    truth = catalogue.nearest("a-3", "gist")
    cut = (truth[7][1] + truth[8][1]) / 2
    same_neighbors(fleet.neighbors("a-3", "--radius", cut, "-k", 100, "--exact"), truth[:8])
    for last in range(1, 30):  # at the very edge, where rows of eight bits alone would lose some
        edge = truth[last][1] + 1e-5
        found = {n["album"] for n in fleet.neighbors("a-3", "--radius", edge, "-k", 100)}
        assert found == {album for album, distance in truth if distance <= edge}, (last, found)
    gone = [album for album, _ in truth[:3]]
    listed = fleet.home / "gone.txt"
    listed.write_text("".join(f"{album}\n" for album in gone[1:]))
    found = fleet.neighbors("a-3", "--exclude", gone[0], "--exclude-from", listed, "-k", 5, "--exact")
    same_neighbors(found, truth[3:8])


def filters(fleet, catalogue):
    for space in SCALE:
        keep = lambda a: catalogue.artist[a] in ("Maurizio", "Drexciya") and catalogue.genre[a] == "Dub"
        truth = catalogue.nearest("a-5", space, keep)
        arguments = ["a-5", "--space", space, "--filter", "artist=Maurizio", "--filter", "artist=Drexciya",
                     "--filter", "genre=Dub"]
        same_neighbors(fleet.neighbors(*arguments, "-k", 12), truth[:12])
        everything = fleet.neighbors(*arguments, "-k", 10000)
        assert {n["album"] for n in everything} == {album for album, _ in truth}
        assert {n["artist"] for n in everything} == {"Maurizio", "Drexciya"} and {n["genre"] for n in everything} == {"Dub"}
    assert fleet.neighbors("a-5", "--filter", "artist=Nobody") == []


def collapse(fleet, catalogue):
    """The same cover three times is one result that stands for the others."""
    first = fleet.neighbors("a-9", "-k", 10000, "--collapse", 1e-3)
    leader = next(n for n in first if n["album"] in ("a-0", "twin-0", "twin-1"))
    assert leader["same_count"] >= 2, leader
    assert {"a-0", "twin-0", "twin-1"} <= {leader["album"], *leader["same"]}, leader
    assert len(first) + sum(n.get("same_count", 0) for n in first) == len(catalogue.albums) - 1
    text = fleet.ok("query", "a-9", "-k", "10000", "--collapse", "1e-3").out
    assert f"{leader['same_count']} more" in text, text


def blends(fleet, catalogue, folder):
    for weights in ({"gist": 1, "gray16": 1}, {"gist": 3, "gray16": 0.5}, {"gray16": 2}):
        option = ",".join(f"{s}={w}" for s, w in weights.items())
        truth = catalogue.nearest("a-7", weights)
        answer = fleet.ok("query", "a-7", "--spaces", option, "-k", 10, "--exact", "--json").json()
        assert answer["space"] == "blend" and answer["exact"], answer
        same_neighbors(answer["neighbors"], truth[:10])
        arguments = ["--spaces", option, "-k", 11, "--exact"]
        for space in weights:
            raw = folder / f"{space}.f32"
            raw.write_bytes(catalogue.vectors[space][catalogue.albums.index("a-7")].astype("<f4").tobytes())
            arguments += ["--vector", f"{space}={raw}"]
        by_vector = fleet.neighbors(*arguments)
        assert by_vector[0]["album"] == "a-7" and by_vector[0]["distance"] < 1e-3
        same_neighbors(by_vector[1:], truth[:10])
    image = next(folder.glob("*.ppm"), None) or next(p for p in folder.iterdir() if p.suffix in (".jpg", ".png"))
    assert len(fleet.neighbors("--image", image, "--spaces", "gist=1,gray16=1", "-k", 5)) == 5


def batches_and_large_k(fleet, catalogue):
    wire = Wire(fleet)
    targets = [{"album": catalogue.albums[i % len(catalogue.albums)]} for i in range(1000)]
    reply = wire.ask("query", space="gray16", k=3, targets=targets)
    assert reply["kind"] == "query_ok" and len(reply["results"]) == 1000
    assert all(len(result["neighbors"]) == 3 for result in reply["results"])
    for i in (0, 299, 999):
        alone = wire.ask("query", space="gray16", k=3, targets=[targets[i]])["results"][0]
        assert [n["album"] for n in alone["neighbors"]] == [n["album"] for n in reply["results"][i]["neighbors"]]
    assert len(fleet.neighbors("a-1", "-k", 10000)) == len(catalogue.albums) - 1
    many = fleet.ok("query", *[t["album"] for t in targets[:300]], "-k", 2, "--json").json()
    assert len(many["results"]) == 300
    wire.close()


def vectors_and_explanations(fleet, catalogue):
    wire = Wire(fleet)
    for space, known in catalogue.vectors.items():
        reply = wire.ask("vector", space=space, albums=["a-2", "nobody", "a-4"])
        assert reply["kind"] == "vector_ok" and reply["space"] == space and reply["space_version"] >= 1, reply
        assert reply["results"][1]["error"] == "not_found"
        for result, at in ((reply["results"][0], 2), (reply["results"][2], 4)):
            assert numpy.allclose(numpy.frombuffer(result["vector"], "<f4"), known[at], atol=1e-5)
        why = fleet.ok("show", "--why", "a-2", "a-4", "--space", space, "--json").json()
        assert abs(why["distance"] - catalogue.distances("a-2", space)[4]) < 1e-3
        assert abs(sum(map(sum, why["blocks"])) - 1) < 1e-6
        text = fleet.ok("show", "--why", "a-2", "a-4", "--space", space).out
        assert text.startswith("a-2 and a-4: distance") and text.count("|") >= 24, text
    assert wire.ask("vector", space="smell", albums=["a-2"])["error"] == "unknown_space"
    assert wire.ask("vector", space="gist", albums=[])["error"] == "invalid"
    assert fleet.run("show", "--why", "a-2", "nobody").code == 1
    wire.close()


def bad_wishes(fleet):
    wire = Wire(fleet)
    wire.refuses("invalid", "label", filters={"label": ["x"]})
    wire.refuses("invalid", "empty value", filters={"artist": [""]})
    wire.refuses("invalid", "filters", filters={"artist": "x"})
    wire.refuses("invalid", "filters", filters={"artist": []})
    wire.refuses("invalid", "radius", radius=-1.0)
    wire.refuses("invalid", "radius", radius=math.nan)
    wire.refuses("invalid", "collapse", collapse=-0.1)
    wire.refuses("invalid", "collapse", collapse=math.inf)
    wire.refuses("invalid", "exclude", exclude=["x"] * 10001)
    wire.refuses("bad_k", "k is 0", k=0)
    wire.refuses("bad_k", "10001", k=10001)
    wire.refuses("invalid", "weights", space="", spaces={"gist": 0, "gray16": 0})
    wire.refuses("invalid", "spaces", space="", spaces={"gist": math.nan})
    wire.refuses("invalid", "spaces", space="", spaces={"gist": -1})
    wire.refuses("invalid", "empty", spaces={"gist": 1})
    wire.refuses("unknown_space", "smell", space="", spaces={"gist": 1, "smell": 1})
    wire.refuses("bad_vector", "gray16", space="", spaces={"gist": 1, "gray16": 1},
                 targets=[{"vectors": {"gist": bytes(3840)}}])
    wire.refuses("invalid", "vectors", space="", spaces={"gist": 1}, targets=[{"vector": bytes(3840)}])
    wire.refuses("too_large", "1024", targets=[{"album": "a-0"}] * 1025)
    wire.close()
    for arguments, word in ((("--filter", "label=x"), "label"), (("--spaces", "gist=0"), "weights")):
        result = fleet.run("query", "a-0", *arguments)
        assert result.code == 1 and word in result.err, result.err
    for arguments in (("--radius", "-1"), ("--collapse", "nan"), ("--filter", "artist"), ("--spaces", "gist=nan")):
        result = fleet.run("query", "a-0", *arguments)
        assert result.code == 2 and arguments[0] in result.err, result.err


def features(folder):
    rows = f.samples(folder / "covers", 120)
    with f.Fleet(folder / "home") as fleet:
        catalogue = Catalogue(fleet, folder / "covers", rows)
        for indexed in (False, True):  # from the tail, then through an index
            radius_and_exclusion(fleet, catalogue)
            filters(fleet, catalogue)
            collapse(fleet, catalogue)
            blends(fleet, catalogue, folder / "covers")
            if not indexed:
                fleet.ok("index", "rebuild")
                f.wait_for(lambda: fleet.counts()["indexed"] == len(catalogue.albums), 60, "an index")
        batches_and_large_k(fleet, catalogue)
        vectors_and_explanations(fleet, catalogue)
        bad_wishes(fleet)
        assert sorted(fleet.alive()) == sorted(fleet.names)


if __name__ == "__main__":
    f.main([features])
