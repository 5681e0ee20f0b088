# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: homes, processes, a receiver, a sender, a terminal, and a link that can be mangled.

Nothing here sleeps to let something happen: everything waits for what it is told of, up to LIMIT seconds.
"""
import atexit
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

# A script's command with & behind it begins with SIGINT ignored, and the programs here would ignore it, too.
for ignorable in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(ignorable) == signal.SIG_IGN:
        signal.signal(ignorable, signal.default_int_handler if ignorable == signal.SIGINT else signal.SIG_DFL)

BIN = Path(os.environ.get("WHERRY_BIN", Path(__file__).parents[2] / "build/release/bin/wherry"))
# The program of each side, where that is one of another version (tests/versions/run).
SENDER_BIN = Path(os.environ.get("WHERRY_SENDER_BIN", BIN))
RECEIVER_BIN = Path(os.environ.get("WHERRY_RECEIVER_BIN", BIN))


def use_program(program):
    """From now on both sides are this program."""
    global BIN, SENDER_BIN, RECEIVER_BIN
    BIN = SENDER_BIN = RECEIVER_BIN = program


PLUGINS = BIN.parent.parent / "lib" / "wherry"
# Built with a sanitizer: slower, and memory says nothing.
SANITIZED = os.environ.get("WHERRY_SANITIZED", "") not in ("", "0")
LIMIT = 90 if SANITIZED else 45
AM_ROOT = os.geteuid() == 0
# Whether root runs the receivers as an ordinary user, who may not open every file.
AS_USER = AM_ROOT and os.environ.get("WHERRY_TEST_AS_USER", "") not in ("", "0")
NOBODY = 65534
BECOME_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", "KILL", "--"]
KILL_AT = BIN.parent.parent / "tests" / "kill-at.so"

# Where sink-filesystem keeps what is not finished.
PARTIAL = b".wherry-partial"

# Exit codes, as docs/command-line.md has them.
OK, BUG, USAGE, SOME, REFUSED, NOT_TRUSTED, LINK, LOCAL, INTEGRITY, PLUGIN, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 130


def scaled(count):
    """`count`, or less of it where everything is slow."""
    return max(1, count // 8) if SANITIZED else count


def wait_for(condition, what, limit=None):
    """Polls for what no event tells of, and returns its first true value."""
    end = time.monotonic() + (limit or LIMIT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.01)


def children_of(pid):
    """The processes that any of its threads has started and not waited for."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def content(size, seed=b"wherry"):
    """Bytes that do not repeat or compress, the same for the same seed."""
    return hashlib.shake_128(seed).digest(size)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tree(folder):
    """Every path below `folder` as bytes, relative, with what tells it from another: content, mode, mtime."""
    folder = os.fsencode(folder)
    found = {}
    for at, folders, files in os.walk(folder):
        for name in folders:
            path = os.path.join(at, name)
            found[os.path.relpath(path, folder)] = ("folder", os.stat(path).st_mode & 0o7777)
        for name in files:
            path = os.path.join(at, name)
            status = os.lstat(path)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = (
                    hashlib.sha256(file.read()).hexdigest(), status.st_mode & 0o7777, status.st_mtime_ns)
    return found


def in_order(sent):
    """The results of a sender in the order of what it was given: they come in the order in which deliveries end."""
    return sorted(sent.results, key=lambda result: result["item"])


def raw_control_bytes(output):
    """Control bytes, other than line ends and tabs, that were printed raw."""
    return sorted({byte for byte in output if (byte < 0x20 and byte not in b"\n\t") or byte == 0x7f})


def in_namespace(kind, *check):
    """The beginning of a command that runs the rest in a namespace of its own ("--mount", "--net"); nothing where
    that is not allowed. Only the superuser's will do: where users are mapped, wherry's plugins belong to nobody it
    knows, and are refused."""
    command = ["unshare", kind, "--"]
    return command if subprocess.run([*command, *check], capture_output=True).returncode == 0 else []


@functools.cache
def for_everyone():
    """A folder with the program, its plugins and kill-at.so, where an ordinary user can reach them."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-e2e-program."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for path in (BIN, *PLUGINS.glob("*.so"), *([KILL_AT] if KILL_AT.exists() else [])):
        copy = folder / path.relative_to(BIN.parent.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


def give_to_user(path):
    """Gives a file, or a folder and its content, to the ordinary user."""
    os.lchown(path, NOBODY, NOBODY)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            os.lchown(os.path.join(folder, name), NOBODY, NOBODY)


def killed_at(call):
    """The wrapper of a receiver that is killed at this call; see tests/support/kill_at.c for its name."""
    library = for_everyone() / "tests" / KILL_AT.name if AS_USER else KILL_AT
    assert library.exists()
    # The library is loaded before the sanitizer, which would refuse that.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return ["env", f"LD_PRELOAD={library}", f"WHERRY_TEST_KILL={call}", f"ASAN_OPTIONS={sanitizer}"]


class Process:
    """A program, whose output is collected while it runs."""

    def __init__(self, command, env, stdin=subprocess.DEVNULL, cwd=None, out="read"):
        # Ends with this process, even if that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", "--"] + [os.fspath(part) for part in command]
        self.command = command
        self.process = subprocess.Popen(command, env=env, stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd=cwd)
        if out == "closed":  # its reader goes away, before it says anything
            self.process.stdout.close()
        self.pid = self.process.pid
        self.output = {"out": b"", "err": b""}
        self.news = threading.Condition()
        self.readers = [threading.Thread(target=self._collect, args=(name, pipe), daemon=True)
                        for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr))
                        if not pipe.closed]
        for reader in self.readers:
            reader.start()

    def _collect(self, name, pipe):
        with pipe:
            while piece := os.read(pipe.fileno(), 1 << 16):
                with self.news:
                    self.output[name] += piece
                    self.news.notify_all()
        with self.news:
            self.news.notify_all()

    @property
    def out(self):
        return self.output["out"]

    @property
    def err(self):
        return self.output["err"]

    @property
    def events(self):
        """What --json said so far, one object a line."""
        lines = self.out.split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def told(self, event, **fields):
        """The events of that name with these fields, so far."""
        return [e for e in self.events if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def wait_until(self, condition, what):
        """Waits for output that makes `condition` true, and returns its value."""
        end = time.monotonic() + LIMIT
        with self.news:
            while True:
                value = condition()
                if value:
                    return value
                ended = self.process.poll() is not None and not any(r.is_alive() for r in self.readers)
                if ended or time.monotonic() > end:
                    state = f"ended with {self.process.returncode}" if ended else "runs"
                    raise AssertionError(f"never came: {what}; the program {state} and said:\n{self}")
                self.news.wait(0.1)

    def expect(self, pattern, stream="err"):
        """Waits for text that matches `pattern` on a stream."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        return self.wait_until(lambda: re.search(pattern, self.output[stream]), pattern)

    def expect_event(self, event, **fields):
        return self.wait_until(lambda: self.told(event, **fields), f"event {event} {fields}")[0]

    def ended(self, code):
        """Waits for its end with this exit code (None: any but that of a bug or a crash), and returns itself."""
        got = self.wait()
        if got != code and (code is not None or got == BUG or got < 0):
            raise AssertionError(f"exit code {got} instead of {code}:\n{self}")
        return self

    @property
    def code(self):
        return self.process.returncode

    def wait(self):
        """The exit code, once it has ended by itself and all it said has been read."""
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end; it said:\n{self}") from None
        for reader in self.readers:
            reader.join(LIMIT)
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends it as a person would, and returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(LIMIT)

    def __repr__(self):  # what a failed assertion shows
        return (f"{' '.join(self.command[4:])}\n--- stdout\n{self.out.decode(errors='backslashreplace')[-6000:]}"
                f"\n--- stderr\n{self.err.decode(errors='backslashreplace')[-6000:]}")


class Sender(Process):
    """A `wherry send --json` that runs or has run."""

    @property
    def results(self):
        return self.told("result")


class Receiver(Process):
    """A `wherry receive --json` on a free port of the loopback interface."""

    def __init__(self, command, env, folder, **others):
        super().__init__(command, env, **others)
        self.folder = folder
        self.address = self.expect_event("listening")["address"]
        host, port = self.address.rsplit(":", 1)
        self.endpoint = (host.strip("[]"), int(port))

    def descriptors(self):
        return sorted(os.readlink(f"/proc/{self.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.pid}/fd")
                      if os.path.lexists(f"/proc/{self.pid}/fd/{fd}"))

    def delivered(self, status="ok"):
        return self.told("result", status=status)

    def stop_well(self):
        """Asks it to end; it must do so in order, and must not have met a bug."""
        code = self.stop()
        assert code == OK, f"exit code {code}:\n{self}"
        assert b"internal" not in self.err.lower(), self
        return self


class Terminal:
    """A program on a terminal of its own, 100 columns wide."""

    def __init__(self, command, env, columns=100):
        self.output = b""
        self.code = None
        command = [os.fspath(part) for part in ["setpriv", "--pdeathsig", "KILL", "--"] + list(command)]
        self.pid, self.descriptor = os.forkpty()
        if self.pid == 0:
            try:
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)
        self.resize(columns)

    def resize(self, columns):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _read(self, end):
        """Reads some; False at the end of the output."""
        ready, _, _ = select.select([self.descriptor], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"the terminal shows only:\n{self.output.decode(errors='backslashreplace')}")
        try:
            piece = os.read(self.descriptor, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.output += piece
        return bool(piece)

    def read_for(self, seconds):
        """Reads output for up to that time; none is no failure."""
        if select.select([self.descriptor], [], [], seconds)[0]:
            self._read(time.monotonic() + LIMIT)

    def expect(self, pattern):
        """Waits for output that matches, and returns it and all before."""
        return self.expect_after(0, pattern)

    def expect_after(self, begin, pattern):
        """The same for output behind the first `begin` bytes."""
        end = time.monotonic() + LIMIT
        while not re.search(pattern.encode(), self.output[begin:]):
            if not self._read(end):
                raise AssertionError(f"ended without {pattern!r}:\n{self.output.decode(errors='backslashreplace')}")
        return self.output

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def wait(self):
        end = time.monotonic() + LIMIT
        while self._read(end):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def kill(self):
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self.descriptor)


# ---- A link that can be mangled: what is done to the bytes of one direction ----


class Cut(Exception):
    """The link is to be cut; these bytes still go through. Gently: this direction ends in order, and the other goes on
    until its side has ended it."""

    def __init__(self, last, gently=False):
        super().__init__()
        self.last, self.gently = last, gently


class Pass:
    """Lets everything through."""

    def __init__(self):
        self.position = 0  # of the next byte

    def __call__(self, piece):
        begin, self.position = self.position, self.position + len(piece)
        return self.change(begin, piece)

    def change(self, begin, piece):
        return piece

    def at_end(self):
        return b""


class Flip(Pass):
    """Flips one bit of the byte at `offset`."""

    def __init__(self, offset, bit=0):
        super().__init__()
        self.offset, self.bit, self.done = offset, bit, False

    def change(self, begin, piece):
        if begin <= self.offset < begin + len(piece):
            piece = bytearray(piece)
            piece[self.offset - begin] ^= 1 << self.bit
            self.done = True
        return bytes(piece)


class FlipAndCut(Flip):
    """Flips one bit, and ends the stream where it would have ended but for its last record, so that nobody waits for
    bytes that a length now promises."""

    def __init__(self, offset, bit, end):
        super().__init__(offset, bit)
        self.end = end

    def change(self, begin, piece):
        flipped = super().change(begin, piece)
        if begin + len(piece) >= self.end:
            raise Cut(flipped[:self.end - begin], gently=True)
        return flipped


class CutAt(Pass):
    """Lets `offset` bytes through, then cuts the link."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def change(self, begin, piece):
        if begin + len(piece) >= self.offset:
            raise Cut(piece[:self.offset - begin])
        return piece


class Throttle(Pass):
    """Lets so many bytes through in a second."""

    def __init__(self, bytes_per_second):
        super().__init__()
        self.bytes_per_second = bytes_per_second

    def change(self, begin, piece):
        time.sleep(len(piece) / self.bytes_per_second)
        return piece


class HoldAt(Pass):
    """Lets `offset` bytes through, then waits for release()."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset
        self.reached, self.free = threading.Event(), threading.Event()

    def change(self, begin, piece):
        if begin + len(piece) >= self.offset:
            self.reached.set()
            self.free.wait(LIMIT)
        return piece

    def wait(self):
        assert self.reached.wait(LIMIT), "too little came through the link"

    def release(self):
        self.free.set()


class Records(Pass):
    """Hands each whole record behind the first `start` bytes to `change_record(number, record)`, which returns what
    goes on instead."""

    def __init__(self, start, change_record):
        super().__init__()
        self.start, self.change_record = start, change_record
        self.held, self.number = b"", 0

    def change(self, begin, piece):
        clear = max(0, min(len(piece), self.start - begin))
        gone, self.held = piece[:clear], self.held + piece[clear:]
        while len(self.held) >= 4:
            length = 4 + int.from_bytes(self.held[:4], "big")
            if len(self.held) < length:
                break
            record, self.held = self.held[:length], self.held[length:]
            gone += self.change_record(self.number, record)
            self.number += 1
        return gone

    def at_end(self):
        return self.held


def records_of(stream, start):
    """The whole records in what one side sent, behind the first `start` bytes."""
    records = []
    at = start
    while at + 4 <= len(stream):
        length = 4 + int.from_bytes(stream[at:at + 4], "big")
        if at + length > len(stream):
            break
        records.append(stream[at:at + length])
        at += length
    return records


PREFACE = 8 + 1 + 1 + len("hybrid")


def records_begin(stream):
    """Where the first record begins in what one side of a hybrid session sent: behind the preface and two handshake
    messages, each `u8 type, u16 length, body`."""
    at = PREFACE
    for _ in range(2):
        at += 3 + int.from_bytes(stream[at + 1:at + 3], "big")
    return at


class Link:
    """A TCP proxy in front of a receiver. `to_receiver` and `to_sender` make what is done to the bytes of each
    connection; what came from either side is kept."""

    def __init__(self, endpoint, to_receiver=Pass, to_sender=Pass):
        self.endpoint = endpoint
        self.manglers = (to_receiver, to_sender)
        self.from_sender, self.from_receiver = [], []  # a bytearray for each connection
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Accepted sockets inherit it: what a link that stands still swallows is not much, nor the system's choice.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.endpoint)
            except OSError:
                near.close()
                continue
            self.sockets += [near, far]
            captured = bytearray(), bytearray()
            self.from_sender.append(captured[0])
            self.from_receiver.append(captured[1])
            for source, target, mangler, capture in ((near, far, self.manglers[0](), captured[0]),
                                                     (far, near, self.manglers[1](), captured[1])):
                threading.Thread(target=self._pump, args=(source, target, mangler, capture), daemon=True).start()

    def _pump(self, source, target, mangler, capture):
        try:
            while piece := source.recv(1 << 16):
                capture += piece
                target.sendall(mangler(piece))
            target.sendall(mangler.at_end())
            target.shutdown(socket.SHUT_WR)
        except Cut as cut:
            with contextlib.suppress(OSError):
                target.sendall(cut.last)
                if cut.gently:
                    target.shutdown(socket.SHUT_WR)
                    while source.recv(1 << 16):
                        pass
                    return
            self.cut_off(source, target)
        except OSError:
            self.cut_off(source, target)

    @staticmethod
    def cut_off(*sockets):
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Cuts every connection now."""
        self.cut_off(*self.sockets)

    def close(self):
        self.listener.close()
        self.cut()
        for each in self.sockets:
            each.close()


class UnusedAddress(str):
    """An address at which nobody listens, nor will until it is released: whoever connects is refused. A port that is only
    free is soon another program's."""

    def __new__(cls):
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        self = super().__new__(cls, f"127.0.0.1:{held.getsockname()[1]}")
        self.release = held.close
        return self


class Place:
    """Where one test takes place: its folder, its homes and its processes."""

    def __init__(self, folder):
        self.folder = folder
        self.closing = contextlib.ExitStack()
        self.received = folder / "received"
        self.homes = {}

    def env(self, **extra):
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "TMPDIR") or k.endswith("SAN_OPTIONS")}
        return {"LC_ALL": "C.UTF-8", "HOME": str(self.folder), "TERM": "xterm", **kept, **extra}

    # -- running the program --

    @staticmethod
    def program(command=None):
        """The program of the side that runs this command; for what belongs to no side, the one under test."""
        return {"send": SENDER_BIN, "chat": SENDER_BIN, "receive": RECEIVER_BIN}.get(command, BIN)

    def start(self, *arguments, kind=Process, env=None, **others):
        process = kind([self.program(*arguments[:1]), *arguments], env or self.env(), cwd=self.folder, **others)
        self.closing.callback(process.kill)
        return process

    def run(self, *arguments, code=OK, input=None, **others):
        """Runs a command to its end, which must be with this exit code."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.start(*arguments, stdin=stdin, **others)
        if input is not None:
            with contextlib.suppress(BrokenPipeError), process.process.stdin as pipe:
                pipe.write(input)
        return process.ended(code)

    def terminal(self, *arguments, env=None):
        terminal = Terminal([self.program(*arguments[:1]), *arguments], env or self.env())
        self.closing.callback(terminal.kill)
        return terminal

    # -- homes --

    def home(self, name, *keygen_options):
        """A home with an identity, made at its first use."""
        if name not in self.homes:
            path = self.folder / f"home-{name}"
            self.run("keygen", "--home", path, *keygen_options)
            self.homes[name] = path
        return self.homes[name]

    def authorize(self, sender="sender", receiver="receiver"):
        key = self.home(sender) / "identity.pub"
        if not AS_USER:
            self.run("authorize", "--home", self.home(receiver), key)
            return
        # Root does not write into another user's files of trust, and that user cannot read root's.
        self.open_to_user(receiver)
        subprocess.run([*BECOME_NOBODY, for_everyone() / BIN.relative_to(BIN.parent.parent), "authorize", "--home",
                        self.home(receiver), key.read_text().strip()], env=self.env(), stdout=subprocess.DEVNULL, check=True)

    def open_to_user(self, home):
        """Gives a home to the ordinary user, who may also write beside it. That folder stays root's: root trusts no key
        below a folder of another user."""
        self.folder.chmod(0o1777)
        give_to_user(self.home(home))

    # -- the two sides --

    def receiver(self, *options, home="receiver", authorized=("sender",), folder=None, address="127.0.0.1:0",
                 wrapper=(), **others):
        for sender in authorized:
            self.authorize(sender, home)
        folder = folder or self.received
        program = RECEIVER_BIN
        if AS_USER:
            assert RECEIVER_BIN == BIN, "an ordinary user reaches a copy of one program only"
            program = for_everyone() / BIN.relative_to(BIN.parent.parent)
            wrapper = [*BECOME_NOBODY, *wrapper]
            self.open_to_user(home)
            if os.path.lexists(folder):
                give_to_user(folder)
        command = [*wrapper, program, "receive", "--home", self.home(home), "--json",
                   "--filesystem.directory", folder, *options, address]
        if "--sink" in options:
            command.remove("--filesystem.directory")
            command.remove(folder)
        process = Receiver(command, self.env(), folder, cwd=self.folder, **others)
        self.closing.callback(process.kill)
        return process

    def sender(self, to, *items, home="sender", **others):
        """Starts a `wherry send --json` to a receiver, a link or an address."""
        address = getattr(to, "address", to)
        return self.start("send", "--home", self.home(home), "--json", "--accept-new-peer", "--to",
                          f"tcp://{address}", *items, kind=Sender, **others)

    def send(self, to, *items, code=OK, input=None, **others):
        """Sends, to the end, which must be with this exit code."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.sender(to, *items, stdin=stdin, **others)
        if input is not None:
            with contextlib.suppress(BrokenPipeError), process.process.stdin as pipe:
                pipe.write(input)
        return process.ended(code)

    def plain_receiver(self, *options, home="receiver", folder=None):
        """A `wherry receive` as a person starts it, and its address."""
        receiver = self.start("receive", "--home", self.home(home), "--filesystem.directory", folder or self.received,
                              *options, "127.0.0.1:0")
        return receiver, receiver.expect(rb"tcp://(127\.0\.0\.1:\d+)", "out")[1].decode()

    def plain_send(self, to, *items, code=OK, home="sender", **others):
        """A `wherry send` as a person starts it, who has met no receiver yet."""
        address = getattr(to, "address", to)
        return self.run("send", "--home", self.home(home), "--to", f"tcp://{address}", *items, code=code, **others)

    def link(self, to, to_receiver=Pass, to_sender=Pass):
        link = Link(to.endpoint, to_receiver, to_sender)
        self.closing.callback(link.close)
        return link

    # -- files --

    def file(self, name, data=b"", mode=0o644):
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.folder / "source"), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        return path

    def arrived(self, folder=None):
        """The files in the receiver's folder that look finished, by name."""
        folder = os.fsencode(folder or self.received)
        names = (os.path.relpath(os.path.join(at, name), folder) for at, _, files in os.walk(folder) for name in files)
        return sorted(name for name in names if not name.startswith(PARTIAL + b"/"))

    def litter(self, folder=None):
        """What lies in the receiver's folder for deliveries that are not finished; not the journal of those that are, nor
        the area's format."""
        area = os.path.join(os.fsencode(folder or self.received), PARTIAL)
        return sorted(os.path.relpath(os.path.join(at, name), area)
                      for at, _, files in os.walk(area) for name in files
                      if name not in (b"journal", b"format"))
