#!/usr/bin/python3
"""Bad input: one clear error each, the right exit code, and the fleet none the worse."""
import os
import pathlib
import signal
import struct
import subprocess

import msgpack
import zmq

import fleet as f


def refused(result, code, *words):
    """One clear line that names the culprit, and the documented exit code."""
    text = (result.err + result.out).strip()
    assert result.code == code, f"exit {result.code}, expected {code}: {text}"
    assert len(result.err.strip().split("\n")) <= 3, f"more than one clear error: {result.err}"
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"


def dead_with(fleet, album, path, error):
    result = fleet.run("push", f"{album}={path}", "--wait", "--json")
    assert result.code in (1, 4), result.code
    said = result.json()
    assert said["dead"] + said["refused"] == 1, said
    assert error in result.out + result.err, result.out + result.err


def pictures(fleet, folder, good):
    noise = folder / "noise.jpg"
    noise.write_bytes(os.urandom(5000))
    dead_with(fleet, "noise", noise, "not_an_image")
    empty = folder / "empty.jpg"
    empty.write_bytes(b"")
    dead_with(fleet, "empty", empty, "not_an_image")
    tall = folder / "bomb.ppm"
    tall.write_bytes(b"P6 65500 65500 255\n" + bytes(1000))
    dead_with(fleet, "bomb", tall, "too_large")
    refused(fleet.run("push", f"gone={folder / 'missing.jpg'}"), 1, "missing.jpg")
    refused(fleet.run("describe", noise, "--space", "gist", "--format", "json"), 1, "not_an_image")
    refused(fleet.run("describe", good, "--space", "smell"), 2, "smell", "gist")
    refused(fleet.run("query", "--image", noise), 1, "not_an_image")


def names(fleet, good):
    refused(fleet.run("push", f"{'x' * 300}={good}"), 1, "bad_album")
    refused(fleet.run("push", f"a\x01b={good}"), 1, "bad_album")
    refused(fleet.run("show", "nobody"), 1, "not_found")
    refused(fleet.run("query", "nobody"), 1, "not_found")
    refused(fleet.run("remove", "nobody"), 1, "not_found")


def queries(fleet, folder, album):
    short = folder / "short.f32"
    short.write_bytes(bytes(100))
    refused(fleet.run("query", "--vector", short, "--space", "gist"), 2, "bad_vector")
    nan = folder / "nan.f32"
    nan.write_bytes(struct.pack("<256f", *([0.0] * 255), float("nan")))
    refused(fleet.run("query", "--vector", nan, "--space", "gray16"), 2, "bad_vector")
    refused(fleet.run("query", album, "-k", 0), 2, "k")
    refused(fleet.run("query", album, "-k", 10001), 2, "--k is 10001")
    refused(fleet.run("query", album, "--space", "smell"), 2, "unknown_space", "smell")
    refused(fleet.run("index", "rebuild", "--space", "smell"), 2, "unknown_space", "smell", "gist")
    refused(fleet.run("query"), 2)
    refused(fleet.run("query", album, "--speed", "9"), 2, "--speed")
    refused(fleet.run("dance"), 2, "dance")


def messages(fleet):
    """By hand on the wire: truncated, unknown kind, unknown version, a bomb of five bytes, more frames than allowed."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(f"ipc://{fleet.home}/run/client.sock")

    def ask(*frames):
        socket.send_multipart(frames)
        assert socket.poll(5000), "no answer to a bad message"
        return msgpack.unpackb(socket.recv_multipart()[-1])

    good = msgpack.packb({"v": 1, "kind": "status", "id": 7})
    assert ask(good)["kind"] == "status_ok"
    for bad, error in ((good[:-1], "invalid"), (b"", "invalid"), (b"\xdd\xff\xff\xff\xff", "invalid"),
                       (msgpack.packb({"v": 1, "kind": "dance", "id": 8}), "unknown_kind"),
                       (msgpack.packb({"v": 99, "kind": "status", "id": 9}), "bad_version"),
                       (msgpack.packb({"v": 1, "kind": "push", "id": 10, "items": 5}), "invalid"),
                       (msgpack.packb([1, 2, 3]), "invalid"), (os.urandom(4000), "invalid")):
        reply = ask(bad)
        assert reply["kind"] == "error" and reply["error"] == error, (bad[:20], reply)
        assert reply["detail"]
    assert ask(msgpack.packb({"v": 1, "kind": "dance", "id": 8}))["id"] == 8
    assert ask(good, b"more", b"and more")["kind"] in ("error", "status_ok")
    assert ask(good)["kind"] == "status_ok"
    context.destroy(linger=0)


def fleet_takes_it(folder):
    rows = f.samples(folder / "covers", 12)
    good = folder / "covers" / rows[0]["cover"]
    with f.Fleet(folder / "home") as fleet:
        fleet.ok("push", f"good={good}", "--wait")
        pictures(fleet, folder, good)
        names(fleet, good)
        queries(fleet, folder, "good")
        messages(fleet)
        assert sorted(fleet.alive()) == sorted(fleet.names)
        assert fleet.ok("show", "good", "--json").json()["state"] in ("described", "indexed")


def roots_are_kept(folder):
    rows = f.samples(folder / "inside", 12)
    secret = folder / "secret.ppm"
    secret.write_bytes((folder / "inside" / rows[1]["cover"]).read_bytes())
    (folder / "inside" / "link.ppm").symlink_to(secret)
    config = f'descriptor {{ roots = {{"{folder / "inside"}"}} }}\n'
    with f.Fleet(folder / "home", config=config, descriptors=1) as fleet:
        inside = folder / "inside" / rows[0]["cover"]
        assert fleet.ok("push", "--by-path", f"in={inside}", "--wait", "--json").json()["described"] == 1
        for name, path in (("out", secret), ("dots", f"{folder}/inside/../secret.ppm"), ("passwd", "/etc/passwd"),
                           ("link", folder / "inside" / "link.ppm")):
            result = fleet.run("push", "--by-path", f"{name}={path}", "--wait", "--json")
            assert result.code in (1, 4) and "outside_roots" in result.out + result.err, (name, result.out, result.err)


def limits_are_named(folder):
    """The smaller of two limits refuses, and it is the one that is named."""
    cover = folder / "cover.jpg"
    cover.write_bytes(os.urandom(300000))
    for config, name in (("broker {\n message_bytes_max = 200000\n}\n", "broker.message_bytes_max"),
                         ("image {\n bytes_max = 250000\n}\n", "image.bytes_max")):
        with f.Fleet(folder / name, config=config, descriptors=1, queries=0, indexers=0) as fleet:
            refused(fleet.run("push", f"a={cover}"), 1, "too_large", name)


def configurations(folder):
    (folder / "coverfleet.conf").write_text("broker {\n    leese_ms = 5\n}\n")
    env = dict(os.environ, COVERFLEET_HOME=str(folder))
    for program in (["coverfleet", "config", "check"], ["coverfleet-broker"], ["coverfleet-descriptor", "descriptor-0"],
                    ["coverfleet-query", "query-0"], ["coverfleet-indexer", "indexer-0"]):
        done = subprocess.run([f.BIN / program[0], *program[1:]], env=env, text=True, capture_output=True, timeout=20)
        assert done.returncode == 2 and "leese_ms" in done.stderr and ":2:" in done.stderr, (program, done)
    nothing = folder / "nothing"
    done = subprocess.run([f.BIN / "coverfleet", "status"], env=dict(os.environ, COVERFLEET_HOME=str(nothing)), text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 3, done


def damaged_files(folder):
    """A damaged index generation is named and passed over; a shard that cannot be opened is named, others serve."""
    rows = f.samples(folder / "covers", 60)
    covers = folder / "covers"
    with f.Fleet(folder / "home") as fleet:
        fleet.ok("push", "--table", covers / "samples.tsv", "--root", covers, "--wait")
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["indexed"] == 60, 60, "an index")
        for name in ("query-0", "indexer-0"):
            fleet.kill(name, signal.SIGTERM)
        for index in (fleet.home / "data/index").rglob("*.idx"):
            content = bytearray(index.read_bytes())
            content[20] ^= 0xFF
            index.write_bytes(content)
        foreign = fleet.home / "data/shards/foreign"
        foreign.mkdir()
        (foreign / "CURRENT").write_text("nonsense\n")
        fleet.start("query-0")
        f.wait_for(lambda: any(w["name"] == "query-0" for w in fleet.status()["workers"]), 30, "the query worker")
        near = fleet.neighbors(rows[0]["album"], "-k", 100)
        assert len(near) == 59, len(near)
        log = fleet.home / "test-logs/query-0"
        assert ".idx" in log.read_text(), "the damaged index is not named"
        f.wait_for(lambda: "foreign" in log.read_text(), 20, "the shard that cannot be opened to be named")
        fleet.start("indexer-0")
        fleet.wait_ready()

        def generation():
            return fleet.ok("query", rows[0]["album"], "--json").json()["generation"]
        mended = f.wait_for(generation, 60, "a new generation that nobody ordered")
        assert fleet.neighbors(rows[0]["album"], "-k", 1)
        # The same beside a running indexer.
        for index in (fleet.home / "data/index").rglob("*.idx"):
            with open(index, "r+b") as file:
                file.seek(20)
                byte = file.read(1)[0]
                file.seek(20)
                file.write(bytes([byte ^ 0xFF]))
        f.wait_for(lambda: generation() > mended, 60, "what was damaged to be replaced")


if __name__ == "__main__":
    f.main([fleet_takes_it, roots_are_kept, limits_are_named, configurations, damaged_files])
