#!/usr/bin/python3
"""A full disk refuses pushes with a reason and loses nothing acknowledged; work resumes when space returns."""
import errno
import os
import subprocess

import fleet as f


def mount(folder, megabytes):
    image = folder / "disk.img"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True)
    if done.returncode != 0:
        f.skip(f"no loop mount here: {done.stderr.strip()}")
    return place


def fill(path):
    """Writes until not a byte more is taken."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error


def full_disk(folder):
    rows = f.samples(folder / "covers", 200)
    covers = folder / "covers"
    place = mount(folder, 160)
    try:
        with f.Fleet(place / "home") as fleet:
            pairs = [f"{row['album']}={covers / row['cover']}" for row in rows]
            fleet.ok("push", *pairs[:50], "--wait")
            ballast = place / "ballast"
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free - (20 << 20)))
            f.wait_for(lambda: fleet.status()["refusing"] == "disk_full", 10, "the broker to refuse")
            result = fleet.run("push", *pairs[50:100], "--json", "--timeout", "1s")
            assert result.code in (1, 4) and "disk_full" in result.out + result.err, result.out + result.err
            assert result.json()["accepted"] == 0, result.out
            fleet.restart("broker")
            f.wait_for(lambda: fleet.counts(), 20, "the broker on a full disk")
            counts = fleet.counts()
            assert counts["described"] + counts["indexed"] == 50, counts
            ballast.unlink()
            f.wait_for(lambda: not fleet.status()["refusing"], 10, "the broker to accept again")
            fleet.wait_ready()
            fleet.ok("push", *pairs, "--wait")
            fleet.wait_settled(200)

            # Truly nothing left, for the workers as well: what is acknowledged waits, then goes on.
            fleet.ok("queue", "pause")
            changed = [f"second-{i}={covers / row['cover']}" for i, row in enumerate(rows[:40])]
            assert fleet.ok("push", *changed, "--json").json()["accepted"] == 40
            fill(ballast)
            fleet.ok("queue", "resume")
            f.wait_for(lambda: fleet.status()["refusing"] == "disk_full", 10, "the broker to refuse")
            ballast.unlink()
            f.wait_for(lambda: fleet.run("queue", "resume").code == 0, 30, "the broker to take orders again")
            counts = fleet.wait_settled(240, 120)
            assert counts["dead"] == 0, counts
    finally:
        subprocess.run(["umount", "-l", place], check=False)


if __name__ == "__main__":
    if os.geteuid() != 0:
        f.skip("a loop mount needs root")
    f.main([full_disk])
