"""A small run of the bench of looks: drawn samples as pictures, their styles as genres, a fleet of every role."""
import json
import subprocess

import fleet as f

SPACES = ("gray16", "gist", "copy")


def run_bench(fleet, folder, *arguments):
    return subprocess.run([f.BIN.parent / "bench/looks", "--out", folder, *map(str, arguments)], env=fleet.env, text=True,
                          capture_output=True, timeout=170)


def attacked_covers_are_found_and_counted(folder):
    covers, out = folder / "covers", folder / "out"
    rows = f.samples(covers, 240)
    out.mkdir()
    (covers / "labels.tsv").write_text("cover\tgenre\n" + "".join(f"{r['cover']}\t{r['genre']}\n" for r in rows))
    with f.Fleet() as fleet:
        arguments = ("--queries", 24, "--labels", covers / "labels.tsv", "--seed", 5, covers)
        done = run_bench(fleet, out, *arguments)
        assert done.returncode == 0, done.stderr
        table = json.loads((out / "table.json").read_text())
        check(table, done.stdout)
        for name, magic in (("looks.svg", b"<?xml"), ("looks.png", b"\x89PNG")):
            assert (out / name).read_bytes().startswith(magic)
        assert (out / "table.md").read_text() == done.stdout
        again = run_bench(fleet, out, *arguments)
        assert again.returncode == 0 and json.loads((out / "table.json").read_text()) == table, "not the same again"
        assert again.stdout == done.stdout
        wrong = run_bench(fleet, out, "--spaces", "mood", covers)
        assert wrong.returncode == 2 and "--spaces" in wrong.stderr


def check(table, text):
    assert table["queries"] == 24 and table["albums"] >= 200, table
    by_name = {attack["attack"]: attack for attack in table["attacks"]}
    for attack in table["attacks"]:
        assert f"| {attack['attack']} | {attack['steps']} |" in text
        assert set(attack["spaces"]) == set(SPACES)
        for score in attack["spaces"].values():
            assert 0 <= score["recall1"] <= 1 and 0 <= score["uap"] <= 1
    singles = [attack for attack in table["attacks"] if not attack["combined"]]
    for space in SPACES:
        mean = sum(attack["spaces"][space]["recall1"] for attack in singles) / len(singles)
        assert abs(table["single_mean"][space]["recall1"] - mean) < 1e-9
        assert by_name["JPEG 50"]["spaces"][space]["recall1"] > 0.9, "a cover that was compressed is not found"
    assert by_name["hardest"]["spaces"]["gray16"]["recall1"] < 0.6, "the hardest attack does nothing"
    # The nearest of a drawn cover are nearly always of its own style.
    for space in ("gist", "copy"):
        assert table["genre_auc"][space] > 0.9, table["genre_auc"]


if __name__ == "__main__":
    f.main([attacked_covers_are_found_and_counted])
