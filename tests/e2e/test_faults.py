# SPDX-License-Identifier: BSD-2-Clause
"""Transfers over links and into sinks that fail on purpose: the plugins transport-faulty and sink-faulty."""
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import BIN, INTEGRITY, LINK, OK, REFUSED, SOME, USAGE, Sender, content, scaled, sha256

SIZE = scaled(4) << 20


def faulty(*options):
    """name=value..., or the name of one that is on or off, as options of a plugin named faulty."""
    return [part for option in options for part in f"--faulty.{option}".split("=", 1)]


def start(place, receiver, faults, *items, **others):
    return place.start("send", "--home", place.home("sender"), "--json", "--accept-new-peer", "--log-level", "info",
                       "--to", f"faulty://{receiver.address}", *faulty(*faults), *items, kind=Sender, **others)


def send(place, receiver, faults, *items, code=OK, **others):
    return start(place, receiver, faults, *items, **others).ended(code)


def seed_of(sent):
    return int(re.search(rb"--faulty\.seed (\d+) with the same options repeats them", sent.err)[1])


# ---- The link is cut ----


def test_cut_links_are_mended_by_retrying(place):
    """In the handshake, before and behind the first content, within it and close to its end."""
    receiver = place.receiver()
    place.home("sender")
    offsets = [0, 1, 100, 700, 5_000, 70_000, SIZE // 2, SIZE - 1000]

    def one(offset):
        file = place.file(f"cut-at-{offset}", content(SIZE, b"%d" % offset))
        sent = start(place, receiver, [f"cut-after={offset}", "connections=1"], "--retry", "3", file).ended(OK)
        assert len(sent.told("retry")) == 1, sent
        assert sent.told("retry")[0]["status"] == "disconnected"
        assert b"cut behind %d byte" % offset in sent.err, sent
        return file, sent

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(one, offsets))
    for file, sent in ended:
        assert sha256(place.received / file.name) == sha256(file)
    assert len(place.arrived()) == len(offsets) and place.litter() == []
    assert len(receiver.delivered()) == len(offsets)
    assert ended[-1][1].results[0]["resumed_from"] > 0
    receiver.stop_well()


def test_links_that_are_cut_by_chance_deliver_each_item_once(place):
    receiver = place.receiver()
    place.home("sender")

    def one(seed):
        files = [place.file(f"item-{seed}-{number}", content(SIZE // 8, b"%d/%d" % (seed, number)))
                 for number in range(8)]
        sent = start(place, receiver, ["cut-chance=150000", "connections=2", f"seed={seed}"], "--retry", "4",
                     *files).ended(OK)
        assert seed_of(sent) == seed
        return files, len(sent.told("retry"))

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(one, [1, 2, 3, 4]))
    assert sum(retries for _, retries in ended) > 0
    for files, _ in ended:
        for file in files:
            assert sha256(place.received / file.name) == sha256(file)
    assert len(place.arrived()) == 32 and place.litter() == []
    assert len(receiver.delivered()) == 32
    receiver.stop_well()


def test_a_cut_is_told_as_a_lost_link(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    sent = send(place, receiver, [f"cut-after={SIZE // 2}"], file, code=LINK)
    assert sent.results[0]["status"] == "disconnected" and "cut on purpose" in sent.results[0]["error"]
    assert place.arrived() == []
    # What was cut is there to go on from, over a link without faults.
    again = place.send(receiver, file)
    assert again.results[0]["resumed_from"] > 0 and sha256(place.received / "cargo") == sha256(file)
    receiver.stop_well()


def test_a_receiver_cuts(place):
    """The same plugin on the other side."""
    receiver = place.receiver("--transport", "faulty", *faulty(f"cut-after={SIZE // 2}", "connections=1"))
    file = place.file("cargo", content(SIZE))
    sent = place.send(receiver, "--retry", "2", file)
    assert len(sent.told("retry")) == 1 and sent.results[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file)
    receiver.stop_well()


# ---- Bits are flipped ----


def test_flipped_bits_never_arrive(place):
    """In the content: behind the handshake each bit is protected."""
    receiver = place.receiver()
    place.home("sender")

    def one(case):
        offset, seed = case
        file = place.file(f"altered-{offset}-{seed}", content(SIZE))
        sent = start(place, receiver, [f"corrupt-after={offset}", "direction=write", f"seed={seed}"], "--no-resume",
                     file).ended(None)
        # The receiver finds it, says so for what it has begun to receive, and hangs up.
        # In the first record, with the offer, it has not begun to receive anything.
        assert sent.code == (LINK if offset == 10_000 else INTEGRITY) and b"a bit was flipped" in sent.err, sent
        assert not any(result["ok"] for result in sent.results), sent

    cases = [(offset, seed) for offset in (10_000, SIZE // 2 - 50_000, SIZE - 300_000) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, cases))
    receiver.wait_until(lambda: len(receiver.told("disconnected", status="integrity")) == len(cases),
                        "what was altered in each connection")
    receiver.stop_well()
    assert receiver.delivered() == [] and place.arrived() == [] and place.litter() == []


def test_after_a_flipped_bit_what_was_verified_is_gone_on_from(place):
    receiver = place.receiver()
    file = place.file("cargo", content(SIZE))
    sent = send(place, receiver, [f"corrupt-after={SIZE // 2}", "direction=write"], file, code=None)
    assert sent.code == INTEGRITY and not sent.results[0]["ok"], sent
    receiver.expect_event("disconnected", status="integrity")
    assert place.arrived() == []
    again = send(place, receiver, [], file)
    assert again.results[0]["resumed_from"] > 0 and b"no option asks for any" in again.err
    assert sha256(place.received / "cargo") == sha256(file)
    assert place.arrived() == [b"cargo"] and place.litter() == []
    receiver.stop_well()


def test_a_flipped_bit_is_found_without_a_cipher(place):
    """By the digest; the link goes on."""
    insecure = ["--cipher", "none", "--insecure"]
    receiver = place.receiver(*insecure)
    altered, good = place.file("altered", content(SIZE)), place.file("good", content(1000))
    sent = send(place, receiver, [f"corrupt-after={SIZE // 2}", "direction=write", "seed=3"], *insecure,
                "--digest", "sha256", altered, good, code=SOME)
    failed, = [result for result in sent.results if not result["ok"]]
    assert (failed["name"], failed["status"]) == ("altered", "integrity")
    assert place.arrived() == [b"good"] and place.litter() == []
    receiver.stop_well()


def test_flipped_bits_of_an_answer_are_found(place):
    """Here it is the sender that finds them. The answer is long, for a length in it must not be hit."""
    receiver = place.receiver("--sink", "exec", "--exec.command", "cat", "--exec.spool", place.folder)
    for seed in range(1, 5):
        sent = send(place, receiver, ["corrupt-after=30000", "direction=read", f"seed={seed}"],
                    place.file("cargo", b"x" * 100_000), code=INTEGRITY)
        result, = sent.results
        assert (result["ok"], result["status"], result["uncertain"]) == (False, "integrity", True)
    receiver.stop_well()


# ---- Slow and lumpy links ----


def test_short_reads_and_delays_do_no_harm(place):
    receiver = place.receiver("--transport", "faulty", *faulty("short-reads", "delay=1ms", "seed=7"))
    file = place.file("cargo", content(SIZE // 8))
    sent = send(place, receiver, ["short-reads", "delay=1ms"], file, "--message", "Mind the mountains.")
    assert all(result["ok"] for result in sent.results) and len(sent.results) == 2
    assert sha256(place.received / "cargo") == sha256(file)
    receiver.stop_well()


def test_what_shrinks_is_compressed_for_a_slow_link(place):
    receiver = place.receiver()
    data = b"".join(b"facet normal %d %d %d\n" % (i, i * 7 % 1000, i * 13 % 1000) for i in range(60_000))
    file = place.file("text.stl", data)
    sent = send(place, receiver, ["rate=1MB"], "--compress", "auto", file)
    assert (place.received / "text.stl").read_bytes() == data
    assert sent.results[0]["bytes_on_link"] < len(data) / 2, sent
    receiver.stop_well()


def test_a_slow_link_can_be_interrupted(place):
    receiver = place.receiver()
    sender = start(place, receiver, ["delay=1h"], place.file("cargo", content(1000)))
    sender.expect("the link has faults on purpose")
    assert sender.stop() not in (OK, None)
    receiver.stop_well()


def test_a_seed_that_was_not_given_is_told(place):
    receiver = place.receiver()
    sent = send(place, receiver, ["short-reads"], "--message", "first")
    assert seed_of(sent) > 0
    again = send(place, receiver, ["short-reads", f"seed={seed_of(sent)}"], "--message", "second")
    assert seed_of(again) == seed_of(sent)
    receiver.stop_well()


# ---- What is wrapped ----


@pytest.mark.parametrize("options, sentence", [
    (["transport=faulty"], "--faulty.transport: 'faulty' cannot wrap itself"),
    (["transport=carrier-pigeon"], "there is no transport 'carrier-pigeon'"),
    (["transport-options=port"], "--faulty.transport-options: is no list of NAME=VALUE"),
    (["transport-options=port=1 port=2"], "gives 'port' twice"),
    (["transport-options=sails=3"], "the transport tcp has no option 'sails'; see: wherry plugins tcp"),
    (["transport-options=porth=3"], "the transport tcp has no option 'porth'; did you mean 'port'?"),
])
def test_what_cannot_be_wrapped_is_told(place, options, sentence):
    sent = place.start("send", "--home", place.home("sender"), "--to", "faulty://127.0.0.1:1", *faulty(*options),
                       "--message", "x").ended(USAGE)
    assert sentence in sent.err.decode(), sent


def test_a_wrong_option_of_the_wrapped_plugin_is_told_as_on_the_command_line(place):
    def told(*options):
        return place.start("receive", "--home", place.home("receiver"), *options, "127.0.0.1:0").ended(USAGE).err.decode()

    for option, value, sentence in [
        ("existing", "never", "--filesystem.existing{}: 'never' is not one of rename, refuse, overwrite\n"),
        ("sails", "3", "--filesystem.sails: the sink filesystem has no option 'sails'; see: wherry plugins filesystem\n"),
    ]:
        outside = told(f"--filesystem.{option}", value)
        inside = told("--sink", "faulty", *faulty("sink=filesystem", f"sink-options={option}={value}"))
        assert outside.endswith(sentence.format(" on the command line")), outside
        assert inside.endswith(": --faulty.sink-options: " + sentence.format("")), inside


def test_the_wrapped_plugin_is_found_where_the_program_finds_plugins(place):
    folder = BIN.parent.parent / "tests" / "plugins" / "ending"
    receiver = place.receiver("--plugin-dir", folder, "--sink", "faulty", *faulty("sink=ending", "sink-options=how=fork"))
    place.send(receiver, "--message", "x")
    receiver.stop_well()
    told = place.start("receive", "--home", place.home("receiver"), "--plugin-dir", folder, "--sink", "faulty",
                       *faulty("sink=nobody"), "127.0.0.1:0").ended(USAGE).err.decode()
    looked = told.split("looked in ")[1].split(")")[0].split(", ")
    assert looked[0] == str(folder) and len(set(looked)) == len(looked)  # each once


def test_options_reach_the_wrapped_sink(place):
    folder = place.folder / "a folder with blanks \\ and more"
    escaped = str(folder).replace("\\", "\\\\").replace(" ", "\\ ")
    receiver = place.receiver("--sink", "faulty", *faulty("sink=filesystem",
                              f"sink-options=directory={escaped} existing=refuse"))
    file = place.file("cargo", content(1000))
    place.send(receiver, file)
    file.write_bytes(b"other")
    place.send(receiver, file, code=REFUSED)
    assert place.arrived(folder) == [b"cargo"]
    receiver.stop_well()


# ---- The sink fails ----


def failing_receiver(place, *options):
    return place.receiver("--sink", "faulty", *faulty("sink=filesystem", f"sink-options=directory={place.received}",
                                                      *options))


@pytest.mark.parametrize("function", ["begin", "write", "finish"])
def test_a_sink_that_fails_spoils_nothing_else(place, function):
    """The one delivery fails with the sink's words; those before and behind it in the same connection arrive."""
    files = [place.file(f"item-{number}", content(3000, b"%d" % number)) for number in range(5)]
    for at in (1, 3, 5):
        receiver = failing_receiver(place, f"fail={function}", f"at={at}", "status=exhausted",
                                    f"text=no room for number {at}")
        sent = place.send(receiver, *files, code=SOME)
        failed = [result for result in sent.results if not result["ok"]]
        assert [result["status"] for result in failed] == ["exhausted"], sent
        assert f"no room for number {at}" in failed[0]["error"]
        arrived = {result["name"].encode() for result in sent.results if result["ok"]}
        assert len(arrived) == 4 and set(place.arrived()) == arrived
        for name in arrived:
            assert sha256(place.received / name.decode()) == sha256(place.folder / "source" / name.decode())
        assert place.litter() == []
        receiver.stop_well()
        for name in arrived:
            (place.received / name.decode()).unlink()


def test_a_write_in_the_middle_fails(place):
    receiver = failing_receiver(place, "fail=write", "at=4", "text=the disk is on fire")
    sent = place.send(receiver, place.file("cargo", content(4 << 20)), code=None)
    assert "the disk is on fire" in sent.results[0]["error"]
    assert place.arrived() == [] and place.litter() == []
    receiver.stop_well()


def test_a_sink_fails_every_so_often(place):
    receiver = failing_receiver(place, "fail=finish", "at=2", "every=3", "status=refused", "text=not on this day")
    files = [place.file(f"item-{number}", content(100, b"%d" % number)) for number in range(9)]
    sent = place.send(receiver, *files, code=SOME)
    assert sorted(result["status"] for result in sent.results) == ["ok"] * 6 + ["refused"] * 3
    assert len(place.arrived()) == 6 and place.litter() == []
    receiver.stop_well()


def test_a_slow_sink_is_interrupted(place):
    receiver = failing_receiver(place, "finish-delay=1h")
    sender = place.sender(receiver, place.file("cargo", content(1000)))
    sender.expect_event("offer")
    receiver.signal(signal.SIGTERM)
    receiver.expect(r"(?i)(stop|end|finish|shut)")
    receiver.stop()
    sender.ended(None)
    assert sender.code != OK and place.arrived() == []


def test_a_sink_that_wraps_resumes(place):
    receiver = failing_receiver(place)
    file = place.file("cargo", content(SIZE))
    sent = send(place, receiver, [f"cut-after={SIZE // 2}", "connections=1"], "--retry", "2", file)
    assert sent.results[0]["resumed_from"] > 0
    assert sha256(place.received / "cargo") == sha256(file) and place.litter() == []
    receiver.stop_well()
