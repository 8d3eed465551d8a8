#!/usr/bin/python3
"""A picture that stalls its decoder: alone after the first time, given up with the reason, known again by its content
under any album and after a restart, until an operator retries it. Its batch loses nothing."""
import signal
import struct
import zlib

import fleet as f

CONFIG = """broker {{
    attempts_max = 3
    retry_base_ms = 20
    retry_cap_ms = 100
}}
image {{
    decode_ms = {decode_ms}
}}
descriptor {{
    roots = {{"{root}"}}
}}
"""
SHORT_MS, LONG_MS = 400, 120000


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def heavy_png(side=9800):
    """Half black, half white, 16 bits a sample: half a megabyte of file, half a gigabyte of samples to undo."""
    packer = zlib.compressobj(9)
    rows = [packer.compress((b"\x04" + bytes([value]) + bytes(6 * side - 1)) * 100) for value in (0, 255)
            for _ in range(side // 200)]
    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    pixels = b"".join(rows) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def configure(fleet, folder, decode_ms):
    (fleet.home / "coverfleet.conf").write_text(CONFIG.format(decode_ms=decode_ms, root=folder))


def story(fleet, album):
    return fleet.ok("show", album, "--json").json()


def stall_in_a_batch(fleet, folder, heavy):
    """One lease takes the stalling picture and 40 healthy ones; these cost nothing, that one dies."""
    rows = f.samples(folder / "covers", 40)
    fleet.ok("queue", "pause")
    fleet.ok("push", f"heavy={heavy}", "--priority", "0")
    fleet.ok("push", "--table", folder / "covers/samples.tsv", "--root", folder / "covers")
    fleet.ok("queue", "resume")
    f.wait_for(lambda: story(fleet, "heavy")["state"] == "dead", 30, "the picture to be given up")
    fleet.wait_settled(len(rows), 30)
    for row in rows:
        mate = story(fleet, row["album"])
        assert mate["state"] in ("described", "indexed") and mate["attempts"] == 0, mate
    dead = story(fleet, "heavy")
    assert dead["error"] == "timeout" and dead["attempts"] == 3 and str(SHORT_MS) in dead["detail"], dead
    return len(rows)


def known_by_content(fleet, folder, heavy):
    """Under other albums, by bytes and by path, before and after a restart of the broker: dead at once."""
    worker_log = fleet.home / "test-logs/descriptor-0"
    attempts = worker_log.read_text().count("cover_failed")
    assert attempts == 3, attempts
    for album, how in (("second", []), ("by-path", ["--by-path"]), ("third", [])):
        if album == "third":
            fleet.restart("broker")
            fleet.wait_ready()
        result = fleet.run("push", f"{album}={heavy}", "--wait", "--json", *how)
        assert result.code in (1, 4) and result.json()["dead"] == 1, (result.out, result.err)
        dead = story(fleet, album)
        assert dead["error"] == "quarantined" and dead["attempts"] == 0, dead
        assert '"heavy"' in dead["detail"] and "timeout" in dead["detail"], dead
    assert worker_log.read_text().count("cover_failed") == attempts, "a picture in quarantine was leased"
    assert fleet.status()["quarantined"] == 1
    listed = fleet.ok("queue", "list", "--state", "dead").out
    for album in ("heavy", "second", "by-path", "third"):
        assert any(line.startswith(album) for line in listed.split("\n")), listed
    assert "timeout: " in listed and "quarantined: " in listed, listed


def a_stalling_picture(folder):
    heavy = folder / "heavy.png"
    heavy.write_bytes(heavy_png())
    config = CONFIG.format(decode_ms=SHORT_MS, root=folder)
    with f.Fleet(folder / "home", config=config, descriptors=1) as fleet:
        healthy = stall_in_a_batch(fleet, folder, heavy)
        known_by_content(fleet, folder, heavy)
        configure(fleet, folder, LONG_MS)
        fleet.kill("descriptor-0", signal.SIGTERM)
        fleet.start("descriptor-0")
        fleet.ok("queue", "retry", "second")
        f.wait_for(lambda: story(fleet, "second")["state"] in ("described", "indexed"), 60, "the retry to succeed")
        assert fleet.status()["quarantined"] == 0
        assert fleet.ok("push", f"fourth={heavy}", "--wait", "--json").json()["described"] == 1
        fleet.wait_settled(healthy + 2, 30)
        assert fleet.counts()["dead"] == 3


if __name__ == "__main__":
    f.main([a_stalling_picture])
