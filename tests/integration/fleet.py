"""A real fleet in a folder of its own, for tests: processes are started, killed and waited for by their ids.

Waiting is polling a condition with a limit; nothing sleeps to synchronise.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("COVERFLEET_BIN", ROOT / "build/release/bin"))
SKIPPED = 77


def shared():
    """The folder of real covers that some tests want; None in a user's clone."""
    for place in (os.environ.get("COVERFLEET_SHARED"), ROOT.parent / "shared"):
        if place and (pathlib.Path(place) / "data/albums.tsv").exists():
            return pathlib.Path(place)
    return None


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def wait_for(condition, seconds, what):
    """Polls until the condition gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still waiting for {what}")
        time.sleep(0.01)


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        """The last line of standard output, parsed."""
        assert self.out.strip(), f"no output; standard error: {self.err}"
        return json.loads(self.out.strip().split("\n")[-1])


class Fleet:
    def __init__(self, home=None, config="", descriptors=2, queries=1, indexers=1):
        self.own_home = home is None
        self.home = pathlib.Path(home or tempfile.mkdtemp(prefix="cf-fleet-"))
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "coverfleet.conf").write_text(config)
        (self.home / "test-logs").mkdir(exist_ok=True)
        self.env = dict(os.environ, COVERFLEET_HOME=str(self.home))
        self.processes = {}
        self.names = (["broker"] + [f"descriptor-{i}" for i in range(descriptors)]
                      + [f"query-{i}" for i in range(queries)] + [f"indexer-{i}" for i in range(indexers)])

    def __enter__(self):
        try:
            self.start_all()
        except BaseException:
            self.dump_logs()
            self.stop()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.dump_logs()
        self.stop()
        if self.own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def start_all(self):
        for name in self.names:
            self.start(name)
        self.wait_ready()

    def start(self, name):
        role = name.split("-")[0]
        log = open(self.home / "test-logs" / name, "ab")
        command = [BIN / f"coverfleet-{role}"] + ([] if role == "broker" else [name])
        self.processes[name] = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()

    def kill(self, name, how=signal.SIGKILL):
        """Ends a process and waits until it is gone."""
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(timeout=30)
        return process.returncode

    def restart(self, name):
        self.kill(name)
        self.start(name)

    def stop(self):
        """Workers first, then the broker; whoever does not drain in time is killed and that is an error."""
        stuck = []
        for group in ([n for n in self.processes if n != "broker"], ["broker"]):
            alive = {n: self.processes.pop(n) for n in group if n in self.processes}
            for process in alive.values():
                if process.poll() is None:
                    process.terminate()
            for name, process in alive.items():
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    stuck.append(name)
        assert not stuck, f"did not stop within 20 s: {stuck}"

    def dump_logs(self):
        for log in sorted((self.home / "test-logs").iterdir()):
            text = log.read_text(errors="replace").split("\n")
            print(f"--- {log.name}", *text[-25:], sep="\n", file=sys.stderr)

    def alive(self):
        return [name for name, process in self.processes.items() if process.poll() is None]

    def run(self, *arguments, stdin=None, timeout=300):
        done = subprocess.run([BIN / "coverfleet", *map(str, arguments)], env=self.env, text=True, capture_output=True,
                              input=stdin, timeout=timeout)
        return Result(done)

    def ok(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.code == 0, f"{arguments}: exit {result.code}: {result.err}{result.out}"
        return result

    def status(self):
        result = self.run("status", "--json")
        return result.json() if result.code == 0 else None

    def counts(self):
        status = self.status()
        return status["albums"] if status else None

    def wait_ready(self, seconds=60):
        def ready():
            dead = [n for n, p in self.processes.items() if p.poll() is not None]
            assert not dead, f"ended at start: {dead}"
            status = self.status()
            return status and len(status["workers"]) >= len(self.names) - 1
        wait_for(ready, seconds, "every worker to register")

    def wait_settled(self, total, seconds=120):
        """Until so many albums are described or indexed and nothing is on its way."""
        def settled():
            c = self.counts()
            return c and c["queued"] + c["delayed"] + c["leased"] == 0 and c["described"] + c["indexed"] >= total and c
        return wait_for(settled, seconds, f"{total} albums to be described")

    def neighbors(self, *arguments):
        return self.ok("query", *arguments, "--json").json()["neighbors"]


def samples(folder, count=300, seed=1):
    """Draws covers; returns the rows of their table as dictionaries."""
    subprocess.run([BIN / "coverfleet-samples", str(folder), "--count", str(count), "--seed", str(seed)], check=True,
                   stdout=subprocess.DEVNULL)
    lines = (pathlib.Path(folder) / "samples.tsv").read_text().rstrip("\n").split("\n")
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"))) for line in lines[1:]]


def describe(path, space):
    """The vector of a picture by the offline command."""
    import numpy
    done = subprocess.run([BIN / "coverfleet", "describe", str(path), "--space", space, "--format", "f32"],
                          capture_output=True, check=True)
    return numpy.frombuffer(done.stdout, "<f4")


def main(tests, prefix="cf-test-"):
    """Runs the test functions, each with a scratch folder; prints what ran."""
    chosen = sys.argv[1:]
    for test in tests:
        if chosen and test.__name__ not in chosen:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
            test(pathlib.Path(folder))
        print(f"ok {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
