#!/usr/bin/python3
"""The example programs of proto/examples against a real fleet: the protocol's text and the client library are enough."""
import subprocess
import sys

import fleet as f

EXAMPLES = f.ROOT / "proto/examples"
PICTURES = {name: next((f.ROOT / "tests/golden/gist").glob(f"{name}_*.ppm")) for name in ("clip05", "clip06", "clip17", "clip18")}


def run(fleet, *command, stdin=None):
    return subprocess.run([str(part) for part in command], env=fleet.env, input=stdin, text=True, capture_output=True,
                          timeout=60)


def examples_work(folder):
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        done = run(fleet, f.BIN / "example-producer", *(f"{album}={path}" for album, path in PICTURES.items()))
        assert done.returncode == 0 and done.stdout.count(" accepted") == len(PICTURES), done
        again = run(fleet, f.BIN / "example-producer", f"clip05={PICTURES['clip05']}")
        assert again.returncode == 0 and "clip05 unchanged" in again.stdout, again
        fleet.wait_settled(len(PICTURES))

        # The same picture under another name is its nearest neighbour, at no distance.
        done = run(fleet, EXAMPLES / "client.py", "twin", PICTURES["clip17"])
        assert done.returncode == 0, done
        lines = done.stdout.split("\n")
        assert lines[0].split() == ["twin", "accepted"] and lines[1].split()[:2] == ["twin", "described"], lines
        distance, album = lines[2].split()[:2]
        assert album == "clip17" and float(distance) < 1e-3, lines

        done = run(fleet, f.BIN / "example-service", "gray16", stdin="twin\nnobody\nclip05\n")
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        assert done.returncode == 0 and [row[0] for row in rows].count("clip05") == len(PICTURES), done
        assert rows[0][:2] == ["twin", "clip17"] and "nobody: not_found" in done.stderr, done
        # "twin" and "clip17" are one cover, whoever else asks; and nobody said a genre.
        done = run(fleet, f.BIN / "example-service", "gray16", "0.01", stdin="clip05\n")
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(rows) == len(PICTURES) - 1 and sorted(row[4] for row in rows) == ["0", "0", "1"], done
        done = run(fleet, f.BIN / "example-service", "gray16", "0", "Dub", stdin="clip05\n")
        assert done.returncode == 0 and done.stdout == "", done


def examples_refuse(folder):
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        (folder / "text.jpg").write_text("no picture")
        done = run(fleet, EXAMPLES / "client.py", "text", folder / "text.jpg")
        assert done.returncode == 1 and "text dead not_an_image" in done.stdout, done
        done = run(fleet, EXAMPLES / "client.py", "x" * 300, PICTURES["clip05"])
        assert done.returncode == 1 and "refused" in done.stdout and "255" in done.stdout, done
        done = run(fleet, f.BIN / "example-producer", "empty=/dev/null")
        assert done.returncode == 1 and "empty refused" in done.stdout, done


if __name__ == "__main__":
    if not (f.BIN / "example-producer").exists():
        sys.exit(f"{f.BIN}/example-producer is not built")
    f.main([examples_work, examples_refuse])
