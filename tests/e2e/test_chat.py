# SPDX-License-Identifier: BSD-2-Clause
"""wherry chat: a person at a prompt, and lines through a pipe."""
import os
import re
import signal
import stat

from support import (INTERRUPTED, LINK, NOT_TRUSTED, OK, SOME, USAGE, CutAt, HoldAt, content, records_begin, wait_for)

CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


def shown(terminal, begin=0):
    """What the terminal shows, without what moves the cursor."""
    return re.sub(rb"\x1b[\[\]][0-9;?]*[A-Za-z]", b"", terminal.output[begin:]).decode(errors="replace")


class Chat:
    """A chat on a terminal, with a receiver that it has met."""

    def __init__(self, place, address, *options, met=True, env=None):
        options = ("--accept-new-peer", *options) if met else options
        self.terminal = place.terminal("chat", "--home", place.home("sender"), "--to", f"tcp://{address}", *options,
                                       env=env)
        if met:
            self.prompt(0)

    def prompt(self, begin):
        self.terminal.expect_after(begin, r"> (\x1b\[K)?$")

    def say(self, text, answer):
        """Types a line, and waits for what matches behind it and for the next prompt."""
        begin = len(self.terminal.output)
        self.terminal.type(text + "\r")
        self.terminal.expect_after(begin, r"\n[^\n]*" + answer)
        self.prompt(begin + 1)
        return shown(self.terminal, begin)

    def type(self, keys, answer):
        begin = len(self.terminal.output)
        self.terminal.type(keys)
        self.terminal.expect_after(begin, answer)
        return shown(self.terminal, begin)

    def quit(self, code=OK, by="/quit\r"):
        self.terminal.type(by)
        assert self.terminal.wait() == code, shown(self.terminal)


def start(place, *options, **others):
    receiver = place.receiver()
    return receiver, Chat(place, receiver.address, *options, **others)


def texts(place):
    """What arrived as messages."""
    return sorted((place.received / os.fsdecode(name)).read_text() for name in place.arrived()
                  if name.startswith(b"message-"))


def piped(place, to, text, *options, code=OK, home="sender"):
    return place.run("chat", "--home", place.home(home), "--to", f"tcp://{getattr(to, 'address', to)}", *options,
                     code=code, input=text)


# ---- At the prompt ----


def test_messages_and_their_answers(place):
    receiver, chat = start(place)
    chat.say("guten Tag", "stored as message-")
    chat.say("//etc/passwd is a path", "stored as message-")
    chat.say("Größe 5 µm ≤ ä\x7fö", "stored as message-")  # with a character taken back
    chat.quit()
    assert texts(place) == ["/etc/passwd is a path", "Größe 5 µm ≤ ö", "guten Tag"]
    receiver.stop_well()


def test_characters_where_the_locale_says_nothing(place):
    receiver, chat = start(place, env={**place.env(), "LC_ALL": "C"})
    chat.say("Größe", "stored as message-")
    chat.quit(by=CTRL_D)
    assert texts(place) == ["Größe"]


def test_files_that_are_there_and_that_are_not(place):
    receiver, chat = start(place)
    file = place.file("my skull.stl", content(3_000_000))
    chat.say(f"/file '{file}'", r"sent file my skull\.stl")
    said = chat.say(f"/file {file.parent}/absent.stl", r"not sent: file \S*absent\.stl")
    assert "No such file" in said
    assert "/file PATH" in chat.say("/file", "which file is not said")
    twins = [place.file(f"{folder}/twin", b"x") for folder in "ab"]
    assert "twin" in chat.say(f"/file {twins[0]} {twins[1]}", "not |same name|twice|both")
    chat.say("still here", "stored as")
    chat.quit()
    assert b"twin" not in place.arrived()
    assert (place.received / "my skull.stl").read_bytes() == content(3_000_000)


def test_progress_of_a_file(place):
    receiver = place.receiver()
    hold = HoldAt(16 << 20)
    link = place.link(receiver, lambda: hold)
    chat = Chat(place, link.address)
    file = place.file("big", content(32 << 20))
    begin = len(chat.terminal.output)
    chat.terminal.type(f"/file {file}\r")
    hold.wait()
    chat.terminal.expect_after(begin, r"\[=+>? *\] +\d+ ?%")
    hold.release()
    chat.terminal.expect_after(begin, "sent file big")
    chat.prompt(begin + 1)
    chat.quit()


def test_completion(place):
    receiver, chat = start(place)
    folder = place.file("a folder/upper jaw.stl", b"u").parent
    place.file("a folder/upper skull.stl", b"s")
    place.file("a folder/notes", b"n")
    listed = chat.type(f"/file {folder.parent}/a{TAB}up{TAB}{TAB}", r"upper jaw\.stl +upper skull\.stl")
    assert "notes" not in listed
    chat.type(CTRL_C, r"\^C")
    chat.say(f"/fi{TAB}{folder.parent}/a{TAB}up{TAB}s{TAB}", r"sent file upper skull\.stl")
    chat.say(f"/file '{folder}/no{TAB}", "sent file notes")
    chat.quit()
    assert place.arrived() == [b"notes", b"upper skull.stl"]


def test_help_and_a_command_that_there_is_not(place):
    receiver, chat = start(place)
    said = chat.say("/help", "Ctrl-C")
    assert "/file PATH" in said and "/quit" in said
    assert "did you mean /quit" in chat.say("/quite", "there is no command /quite")
    assert "/help lists them" in chat.say("/xyzzy and more", "there is no command /xyzzy")
    chat.quit()
    assert place.arrived() == []


def test_interrupting_clears_the_line(place):
    receiver, chat = start(place)
    begin = len(chat.terminal.output)
    chat.type("not this" + CTRL_C, r"\^C")
    chat.terminal.expect_after(begin, r"\^C\r\n(\x1b\[K)?> ")
    chat.say("but this", "stored as")
    chat.quit(by=CTRL_D)
    assert texts(place) == ["but this"]


def test_interrupting_cancels_a_transfer(place):
    receiver = place.receiver()
    hold = HoldAt(4 << 20)
    link = place.link(receiver, lambda: hold)
    chat = Chat(place, link.address)
    file = place.file("big", content(32 << 20))
    begin = len(chat.terminal.output)
    chat.terminal.type(f"/file {file}\r")
    hold.wait()
    chat.terminal.expect_after(begin, r"\d ?%")
    chat.terminal.type(CTRL_C)
    hold.release()
    chat.terminal.expect_after(begin, "not sent: file big")
    chat.prompt(begin + 1)
    chat.say("what is next", "stored as")
    chat.quit()
    assert texts(place) == ["what is next"]
    assert b"big" not in place.arrived()


def test_being_told_to_end_at_the_prompt(place):
    receiver, chat = start(place)
    chat.terminal.type("half a li")
    os.kill(chat.terminal.pid, signal.SIGTERM)
    assert chat.terminal.wait() == INTERRUPTED
    receiver.stop_well()
    assert place.arrived() == []


def test_receiver_that_was_killed_is_reached_again_with_the_next_line(place):
    receiver, chat = start(place)
    chat.say("before", "stored as")
    begin = len(chat.terminal.output)
    receiver.kill()
    chat.terminal.expect_after(begin, "the connection is gone")
    # Nobody is there: the line is kept.
    said = chat.say("in between", "not sent yet")
    assert "nothing listens" in said
    again = place.receiver(address=receiver.address)
    said = chat.say("after", "stored as[^>]*stored as")
    assert "connected again" in said
    chat.quit()
    assert texts(place) == ["after", "before", "in between"]
    assert [e["size"] for e in again.told("offer")] == [len("in between"), len("after")]
    again.stop_well()


def test_line_that_was_kept_is_told_at_the_end(place):
    receiver, chat = start(place)
    receiver.kill()
    chat.say("too late", "not sent yet")
    chat.quit(code=LINK)
    assert "not sent: message" in shown(chat.terminal)


def test_line_whose_answer_was_lost_is_not_delivered_twice(place):
    """The link is cut when the receiver has the message, and before its answer is out."""
    receiver = place.receiver()
    place.send(receiver, "--message", "so that the receiver is known")
    probe = place.link(receiver)
    piped(place, probe, b"only once", "--accept-new-peer")
    answer = records_begin(bytes(probe.from_receiver[0]))
    links = iter([lambda: CutAt(answer + 1)])
    link = place.link(receiver, to_sender=lambda: next(links, lambda: HoldAt(1 << 40))())
    sent = piped(place, link, b"exactly once", "--accept-new-peer", "--json")
    assert sent.events[-1]["delivered"] == 1
    assert len(link.from_sender) == 2
    assert texts(place).count("exactly once") == 1


def test_first_contact_asks(place):
    receiver = place.receiver()
    chat = Chat(place, receiver.address, met=False)
    chat.terminal.expect(r"yes/no\] ")
    chat.terminal.type("yes\r")
    chat.prompt(0)
    chat.say("met", "stored as")
    chat.quit()
    refused = place.terminal("chat", "--home", place.home("other"), "--to", f"tcp://{receiver.address}")
    refused.expect(r"yes/no\] ")
    refused.type("no\r")
    assert refused.wait() == NOT_TRUSTED
    assert texts(place) == ["met"]


def test_history(place):
    receiver, chat = start(place)
    kept = place.home("sender") / "chat_history"
    chat.say("first words", "stored as")
    chat.type(UP, "first words")
    chat.say("", "stored as")
    chat.quit()
    assert not kept.exists()
    chat = Chat(place, receiver.address, "--history")
    chat.say("kept words", "stored as")
    chat.quit(by=CTRL_D)
    assert kept.read_text() == "/wherry-format 1\nkept words\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    chat = Chat(place, receiver.address, "--history")
    chat.type(UP, "kept words")
    chat.say(" again", "stored as")
    chat.quit(by=CTRL_D)
    assert kept.read_text() == "/wherry-format 1\nkept words\nkept words again\n"
    chat = Chat(place, receiver.address, "--no-history", "--history")
    chat.say("secret", "stored as")
    begin = len(chat.terminal.output)
    chat.type(UP + "visible", "visible")
    assert "secret" not in shown(chat.terminal, begin)
    chat.say("", "stored as")
    chat.quit()
    assert kept.read_text() == "/wherry-format 1\nkept words\nkept words again\n"
    assert texts(place).count("first words") == 2


def test_history_that_others_can_read_is_not_used(place):
    receiver = place.receiver()
    kept = place.home("sender") / "chat_history"
    kept.write_text("old\n")
    kept.chmod(0o644)
    chat = Chat(place, receiver.address, "--history")
    assert "chmod 600" in shown(chat.terminal)
    chat.say("new", "stored as")
    chat.quit()
    assert kept.read_text() == "old\n"


def test_history_of_another_version(place):
    receiver = place.receiver()
    kept = place.home("sender") / "chat_history"
    kept.write_text("/wherry-format 2\nnewer\n")
    kept.chmod(0o600)
    chat = Chat(place, receiver.address, "--history")
    assert "was written by a newer wherry, in format 2" in shown(chat.terminal)
    chat.say("one", "stored as")
    chat.quit()
    assert kept.read_text() == "/wherry-format 2\nnewer\n"
    kept.write_text("older\n")  # without a number
    chat = Chat(place, receiver.address, "--history")
    chat.type(UP, "older")
    chat.say(" words", "stored as")
    chat.quit(by=CTRL_D)
    assert kept.read_text() == "/wherry-format 1\nolder\nolder words\n"


# ---- In a pipe ----


def test_lines_of_a_pipe(place):
    receiver = place.receiver()
    file = place.file("f", b"content")
    said = piped(place, receiver, b"a\nb\n\n/file %s\n//c\nwithout an end" % os.fsencode(file), "--accept-new-peer")
    lines = said.out.splitlines()
    assert len(lines) == 6 and all(b"stored as" in line for line in lines)
    assert lines[3].startswith(b"sent file f")
    assert b"> " not in said.out and b"\x1b" not in said.out + said.err
    assert texts(place) == ["", "/c", "a", "b", "without an end"]
    receiver.stop_well()


def test_events_of_a_pipe(place):
    receiver = place.receiver()
    said = piped(place, receiver, b"a\nb\n/quit\nc\n", "--accept-new-peer", "--json")
    # Progress comes when time has passed.
    assert [e["event"] for e in said.events if e["event"] != "progress"] == [
        "connected", "offer", "result", "offer", "result", "done"]
    assert [e["item"] for e in said.told("result")] == [1, 2]
    assert said.events[-1]["delivered"] == 2 and said.events[-1]["exit_code"] == 0


def test_lines_of_a_pipe_that_end_as_windows_ends_them(place):
    receiver = place.receiver()
    said = piped(place, receiver, b"one\r\ntwo\rthree\r\n\r\n/quit\r\nnever\r\n", "--accept-new-peer", "--json")
    assert said.events[-1]["delivered"] == 3
    stored = sorted((place.received / os.fsdecode(name)).read_bytes() for name in place.arrived())
    assert stored == [b"", b"one", b"two\rthree"]


def test_what_cannot_be_sent_from_a_pipe(place):
    receiver = place.receiver()
    said = piped(place, receiver, b"/nope\n", "--accept-new-peer", code=USAGE)
    assert b"there is no command /nope" in said.err
    piped(place, receiver, b"/nope\ngood\n", code=SOME)
    said = piped(place, receiver, b"x" * (17 << 20) + b"\nshort\n", code=SOME)
    assert b"a line of more than" in said.err
    assert texts(place) == ["good", "short"]


def test_nobody_there(place):
    assert b"nothing listens" in piped(place, "127.0.0.1:1", b"a\n", code=LINK).err


def test_receiver_that_does_not_know_us(place):
    receiver = place.receiver(authorized=())
    said = piped(place, receiver, b"a\n", "--accept-new-peer", code=NOT_TRUSTED)
    assert b"wherry authorize" in said.err
    assert b"no terminal to ask on" in piped(place, receiver, b"a\n", home="other", code=NOT_TRUSTED).err


def test_pipe_that_is_interrupted_takes_leave(place):
    receiver = place.receiver()
    read, write = os.pipe()
    chat = place.start("chat", "--home", place.home("sender"), "--to", f"tcp://{receiver.address}",
                       "--accept-new-peer", stdin=read)
    os.close(read)
    os.write(write, b"one\n")
    chat.expect("stored as", "out")
    chat.signal(signal.SIGINT)
    chat.ended(INTERRUPTED)
    os.close(write)
    assert wait_for(lambda: receiver.told("disconnected"), "the end")[0]["status"] == "ok"
