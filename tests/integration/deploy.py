#!/usr/bin/python3
"""The deploy scripts: up, status, scale in both directions under load, logs, down, up again; each twice."""
import os
import subprocess

import fleet as f


def scripts(folder):
    rows = f.samples(folder / "covers", 200)
    home = folder / "a home with blanks"
    fleet = f.Fleet(home)
    (home / "coverfleet.conf").unlink()
    env = dict(fleet.env, COVERFLEET_BIN=str(f.BIN))

    def deploy(script, *arguments, code=0):
        done = subprocess.run([f.ROOT / "deploy" / script, *arguments], env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == code, f"{script} {arguments}: {done.returncode}: {done.stdout}"
        return done.stdout

    try:
        deploy("up")
        deploy("up")
        pushing = subprocess.Popen([f.BIN / "coverfleet", "push", "--table", folder / "covers/samples.tsv", "--root",
                                    folder / "covers", "--wait"], env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
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


if __name__ == "__main__":
    f.main([scripts])
