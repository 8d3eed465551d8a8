#!/usr/bin/python3
"""While the disk takes its time to sync the broker's journal, only what waits for that waits: queries and status go on,
and a push is acknowledged when the disk has it, not before."""
import subprocess

import fleet as f

# Every fdatasync waits for as long as a file is there.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (access(getenv("SLOW_DISK"), F_OK) == 0)
        usleep(1000);
    return next(fd);
}
"""


def build_shim(folder):
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    return folder / "shim.so"


def queries_do_not_wait_for_the_disk(folder):
    rows = f.samples(folder / "covers", 20)
    covers = folder / "covers"
    slow = folder / "slow"
    with f.Fleet(folder / "home", descriptors=1) as fleet:
        fleet.ok("push", "--table", covers / "samples.tsv", "--root", covers, "--wait")
        fleet.env.update(LD_PRELOAD=str(build_shim(folder)), SLOW_DISK=str(slow))
        fleet.restart("broker")
        del fleet.env["LD_PRELOAD"]
        fleet.wait_ready()
        slow.write_text("")
        try:
            pushing = subprocess.Popen([f.BIN / "coverfleet", "push", f"fresh={covers / rows[0]['cover']}", "--json"],
                                       env=fleet.env, stdout=subprocess.DEVNULL)
            f.wait_for(lambda: sum(fleet.counts().values()) > len(rows), 30, "the broker to have the push")
            assert len(fleet.neighbors(rows[0]["album"], "-k", 3)) == 3
            # What walks through the journal waits for its answer, but nobody else for it.
            listing = subprocess.Popen([f.BIN / "coverfleet", "queue", "list", "--json"], env=fleet.env,
                                       stdout=subprocess.DEVNULL)
            for _ in range(20):
                assert len(fleet.neighbors(rows[0]["album"], "-k", 3)) == 3
            assert pushing.poll() is None, "a push was acknowledged before the disk had it"
        finally:
            slow.unlink()
        assert pushing.wait(30) == 0 and listing.wait(30) == 0
        f.wait_for(lambda: fleet.run("query", "fresh").code == 0, 30, "the pushed cover to be found")


if __name__ == "__main__":
    f.main([queries_do_not_wait_for_the_disk])
