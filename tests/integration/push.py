#!/usr/bin/python3
"""What scripts meet when they push: pipes, huge files, lines twice, strays in folders; and long lists of dead letters."""
import json
import os
import subprocess

import fleet as f


def ppm(shade, side=24):
    row = bytes((shade * 7 + x * 5 + y * 3 + c * 11) % 256 for y in range(side) for x in range(side) for c in range(3))
    return b"P6\n%d %d\n255\n" % (side, side) + row


def problems(result):
    """The lines of a push with --json before the last one, by album."""
    return {line["album"]: line for line in map(json.loads, result.out.strip().split("\n")[:-1])}


def what_cannot_be_pushed_is_refused_alone(folder):
    os.mkfifo(folder / "pipe")
    with open(folder / "huge.jpg", "wb") as huge:
        huge.truncate(70_000_000)
    (folder / "good.ppm").write_bytes(ppm(1))
    table = folder / "t.tsv"
    table.write_text("album\tcover\ngood\tgood.ppm\nhuge\thuge.jpg\npipe\tpipe\nfolder\t.\n")
    with f.Fleet(folder / "home", config=f'descriptor {{ roots = {{"{folder}"}} }}\n') as fleet:
        for extra in ((), ("--by-path",)):
            result = fleet.run("push", "--table", table, "--wait", "--json", *extra, timeout=30)
            assert result.code == 4, (result.code, result.err)
            counts = result.json()
            assert counts["refused"] == 3 and counts["accepted"] + counts["unchanged"] == 1, counts
            errors = {album: line["error"] for album, line in problems(result).items()}
            assert errors == {"huge": "too_large", "pipe": "invalid", "folder": "invalid"}, errors
            assert "not a regular file" in problems(result)["pipe"]["detail"]
        single = fleet.run("push", f"x={folder / 'pipe'}", timeout=30)
        assert single.code == 1 and single.err.count("\n") == 1 and "not a regular file" in single.err, single.err
        # A table may come through a pipe.
        piped = subprocess.run(["bash", "-c", 'exec "$0" push --table <(cat "$1") --root "$2" --json',
                                f.BIN / "coverfleet", table, folder],
                               env=fleet.env, capture_output=True, text=True, timeout=30)
        assert json.loads(piped.stdout.strip().split("\n")[-1])["unchanged"] == 1, piped.stderr


def a_line_twice_counts_twice(folder):
    for i in range(4):
        (folder / f"{i}.ppm").write_bytes(ppm(i))
    rows = [("a", 0), ("b", 1), ("a", 2)] + [(f"x{i}", 3) for i in range(200)] + [("a", 3)]
    (folder / "t.tsv").write_text("album\tcover\n" + "".join(f"{a}\t{i}.ppm\n" for a, i in rows))
    with f.Fleet(folder / "home") as fleet:
        counts = fleet.ok("push", "--table", folder / "t.tsv", "--wait", "--json").json()
        assert counts == {"accepted": 204, "unchanged": 0, "refused": 0, "described": 204, "dead": 0}, counts
        (folder / "u.tsv").write_text("album\tcover\na\t0.ppm\na\t1.ppm\n")
        told = fleet.ok("push", "--table", folder / "u.tsv", "--wait").out
        assert told.startswith("2 accepted, 0 unchanged, 0 refused; 2 described, 0 dead"), told


def strays_in_a_folder_are_passed_over(folder):
    covers = folder / "covers"
    covers.mkdir()
    (covers / "a.ppm").write_bytes(ppm(1))
    (covers / "no-extension").write_bytes(ppm(2))
    (covers / "samples.tsv").write_text("album\tcover\n")
    (covers / "readme.TXT").write_text("hello")
    with f.Fleet(folder / "home") as fleet:
        told = fleet.ok("push", covers, "--wait").out
        assert told.startswith("2 accepted, 0 unchanged, 0 refused; 2 described, 0 dead, 2 passed over"), told
        assert fleet.run("show", "readme").code == 1
        gone = fleet.run("show", "readme", "--json")
        assert gone.code == 1 and gone.json()["error"] == "not_found" and "not_found" in gone.err, gone.out
        gone = fleet.run("query", "readme", "--json")
        assert gone.code == 1 and gone.json()["error"] == "not_found" and gone.json()["detail"], gone.out


def long_lists_come_whole(folder):
    count = 2500
    covers = folder / "covers"
    covers.mkdir()
    for i in range(count):
        (covers / f"d{i:05}.jpg").write_bytes(b"no picture at all, number %d" % i)
    with f.Fleet(folder / "home") as fleet:
        result = fleet.run("push", covers, "--wait", "--json")
        assert result.json()["dead"] == count and result.code == 1, result.json()
        for limit, expected in ((2, 2), (1024, 1024), (1025, 1025), (2400, 2400), (100000, count)):
            answer = fleet.ok("queue", "list", "--state", "dead", "--limit", limit, "--json").json()
            albums = [job["album"] for job in answer["jobs"]]
            assert len(albums) == len(set(albums)) == expected and answer["count"] == count, (limit, len(albums))
        assert sorted(albums) == [f"d{i:05}" for i in range(count)]
        text = fleet.ok("queue", "list", "--limit", 2000).out
        assert text.rstrip().endswith(f"2000 of {count} jobs"), text[-100:]


if __name__ == "__main__":
    f.main([what_cannot_be_pushed_is_refused_alone, a_line_twice_counts_twice, strays_in_a_folder_are_passed_over,
            long_lists_come_whole])
