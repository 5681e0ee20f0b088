# SPDX-License-Identifier: BSD-2-Clause
"""How many threads a receiver and a sender have at each moment that the thread model names."""
import os
import socket
import subprocess

from support import LIMIT, wait_for

# All threads of the process: (receiver, sender). Change it together with the thread model, and with nothing else.
#
# An idle receiver has the acceptor, two for signals, the progress line, and the partial area's of sink-filesystem, which
# sink-exec has none of; a sender the same without the last. The first connection starts the timer of the process.
CENSUS = {
    "idle": (5, None),
    "handshake": (6, None),                   # one for each under way
    "transfer": (7, 6),                       # the reader of the connection, on either side
    "transfer older than 5 s": (8, 7),        # and the one that says PING
    "2 streams": (9, 9),
    "2 streams older than 5 s": (11, 11),     # PING, for each connection
    "4 streams": (11, 13),
    "4 streams older than 5 s": (15, 17),
    "idle, sink-exec": (4, None),
    "slow finish": (7, 6),                    # a thread finishes it, and the reader reads on
    "slow finish older than 5 s": (8, 7),     # PING
    "idle again": (6, None),                  # the timer stays
    "idle again, sink-exec": (5, None),
}

# A connection says PING for the first time 5 s after it began. Moments before that are missed where the machine stands
# still for so long; then there is another attempt.
YOUNG, ATTEMPTS = 4, 5


def threads(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


def reaches(moment, receiver, sender=None, limit=LIMIT):
    """Waits until both have as many threads as the census says, and still have them in the next readings."""
    last, same = None, 0

    def is_steady():
        nonlocal last, same
        counts = (threads(receiver), threads(sender) if sender else None)
        same = same + 1 if counts == last else 1
        last = counts
        return same >= 10 and counts == CENSUS[moment]

    try:
        wait_for(is_steady, moment, limit)
    except AssertionError:
        return f"{moment}: (receiver, sender) have {last} threads instead of {CENSUS[moment]}"
    return None


def must_reach(*arguments):
    assert (problem := reaches(*arguments)) is None, problem


def begin_young(moment, begin):
    """Begins something whose moment is before the first PING. Returns its receiver and its sender.

    Another attempt has a receiver of its own: what the attempt before left there may last longer."""
    for _ in range(ATTEMPTS):
        receiver, sender = begin()
        problem = reaches(moment, receiver, sender, limit=YOUNG)
        if problem is None:
            return receiver, sender
        sender.kill()
        receiver.kill()
    raise AssertionError(problem)


def test_threads_are_those_of_the_model(place):
    idle = place.receiver()
    must_reach("idle", idle)
    with socket.create_connection(idle.endpoint):
        must_reach("handshake", idle)
    idle.stop_well()
    command = place.folder / "command"
    os.mkfifo(command)

    def slow_receiver():
        return place.receiver("--sink", "exec", "--exec.shell", "--exec.command", f"cat {command}")

    idle = slow_receiver()
    must_reach("idle, sink-exec", idle)
    idle.stop_well()

    def pipe(*options):
        receiver = place.receiver(folder=place.folder / f"received-{len(list(place.folder.iterdir()))}")
        sender = place.sender(receiver, *options, "-", stdin=subprocess.PIPE)
        sender.process.stdin.write(b"the beginning")
        sender.process.stdin.flush()
        return receiver, sender

    def message():
        receiver = slow_receiver()
        return receiver, place.sender(receiver, "--message", "hello")

    # All at the same time, so that all get older at the same time.
    begun = {moment: begin_young(moment, begin) for moment, begin in [
        ("transfer", pipe),
        ("2 streams", lambda: pipe("--streams", "2")),
        ("4 streams", lambda: pipe("--streams", "4")),
        ("slow finish", message),
    ]}
    for moment, sides in begun.items():
        must_reach(f"{moment} older than 5 s", *sides)

    for moment, (receiver, sender) in begun.items():
        if moment == "slow finish":
            command.write_bytes(b"done")
        else:
            sender.process.stdin.close()
        sender.ended(0)
        must_reach("idle again, sink-exec" if moment == "slow finish" else "idle again", receiver)
        receiver.stop_well()
