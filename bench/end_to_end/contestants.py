# SPDX-License-Identifier: BSD-2-Clause
"""Who brings files from here to there over loopback: wherry, and what people have otherwise.

Each is made once for a run, with its servers started; then send(source) brings one file or folder and returns the
seconds of the whole command, and target(source) is where it has arrived. Servers and keys are its own, and end with
the run. What it takes to start a server is in no figure; what it takes to connect and to prove keys is.
"""
import contextlib
import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from content import same
from links import slow_link
from processes import (RUNNING, BOUND, Failure, ended, first_line, installed, start, start_at_free_port, stop, timed,
                       until)

SSH_CIPHER = "aes128-gcm@openssh.com"


@dataclass
class Place:
    """Where contestants live."""
    wherry: Path  # the program
    tools: Path  # the folder with bare_loop and the like
    folder: Path  # for everything that they write
    closing: contextlib.ExitStack  # ends what they started
    ssh_cipher: str = SSH_CIPHER


class Contestant:
    name = ""
    programs = ()  # that have to be installed
    package_group = "bench"  # of scripts/packages, that installs them
    rounds_at_most = None  # for those whose rounds take long

    def __init__(self, place):
        self.place = place
        self.folder = place.folder / self.name.replace(" ", "-").replace("|", "")
        self.folder.mkdir(mode=0o700)

    @classmethod
    def lacks(cls, place):
        """Why it cannot take part; "" if it can."""
        missing = [program for program in cls.programs if not installed(program)]
        if missing:
            return f"there is no {' and no '.join(missing)} here (scripts/packages {cls.package_group} installs it)"
        return ""

    def clear(self, source):
        """Takes away what the round before delivered."""
        target = self.target(source)
        if target is None:
            return
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def target(self, source):
        return self.folder / "received"

    def has_delivered(self, source):
        """Whether what arrived is what was sent."""
        target = self.target(source)
        return target is None or same(source, target)

    def send(self, source):
        raise NotImplementedError

    def chain(self):
        """The stages, one after the other."""
        raise NotImplementedError


# ---- wherry ----

class Wherry(Contestant):
    """A receiver, and a sender for each round. With `link`, through a proxy that passes so many bytes a second."""
    name = "wherry"

    def __init__(self, place, name="wherry", options=(), sink="filesystem", sending=(), receiving=(), link=None):
        self.name = name
        super().__init__(place)
        self.program, self.options, self.sink, self.sending = place.wherry, options, sink, sending
        for side in ("receiver", "sender"):
            timed([self.program, "keygen", "--home", self.folder / side])
        timed([self.program, "authorize", "--home", self.folder / "receiver", self.folder / "sender/identity.pub"])
        into = ["--filesystem.directory", self.folder / "received"] if sink == "filesystem" else []
        self.log = self.folder / "log"
        # Quiet, as the others are: it does not tell of each file, but its log tells of connections.
        self.receiver = start([self.program, "receive", "--home", self.folder / "receiver", "--quiet", "--log-level",
                               "info", "--sink", sink, *into, *options, *receiving, "127.0.0.1:0"], self.log)
        place.closing.callback(stop, self.receiver)
        self.address = until(self.receiver, self.log, self._address)
        if link:
            self.address = slow_link(self.address, link, place.closing)

    @classmethod
    def lacks(cls, place):
        return "" if place.wherry.exists() else f"there is no {place.wherry}"

    @staticmethod
    def _events(text):
        for line in text.split("\n")[:-1]:
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    @staticmethod
    def _address(text):
        found = re.search(r" listening on \w+://(\S+)\n", text)
        return found and found[1]

    @property
    def destination(self):
        return f"tcp://{self.address}"

    @property
    def home(self):
        """Of the sender."""
        return self.folder / "sender"

    def target(self, source):
        return self.folder / "received" / source.name if self.sink == "filesystem" else None

    def command(self, source):
        return [self.program, "send", "--home", self.home, "--accept-new-peer", "--quiet", *self.options,
                *self.sending, "--to", self.destination, source]

    def send(self, source):
        seconds, _ = timed(self.command(source))
        return seconds

    def chain(self):
        connected = re.findall(r" connection \d+ from \S+: (?:.*\(SHA256:\S+\)|no key) (.+)\n",
                               self.log.read_text(errors="replace"))
        cipher = connected[-1] if connected else ""
        return ", ".join(["file", *([" ".join(map(str, self.sending))] if self.sending else []),
                          f"frames, {cipher or 'no cipher'}, tcp, {self.sink}"])


# ---- Over ssh ----

class Sshd:
    """An sshd of our own on loopback, with a host key and a user key, and one cipher that it takes."""
    programs = ("sshd", "ssh", "ssh-keygen")

    def __init__(self, place):
        self.cipher = place.ssh_cipher
        self.folder = place.folder / "sshd"
        self.folder.mkdir(mode=0o700)
        self.user = getpass.getuser()
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # Debian's sshd wants it
        for key in ("host_key", "user_key"):
            timed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key])
        (self.folder / "authorized_keys").write_text((self.folder / "user_key.pub").read_text())
        _, self.port = start_at_free_port(place.closing, self.folder / "log", self._command,
                                          lambda text: "Server listening on" in text)
        self.known_hosts = self.folder / "known_hosts"
        host_key = (self.folder / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key[0]} {host_key[1]}\n")

    def _command(self, port):
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            f"PidFile none\nSubsystem sftp internal-sftp\nCiphers {self.cipher}\n")
        return [installed("sshd"), "-D", "-e", "-f", config]

    def options(self, port_option):
        return ["-F", "none", port_option, str(self.port), "-i", str(self.folder / "user_key"), "-c", self.cipher,
                "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes",
                "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "Compression=no"]

    @property
    def to(self):
        return f"{self.user}@127.0.0.1"

    def ssh(self):
        return ["ssh", *self.options("-p")]


def sshd_of(place):
    """The one that all who need an sshd in this place share."""
    if not hasattr(place, "sshd"):
        place.sshd = Sshd(place)
    return place.sshd


class OverSsh(Contestant):
    def __init__(self, place):
        super().__init__(place)
        self.sshd = sshd_of(place)


class Scp(OverSsh):
    name = "scp"
    programs = ("scp", *Sshd.programs)

    def send(self, source):
        recursive = ["-r"] if source.is_dir() else []
        seconds, _ = timed(["scp", "-q", *recursive, *self.sshd.options("-P"), source,
                            f"{self.sshd.to}:{self.target(source)}"])
        return seconds

    def chain(self):
        return f"file, sftp, {self.sshd.cipher}, tcp, file"


class Rsync(OverSsh):
    name = "rsync over ssh"
    programs = ("rsync", *Sshd.programs)

    def send(self, source):
        path = f"{source}/" if source.is_dir() else source
        seconds, _ = timed(["rsync", "-a", "-e", shlex.join(self.sshd.ssh()), path,
                            f"{self.sshd.to}:{self.target(source)}"])
        return seconds

    def chain(self):
        return f"rsync -a, {self.sshd.cipher}, tcp, rsync"


class Tar(OverSsh):
    name = "tar over ssh"
    programs = ("tar", *Sshd.programs)

    def send(self, source):
        into = shlex.quote(str(self.folder))
        there = f"mkdir {into}/received && tar -C {into}/received --strip-components=1 -xf -"
        here = shlex.join(["tar", "-C", str(source.parent), "-cf", "-", source.name])
        seconds, _ = timed(["bash", "-o", "pipefail", "-c",
                            f"{here} | {shlex.join([*self.sshd.ssh(), self.sshd.to, there])}"])
        return seconds

    def chain(self):
        return f"tar, {self.sshd.cipher}, tcp, tar"


class Rclone(OverSsh):
    """Over sftp. It would ask the other side for a digest when all is there; nobody else does that, nor does it here."""
    name = "rclone"
    programs = ("rclone", *Sshd.programs)

    def send(self, source):
        seconds, _ = timed(
            ["rclone", "copy" if source.is_dir() else "copyto", "--config", "", "--ignore-checksum",
             "--sftp-disable-hashcheck", "--sftp-host", "127.0.0.1", "--sftp-port", self.sshd.port, "--sftp-user",
             self.sshd.user, "--sftp-key-file", self.sshd.folder / "user_key", "--sftp-known-hosts-file",
             self.sshd.known_hosts, source, f":sftp:{self.target(source)}"])
        return seconds

    def chain(self):
        return f"rclone, sftp, {self.sshd.cipher}, tcp, file"


# ---- A receiver for each round ----

class OneShot(Contestant):
    """Those whose receiver takes one connection and ends. Its start is in no figure; a round ends when both sides have,
    so that everything is stored."""

    def receive(self, target):
        """Starts a receiver; returns it with its log and where it listens."""
        raise NotImplementedError

    def sending(self, port, source):
        """The command of the sender."""
        raise NotImplementedError

    def send(self, source):
        with contextlib.ExitStack() as closing:
            receiver, log, port = self.receive(closing, self.target(source))
            begin = time.monotonic()
            timed(self.sending(port, source))
            ended(receiver, log)
            return time.monotonic() - begin


class Socat(OneShot):
    """TLS 1.3; both sides have a certificate, and look at the other's."""
    name = "socat with TLS"
    programs = ("socat", "openssl")

    def __init__(self, place):
        super().__init__(place)
        for side in ("sender", "receiver"):
            timed(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                   self.folder / f"{side}.key", "-out", self.folder / f"{side}.crt"])

    def _certificates(self, own, other):
        return (f"cert={self.folder}/{own}.crt,key={self.folder}/{own}.key,cafile={self.folder}/{other}.crt,verify=1,"
                "commonname=localhost")

    def receive(self, closing, target):
        log = self.folder / "log"
        certificates = self._certificates("receiver", "sender")
        server, port = start_at_free_port(closing, log, lambda port: [
            "socat", "-d", "-d", "-u", "-b", "262144",
            f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,{certificates}", f"CREATE:{target}"],
            lambda text: "listening on" in text)
        return server, log, port

    def sending(self, port, source):
        return ["socat", "-u", "-b", "262144", f"OPEN:{source},rdonly",
                f"OPENSSL:127.0.0.1:{port},{self._certificates('sender', 'receiver')}"]

    def chain(self):
        return "file, TLS 1.3 with AES-256-GCM, tcp, file"


class BareLoop(OneShot):
    """bench/end_to_end/bare_loop.cpp: what nobody can do without, and nothing else."""
    name = "bare encrypting loop"
    way = ()

    def __init__(self, place, record_bytes=None, name=None):
        self.name = name or self.name
        super().__init__(place)
        self.program = place.tools / "bare_loop"
        self.record = ["--record", str(record_bytes)] if record_bytes else []

    @classmethod
    def lacks(cls, place):
        program = place.tools / "bare_loop"
        if not program.exists():
            return f"there is no {program} (it is built with the benchmarks)"
        if not cls.way and first_line([program, "ciphers"]) != "aes-256-gcm":
            return "this build is without OpenSSL (package libssl-dev, -DWHERRY_OPENSSL=ON)"
        return ""

    def receive(self, closing, target):
        log = self.folder / "log"
        server = start([self.program, "receive", *self.way, *self.record, target], log)
        closing.callback(stop, server)
        return server, log, until(server, log, lambda text: text.strip() if text.endswith("\n") else None)

    def sending(self, port, source):
        return [self.program, "send", *self.way, *self.record, port, source]

    def chain(self):
        return "read, AES-256-GCM (OpenSSL), write; read, open, write"


class BareCopy(BareLoop):
    name = "bare TCP copy"
    way = ("--plain",)

    def chain(self):
        return "read, write; read, write; nothing encrypted"


class Wormhole(Contestant):
    """Over a mailbox server of our own; the two sides then connect to each other directly."""
    name = "magic-wormhole"
    programs = ("wormhole", "twist3")
    rounds_at_most = 2

    def __init__(self, place):
        super().__init__(place)
        log = self.folder / "log"
        _, self.port = start_at_free_port(place.closing, log, lambda port: [
            "twist3", "wormhole-mailbox", f"--port=tcp:{port}:interface=127.0.0.1",
            f"--channel-db={self.folder}/mailbox.sqlite"], lambda text: "starting on" in text)
        self.count = 0

    @classmethod
    def lacks(cls, place):
        why = super().lacks(place)
        if not why and first_line(["twist3", "wormhole-mailbox", "--version"]) == "unknown":
            why = ("there is no mailbox server here (package python3-magic-wormhole-mailbox-server; "
                   "scripts/packages bench installs it)")
        return why

    def send(self, source):
        self.count += 1
        code = f"{self.count}-bench-loopback"
        base = [*BOUND, "wormhole", "--relay-url", f"ws://127.0.0.1:{self.port}/v1", "--transit-helper", ""]
        begin = time.monotonic()
        sides = [subprocess.Popen([*base, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
                 for words in (["send", "--hide-progress", "--code", code, str(source)],
                               ["receive", "--hide-progress", "--accept-file", "-o", str(self.target(source)), code])]
        try:
            said = [side.communicate(timeout=RUNNING)[0].decode(errors="replace") for side in sides]
        except subprocess.TimeoutExpired:
            raise Failure("wormhole did not end") from None
        finally:
            for side in sides:
                stop(side)
        seconds = time.monotonic() - begin
        if any(side.returncode for side in sides):
            raise Failure("wormhole failed:\n" + "\n".join(said))
        return seconds

    def chain(self):
        return "file, SPAKE2, NaCl secretbox, tcp, file"
