#!/usr/bin/python3
"""3,007 real covers through a fleet of two descriptor workers; 200 random albums queried in each space and each way,
against exact search. Skipped where the covers are not."""
import concurrent.futures
import random
import subprocess

import numpy

import fleet as f


def table_rows(shared):
    lines = (shared / "data/albums.tsv").read_text().rstrip("\n").split("\n")
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"))) for line in lines[1:]]


def recall_of(fleet, folder, shared, rows, space, sample):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        vectors = numpy.stack(list(pool.map(lambda r: f.describe(shared / "data" / r["cover"], space), rows)))
    albums = [r["album"] for r in rows]
    norms = (vectors ** 2).sum(axis=1)
    flagged = norms < 1e-6  # covers without contrast are nobody's neighbours
    shares = {"id": [], "image": [], "vector": []}
    for i in sample:
        distances = norms - 2 * vectors @ vectors[i] + norms[i]
        distances[i] = numpy.inf
        distances[flagged] = numpy.inf
        truth = {albums[j] for j in numpy.argsort(distances, kind="stable")[:10]}
        raw = folder / "query.f32"
        raw.write_bytes(vectors[i].tobytes())
        ways = {"id": fleet.neighbors(albums[i], "--space", space),
                "image": fleet.neighbors("--image", shared / "data" / rows[i]["cover"], "--space", space, "-k", 11),
                "vector": fleet.neighbors("--vector", raw, "--space", space, "-k", 11)}
        for way, found in ways.items():
            near = [n["album"] for n in found if n["album"] != albums[i]][:10]
            shares[way].append(len(truth & set(near)) / 10)
    return {way: float(numpy.mean(share)) for way, share in shares.items()}


def real_covers(folder):
    shared = f.shared()
    rows = table_rows(shared)
    with f.Fleet(folder / "home") as fleet:
        push = ("push", "--table", shared / "data/albums.tsv", "--root", shared / "data", "--wait", "--json")
        first = fleet.ok(*push).json()
        assert first["accepted"] == first["described"] == len(rows) and first["dead"] == 0, first
        again = fleet.ok(*push).json()
        assert again["unchanged"] == len(rows) and again["accepted"] == 0, again
        fleet.ok("index", "rebuild")
        f.wait_for(lambda: fleet.counts()["indexed"] == len(rows), 120, "the index")
        for space in ("gray16", "gist"):
            sample = random.Random(3).sample(range(len(rows)), 200)
            found = recall_of(fleet, folder, shared, rows, space, sample)
            print(f"  {space}: recall@10 {found}", flush=True)
            assert min(found.values()) >= 0.95, found


if __name__ == "__main__":
    if not f.shared():
        f.skip("the real covers are not here")
    f.main([real_covers])
