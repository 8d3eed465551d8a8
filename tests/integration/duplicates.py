"""Albums with the same artwork in a real fleet: the groups of `duplicates` are those of all pairs of vectors, more copies of one
picture than an album is asked for hang together, and queries say whose cover a picture is, for a purpose and made one."""
import json

import fleet as f

MANY, THRESHOLD = 80, 0.9


def read_ppm(path):
    import numpy
    magic, size, _, pixels = path.read_bytes().split(b"\n", 3)
    assert magic == b"P6"
    width, height = map(int, size.split())
    return numpy.frombuffer(pixels, "u1").reshape(height, width, 3)


def write_ppm(path, image):
    path.write_bytes(b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes())


def framed(image, edge=6):
    import numpy
    return numpy.pad(image, ((edge, edge), (edge, edge), (0, 0)), constant_values=30)


def make_catalogue(fleet, folder):
    """60 drawn covers; of the first ten a crop, of the next five a framed one, and one picture under many ids."""
    covers = folder / "covers"
    rows = f.samples(covers, 60)
    fleet.ok("push", "--table", covers / "samples.tsv", "--root", covers, "--wait")
    items = []
    for i, row in enumerate(rows[:15]):
        image = read_ppm(covers / row["cover"])
        copy = covers / f"copy-{i}.ppm"
        write_ppm(copy, image[4:-4, 4:-4] if i < 10 else framed(image))
        items.append(f"copy-{i}={copy}")
    placeholder = covers / rows[20]["cover"]
    items += [f"many-{i}={placeholder}" for i in range(MANY)]
    flat = covers / "flat.ppm"
    flat.write_bytes(b"P6\n8 8\n255\n" + bytes(8 * 8 * 3))
    fleet.ok("push", *items, f"flat={flat}", "--wait")
    return rows


def vectors_of(fleet, folder):
    import numpy
    fleet.ok("vectors", "export", "--space", "copy", "--out", folder / "copy.npy", "--ids", folder / "copy.tsv")
    ids = (folder / "copy.tsv").read_text().split()[1:]
    return ids, numpy.load(folder / "copy.npy").astype("f8")


def all_pairs(ids, vectors, threshold):
    """Groups as sets, and whether a pair is so near to the threshold that rounding decides."""
    import numpy
    cosines = vectors @ vectors.T
    assert (numpy.abs(cosines - threshold) > 1e-4).all(), "another threshold, please"
    parents = list(range(len(ids)))

    def root(i):
        while parents[i] != i:
            i = parents[i]
        return i
    for a, b in zip(*numpy.nonzero(cosines > threshold)):
        parents[root(a)] = root(b)
    groups = {}
    for i, album in enumerate(ids):
        groups.setdefault(root(i), set()).add(album)
    return [group for group in groups.values() if len(group) > 1], cosines


def weakest_of(members, index, cosines):
    """The least of a maximum spanning tree, by Prim."""
    inside, outside, weakest = {members[0]}, set(members[1:]), 1.0
    while outside:
        best, album = max((cosines[index[a], index[b]], b) for a in inside for b in outside)
        weakest = min(weakest, best)
        inside.add(album)
        outside.remove(album)
    return weakest


def check_groups(found, ids, vectors, threshold):
    expected, cosines = all_pairs(ids, vectors, threshold)
    index = {album: i for i, album in enumerate(ids)}
    assert sorted(map(sorted, expected)) == sorted(sorted(a["album"] for a in g["albums"]) for g in found["groups"])
    sizes = [group["size"] for group in found["groups"]]
    assert sizes == sorted(sizes, reverse=True)
    for group in found["groups"]:
        members = [a["album"] for a in group["albums"]]
        assert group["size"] == len(members)
        for album in group["albums"]:
            assert abs(album["cosine"] - cosines[index[members[0]], index[album["album"]]]) < 1e-4, album
        chained = any(album["cosine"] <= threshold for album in group["albums"])
        assert group["chained"] == chained
        if len(members) < 40:
            assert abs(group["weakest"] - weakest_of(members, index, cosines)) < 1e-4, group


def groups_are_those_of_all_pairs(fleet, folder):
    ids, vectors = vectors_of(fleet, folder)
    for threshold in (THRESHOLD, 0.8):
        found = fleet.ok("duplicates", "--threshold", threshold, "--json").json()
        check_groups(found, ids, vectors, threshold)
        assert found["space"] == "copy" and found["threshold"] == threshold
        assert found["asked"] == len(ids) and found["skipped"] == 1 and found["not_described"] == 0
        assert found["group_count"] == len(found["groups"])
        assert found["grouped"] == sum(group["size"] for group in found["groups"])
    assert fleet.ok("duplicates", "--json").json() == found, "the default, and the same again"
    return found


def copies_are_together(found, rows):
    group_of = {a["album"]: i for i, group in enumerate(found["groups"]) for a in group["albums"]}
    for i, row in enumerate(rows[:15]):
        assert group_of[f"copy-{i}"] == group_of[row["album"]], (i, row)
    assert len({group_of[f"many-{i}"] for i in range(MANY)} | {group_of[rows[20]["album"]]}) == 1
    titled = [a for group in found["groups"] for a in group["albums"] if a["album"] == rows[0]["album"]]
    assert titled[0]["title"] == rows[0]["title"] and titled[0]["artist"] == rows[0]["artist"]


def text_and_table_say_the_same(fleet, folder, found):
    text = fleet.ok("duplicates").out
    first = found["groups"][0]
    assert f"group 1: {first['size']} albums, weakest link {first['weakest']:.3f}, same" in text
    assert f"{found['group_count']} groups of {found['grouped']} albums, of {found['asked']} asked in copy above 0.8" in text
    done = fleet.ok("duplicates", "--out", folder / "groups.tsv", "--json").json()
    assert "groups" not in done and done["group_count"] == found["group_count"]
    lines = [line.split("\t") for line in (folder / "groups.tsv").read_text().rstrip("\n").split("\n")]
    assert lines[0] == ["group", "size", "weakest", "chained", "cosine", "album", "artist", "title"]
    assert [line[5] for line in lines[1:]] == [a["album"] for group in found["groups"] for a in group["albums"]]
    refused = fleet.run("duplicates", "--out", folder / "nowhere" / "x.tsv")
    assert refused.code == 1 and "nowhere" in refused.err


def what_is_removed_is_in_no_group(fleet, rows):
    fleet.ok("remove", "copy-0")
    found = fleet.ok("duplicates", "--json").json()
    assert "copy-0" not in {a["album"] for group in found["groups"] for a in group["albums"]}
    assert rows  # the catalogue itself stays


def a_picture_is_told_whose_cover_it_is(fleet, folder, rows):
    row = rows[30]
    photo = folder / "photo.ppm"
    write_ppm(photo, framed(read_ppm(folder / "covers" / row["cover"]), 3))
    answer = fleet.ok("query", "--image", photo, "--space", "copy", "--json").json()
    nearest = answer["neighbors"][0]
    assert answer["verdict"] == nearest["sure"] == "same" and nearest["cosine"] > 0.8, nearest
    assert abs(nearest["cosine"] - (1 - nearest["distance"] ** 2 / 2)) < 1e-6
    text = fleet.ok("query", "--image", photo, "--space", "copy").out
    assert text.startswith("the cover of ") and "SURE" in text
    assert "verdict" not in fleet.ok("query", "--image", photo, "--json").json(), "gist says nothing of the kind"
    chosen = fleet.ok("query", "--image", photo, "--for", "duplicates", "--json").json()
    assert chosen["neighbors"] == answer["neighbors"] and chosen["chosen"] == {"copy": 1} and chosen["for"] == "duplicates"


def purposes_choose_spaces(fleet, rows):
    album = rows[40]["album"]
    similar = fleet.ok("query", album, "--space", "auto", "--json").json()
    assert similar["for"] == "similar" and similar["neighbors"] == fleet.neighbors(album, "--space", "style")
    listening = fleet.ok("query", album, "--for", "listening", "--json").json()
    assert listening["space"] == "blend" and listening["chosen"] == {"style": 1, "copy": 1}
    assert listening["neighbors"] == fleet.neighbors(album, "--spaces", "style=1,copy=1")
    assert "for listening, for want of a better space" in fleet.ok("query", album, "--for", "listening").out


def covers_are_made_one_in_copy(fleet, rows):
    """Whatever space they are searched in, and not when the query's own space is asked for."""
    album = rows[20]["album"]
    one = fleet.ok("query", album, "-k", 40, "--collapse", 0.63, "--json").json()
    assert one["space"] == "gist" and one["collapse_space"] == "copy"
    leader = [n for n in one["neighbors"] if n["album"].startswith("many-")]
    assert len(leader) == 1 and leader[0]["same_count"] >= MANY - 1, leader
    own = fleet.ok("query", album, "-k", 40, "--collapse", 1e-9, "--collapse-space", "own", "--json").json()
    assert "collapse_space" not in own
    refused = fleet.run("query", album, "--collapse", 1, "--collapse-space", "smell")
    assert refused.code == 2 and "smell" in refused.err


def one_fleet(folder):
    with f.Fleet() as fleet:
        rows = make_catalogue(fleet, folder)
        found = groups_are_those_of_all_pairs(fleet, folder)
        copies_are_together(found, rows)
        text_and_table_say_the_same(fleet, folder, found)
        a_picture_is_told_whose_cover_it_is(fleet, folder, rows)
        purposes_choose_spaces(fleet, rows)
        covers_are_made_one_in_copy(fleet, rows)
        what_is_removed_is_in_no_group(fleet, rows)
        assert not list((fleet.home / "secondaries").glob("duplicates-*")), "left behind"
        fleet.stop()
        unwritable = fleet.run("duplicates", "--out", folder / "nowhere" / "x.tsv", "--deadline", "200ms")
        assert unwritable.code == 1 and "nowhere" in unwritable.err, f"told before anybody is asked: {unwritable.err}"
        gone = fleet.run("duplicates", "--deadline", "200ms", "--json")
        assert gone.code == 3 and json.loads(gone.out)["error"] == "unreachable", gone.err


if __name__ == "__main__":
    f.main([one_fleet])
