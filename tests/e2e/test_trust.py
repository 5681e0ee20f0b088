# SPDX-License-Identifier: BSD-2-Clause
"""Who may send, and to whom: keys decide, and a person decides on keys."""
import re
import shutil
import subprocess

import pytest

import peer
from peer import Peer
from support import BUG, LINK, NOT_TRUSTED, OK, USAGE, HoldAt, content, in_namespace


def fingerprint(place, home):
    """As another implementation tells it."""
    shown = subprocess.run(["ssh-keygen", "-lf", place.home(home) / "identity.pub"], capture_output=True, check=True)
    return shown.stdout.split()[1].decode()


def arguments(place, receiver, *items, home="sender"):
    """Of a send that may ask."""
    return ["send", "--home", place.home(home), "--to", f"tcp://{receiver.address}", *items]


def test_unknown_receiver_is_refused_without_a_terminal(place):
    receiver = place.receiver()
    sent = place.plain_send(receiver, "--message", "hello?", code=NOT_TRUSTED)
    assert fingerprint(place, "receiver").encode() in sent.err
    assert b"--accept-new-peer" in sent.err
    assert place.arrived() == []
    known = place.home("sender") / "known_hosts"
    assert not known.exists() or known.read_bytes() == b""


def test_accept_new_peer_remembers_it(place):
    receiver = place.receiver()
    place.plain_send(receiver, "--accept-new-peer", "--message", "one")
    place.plain_send(receiver, "--message", "two")
    assert len(place.arrived()) == 2


def test_first_contact_where_the_home_cannot_be_written(place):
    receiver = place.receiver()
    home = place.home("sender")
    if not in_namespace("--mount", "mount", "--bind", home, home):
        pytest.skip("only root may mount a folder read-only")
    read_only = [*in_namespace("--mount", "true"), "sh", "-c",
                 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"', home]
    send = [place.program("send"), "send", "--home", home, "--to", f"tcp://{receiver.address}",
            place.file("cargo", content(5_000_000))]

    def run(*options):
        return subprocess.run([*read_only, *send, *options], env=place.env(), capture_output=True, timeout=60)

    assert run().returncode == NOT_TRUSTED
    assert place.arrived() == []
    # Extra connections meet the same key.
    sent = run("--accept-new-peer", "--streams", "2")
    assert sent.returncode == OK, sent
    assert sent.stderr.count(b"cannot be remembered") == 1, sent
    assert place.arrived() == [b"cargo"]
    assert not (home / "known_hosts").exists()


@pytest.mark.parametrize("answer, code", [("yes", OK), ("no", NOT_TRUSTED)])
def test_person_is_asked_about_an_unknown_receiver(place, answer, code):
    receiver = place.receiver()
    terminal = place.terminal(*arguments(place, receiver, "--message", "ahoy"))
    shown = terminal.expect(r"(?i)yes")
    assert fingerprint(place, "receiver").encode() in shown
    terminal.type(f"{answer}\n")
    assert terminal.wait() == code, terminal.output
    assert len(place.arrived()) == (1 if code == OK else 0)
    # It is remembered, or not.
    place.plain_send(receiver, "--message", "again", code=code)


def test_person_who_only_presses_return_has_not_agreed(place):
    receiver = place.receiver()
    terminal = place.terminal(*arguments(place, receiver, "--message", "ahoy"))
    terminal.expect(r"(?i)yes")
    terminal.type("\n")
    terminal.type("\x04")
    assert terminal.wait() == NOT_TRUSTED, terminal.output
    assert place.arrived() == []


def test_changed_key_is_refused_with_a_warning(place):
    receiver = place.receiver()
    place.send(receiver, "--message", "first")
    port = receiver.endpoint[1]
    assert receiver.stop() == OK

    # Another key answers at the same address.
    place.receiver(home="impostor", address=f"127.0.0.1:{port}")
    for more in ((), ("--accept-new-peer",)):
        sent = place.plain_send(receiver, "--message", "second", *more, code=NOT_TRUSTED)
        assert b"changed" in sent.err.lower() or b"has a different" in sent.err.lower()
        assert fingerprint(place, "impostor").encode() in sent.err
        assert b"keys --remove" in sent.err  # how to mend it
    assert len(place.arrived()) == 1

    # Mended as the warning says.
    line = next(line for line in sent.err.decode().splitlines() if "keys --remove" in line)
    name = line.split("keys --remove", 1)[1].split()[0].strip("'\"`.,")
    place.run("keys", "--home", place.home("sender"), "--remove", name)
    place.plain_send(receiver, "--accept-new-peer", "--message", "third")
    assert len(place.arrived()) == 2


@pytest.mark.parametrize("gap, why", [("\t", b"has changed"), ("  ", b"has changed"), ("\f", b"no text file"),
                                      ("\u00a0", b"cannot be read"), (" \u00a0", b"cannot be read")])
def test_changed_key_is_refused_with_any_gap_between_the_words_of_its_line(place, gap, why):
    receiver = place.receiver()
    known = place.home("sender") / "known_hosts"
    public = (place.home("bob") / "identity.pub").read_text().split()
    line = gap.join([f"TCP://{receiver.address}", *public[:2]]) + "\n"
    known.write_text(line)
    known.chmod(0o600)
    sent = place.plain_send(receiver, "--accept-new-peer", "--message", "x", code=NOT_TRUSTED)
    assert why in sent.err
    assert known.read_text() == line
    assert place.arrived() == []


def test_line_that_cannot_be_parsed_is_told_once_by_the_sender(place):
    receiver = place.receiver()
    known = place.home("sender") / "known_hosts"
    known.write_text("no receiver\n")
    known.chmod(0o600)
    sent = place.plain_send(receiver, "--accept-new-peer", "--streams", "3", "--message", "x",
                            place.file("cargo", content(3_000_000)))
    assert sent.err.count(b"known_hosts line 1 is passed over") == 1
    listed = place.run("keys", "--home", place.home("sender"))
    assert listed.err.count(b"known_hosts line 1 is passed over") == 1
    assert len(place.arrived()) == 2


def test_line_that_cannot_be_parsed_is_told_once_by_the_receiver(place):
    accepted = place.home("receiver") / "authorized_keys"
    place.authorize()
    with open(accepted, "a") as file:
        file.write("no key\n")
    receiver = place.receiver()
    place.send(receiver, "--message", "one")
    with open(accepted, "a") as file:  # while it runs
        file.write("ssh-dss AAAA\n")
    place.send(receiver, "--message", "two")
    place.send(receiver, "--message", "three")
    receiver.stop_well()
    for line in (b"line 3", b"line 4"):  # line 1 names the format
        assert receiver.err.count(b"authorized_keys " + line + b" is passed over") == 1, receiver


def test_unauthorised_sender_is_told_and_the_receiver_says_how_to_authorise(place):
    receiver = place.receiver(authorized=())
    file = place.file("cargo", content(100_000))
    sent = place.send(receiver, file, code=NOT_TRUSTED)
    assert b"authori" in sent.err
    assert [r["status"] for r in sent.results] == ["auth_failed"]
    public = (place.home("sender") / "identity.pub").read_text().split()
    receiver.expect(r"wherry authorize")
    assert fingerprint(place, "sender").encode() in receiver.err
    assert f"{public[0]} {public[1]}".encode() in receiver.err
    assert place.arrived() == [] and place.litter() == []
    assert receiver.told("offer") == []

    # The line that the receiver showed does authorise, while it runs.
    place.run("authorize", "--home", place.home("receiver"), " ".join(public[:2]))
    place.send(receiver, file)
    assert place.arrived() == [b"cargo"]


def test_authorising_takes_effect_without_a_restart_and_so_does_revoking(place):
    receiver = place.receiver(authorized=())
    place.send(receiver, "--message", "too early", code=NOT_TRUSTED)
    place.authorize()
    place.send(receiver, "--message", "in time")
    place.run("keys", "--home", place.home("receiver"), "--remove", fingerprint(place, "sender"))
    place.send(receiver, "--message", "too late", code=NOT_TRUSTED)
    assert len(place.arrived()) == 1


def test_revoking_counts_for_a_connection_that_is_open(place):
    receiver = place.receiver()
    link = HoldAt(1_500_000)
    through = place.link(receiver, to_receiver=lambda: link)
    place.send(receiver, "--message", "in time")
    large = place.file("large", content(3_000_000))
    folder = place.folder / "folder"
    folder.mkdir()
    for number in range(300):
        (folder / str(number)).write_bytes(b"x")
    sender = place.sender(through, "--compress", "none", large, folder)
    link.wait()
    place.run("keys", "--home", place.home("receiver"), "--remove", fingerprint(place, "sender"))
    link.release()
    sender.ended(NOT_TRUSTED)
    assert {result["status"] for result in sender.results} == {"auth_failed"}
    assert len(sender.results) == 302
    assert len(place.arrived()) == 1 and place.litter() == []
    receiver.stop_well()
    assert len(receiver.told("refused_peer")) == 1
    assert receiver.err.count(b"wherry authorize") == 1


def test_receiver_without_authorised_keys_says_how_to_add_one(place):
    receiver = place.receiver(authorized=())
    receiver.expect(r"wherry authorize")


def test_authorize_is_idempotent_and_takes_folders(place):
    keys = place.folder / "keys"
    keys.mkdir()
    for name in ("ann", "bob"):
        shutil.copy(place.home(name) / "identity.pub", keys / f"{name}.pub")
    for _ in range(2):
        place.run("authorize", "--home", place.home("receiver"), keys)
    lines = (place.home("receiver") / "authorized_keys").read_text().split("\n")
    assert len([line for line in lines if line.startswith("ssh-")]) == 2
    receiver = place.receiver(authorized=())
    for name in ("ann", "bob"):
        place.send(receiver, "--message", name, home=name)
    assert len(place.arrived()) == 2


def test_authorize_refuses_what_is_no_key(place):
    place.run("authorize", "--home", place.home("receiver"), "ssh-ed25519 AAAAnonsense", code=USAGE)
    private = place.home("sender") / "identity"
    refused = place.run("authorize", "--home", place.home("receiver"), private, code=None)
    assert refused.code != OK
    assert b"BEGIN" not in refused.err + refused.out


def test_authorized_keys_that_others_can_write_are_not_believed(place):
    receiver = place.receiver()
    place.send(receiver, "--message", "good")
    (place.home("receiver") / "authorized_keys").chmod(0o666)
    place.send(receiver, "--message", "bad", code=NOT_TRUSTED)
    receiver.expect(r"authorized_keys")
    assert len(place.arrived()) == 1


def test_private_key_that_others_can_read_is_refused(place):
    receiver = place.receiver()
    (place.home("sender") / "identity").chmod(0o644)
    sent = place.plain_send(receiver, "--accept-new-peer", "--message", "x", code=None)
    assert sent.code != OK, sent
    assert b"identity" in sent.err and (b"600" in sent.err or b"chmod" in sent.err)


def test_keygen_overwrites_only_by_force(place):
    home = place.home("sender")
    before = (home / "identity").read_bytes()
    refused = place.run("keygen", "--home", home, code=None)
    assert refused.code != OK
    assert b"--force" in refused.err
    assert (home / "identity").read_bytes() == before
    place.run("keygen", "--home", home, "--force")
    assert (home / "identity").read_bytes() != before
    assert (home / "identity").stat().st_mode & 0o777 == 0o600


def test_fingerprints_are_those_of_ssh(place):
    shown = place.run("keys", "--home", place.home("sender"))
    assert fingerprint(place, "sender").encode() in shown.out


def test_the_private_key_tells_the_own_key_without_its_public_file(place):
    own = fingerprint(place, "receiver")
    (place.home("receiver") / "identity.pub").unlink()
    assert own.encode() in place.run("keys", "--home", place.home("receiver")).out
    receiver = place.receiver()
    listening = receiver.wait_until(lambda: receiver.told("listening"), "listening")[0]
    assert listening["fingerprint"] == own


def test_encrypted_identity_is_asked_for_its_passphrase(place):
    home = place.folder / "home-locked"
    keygen = place.terminal("keygen", "--home", home, "--passphrase")
    keygen.expect(r"(?i)passphrase.*:")
    seen = len(keygen.output)
    keygen.type("open sesame\n")
    keygen.expect_after(seen, r":")
    keygen.type("open sesame\n")
    assert keygen.wait() == OK, keygen.output
    assert b"open sesame" not in keygen.output
    assert b"ENCRYPTED" in (home / "identity").read_bytes()

    place.homes["locked"] = home
    receiver = place.receiver(authorized=("locked",))
    sender = place.terminal(*arguments(place, receiver, "--accept-new-peer", "--message", "x", home="locked"))
    sender.expect(r"(?i)passphrase.*:")
    sender.type("open sesame\n")
    assert sender.wait() == OK, sender.output
    assert b"open sesame" not in sender.output

    wrong = place.terminal(*arguments(place, receiver, "--message", "x", home="locked"))
    wrong.expect(r"(?i)passphrase.*:")
    for _ in range(5):
        try:
            wrong.type("wrong\n")
        except OSError:
            break
    assert wrong.wait() not in (OK, BUG), wrong.output
    assert len(place.arrived()) == 1

    # Without a terminal there is nobody to ask.
    unasked = place.plain_send(receiver, "--message", "x", home="locked", code=None)
    assert unasked.code != OK


@pytest.mark.parametrize("sender_type, receiver_type", [("rsa", "ed25519"), ("ed25519", "rsa"), ("rsa", "rsa")])
def test_rsa_identities(place, sender_type, receiver_type):
    place.home("sender", "--type", sender_type)
    place.home("receiver", "--type", receiver_type)
    receiver = place.receiver()
    place.send(receiver, place.file("cargo", content(100_000)))
    assert place.arrived() == [b"cargo"]
    assert receiver.told("connected")[0]["fingerprint"] == fingerprint(place, "sender")


def test_session_secret_wrapped_to_an_rsa_key(place):
    place.home("receiver", "--type", "rsa")
    receiver = place.receiver("--hybrid.kem", "rsa-oaep-sha256")
    sent = place.send(receiver, "--hybrid.kem", "rsa-oaep-sha256", place.file("cargo", content(100_000)))
    assert "rsa-oaep-sha256" in sent.told("connected")[0]["cipher"]
    assert "rsa-oaep-sha256" in receiver.told("connected")[0]["cipher"]
    assert place.arrived() == [b"cargo"]


def test_receiver_may_forbid_a_kem(place):
    place.home("receiver", "--type", "rsa")
    receiver = place.receiver("--hybrid.kem", "x25519")
    sent = place.send(receiver, "--hybrid.kem", "rsa-oaep-sha256", "--message", "x", code=None)
    assert sent.code != OK, sent
    assert place.arrived() == []


def known(place, home="sender"):
    """The line of known_hosts in a sender's home."""
    (line,) = [line for line in (place.home(home) / "known_hosts").read_text().splitlines() if not line.startswith("#")]
    return line


def test_a_classical_key_exchange_is_told_once_at_first_contact(place):
    receiver = place.receiver("--hybrid.kem", "x25519", "--log-level", "info")
    sent = place.plain_send(receiver, "--accept-new-peer", "--streams", "3", "--message", "one")
    assert sent.err.count(b"is classical (x25519, ") == 1, sent
    assert b"quantum computers" in sent.err and b"both sides have Botan 3 and allow x25519-mlkem768" in sent.err
    assert known(place).endswith(" key-exchange=classical")
    remembered = (place.home("sender") / "known_hosts").stat()
    for items in (["--message", "two"], ["--streams", "2", "--message", "three"]):
        assert b"classical" not in place.plain_send(receiver, *items).err
    after = (place.home("sender") / "known_hosts").stat()
    assert (after.st_ino, after.st_mtime_ns) == (remembered.st_ino, remembered.st_mtime_ns), "it is written once"
    # The receiver logs what was agreed.
    receiver.stop_well()
    assert re.search(rb"connection 1 from .* x25519, ", receiver.err), receiver
    assert receiver.told("connected")[0]["cipher"].startswith("x25519, ")


def test_a_fall_from_post_quantum_to_classical_is_told_loudly_every_time(place):
    receiver = place.receiver("--hybrid.kem", "x25519")
    place.send(receiver, "--message", "one")
    book = place.home("sender") / "known_hosts"
    book.write_text(book.read_text().replace("key-exchange=classical", "lab key-exchange=post-quantum"))
    before = book.read_bytes()
    for attempt in ("two", "three"):
        sent = place.plain_send(receiver, "--streams", "3", "--message", attempt)
        assert sent.err.count(b"@@@ THE KEY EXCHANGE WITH tcp://" + receiver.address.encode() +
                              b" IS NO LONGER POST-QUANTUM @@@") == 1, sent
        assert b"x25519, " in sent.err and b"--hybrid.kem x25519-mlkem768" in sent.err
    sent = place.send(receiver, "--message", "four")
    (connected,) = sent.told("connected")
    assert (connected["key_exchange"], connected["key_exchange_before"]) == ("classical", "post-quantum")
    assert b"IS NO LONGER POST-QUANTUM" in sent.err
    assert book.read_bytes() == before
    # As the warning says: without the word it is silent, and the key is still the known one.
    assert b"--remove" not in sent.err
    assert f"key-exchange=post-quantum out of the receiver's line in\n  {book}\n" in sent.err.decode()
    book.write_text(book.read_text().replace(" key-exchange=post-quantum", ""))
    for attempt in ("five", "six"):
        assert b"POST-QUANTUM" not in place.plain_send(receiver, "--message", attempt).err
    assert known(place).endswith(" lab key-exchange=classical")


def test_what_both_sides_can_do_is_remembered(place):
    """With Botan 3 on both sides that is a post-quantum key exchange."""
    has_both = "mlkem" in place.run("plugins", "hybrid").out.decode()
    kind = "post-quantum" if has_both else "classical"
    receiver = place.receiver()
    sent = place.send(receiver, "--message", "x")
    assert sent.told("connected")[0]["key_exchange"] == kind
    assert "key_exchange_before" not in sent.told("connected")[0]
    assert known(place).endswith(f" key-exchange={kind}")
    listed = place.run("keys", "--json", "--home", place.home("sender")).told("key", role="known")
    assert listed[0]["comment"] == f"key-exchange={kind}"


@pytest.mark.parametrize("name", ["known_hosts", "authorized_keys"])
def test_files_of_keys_in_a_newer_format_are_refused(place, name):
    receiver = place.receiver()
    place.send(receiver, "--message", "one")
    file = place.home("sender" if name == "known_hosts" else "receiver") / name
    assert file.read_text().startswith("# wherry-format 1\n")
    newer = file.read_text().replace("format 1", "format 2", 1)
    file.write_text(newer)
    sent = place.send(receiver, "--message", "two", code=None)
    assert sent.code != OK
    said = b"line 1 says that a newer wherry wrote this, in format 2; use the newer wherry, or put back"
    if name == "known_hosts":
        assert said in sent.err and sent.code == USAGE
    else:
        receiver.stop_well()
        assert said in receiver.err
        assert b"cannot check keys" in sent.err
    assert file.read_text() == newer
    assert len(place.arrived()) == 1


@pytest.mark.parametrize("aead", ["aes-256-gcm", "chacha20-poly1305"])
def test_either_aead(place, aead):
    receiver = place.receiver()
    file = place.file("cargo", content(1_000_000))
    sent = place.send(receiver, "--hybrid.aead", aead, file)
    assert aead in sent.told("connected")[0]["cipher"]
    assert (place.received / "cargo").read_bytes() == file.read_bytes()


def test_ciphers_that_differ_are_told_on_both_sides(place):
    receiver = place.receiver()
    sent = place.send(receiver, "--cipher", "none", "--insecure", "--retry", "3", "--message", "x", code=LINK)
    assert sent.told("retry") == [] and b"altered on the way" in sent.err, sent
    assert b"'none'" in sent.err and b"'hybrid'" in sent.err and b"--cipher" in sent.err
    failure = receiver.expect_event("disconnected")
    assert failure["status"] == "protocol" and "'none'" in failure["error"] and "'hybrid'" in failure["error"]
    assert place.arrived() == []


def test_no_cipher_only_when_it_is_said_twice(place):
    refused = place.run("receive", "--home", place.home("receiver"), "--cipher", "none", "127.0.0.1:0", code=USAGE)
    assert b"--insecure" in refused.err
    refused = place.run("send", "--home", place.home("sender"), "--cipher", "none", "--to", "tcp://127.0.0.1:1",
                        "--message", "x", code=USAGE)
    assert b"--insecure" in refused.err

    receiver = place.receiver("--cipher", "none", "--insecure")
    place.send(receiver, "--cipher", "none", "--insecure", "--message", "in the clear")
    assert len(place.arrived()) == 1


def test_what_is_sent_cannot_be_read_on_the_way(place):
    receiver = place.receiver()
    link = place.link(receiver)
    words = b"x marks the spot " * 1000
    place.send(link, "--compress", "none", place.file("treasure-map", words), "--message", "bring a spade")
    seen = bytes(link.from_sender[0] + link.from_receiver[0])
    assert len(seen) > len(words)
    for secret in (b"marks the spot", b"treasure-map", b"spade"):
        assert secret not in seen


def test_peer_without_a_key_cannot_offer(place):
    """Frames in the clear, right behind a preface for the real cipher."""
    receiver = place.receiver()
    stranger = Peer(receiver, hello=None)
    place.closing.callback(stranger.close)
    stranger.say(peer.preface(b"hybrid") + peer.record(peer.delivery(1, b"gift", b"horse")) * 3)
    assert stranger.is_closed()
    assert receiver.expect_event("disconnected")["ok"] is False
    assert receiver.told("offer") == []
    assert place.arrived() == [] and place.litter() == []


def test_keys_says_that_it_cannot_show_its_own(place):
    home = place.home("sender")
    (home / "identity").chmod(0o644)
    shown = place.run("keys", "--home", home, code=USAGE)
    assert b"the key of this side is not shown" in shown.err
