# SPDX-License-Identifier: BSD-2-Clause
"""The workloads of bench/report: each makes its content, lets the contestants take turns, and returns tables."""
import contextlib
import json
import os
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from contestants import (BareCopy, BareLoop, Contestant, OneShot, OverSsh, Place, Rclone, Rsync, Scp, Socat, Sshd, Tar,
                         Wherry, Wormhole)
from content import GIB, KIB, MIB, make_file, make_tree, same, same_file, size_text
from machine import available_memory
from measuring import Point, Row, Table, delivered, in_turns
from processes import Failure, start, stop, timed, until


@dataclass
class Settings:
    """How large and how often. The defaults are those of the full run; of_quick() only shows that all works."""
    wherry: Path
    build: Path
    folder: Path
    rounds: int = 5
    max_size: int = 10 * GIB
    file_bytes: int = GIB
    small_files: tuple = (10_000, 100, 4 * KIB)  # files, folders, bytes of each
    messages: int = 100_000
    single_messages: int = 5_000
    message_bytes: int = 100
    first_byte_rounds: int = 20
    file_sizes: tuple = (4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB, GIB, 4 * GIB)
    memory_sizes: tuple = (MIB, 16 * MIB, 256 * MIB, GIB, 10 * GIB)
    record_sizes: tuple = tuple(KIB << i for i in range(3, 11))
    record_file_bytes: int = 512 * MIB
    senders: tuple = (1, 4, 16, 64, 256, 1000)
    files_of_senders: tuple = (1000, MIB)
    receive_all_bytes: int = 256 * MIB
    receive_all_seconds: float = 1.0  # of each repetition

    def of_quick(self):
        self.rounds = 1
        self.file_bytes = 4 * MIB
        self.small_files = (100, 5, 4 * KIB)
        self.messages, self.single_messages = 500, 50
        self.first_byte_rounds = 1
        self.file_sizes = (4 * KIB, MIB)
        self.memory_sizes = (MIB, 4 * MIB)
        self.record_sizes = (8 * KIB, 256 * KIB)
        self.record_file_bytes = 4 * MIB
        self.senders = (1, 8)
        self.files_of_senders = (8, 64 * KIB)
        self.receive_all_bytes, self.receive_all_seconds = MIB, 0.01
        return self

    def sizes(self, all_sizes):
        return [size for size in all_sizes if size <= self.max_size]


@contextlib.contextmanager
def place_for(settings, ssh_cipher=None):
    """A folder that is taken away with all that was started in it."""
    with contextlib.ExitStack() as closing:
        folder = Path(tempfile.mkdtemp(prefix="wherry-bench.", dir=settings.folder))
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        place = Place(settings.wherry, settings.build / "bench", folder, closing)
        if ssh_cipher:
            place.ssh_cipher = ssh_cipher
        yield place


def join(place, kinds, left_out, *, rounds_at_most=None):
    """One contestant of each kind that can take part; why the others cannot is added to `left_out`."""
    joined = []
    for kind in kinds:
        try:
            why = kind.lacks(place)
            if not why:
                joined.append(kind(place))
                joined[-1].rounds_at_most = (rounds_at_most or {}).get(kind, joined[-1].rounds_at_most)
        except Failure as failure:
            if kind is Wherry:
                raise
            why = f"it did not start: {' '.join(str(failure).split())[:300]}"
        if why:
            left_out.append([kind.name, why])
    return joined


def rates(rows, amount):
    """Seconds turned into amount a second."""
    return [Row(row.name, [amount / seconds for seconds in row.values], row.chain) for row in rows]


def fits(size, left_out, who):
    """Whether files of so many bytes, sent and received, have room in memory; tells if not."""
    if 2.2 * size < available_memory():
        return True
    left_out.append([who, f"there is no memory for two files of {size_text(size)}"])
    return False


# ---- Files ----

ALL_FOR_A_FILE = (Wherry, BareLoop, BareCopy, Socat, Scp, Rsync, Rclone, Wormhole)


def one_file(settings):
    """One large file, from tmpfs to tmpfs."""
    size = min(settings.file_bytes, settings.max_size)
    left_out = []
    with place_for(settings) as place:
        source = make_file(place.folder / "file", size)
        contestants = join(place, ALL_FOR_A_FILE, left_out)
        rows = in_turns(contestants, settings.rounds, lambda each: delivered(each, source), left_out)
    return [Table("file", f"One file of {size_text(size)}", "MB/s", [Point(None, rates(rows, size / 1e6))],
                  settings.rounds, left_out=left_out)]


def small_files(settings):
    """Many small files in folders."""
    files, folders, size = settings.small_files
    left_out = []
    with place_for(settings) as place:
        source = make_tree(place.folder / "tree", files, folders, size)
        contestants = join(place, (Wherry, Rsync, Tar, Scp, Rclone), left_out, rounds_at_most={Scp: 2, Rclone: 2})
        rows = in_turns(contestants, settings.rounds, lambda each: delivered(each, source), left_out)
    return [Table("small-files", f"{files:,} files of {size_text(size)} in {folders} folders", "files/s",
                  [Point(None, rates(rows, files))], settings.rounds, left_out=left_out)]


def start_to_stored(settings):
    """How long a command takes that brings next to nothing: start, handshake, one small file, stored."""
    left_out = []
    size = 4 * KIB
    with place_for(settings) as place:
        source = make_file(place.folder / "file", size)
        contestants = join(place, (Wherry, Scp, Rsync, Rclone), left_out)
        rows = in_turns(contestants, settings.first_byte_rounds, lambda each: delivered(each, source) * 1e3, left_out)
    return [Table("start", f"Start to stored: a whole command for a file of {size_text(size)}", "ms",
                  [Point(None, rows)], settings.first_byte_rounds, more_is_better=False, left_out=left_out)]


def file_sizes(settings):
    """The rate of a whole command by the size of its file."""
    table = Table("file-sizes", "Rate by file size, of whole commands", "MB/s", [], settings.rounds,
                  x_label="file size", x_is_bytes=True)
    with place_for(settings) as place:
        contestants = join(place, (Wherry, BareLoop, Socat, Scp, Rclone), table.left_out)
        for size in settings.sizes(settings.file_sizes):
            if not fits(size, table.left_out, f"files of {size_text(size)}"):
                continue
            source = make_file(place.folder / "file", size)
            # Small ones are over in no time, and large ones take long and vary little.
            rounds = settings.rounds * 2 if 1 < settings.rounds and size <= 16 * MIB else settings.rounds
            rounds = min(rounds, 3) if size >= GIB else rounds
            rows = in_turns(contestants, rounds, lambda each: delivered(each, source), table.left_out)
            contestants = [each for each in contestants if any(row.name == each.name for row in rows)]
            table.points.append(Point(size, rates(rows, size / 1e6)))
            source.unlink()
    return [table]


def record_sizes(settings):
    """What the size of records does to the rate."""
    size = min(settings.record_file_bytes, settings.max_size)
    table = Table("record-sizes", f"Rate by record size, one file of {size_text(size)}", "MB/s", [], settings.rounds,
                  x_label="record size", x_is_bytes=True,
                  notes=["wherry's is `--tcp.record-bytes` on both sides."])
    with place_for(settings) as place:
        source = make_file(place.folder / "file", size)
        contestants, sizes_of = [], {}
        for record in settings.record_sizes:
            option = ("--tcp.record-bytes", str(record))
            made = [Wherry(place, f"wherry {record}", options=option)]
            why = BareLoop.lacks(place)
            if not why:
                made.append(BareLoop(place, record, f"bare encrypting loop {record}"))
            contestants += made
            sizes_of.update({each.name: (each.name.rsplit(" ", 1)[0], record) for each in made})
        if why:
            table.left_out.append([BareLoop.name, why])
        rows = in_turns(contestants, settings.rounds, lambda each: delivered(each, source), table.left_out)
    for record in settings.record_sizes:
        point = Point(record)
        for row in rates(rows, size / 1e6):
            name, its_record = sizes_of[row.name]
            if its_record == record:
                point.rows.append(Row(name, row.values, row.chain))
        table.points.append(point)
    return [table]


# ---- Messages ----

class Messages(Wherry):
    """Of `wherry bench`, to a receiver that counts them and drops them."""

    def __init__(self, place, count, size):
        super().__init__(place, sink="null")
        self.count, self.size = count, size

    def _bench(self, count, singles):
        seconds, said = timed([self.program, "bench", "--home", self.home, "--accept-new-peer", "--json", "--interval",
                               "0", "--to", self.destination, "--workload", "messages", "--size", self.size,
                               "--messages", count, "--singles", singles])
        told = next((e for e in self._events(said) if e["event"] == "bench"), None)
        if not told or told["items"] != count or told["failed"] or told["interrupted"]:
            raise Failure(f"wherry did not deliver {count} messages:\n{said}")
        return seconds, told

    def send(self, source):
        seconds, _ = self._bench(self.count, 0)
        return seconds

    def median_latency(self, count, size):
        """Microseconds, of `count` messages that are sent one by one."""
        _, told = self._bench(1, count)
        return told["latency"]["p50_us"]

    def chain(self):
        return super().chain().replace("file, ", "message, ", 1)


class SshCat(OverSsh):
    """Lines through a remote cat, and back."""
    name = "ssh cat"
    programs = ("cat", *Sshd.programs)

    def __init__(self, place):
        super().__init__(place)
        self.echoed = self.folder / "echoed"

    def send(self, source):
        seconds, _ = timed([*self.sshd.ssh(), self.sshd.to, "cat"], source=source, target=self.echoed)
        if not same_file(source, self.echoed):
            raise Failure("ssh cat said something else than it was told")
        return seconds

    def chain(self):
        return f"pipe, {self.sshd.cipher}, tcp, cat, and the same way back"


class TcpEcho(Contestant):
    """Bytes to a process that sends them back, over plain TCP."""
    name = "bare TCP echo"

    @classmethod
    def lacks(cls, place):
        return BareCopy.lacks(place)

    def median_latency(self, count, size):
        log = self.folder / "log"
        program = self.place.tools / "bare_loop"
        server = start([program, "echo"], log)
        try:
            port = until(server, log, lambda text: text.strip() if text.endswith("\n") else None)
            _, said = timed([program, "ping", port, size, count])
        finally:
            stop(server)
        return statistics.median(map(float, said.split()))

    def chain(self):
        return "write, tcp, read, and back; nothing encrypted"


def messages(settings):
    """Many short messages over one connection, and the answer to a single one."""
    count, size, single = settings.messages, settings.message_bytes, settings.single_messages
    many_left_out, single_left_out = [], []
    with place_for(settings) as place:
        lines = place.folder / "lines"
        with open(lines, "wb") as out:
            for _ in range(count):
                out.write(os.urandom(size // 2).hex().encode()[:size - 1] + b"\n")
        ours = Messages(place, count, size)
        rows = in_turns([ours, *join(place, (SshCat,), many_left_out)], settings.rounds,
                        lambda each: each.send(lines), many_left_out)
        many = Table("messages", f"{count:,} messages of {size} bytes on one connection, each answered", "messages/s",
                     [Point(None, rates(rows, count))], settings.rounds, left_out=many_left_out,
                     notes=["Whole commands. The receiver of wherry counts and drops them (sink null), as a remote "
                            "`cat` keeps nothing; every message has its own answer."])

        rows = in_turns([ours, *join(place, (TcpEcho,), single_left_out)], settings.rounds,
                        lambda each: each.median_latency(single, size), single_left_out)
        one = Table("one-message", f"One message of {size} bytes, sent when the one before was answered", "µs",
                    [Point(None, rows)], settings.rounds, more_is_better=False, left_out=single_left_out,
                    notes=[f"Each round's figure is the median of {single:,} (p50)."])
    return [many, one]


# ---- Memory ----

def peak_of(pid):
    """The most that a process ever had resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Failure(f"/proc/{pid}/status tells no VmHWM")


def memory(settings):
    """Peak resident memory of both processes, by the size of the file."""
    table = Table("memory", "Peak resident memory by file size", "MiB", [], more_is_better=False, x_label="file size",
                  x_is_bytes=True,
                  notes=["The files are sparse, all zeros, so that the largest needs room on one side only; the "
                         "compressor is at work, which takes more memory than without."])
    for size in settings.sizes(settings.memory_sizes):
        if 1.2 * size > available_memory():
            table.left_out.append([f"a file of {size_text(size)}", "there is not enough memory to receive it into"])
            continue
        rounds = settings.rounds if size < GIB else 1
        peaks = {"sender": [], "receiver": []}
        for _ in range(rounds):
            with place_for(settings) as place:
                source = place.folder / "file"
                source.touch()
                os.truncate(source, size)
                ours = Wherry(place)
                told = place.folder / "peak"
                timed([place.tools / "peak_memory", told, *ours.command(source)])
                if not ours.has_delivered(source):
                    raise Failure("wherry delivered something else than was sent")
                peaks["sender"].append(int(told.read_text()) / MIB)
                peaks["receiver"].append(peak_of(ours.receiver.pid) / MIB)
                chain = ours.chain()
        table.points.append(Point(size, [Row(side, values, chain) for side, values in peaks.items()]))
        table.rounds = max(table.rounds, rounds)
    return [table]


# ---- Many senders ----

class Senders(Wherry):
    """So many at once, each with a connection of its own, of one process; together they bring all files."""

    def __init__(self, place, count, files):
        super().__init__(place, f"wherry {count}", receiving=("--max-connections", str(count + 1)))
        self.count, self.files = count, files

    # They arrive in the receiver's folder itself, where it has a folder of its own besides.

    def arrived(self):
        return [path for path in (self.folder / "received").glob("*") if path.is_file()]

    def clear(self, source):
        for path in self.arrived():
            path.unlink()

    def has_delivered(self, source):
        return len(self.arrived()) == len(self.files) and all(
            same(path, self.folder / "received" / path.name) for path in self.files)

    def send(self, source):
        _, said = timed([self.place.tools / "many_senders", self.home, self.destination, self.count, *self.files])
        return float(said)

    def chain(self):
        return super().chain().replace("file, ", "files, ", 1)


def many_senders(settings):
    """The same files from one sender and from many at once."""
    files, size = settings.files_of_senders
    table = Table("senders", f"Rate by sender count, {files:,} files of {size_text(size)} in all", "MB/s", [],
                  settings.rounds, x_label="senders at once",
                  notes=["All senders are threads of one process, each with its own connection, handshake and share "
                         "of the files, so that no process's start is in it; from before the first connects until "
                         "the last has its answer."])
    with place_for(settings) as place:
        source = make_tree(place.folder / "files", files, 1, size) / "folder-000"
        paths = sorted(source.iterdir())
        contestants = [Senders(place, count, paths) for count in settings.senders]
        rows = in_turns(contestants, settings.rounds, lambda each: delivered(each, source), table.left_out)
        for each, row in zip(contestants, rates(rows, files * size / 1e6)):
            table.points.append(Point(each.count, [Row("wherry", row.values, row.chain)]))
    return [table]


# ---- Receive-all ----

NAIVE_BYTES = 4 * MIB


def receive_all(settings):
    """The loop that wherry began with: everything that a peer sends, into memory."""
    size = settings.receive_all_bytes
    naive = min(NAIVE_BYTES, size)
    of = {f"receive_all_into_buffer/{size}": ("receive_all", size),
          f"buffer_of_the_right_size/{size}": ("a buffer of the right size", size),
          f"appended_string/{size}": ("reads of 1,024 bytes, appended", size),
          f"joined_strings/{naive}": ("reads of 1,024 bytes, concatenated", naive)}
    table = Table("receive-all", f"Receive-all of {size_text(size)} in one process", "MB/s", [], settings.rounds,
                  notes=["Google Benchmark, repetitions of all in random turns. The loop that concatenates copies "
                         "everything that it has for every read, so that its rate falls with the size: of 256 MiB it "
                         f"would take hours. Its rate at {size_text(naive)} stands here, which is more than it has at "
                         "any larger size; the true ratio is larger by far."])
    program = settings.build / "bench/receive_all_bench"
    if not program.exists():
        table.left_out.append(["receive_all", f"there is no {program}"])
        return [table]
    names = "|".join(of)
    # Google Benchmark has words for people on its standard error.
    with tempfile.NamedTemporaryFile(suffix=".json") as told:
        timed([program, f"--benchmark_filter=^({names})/real_time$", "--benchmark_format=json",
               "--benchmark_enable_random_interleaving=true", f"--benchmark_repetitions={settings.rounds}",
               f"--benchmark_min_time={settings.receive_all_seconds}"], target=told.name)
        measured = json.load(told)
    values = {}
    for one in measured["benchmarks"]:
        if one.get("run_type") == "iteration":
            if one.get("error_occurred"):
                raise Failure(f"{one['name']}: {one.get('error_message')}")
            values.setdefault(one["name"].removesuffix("/real_time"), []).append(one["bytes_per_second"] / 1e6)
    table.points.append(Point(None, [Row(of[name][0], values[name], f"a pair of sockets, {size_text(of[name][1])}")
                                     for name in of if name in values]))
    return [table]


WORKLOADS = {
    "file": one_file,
    "small-files": small_files,
    "messages": messages,
    "start": start_to_stored,
    "memory": memory,
    "senders": many_senders,
    "receive-all": receive_all,
    "file-sizes": file_sizes,
    "record-sizes": record_sizes,
}
# The tables of those that make more than one.
TABLES = {"messages": ("messages", "one-message")}


def tables_of(names):
    return {table for name in names for table in TABLES.get(name, (name,))}
