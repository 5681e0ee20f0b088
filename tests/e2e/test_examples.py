# SPDX-License-Identifier: BSD-2-Clause
"""The sinks of examples/, built against an installed wherry alone: what check-plugin says, and real transfers."""
import contextlib
import email.policy
import mailbox
import math
import re
import shutil
import sqlite3
import struct

import pytest

from installed import SOURCE, Installed, answers
from support import REFUSED, SOME, USAGE, content


@pytest.fixture
def wherry(place):
    return Installed(place)


def built(wherry, name):
    """An example, copied to where nothing else of the tree is, and built there."""
    folder = wherry.place.folder / name
    shutil.copytree(SOURCE / "examples" / name, folder)
    return wherry.build(folder)


def conforms(wherry, plugins, name, *options):
    said = wherry.run(wherry.bin, "check-plugin", plugins / f"{name}.so", *options)
    assert re.search(r"\d\d passed, 0 failed", said), said


def passes_its_own_test(wherry, plugins):
    tested = wherry.run("ctest", "--test-dir", plugins, "--verbose")
    assert "100% tests passed" in tested and "passed    what_is_finished_is_on_the_disk" in tested, tested


# ---- Models ----


def cuboid(sizes, at=(0, 0, 0)):
    corners = [tuple(at[axis] + sizes[axis] * bits[axis] for axis in range(3))
               for bits in ((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))]
    faces = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
             (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    return [tuple(corners[i] for i in face) for face in faces]


def sphere(radius, steps):
    """Its triangles, and their area and volume, in another way than the sink has."""
    def point(i, j):
        lat, lon = math.pi * i / steps, 2 * math.pi * (j % (2 * steps)) / (2 * steps)
        z = 0 if i not in (0, steps) else 0.0
        ring = radius * math.sin(lat) if 0 < i < steps else 0.0
        return (ring * math.cos(lon), ring * math.sin(lon), radius * math.cos(lat) + z)
    triangles = []
    for i in range(steps):
        for j in range(2 * steps):
            a, b, c, d = point(i, j), point(i + 1, j), point(i + 1, j + 1), point(i, j + 1)
            if i < steps - 1:
                triangles.append((a, b, c))
            if i > 0:
                triangles.append((a, c, d))
    def heron(t):
        x, y, z = (math.dist(t[k], t[(k + 1) % 3]) for k in range(3))
        s = (x + y + z) / 2
        return math.sqrt(max(0.0, s * (s - x) * (s - y) * (s - z)))
    return triangles, math.fsum(map(heron, triangles))


def binary(triangles, header=b"wherry"):
    rows = (struct.pack("<12fH", 0, 0, 0, *(c for corner in t for c in corner), 0) for t in triangles)
    return header.ljust(80, b" ") + struct.pack("<I", len(triangles)) + b"".join(rows)


def text(triangles, line_end="\n", name=" a cube, say"):
    lines = [f"solid{name}"]
    for t in triangles:
        lines += [" facet normal 0 0 1", "  outer loop", *(f"   vertex {x:+.6e} {y:.9g} {z}" for x, y, z in t),
                  "  endloop", " endfacet"]
    return line_end.join([*lines, f"endsolid{name}"]).encode()


def measured(response):
    """What the sink said, as numbers."""
    said = dict(line.split(": ", 1) for line in response.splitlines() if ": " in line)
    return int(said["triangles"]), [float(s) for s in said["size"].split(" x ")], float(said["surface area"]), said["volume"]


def refuses_what_is_no_model(place, receiver):
    cube = cuboid((1, 1, 1))
    good, plain = binary(cube), text(cube)
    wrong = {
        "empty": (b"", "as long as|ends before"), "noise": (content(1000), "neither begins with 'solid'"),
        "short": (good[:-1], "as long as"), "long": (good + b"x", "as long as"),
        "word": (plain.replace(b"vertex", b"vortex", 1), "line 4 has 'vortex' where vertex"),
        "digit": (plain.replace(b"vertex +0", b"vertex +o", 1), "line 4 has '.*' where a number"),
        "cut": (plain[:len(plain) // 2], "ends in the middle, in line"),
        "none": (b"solid\nendsolid\n", "no triangle"), "behind": (plain + b"\nmore of it", "has 'more' where solid"),
        "infinite": (binary([((0, 0, 0), (1, 0, 0), (math.inf, 1, 0))]), "triangle 1"),
        "nan": (plain.replace(b"vertex +0.000000e+00", b"vertex nan", 1), "triangle 1|a number"),
        "endless-word": (b"solid\n" + b"f" * 1000, "too long"),
    }
    sent = place.send(receiver, *[place.file(name, data) for name, (data, _) in wrong.items()], code=REFUSED)
    for result in sent.results:
        assert result["status"] == "refused" and re.search(wrong[result["name"]][1], result["error"]), result
    for data in (good[:-1], good + b"x"):
        piped = place.send(receiver, "-", input=data, code=REFUSED)
        assert re.search("ends after 11 of 12|goes on behind its 12", piped.results[0]["error"])
    assert "send an STL file" in place.send(receiver, "--message", "hi", code=REFUSED).results[0]["error"]


def test_sink_stl_measures_models_and_refuses_what_is_none(place, wherry):
    plugins = built(wherry, "sink-stl")
    conforms(wherry, plugins, "sink-stl", "--allow-unchecked", "--offer-kind", "file", "--content", place.file("c.stl", binary(cuboid((1, 1, 1)))))
    # The example's own test offers the model that lies beside it.
    tested = wherry.run("ctest", "--test-dir", plugins, "--verbose")
    assert "100% tests passed" in tested and "unchecked deliveries_take_turns" in tested, tested
    receiver = wherry.receiver(plugins, "stl")
    cube, far = cuboid((10, 10, 10)), cuboid((2, 3, 4), (1000, -2000, 3000))
    ball, ball_area = sphere(5, 40)
    models = {
        "binary": binary(cube), "text": text(cube), "far": binary(far), "far-text": text(far, "\r\n", ""),
        "named-solid": binary(cube, b"solid as text begins"),  # binary all the same
        "loud": text(cube).upper().replace(b"SOLID", b"solid", 1), "one": text(cube[:1]), "open": binary(cube[:-1]),
        "ball": binary(ball), "many": binary(cube * 20_000),
    }
    sent = place.send(receiver, *[place.file(name, data) for name, data in models.items()])
    said = answers(sent)
    assert {outcome for outcome, _ in said.values()} == {"measured"}
    got = {name: measured(response) for name, (_, response) in said.items()}
    for name in ("binary", "text", "named-solid", "loud"):
        assert got[name] == (12, [10, 10, 10], 600, "1000"), name
    for name in ("far", "far-text"):
        assert got[name] == (12, [2, 3, 4], 52, "24"), name
    assert got["one"][0] == 1 and got["one"][2] == 50 and "hole" in got["one"][3]
    assert got["open"][2] == 550 and "hole" in got["open"][3]
    assert got["many"][0] == 240_000 and got["many"][2] == pytest.approx(12_000_000)
    assert got["ball"][0] == len(ball) and got["ball"][2] == pytest.approx(ball_area, rel=1e-6)
    assert got["ball"][2] == pytest.approx(4 * math.pi * 25, rel=0.01)
    assert float(got["ball"][3]) == pytest.approx(4 / 3 * math.pi * 125, rel=0.01)

    refuses_what_is_no_model(place, receiver)
    # From a pipe nothing says how much will come.
    for data in (binary(far), text(far), binary(far, b"solid")):
        piped = place.send(receiver, "-", input=data)
        assert measured(piped.results[0]["response"]) == (12, [2, 3, 4], 52, "24")
    receiver.stop_well()


def test_sink_index_keeps_deliveries_in_its_database(place, wherry):
    plugins = built(wherry, "sink-index")
    passes_its_own_test(wherry, plugins)
    database = place.folder / "index.db"
    receiver = wherry.receiver(plugins, "index", "--index.database", database, "--index.limit", "100kB")
    files = {f"f{i}": content(i * 997, bytes([i])) for i in range(40)}
    files["with space & \u00fcmlaut"] = b"\0\xff"
    sent = place.send(receiver, *[place.file(name, data) for name, data in files.items()], "--message", "ahoy")
    large = place.send(receiver, place.file("large", bytes(100_001)), code=REFUSED)
    assert "larger than the 100000 bytes" in large.results[0]["error"]
    piped = place.send(receiver, "-", input=bytes(100_001), code=REFUSED)
    assert "larger than the 100000 bytes" in piped.results[0]["error"]
    receiver.stop_well()

    fingerprint = place.run("keys", "--home", place.home("sender")).out.split(b"SHA256:")[1].split()[0].decode()
    with contextlib.closing(sqlite3.connect(database)) as opened:
        rows = {name: (f"row {id}", size, body, kind, sender) for id, name, size, body, kind, sender in opened.execute(
            "SELECT id, name, size, content, kind, sender FROM deliveries WHERE received <= strftime('%Y-%m-%dT%H:%M:%fZ')")}
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows) == len(files) + 1
    for result in sent.results:
        data = files.get(result["name"], b"ahoy")
        row, size, body, kind, sender = rows[result["name"]]
        assert (row, "indexed") == (result["response"], result["outcome"])
        assert (size, body, kind, sender) == (len(data), data, result["kind"], f"SHA256:{fingerprint}")


def test_sink_only_hands_on_to_another_sink_what_it_lets_through(place, wherry):
    plugins = built(wherry, "sink-only")
    # The inner sink is checked elsewhere; what it can do is there through the filter, too.
    checked = wherry.run(wherry.bin, "check-plugin", plugins / "sink-only.so", "--only.ending", ".csv", "--offer-name", ".csv",
                         "--promise", "resumes", "--case", "resumes_after_each_byte_count", "--case",
                         "any_value_of_an_option_is_taken_or_refused")
    assert ": 3 passed, 0 failed, 0 unchecked, 0 skipped" in checked
    folder = place.folder / "tables"
    receiver = wherry.receiver(plugins, "only", "--only.ending", ".csv", "--only.sink-options", f"directory={folder}")
    sent = place.send(receiver, place.file("people.csv", b"a,b"), place.file("people.txt", b"c"), code=SOME)
    assert {result["name"]: result["status"] for result in sent.results} == {"people.csv": "ok", "people.txt": "refused"}
    assert place.arrived(folder) == [b"people.csv"] and (folder / "people.csv").read_bytes() == b"a,b"
    receiver.stop_well()
    wrong = wherry.run(wherry.bin, "receive", "--home", place.home("receiver"), "--plugin-dir", plugins, "--sink", "only",
                       "--only.ending", ".csv", "--only.sink-options", "existing=never", code=USAGE)
    assert wrong == ("wherry: error: only: --only.sink-options: --filesystem.existing: 'never' is not one of rename, refuse, "
                     "overwrite\n")


def test_sink_maildir_makes_mails(place, wherry):
    plugins = built(wherry, "sink-maildir")
    passes_its_own_test(wherry, plugins)
    box = place.folder / "mail"
    receiver = wherry.receiver(plugins, "maildir", "--maildir.directory", box, "--maildir.limit", "1MB")
    files = {name: content(size, name.encode()) for name, size in
             [("empty", 0), ("one", 1), ("two", 2), ("three", 3), ("line", 57), ("more", 58), ("block", 6144),
              ("large", 1_000_000), ("\u20ac \"; name=x", 10), ("a\nBcc: all", 11)]}
    sent = place.send(receiver, *[place.file(name, data) for name, data in files.items()], "--message", "caf\u00e9\n.\n")
    large = place.send(receiver, place.file("too-large", bytes(1_000_001)), code=REFUSED)
    assert "larger than" in large.results[0]["error"]
    assert place.send(receiver, "-", input=bytes(1_000_001), code=REFUSED).results[0]["status"] == "refused"
    receiver.stop_well()
    assert list((box / "tmp").iterdir()) == []

    # Python reads it in its own way.
    mails = mailbox.Maildir(box, create=False, factory=lambda file: email.message_from_binary_file(
        file, policy=email.policy.default))
    assert len(mails) == len(files) + 1
    for result in sent.results:
        assert result["outcome"] == "mailed"
        mail = mails[result["response"].split(":")[0]]
        assert mail["Bcc"] is None and mail["X-Wherry-Sender"].startswith("SHA256:") and not mail.defects
        data = files.get(result["name"], "caf\u00e9\n.\n".encode())
        assert mail.get_payload(decode=True) == data
        if result["kind"] == "file":
            assert mail.get_filename() == result["name"]
        else:
            assert mail.get_content_type() == "text/plain"
