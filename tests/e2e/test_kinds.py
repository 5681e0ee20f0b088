# SPDX-License-Identifier: BSD-2-Clause
"""Items of every kind, empty and full, in every way to carry them: small, so that versions can be tried against each
other (tests/versions/run)."""
import os

import pytest

from support import content, tree

TEXT = b"".join(b"vertex %d %d\n" % (i, i * i) for i in range(60_000))


@pytest.mark.parametrize("options", [
    ["--compress", "none"],
    ["--compress", "zstd", "--digest", "sha256"],
    ["--compress", "auto", "--no-resume"],
    ["--streams", "3", "--digest", "sha256"],
], ids=["plain", "compressed", "automatic", "streams"])
def test_every_kind_of_item_arrives_whole(place, options):
    receiver = place.receiver()
    for name, data, mode in (("empty", b"", 0o644), ("one", b"1", 0o600), ("noise", content(1_500_000), 0o444),
                             ("text", TEXT, 0o755), ("folder/deep/file", b"deep", 0o640), ("folder/other", TEXT, 0o644)):
        os.utime(place.file(name, data, mode), ns=(0, 1_234_567_890_123_456_789))
    (place.folder / "source" / "folder" / "nothing").mkdir()
    source = place.folder / "source"

    sent = place.send(receiver, *options, *sorted(source.iterdir()), "--message", "ahoy", "-", "--name", "piped",
                      input=TEXT)

    kinds = sorted(result["kind"] for result in sent.results)
    assert kinds == ["data"] + 6 * ["file"] + 3 * ["folder"] + ["message"]
    assert {result["status"] for result in sent.results} == {"ok"}
    place.send(receiver, *options, "-", "--name", "empty pipe", input=b"")
    receiver.stop_well()
    assert sorted(result["kind"] for result in receiver.delivered()) == ["data"] + kinds
    arrived, expected = tree(place.received), tree(source)
    assert {path: what for path, what in arrived.items() if path in expected} == expected
    assert (place.received / "piped").read_bytes() == TEXT
    assert (place.received / "empty pipe").read_bytes() == b""
    others = set(place.arrived()) - set(expected) - {b"piped", b"empty pipe"}
    assert [(place.received / os.fsdecode(name)).read_bytes() for name in others] == [b"ahoy"]
    assert place.litter() == []
