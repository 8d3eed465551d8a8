#!/usr/bin/python3
"""The deploy scripts: up, status, scale in both directions under load, logs, down, up again; each twice."""
import os
import pathlib
import shutil
import signal
import subprocess

import fleet as f


def runner(fleet, **more):
    """A function that runs a deploy script in the fleet's home and returns what it printed."""
    env = dict(fleet.env, COVERFLEET_BIN=str(f.BIN), **more)

    def deploy(script, *arguments, code=0):
        done = subprocess.run([f.ROOT / "deploy" / script, *arguments], env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == code, f"{script} {arguments}: {done.returncode}: {done.stdout}"
        return done.stdout
    return deploy


def pids_of(fleet):
    """Processes of this home's fleet, by their environment."""
    mark = f"COVERFLEET_HOME={fleet.home}\0".encode()
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes() and "coverfleet-" in os.readlink(place / "exe"):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def supervisor_of(service):
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes() == b"runsv\0" + os.fsencode(service) + b"\0":
                return int(place.name)
        except OSError:
            continue
    raise AssertionError(f"nothing supervises {service}")


def scripts(folder):
    rows = f.samples(folder / "covers", 200)
    home = folder / "a home with blanks"
    fleet = f.Fleet(home)
    (home / "coverfleet.conf").unlink()
    deploy = runner(fleet)
    try:
        deploy("up")
        deploy("up")
        pushing = subprocess.Popen([f.BIN / "coverfleet", "push", "--table", folder / "covers/samples.tsv", "--root",
                                    folder / "covers", "--wait"], env=fleet.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deploy("scale", "descriptor=1", "query=2")
        names = sorted(w["name"] for w in fleet.status()["workers"])
        assert names == ["descriptor-0", "indexer-0", "query-0", "query-1"], names
        assert pushing.wait(timeout=120) == 0
        assert len(fleet.neighbors(rows[0]["album"], "-k", 500, "--exact")) == 199, "a shard of a removed slot is not read"
        deploy("scale", "descriptor=3")
        assert len(fleet.status()["workers"]) == 6
        assert "descriptor-2" in deploy("status")
        assert "broker_ready" in deploy("logs", "broker")
        deploy("scale", "descriptor=many", code=2)
        deploy("down")
        deploy("down")
        assert fleet.run("status").code == 3
        deploy("up")
        assert len(fleet.status()["workers"]) == 6, "up forgot how many workers there were"
        assert fleet.counts()["described"] + fleet.counts()["indexed"] == 200
    finally:
        deploy("down")


def supervisor_killed(folder):
    """What a killed supervisor leaves behind is ended by down, and taken over by up."""
    home = folder / "hö me'q"
    fleet = f.Fleet(home)
    deploy = runner(fleet, LC_ALL="C")
    try:
        deploy("up")
        for _ in range(2):
            os.kill(supervisor_of(home / "service/descriptor-0"), signal.SIGKILL)
            assert len(deploy("up").split("descriptor-0")) > 1
            assert len(fleet.status()["workers"]) == 4
    finally:
        deploy("down")
    f.wait_for(lambda: not pids_of(fleet), 5, "every process to be gone")


def quickstart_of_a_folder(folder):
    """Neighbours are shown although the first file is no picture and another's name begins with a dash."""
    rows = f.samples(folder / "covers", 12)
    own = folder / "own"
    own.mkdir()
    (own / "000-readme.jpg").write_text("not a picture")
    for i, row in enumerate(rows):
        shutil.copy(folder / "covers" / row["cover"], own / (f"-dash-{i}.ppm" if i < 2 else f"cover-{i}.ppm"))
    fleet = f.Fleet(folder / "home")
    deploy = runner(fleet)
    try:
        shown = deploy("quickstart", own, code=4)
        assert "which albums look like -dash-0?" in shown and "not_an_image" in shown, shown
        (own / "t.tsv").write_text("\ufeffcover\talbum\r\ncover-3.ppm\ttabled\r\n")
        assert "which albums look like tabled?" in deploy("quickstart", own / "t.tsv")
    finally:
        deploy("down")


if __name__ == "__main__":
    tests = [scripts, supervisor_killed]
    if f.BIN == f.ROOT / "build/release/bin":  # quickstart builds and runs the release preset
        tests.append(quickstart_of_a_folder)
    f.main(tests)
