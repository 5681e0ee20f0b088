# SPDX-License-Identifier: BSD-2-Clause
"""wherry bench: what it counts is what was sent, and every part of the time has its place. How fast is never asked."""
import os
import re
import resource
import signal
from pathlib import Path

import pytest

from support import (BIN, INTERRUPTED, LINK, NOT_TRUSTED, OK, REFUSED, SOME, USAGE, Receiver, children_of, content, scaled,
                     wait_for)

MIB = 1 << 20
SENDER_STAGES = {"source", "cipher", "transport", "answers", "core"}
RECEIVER_STAGES = {"transport", "cipher", "sink", "core"}


def server(place, *options, authorized=("sender",)):
    for sender in authorized:
        place.authorize(sender)
    command = [BIN, "bench", "--serve", "--home", place.home("receiver"), "--json", *options, "127.0.0.1:0"]
    process = Receiver(command, place.env(), None, cwd=place.folder)
    place.closing.callback(process.kill)
    return process


def bench(place, to, *options, home="sender", code=OK):
    """Measures to the end; the process, and its last event if there is one."""
    address = getattr(to, "address", to)
    process = place.run("bench", "--home", place.home(home), "--accept-new-peer", "--json", "--to", f"tcp://{address}",
                        *options, code=code)
    told = process.told("bench")
    return process, told[0] if told else None


def check_shares(side, stages):
    assert set(side["stages"]) == stages
    shares = [stage["share"] for stage in side["stages"].values()]
    assert all(0 <= share <= 1 for share in shares), side
    assert abs(sum(shares) - 1) < 1e-6, side
    assert 0 <= side["waiting_share"] <= 1, side
    assert side["seconds"] >= 0 and side["cpu"]["processors"] >= 0


def check_both(result):
    check_shares(result["sender"], SENDER_STAGES)
    check_shares(result["receiver"], RECEIVER_STAGES)
    assert result["limited_by"]["side"] in ("sender", "receiver", "link")
    assert result["limited_by"]["text"]


def test_stream_of_so_many_bytes_between_two_processes(place):
    receiver = server(place)
    size = scaled(40) * MIB + 12345
    process, result = bench(place, receiver, "--bytes", str(size))
    assert result == process.events[-1], "it is the last event"
    assert result["workload"] == "stream"
    assert (result["bytes"], result["items"], result["failed"]) == (size, 1, 0)
    assert (result["senders"], result["exit_code"], result["interrupted"]) == (1, OK, False)
    assert result["transport"] == "tcp" and "x25519" in result["cipher"]
    assert result["bytes_per_second"] > 0
    check_both(result)
    assert result["sender"]["stages"]["cipher"]["calls"] > 0
    assert result["receiver"]["stages"]["sink"]["calls"] > 0
    report = receiver.expect_event("bench")
    assert (report["role"], report["bytes"], report["items"]) == ("receiver", size, 1)
    assert report["receiver"] == result["receiver"], "both sides tell the same of the receiver"
    receiver.stop_well()
    assert receiver.events[-1]["event"] == "done"


def test_stream_for_a_time_tells_intervals(place):
    receiver = server(place)
    process, result = bench(place, receiver, "-t", "300ms", "-i", "50ms")
    intervals = process.told("interval")
    assert len(intervals) >= 2
    assert intervals[0]["begin"] == 0
    for one, next_one in zip(intervals, intervals[1:]):
        assert one["end"] == next_one["begin"]
    assert sum(one["bytes"] for one in intervals) == result["bytes"] > 0
    check_both(result)


def test_several_senders_at_once(place):
    receiver = server(place, "--once")
    _, result = bench(place, receiver, "--bytes", str(3 * MIB), "-P", "3")
    assert (result["bytes"], result["items"], result["senders"]) == (9 * MIB, 3, 3)
    assert result["sender"]["connections"] == result["receiver"]["connections"] == 3
    check_both(result)
    # All three are one sender.
    receiver.ended(OK)
    assert [report["bytes"] for report in receiver.told("bench")] == [3 * MIB] * 3


def test_several_streams_carry_one_sending(place):
    receiver = server(place, "--once")
    size = scaled(200) * MIB
    _, result = bench(place, receiver, "--bytes", str(size), "--streams", "3")
    assert (result["bytes"], result["items"], result["senders"]) == (size, 1, 1)
    assert 1 <= result["streams"] <= 3
    assert result["sender"]["connections"] == result["receiver"]["connections"] == 1
    check_both(result)
    receiver.ended(OK)
    assert len(receiver.told("joined", **{"with": 1})) == result["streams"] - 1
    # What came over the others is counted, too: every record was opened.
    opened, sealed = (result[side]["stages"]["cipher"]["calls"] for side in ("receiver", "sender"))
    assert opened > 0.9 * sealed
    report, = receiver.told("bench")
    assert report["bytes"] == size


def test_messages_each_of_which_is_answered(place):
    receiver = server(place)
    count = scaled(2000)
    _, result = bench(place, receiver, "--workload", "messages", "--messages", str(count), "--size", "33",
                      "--singles", "20")
    assert (result["items"], result["bytes"], result["failed"]) == (count, 33 * count, 0)
    assert result["items_per_second"] > 0
    latency = result["latency"]
    assert latency["samples"] == 20
    assert 0 < latency["min_us"] <= latency["p50_us"] <= latency["p99_us"] <= latency["max_us"]
    assert latency["min_us"] <= latency["mean_us"] <= latency["max_us"]
    check_both(result)
    receiver.wait_until(lambda: len(receiver.told("bench")) == 2, "a report of those that were sent one at a time")
    assert [report["items"] for report in receiver.told("bench")] == [count, 20]


def test_many_small_files_that_are_stored(place):
    receiver = server(place, "--sink", "filesystem", "--filesystem.directory", str(place.received))
    _, result = bench(place, receiver, "--workload", "files", "--files", "230", "--size", "1000")
    assert (result["items"], result["bytes"]) == (230, 230_000)
    check_both(result)
    # A begin and a write each; the filesystem finishes several at once, and a bench does not keep it from that.
    assert 2 * 230 <= result["receiver"]["stages"]["sink"]["calls"] < 3 * 230
    assert len(place.arrived()) == 230
    assert all(os.path.getsize(place.received / os.fsdecode(name)) == 1000 for name in place.arrived())
    receiver.stop_well()
    assert place.litter() == []


def test_file_is_sent_to_its_end(place):
    receiver = server(place, "--sink", "filesystem", "--filesystem.directory", str(place.received))
    file = place.file("model", content(5 * MIB + 7))
    _, result = bench(place, receiver, "--source", str(file))
    assert result["bytes"] == 5 * MIB + 7
    assert [(place.received / os.fsdecode(name)).read_bytes() for name in place.arrived()] == [file.read_bytes()]
    check_both(result)


def test_plain_receiver_will_do(place):
    receiver = place.receiver("--sink", "null")
    _, result = bench(place, receiver, "--bytes", str(2 * MIB))
    assert (result["bytes"], result["receiver"]) == (2 * MIB, None)
    check_shares(result["sender"], SENDER_STAGES)
    assert result["limited_by"]["side"] in ("sender", "unknown")
    shown = place.run("bench", "--home", place.home("sender"), "--to", f"tcp://{receiver.address}", "--bytes", "1MiB")
    assert b"the receiver is no bench" in shown.out


def test_without_protection(place):
    options = ("--cipher", "none", "--insecure")
    receiver = server(place, *options)
    _, result = bench(place, receiver, "--bytes", str(2 * MIB), *options)
    assert result["bytes"] == 2 * MIB
    check_both(result)
    process, _ = bench(place, receiver, "--bytes", "1", "--cipher", "none", code=USAGE)
    assert b"--insecure" in process.err


def test_sender_that_is_not_authorised_is_refused(place):
    receiver = server(place)
    process, result = bench(place, receiver, "--bytes", "1MiB", home="stranger", code=NOT_TRUSTED)
    assert result is None
    assert process.told("error")[0]["status"] == "auth_failed"
    assert receiver.expect_event("refused_peer")["fingerprint"] == process.told("error")[0]["fingerprint"]
    assert receiver.told("bench") == []


def test_receiver_whose_key_has_changed_is_refused(place):
    first = server(place)
    bench(place, first, "--bytes", "1")
    known = (place.home("sender") / "known_hosts").read_text()
    other = (place.home("stranger") / "identity.pub").read_text().split()
    (place.home("sender") / "known_hosts").write_text(
        re.sub(r"(ssh-ed25519) \S+", lambda found: f"{found[1]} {other[1]}", known))
    process, result = bench(place, first, "--bytes", "1", code=NOT_TRUSTED)
    assert result is None and b"HAS CHANGED" in process.err


@pytest.mark.parametrize("workload", ["stream", "messages", "files"])
def test_interrupted_bench_tells_what_it_has(place, workload):
    receiver = server(place)
    limit = ["--time", "1h"] if workload == "stream" else [f"--{workload}", "100000000"]
    process = place.start("bench", "--home", place.home("sender"), "--accept-new-peer", "--json", "--to",
                          f"tcp://{receiver.address}", "--workload", workload, *limit, "-i", "50ms")
    process.wait_until(lambda: [e for e in process.told("interval") if e["bytes"] > 0], "an interval")
    process.signal(signal.SIGINT)
    process.ended(INTERRUPTED)
    result = process.events[-1]
    assert (result["event"], result["interrupted"], result["exit_code"]) == ("bench", True, INTERRUPTED)
    assert result["bytes"] > 0
    check_both(result)
    receiver.expect_event("disconnected")
    assert receiver.told("bench")[0]["bytes"] == result["bytes"]
    receiver.stop_well()


def test_receiver_that_refuses_is_told(place):
    receiver = server(place, "--sink", "faulty", "--faulty.fail", "begin", "--faulty.status", "refused")
    process, result = bench(place, receiver, "--bytes", "1000", code=None)
    assert process.code in (REFUSED, SOME)
    assert (result["failed"], result["items"], result["bytes"]) == (1, 0, 0)


def test_nobody_there_is_a_link_failure(place):
    receiver = server(place)
    address = receiver.address
    receiver.stop_well()
    process, result = bench(place, address, "--bytes", "1", code=LINK)
    assert result is None and process.told("error")


def scratch(place):
    """The environment of a bench whose folders lie where no other's do."""
    (place.folder / "scratch").mkdir(exist_ok=True)
    return place.env(TMPDIR=str(place.folder / "scratch"))


def left_over(place):
    return sorted((place.folder / "scratch").iterdir())


def local(place, *options, code=OK, **others):
    """A bench of both sides, which needs no keys, and leaves none."""
    process = place.run("bench", "--home", place.folder / "nowhere", "--local", "--json", *options, code=code,
                        env=scratch(place), **others)
    assert left_over(place) == []
    assert not (place.folder / "nowhere").exists()
    return process


def test_local_bench_compares_the_ciphers(place):
    process = local(place, "--bytes", str(MIB), "--interval", "0")
    assert process.told("interval") == []
    results = process.told("bench")
    assert [result["compared"] for result in results] == [{"cipher": "hybrid"}, {"cipher": "none"}]
    for result in results:
        assert (result["bytes"], result["local"]) == (MIB, True)
        check_both(result)
    assert "x25519" in results[0]["cipher"] and "x25519" not in results[1]["cipher"]
    comparison = process.events[-1]
    assert (comparison["event"], comparison["name"], comparison["exit_code"]) == ("comparison", "cipher", OK)
    assert [(row["value"], row["rounds"]) for row in comparison["values"]] == [("hybrid", 1), ("none", 1)]
    assert comparison["values"][0]["ratio"] == 1


def test_local_bench_of_one_cipher(place):
    process = local(place, "--cipher", "hybrid", "--hybrid.aead", "chacha20-poly1305", "--bytes", "1000000", "-P", "2")
    result, = process.told("bench")
    assert (result["bytes"], result["senders"]) == (2_000_000, 2)
    assert "chacha20-poly1305" in result["cipher"]
    check_both(result)
    assert process.told("comparison") == []


def test_local_bench_of_more_senders_than_a_receiver_serves_by_default(place):
    """The receiver says more of them than a pipe holds."""
    senders = 270
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < 16 * senders:
        pytest.skip(f"a receiver of {senders} senders needs {16 * senders} descriptors, the limit is {limit}")
    process = local(place, "--cipher", "hybrid", "--bytes", "1000", "-P", str(senders))
    result, = process.told("bench")
    assert (result["bytes"], result["items"], result["senders"]) == (1000 * senders, senders, senders)


def test_local_bench_compares_values_of_an_option_in_rounds(place):
    process = local(place, "--compare", "tcp.record-bytes=16KiB,64KiB", "--rounds", "2", "--bytes", str(MIB))
    results = process.told("bench")
    assert [result["compared"]["tcp.record-bytes"] for result in results] == ["16KiB", "64KiB"] * 2
    # It did what it says: smaller records are more records.
    small, large = (result["sender"]["stages"]["cipher"]["calls"] for result in results[:2])
    assert small > 2 * large
    rows = process.told("comparison")[0]["values"]
    assert [(row["value"], row["rounds"]) for row in rows] == [("16KiB", 2), ("64KiB", 2)]


def test_local_bench_of_all_that_a_choice_may_be(place):
    process = local(place, "--compare", "hybrid.aead", "--workload", "messages", "--messages", "50", "--singles", "3")
    results = process.told("bench")
    assert [result["compared"]["hybrid.aead"] for result in results] == ["auto", "aes-256-gcm", "chacha20-poly1305"]
    for result in results:
        assert (result["items"], result["latency"]["samples"]) == (50, 3)
    assert all(row["p50_us"] > 0 and row["items_per_second"] > 0 for row in process.told("comparison")[0]["values"])


def test_local_bench_that_stores(place):
    process = local(place, "--cipher", "hybrid", "--sink", "filesystem", "--filesystem.directory", str(place.received),
                    "--workload", "files", "--files", "20", "--size", "100")
    result, = process.told("bench")
    assert (result["items"], len(place.arrived())) == (20, 20)
    assert result["receiver"]["stages"]["sink"]["seconds"] > 0


def test_local_bench_takes_no_settings_for_real_use(place):
    home = place.home("sender")
    (home / "config").write_text(
        f"sink = filesystem\naccept-new-peer = true\n[filesystem]\ndirectory = {place.received}\n"
        f"[hybrid]\nidentity = {home}/none\n")
    process = place.run("bench", "--home", home, "--local", "--json", "--bytes", "100000", "--cipher", "hybrid")
    assert process.told("bench")[0]["bytes"] == 100_000
    assert not place.received.exists()
    assert not (home / "known_hosts").exists()


def test_interrupted_local_bench_ends_both_sides(place):
    process = place.start("bench", "--local", "--json", "-t", "1h", "-i", "50ms", env=scratch(place))
    process.wait_until(lambda: [e for e in process.told("interval") if e["bytes"] > 0], "an interval")
    process.signal(signal.SIGINT)
    process.ended(INTERRUPTED)
    result, = process.told("bench")
    assert result["interrupted"] and result["bytes"] > 0
    check_both(result)
    assert process.told("comparison")[0]["exit_code"] == INTERRUPTED
    assert left_over(place) == []


def test_killed_local_bench_leaves_no_process(place):
    process = place.start("bench", "--local", "--json", "-t", "1h", "-i", "50ms", env=place.env(TMPDIR=str(place.folder)))
    process.wait_until(lambda: process.told("interval"), "an interval")
    children = children_of(process.pid)
    assert len(children) == 2
    process.signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(is_running(child) for child in children), "the end of both sides")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_local_bench_for_people(place):
    process = place.run("bench", "--local", "--bytes", "1MiB", "--rounds", "2")
    text = process.out.decode()
    assert "cipher hybrid, round 1 of 2\n" in text and "cipher none, round 2 of 2\n" in text
    assert re.search(r"^cipher +rate +times +limited by\nhybrid +[\d.]+ MiB/s +1\.00 +\S.*\nnone +[\d.]+ MiB/s", text, re.M), text
    assert process.err == b""


def test_local_bench_whose_side_fails_tells_why(place):
    process = local(place, "--cipher", "hybrid", "--hybrid.kem", "nonsense", "--bytes", "1", code=USAGE)
    assert b"nonsense" in process.err
    assert process.told("error")


@pytest.mark.parametrize("options, words", [
    (("--local", "--serve"), "exclude"),
    (("--local", "--compare", "hybrid.nothing"), "cannot be compared"),
    (("--local", "--compare", "tcp.port"), "has no values"),
    (("--local", "--compare", "tcp.port=x"), "'x' is not"),
    (("--local", "--once"), "--once"),
    ((), "--serve"),
    (("--serve", "--to", "tcp://127.0.0.1:1"), "exclude"),
    (("--serve", "--time", "5s"), "--time"),
    (("--serve", "tcp://127.0.0.1:1", "more"), "argument too many"),
    (("--to", "tcp://127.0.0.1:1", "more"), "argument too many"),
    (("--to", "tcp://127.0.0.1:1", "--once"), "--once"),
    (("--to", "tcp://127.0.0.1:1", "--files", "5"), "--files"),
    (("--to", "tcp://127.0.0.1:1", "--workload", "files", "--bytes", "5"), "--bytes"),
    (("--to", "tcp://127.0.0.1:1", "--workload", "messages", "--size", "2MiB"), "1 MiB"),
    (("--to", "tcp://127.0.0.1:1", "--bytes", "0"), "1 or more"),
])
def test_options_that_make_no_sense_are_refused(place, options, words):
    process = place.run("bench", "--home", place.home("sender"), *options, code=USAGE)
    assert words in process.err.decode()


def test_quiet_bench_says_nothing(place):
    receiver = server(place)
    process = place.run("bench", "--home", place.home("sender"), "--accept-new-peer", "--quiet", "--to",
                        f"tcp://{receiver.address}", "--bytes", "1MiB")
    assert (process.out, process.err) == (b"", b"")


def test_result_for_people(place):
    receiver = server(place)
    process = place.run("bench", "--home", place.home("sender"), "--accept-new-peer", "--to",
                        f"tcp://{receiver.address}", "--bytes", "10MiB", "-P", "2")
    text = process.out.decode()
    assert re.search(r"^tcp, x25519(-mlkem768)?, .*, 2 senders: 20\.0 MiB in [\d.]+ s, [\d.]+ MiB/s$", text, re.M), text
    for stage in SENDER_STAGES | RECEIVER_STAGES:
        assert re.search(rf"^  {stage} .* %", text, re.M), text
    assert re.search(r"^limited by: the ", text, re.M) or "limited by: wherry's core" in text, text
