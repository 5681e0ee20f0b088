# SPDX-License-Identifier: BSD-2-Clause
"""The conformance kit: `wherry check-plugin` passes what is right, and names each fault of plugins that are wrong on
purpose (tests/support/plugins/faulty_*.cpp)."""
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import BIN, OK, USAGE

NONCONFORMING, UNCHECKED = 9, 11
FIXTURES = BIN.parent.parent / "tests" / "plugins"
# How a sanitizer, or the C library, puts it.
CORRUPTED = r"(aborted the process|crashed with SIG\w+|ended the process with exit status \d+)"


def check(file, *options, limit=600):
    """The exit code, the events of the cases by their names, and all that was said."""
    ran = subprocess.run([BIN, "check-plugin", file, "--json", *options], capture_output=True, timeout=limit,
                         env=dict(os.environ, WHERRY_HOME="/nonexistent"))
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    return ran.returncode, {e["case"]: e for e in events if e["event"] == "case"}, ran


def fixture(name, kind):
    return FIXTURES / name / f"{kind}-faulty.so"


def faults_in_source(kind):
    source = Path(__file__).parents[1] / f"support/plugins/faulty_{kind}.cpp"
    words = re.search(r"enum class fault \{(.*?)\}", source.read_text(), re.S)[1]
    return set(re.findall(r"\w+", re.sub(r"//.*", "", words)))


def find_fault(kind, fault, case, sentence, options):
    # A limit that only a call that hangs exceeds.
    waits = any(word in fault for word in ("hangs", "wakes", "ignores_the", "waits", "loses_bytes", "takes_few"))
    limit = "2s" if waits else "30s"
    code, cases, ran = check(fixture(f"faulty-{kind}-{fault}", kind), "--case", case, "--time-limit", limit, *options)
    said = cases.get(case, {})
    if code == NONCONFORMING and said.get("status") == "failed" and re.search(sentence, said.get("reason", "")):
        return None
    return f"{fault}: exit code {code}, {case}: {said}, {ran.stderr.decode()}"


def find_all(kind, faults, options=()):
    """Each fault fails the case that is to find it, with a sentence that names it."""
    with ThreadPoolExecutor(2) as pool:
        missed = pool.map(lambda row: find_fault(kind, *row[:3], (*options, *row[3:])), faults)
        missed = [one for one in missed if one]
    assert not missed, "\n".join(missed)


ABORT = "abort_at_any_point_leaves_nothing"
SIZES = "takes_any_size_in_any_steps"
NAMES = "no_name_leads_out_of_its_place"
RESUME = "resumes_after_each_byte_count"
DISK = "what_is_finished_is_on_the_disk"
READ_BACK = ("--read-back", 'cat ".items/$WHERRY_NAME"')
PROCESS = "deliveries_leave_no_descriptor_thread_or_process"
OPTIONS = "any_value_of_an_option_is_taken_or_refused"
DESCRIPTOR = "descriptor_says_what_it_is"

SINK_FAULTS = [
    ("aborts_the_process", SIZES, r"aborted the process in finish\(\)"),
    ("ends_the_process", SIZES, r"ended the process with exit status \d+ in write\(\)"),
    ("crashes_in_abort", ABORT, r"crashed with SIGSEGV in abort\(\)"),
    ("hangs_in_finish", SIZES, r"finish\(\) did not return within 2 s"),
    ("throws", NAMES, r"begin\(\) let a C\+\+ exception out.*'the name is not plain'"),
    ("loses_odd_writes", SIZES, "holds other bytes than were written"),
    ("keeps_a_pointer", SIZES, r"crashed with SIGSEGV in write\(\), where it used memory that was lent to it for an earlier"),
    ("reads_too_far", SIZES, r"crashed with SIGSEGV in write\(\), where it went beyond the end of memory that was lent"),
    ("forgets_write_errors", "a_failed_write_is_not_a_delivery",
     "said that '.*' is delivered, but it holds other bytes than were written .*, where the disk took only half of it"),
    ("finishes_what_is_aborted", ABORT, "leaves 'cut', which looks finished, after its delivery was aborted"),
    ("finishes_too_early", "a_delivery_is_not_there_before_it_is_finished",
     "leaves 'a', which looks finished, before its delivery was finished"),
    ("spoils_what_is_there", "what_was_finished_stays_as_it_is", "said that 'a' is delivered, but it is not there"),
    ("refuses_nothing", SIZES, "refused a file '.*' of 0 bytes though it takes others like it"),
    ("takes_any_length", "wrong_sizes_fail_and_leave_nothing",
     "is promised to check sizes, but took 600 bytes of an item that was offered with 700", "--promise", "checks-sizes"),
    ("shares_a_buffer", "eight_threads_deliver_at_once", "holds other bytes than were written"),
    ("shares_state", "instances_deliver_independently", CORRUPTED + r".* in begin\(\)"),
    ("mixes_turns", "deliveries_take_turns", "holds other bytes than were written"),
    ("fails_for_good", "a_failed_write_is_not_a_delivery", "refused a file 'after' .* out of order"),
    ("frees_twice", "a_failed_write_is_not_a_delivery", CORRUPTED + r" in abort\(\)"),
    ("escapes", NAMES, r"a name from the sender led out of the sink's folder, to '.*outside/x'"),
    ("fails_every_begin", SIZES, r"fails with a file 'sample': begin\(\) failed with io: .*; that is no refusal"),
    ("fails_every_finish", SIZES, r"fails with a file 'sample': finish\(\) failed with io: .*; that is no refusal"),
    ("syncs_nothing", DISK, r"nothing asks the disk to keep the file of '.*' between the last write\(\) and the end", "--promise", "syncs"),
    ("syncs_too_early", DISK, r"nothing asks the disk to keep the file of '.*' between the last write\(\)", "--promise", "syncs"),
    ("syncs_no_folder", DISK, "nothing asks the disk to keep the folder of the file of '.*' between", "--promise", "syncs"),
    ("names_and_loses_bytes", SIZES, "no file there holds what was delivered as 'sample'", "--promise", "stores"),
    ("names_and_finishes_what_is_aborted", ABORT, "leaves 'own-.*', which looks finished, after its delivery was aborted"),
    ("hides_and_loses_bytes", SIZES, "said that '.*' is delivered, but it holds other bytes than were written", *READ_BACK),
    ("hides_and_finishes_what_is_aborted", ABORT, "leaves 'cut', which looks finished, after its delivery", *READ_BACK),
    ("forgets_one_of_a_group", "a_group_is_stored_and_answered",
     r"finish_group\(\) did not say how delivery 2 of 2 ended: its status is what it was before"),
    ("fails_as_a_group", "of_a_group_what_fails_fails_alone",
     r"a group failed with 'first', though it was another of the group that was wrong: .*one was bad"),
    ("gives_up_a_group", "of_a_group_what_fails_fails_alone", r"said that 'last' is delivered, but it is not there"),
    ("fails_without_text", NAMES, r"begin\(\) failed with refused and no text"),
    ("has_control_characters", NAMES, r"begin\(\)'s failure has a control character in it: 'no:\\x0A"),
    ("has_a_full_stop", NAMES, r"begin\(\)'s failure ends with a full stop"),
    ("has_an_endless_text", NAMES, r"begin\(\) filled wherry_error with a text that does not end with NUL"),
    ("has_an_unknown_status", NAMES, r"begin\(\) returned 99, which is no status"),
    ("has_another_status", NAMES, r"begin\(\) returned refused but wrote the status 7"),
    ("touches_delivery", NAMES, r"begin\(\) refused, and yet stored something in \*delivery"),
    ("calls_it_a_bug", NAMES, r"begin\(\) failed with internal, which is the status of a bug"),
    ("answers_too_much", "answers_are_within_bounds", "answers with a response of more than 1 MiB"),
    ("has_a_bad_outcome", "answers_are_within_bounds", "answers with an outcome that is no word"),
    ("answers_later", SIZES, r"crashed with SIGSEGV in finish\(\), where it used memory that was lent"),
    ("goes_on_unasked", "an_offer_that_does_not_want_it_starts_anew",
     r"begin\(\) told the offset 300 for an offer that does not want to be resumed"),
    ("goes_on_too_far", RESUME, "told the offset 2 of an item of which 1 bytes had been written"),
    ("reads_back_something_else", RESUME, r"read_back\(\) gives other bytes than were written"),
    ("reads_back_too_much", RESUME, r"read_back\(\) told \d+ bytes where there was room for 70007"),
    ("keeps_what_is_dropped", "what_is_dropped_is_not_resumed", "offers to resume what it was told to drop"),
    ("forgets_what_came", RESUME, "is promised to resume, but kept nothing", "--promise", "resumes"),
    ("knows_everything", "knows_only_what_it_stored",
     r"says in already\(\) that it stored a delivery before, which was aborted"),
    ("leaks_descriptors", "deliveries_leave_no_descriptor_thread_or_process",
     r"leaks descriptors: \d+ more are open \(/dev/null\) after 30 deliveries"),
    ("leaks_threads", "deliveries_leave_no_descriptor_thread_or_process", r"leaves \d+ threads running after 30"),
    ("leaks_processes", "deliveries_leave_no_descriptor_thread_or_process", r"leaves \d+ child processes"),
    ("leaks_memory", "deliveries_leave_no_memory", r"leaks memory: the heap grows by \d+ bytes with each delivery"),
    ("leaks_instances", "instances_leave_nothing", r"leaks memory: the heap grows by \d+ bytes with each instance"),
    ("does_not_become_ready", "becomes_ready", r"configure_done\(\) failed with io: there is no such device"),
    ("overflows_for_an_option", OPTIONS, CORRUPTED),
    ("changes_the_working_folder", PROCESS, r"changes the working folder from '.+' to '/', which belongs to the whole process"),
    ("changes_the_umask", PROCESS, "changes the umask from '00[0-7]+' to '0000'"),
    ("changes_the_environment", PROCESS, "changes the environment's TZ from nothing to 'Mars/Olympus'"),
    ("changes_the_c_locale", PROCESS, r"changes the C locale from 'C' to 'C\.UTF-8'"),
    ("changes_the_cxx_locale", PROCESS, r"changes the C\+\+ locale from 'C' to '\*'"),
    ("changes_a_signal", PROCESS, "changes the action of SIGINT from 'the default' to 'to be ignored'"),
    ("blocks_a_signal", PROCESS, r"begin\(\) blocks SIGTERM for the thread that called it"),
    ("sets_an_alarm", PROCESS, "changes the alarm from 'off' to 'on'"),
    ("changes_a_limit", PROCESS, "changes the limit of open descriptors"),
    ("changes_the_rounding", PROCESS, r"begin\(\) changes the rounding mode for the thread that called it"),
    ("closes_a_descriptor", PROCESS, "closes descriptor 0, which is not its own"),
    ("forks_and_exits", PROCESS, r"ends a process that it forked by exit\(\)"),
    ("forks_and_returns", PROCESS, r"begin\(\) forks, and returns in the new process, too"),
    ("writes_what_it_may_read", SIZES, r"crashed with SIGSEGV in write\(\), where it wrote into memory that was lent to it to read"),
    ("runs_a_thread_for_ever", "deliveries_take_turns", r"\d+ of its threads still ran"),
    ("has_another_magic", "loads", "exports a descriptor that is not wherry's"),
    ("has_another_abi", "loads", "says plugin ABI 7 inside, this wherry speaks 1"),
    ("has_a_short_descriptor", "loads", "has a descriptor of 40 bytes, too short"),
    ("lacks_finish", "loads", "lacks the sink function 'finish'"),
    ("lacks_destroy", "loads", "lacks the instance function 'destroy'"),
    ("has_another_name", "loads", "holds the sink 'another'; its name must be that of the file"),
    ("has_a_bad_default", "loads", "an option 'count' whose own default is wrong: 'many' is not a whole number"),
    ("has_no_choices", "loads", "an option 'way' without choices"),
    ("has_an_option_twice", "loads", "an option 'note' twice"),
    ("has_no_help", DESCRIPTOR, "the help of option 'note' is empty"),
    ("has_no_version", DESCRIPTOR, "the descriptor's version is empty"),
    ("has_a_summary_of_two_lines", DESCRIPTOR, "the descriptor's summary has a control character"),
    ("tells_its_secret", DESCRIPTOR, "the option 'note' is secret and yet has a default"),
    ("opens_when_loaded", "loading_does_nothing", "opens /dev/null when it is loaded"),
    ("starts_a_thread_when_loaded", "loading_does_nothing", "starts a thread when it is loaded"),
    ("crashes_when_loaded", "loads", "crashed with SIGSEGV during the loading"),
    ("ends_when_loaded", "loads", "ended the process with exit status 0 during the loading"),
    ("crashes_when_unloaded", "loads", "aborted the process"),
]
NO_FAULTS = {"prints", "refuses_everything", "names_its_files", "hides_its_files"}


def test_faults_of_sinks_are_all_tried():
    assert {fault for fault, *_ in SINK_FAULTS} | {"none", *NO_FAULTS} == faults_in_source("sink")


# In parts, for the time that a test has.
def test_faults_of_sinks_are_named_first_part():
    find_all("sink", SINK_FAULTS[0::4])


def test_faults_of_sinks_are_named_second_part():
    find_all("sink", SINK_FAULTS[1::4])


def test_faults_of_sinks_are_named_third_part():
    find_all("sink", SINK_FAULTS[2::4])


def test_faults_of_sinks_are_named_fourth_part():
    find_all("sink", SINK_FAULTS[3::4])


ACCEPT = "abort_ends_an_accept_of_another_thread"

TRANSPORT_FAULTS = [
    ("loses_bytes", "bytes_arrive_whole_and_in_order", r"read_some\(\) failed|did not arrive as written"),
    ("turns_pieces_around", "gathered_pieces_arrive_as_one_stream", "did not arrive as written"),
    ("takes_few_pieces", "gathered_pieces_arrive_as_one_stream", r"after \d+ of 250000 bytes read_some\(\) failed"),
    ("waits_for_more", "a_read_gives_what_has_come_and_does_not_wait_for_more", "with 3 bytes written and room for more"),
    ("ends_too_early", "bytes_arrive_whole_and_in_order", r"told the end of the stream after \d+ of \d+ bytes"),
    ("forgets_the_end", "an_end_of_writing_is_an_end_of_reading", r"after the end of the stream read_some\(\) failed"),
    ("writes_after_the_end", "nothing_is_written_after_the_end", "says that all is well"),
    ("closes_as_a_whole", "the_other_way_stays_open_after_an_end", "is promised to close by half", "--promise", "half-closes"),
    ("ignores_the_read_timeout", "a_read_that_timed_out_can_be_repeated", r"read_some\(\) ignores its timeout"),
    ("ignores_the_write_timeout", "a_write_that_nobody_reads_times_out_and_reading_goes_on",
     r"write_all\(\) ignores its timeout"),
    ("times_out_too_early", "a_read_that_timed_out_can_be_repeated", "timed out too early"),
    ("wakes_no_read", "abort_ends_a_read_of_another_thread", r"abort\(\) does not wake a read_some\(\)"),
    ("wakes_no_write", "abort_ends_a_write_of_another_thread", r"abort\(\) does not wake a write_all\(\)"),
    ("raises_a_signal", "a_peer_that_is_gone_raises_no_signal", r"write_all\(\) raises SIGPIPE when the peer is gone"),
    ("wakes_no_accept", ACCEPT, r"listener_abort\(\) does not end an accept\(\)"),
    ("works_after_abort", "after_abort_every_call_fails", r"read_some\(\) works after abort"),
    ("mistakes_bad_addresses", "addresses_of_the_wrong_form_are_bad_input", "'nowhere', .* it should be bad_input",
     "--bad-address", "nowhere"),
    ("calls_it_refused", "a_peer_that_does_not_listen_is_not_reached", "it should be disconnected or timed_out"),
    ("connects_after_an_abort", "connecting_can_be_aborted",
     r"connect\(\) works after connect_abort\(\), but returned as if all were well"),
    ("calls_an_abort_the_peers", "connecting_can_be_aborted",
     r"connect\(\) failed with disconnected: .* it should be cancelled"),
    ("has_no_address", "a_listener_tells_where_it_can_be_reached", r"listener_address\(\) is empty"),
    ("has_tiny_records", "connections_tell_their_peer_and_a_record_size", r"record_bytes\(\) is 100; the protocol has"),
    ("tells_too_much", "single_bytes_arrive_in_order", r"read_some\(\) told 2 bytes where there was room for 1"),
    ("touches_the_connection", "a_peer_that_does_not_listen_is_not_reached",
     r"connect\(\) failed, and yet stored a connection"),
    ("leaks_descriptors", "connections_leave_no_descriptor_thread_or_process", r"leaks descriptors: \d+ more are open"),
    ("leaks_memory", "connections_leave_no_memory", r"the heap grows by \d+ bytes with each connection"),
]


def test_faults_of_transports_are_named():
    assert {fault for fault, *_ in TRANSPORT_FAULTS} | {"none"} == faults_in_source("transport")
    find_all("transport", TRANSPORT_FAULTS)


ALTERED = "an_altered_record_is_refused_for_good_and_shows_nothing"
TURN = "a_record_comes_once_and_in_its_turn"
PEERS = "sides_learn_who_the_other_is"

CIPHER_FAULTS = [
    ("ignores_the_prologue", "both_sides_must_have_said_the_same_before", "given different prologues"),
    ("ignores_alterations", "a_handshake_that_was_altered_fails", r"succeeds though byte \d+ from the \w+ was altered"),
    ("asks_nobody", PEERS, "was asked 0 times"),
    ("asks_twice", PEERS, "was asked 2 times"),
    ("lets_everybody_in", "who_is_not_welcome_is_told_why", "succeeds though verify_peer"),
    ("tells_no_reason", "who_is_not_welcome_is_told_why", "is not told the responder's reason"),
    ("refuses_when_it_cannot_tell", "a_peer_that_cannot_be_judged_is_told_nothing", "it should be disconnected"),
    ("reads_too_far", "reads_nothing_beyond_the_handshake", "beyond the last byte|failed with timed_out"),
    ("shares_a_key", "sessions_differ", "seal the same plaintext to the same record"),
    ("has_no_name", "both_sides_agree", r"describe\(\) tells is empty"),
    ("differs_in_its_exchange", "both_sides_agree", r"the sides differ in key_exchange\(\)"),
    ("forgets_the_label", PEERS, "tells the label '' where verify_peer"),
    ("throws", "both_sides_agree", r"handshake\(\) let a C\+\+ exception out.* of type int"),
    ("hides_nothing", "nothing_of_the_plaintext_shows", "a sealed record shows its plaintext"),
    ("repeats_itself", "nothing_of_the_plaintext_shows", "the same plaintext twice is the same record twice"),
    ("has_one_nonce_for_all", "no_two_records_share_a_key_stream", "as if their nonces were the same"),
    ("takes_what_was_altered", ALTERED, r"open\(\) takes a record whose byte 0 was altered"),
    ("takes_replays", TURN, r"open\(\) takes a record"),
    ("forgives", ALTERED, "takes a record after one that was refused"),
    ("leaves_the_plaintext", ALTERED, "leaves its plaintext in the buffer"),
    ("calls_it_io", ALTERED, r"open\(\) failed with io: .* it should be integrity"),
    ("begins_anew_after_a_failure", "after_a_refused_record_the_other_direction_goes_on_or_fails",
     r"seal\(\) works after a record that was refused, but the peer does not open what it sealed"),
    ("seals_both_ways_alike", "directions_differ", "takes a record that this side has sealed itself"),
    ("has_one_key_for_all", "sessions_differ", "two sessions seal the same plaintext to the same record"),
    ("writes_too_far", "records_of_any_size_pass_in_both_directions",
     r"crashed with SIGSEGV in seal\(\), where it went beyond the end"),
    ("adds_too_much", "both_sides_agree", r"overhead\(\) is 2000; a record may grow by 1024"),
    ("changes_its_overhead", "one_thread_seals_while_another_opens", r"overhead\(\) is not the same all the time"),
    ("leaks_sessions", "sessions_leave_no_memory", r"the heap grows by \d+ bytes with each session"),
]


def test_faults_of_ciphers_are_named():
    assert {fault for fault, *_ in CIPHER_FAULTS} | {"none"} == faults_in_source("cipher")
    find_all("cipher", CIPHER_FAULTS)


def test_transport_and_cipher_without_fault_pass():
    for kind, *promises in (("transport", "half-closes"), ("cipher", "protects", "identities")):
        words = [word for promise in promises for word in ("--promise", promise)]
        code, cases, ran = check(fixture(f"faulty-{kind}-none", kind), *words)
        assert code == OK, ran
        left_out = {name for name, case in cases.items() if case["status"] != "passed"}
        assert left_out <= {"any_value_of_an_option_is_taken_or_refused", "looking_for_peers_works_or_is_unsupported"}, ran


def test_sink_without_fault_passes():
    code, cases, ran = check(fixture("faulty-sink-none", "sink"), "--promise", "stores", "--promise", "resumes",
                             "--promise", "checks-sizes", "--promise", "syncs")
    assert code == OK, ran
    assert {case["status"] for case in cases.values()} == {"passed"}, ran


def only(*cases):
    return [word for case in cases for word in ("--case", case)]


# Those that look at what is stored, each in its way.
STORING = (SIZES, ABORT, DISK, "eight_threads_deliver_the_same_name", "a_group_is_stored_and_answered",
           "a_delivery_is_not_there_before_it_is_finished", "a_failed_write_is_not_a_delivery")


def test_sink_with_names_of_its_own_is_checked_to_the_end():
    code, cases, ran = check(fixture("faulty-sink-names_its_files", "sink"), "--promise", "stores", "--promise", "syncs",
                             *only(*STORING))
    assert code == OK, ran
    assert {case["status"] for case in cases.values()} == {"passed"}, ran


def test_what_is_not_seen_is_unchecked():
    judges = only(SIZES, ABORT, DISK)  # of content, of abort, of durability
    for fault in ("names_and_loses_bytes", "hides_and_loses_bytes"):
        code, cases, ran = check(fixture(f"faulty-sink-{fault}", "sink"), *judges)
        assert code == UNCHECKED and cases[SIZES]["status"] == cases[ABORT]["status"] == "unchecked", ran
        assert cases[SIZES]["reason"] == "what it stored is not seen", ran
        assert b"--read-back" in ran.stderr and b"--allow-unchecked" in ran.stderr, ran
        assert json.loads(ran.stdout.splitlines()[-1])["unchecked"] >= 2, ran
        code, cases, ran = check(fixture(f"faulty-sink-{fault}", "sink"), "--allow-unchecked", *judges)
        assert code == OK and cases[SIZES]["status"] == "unchecked" and not ran.stderr, ran
    code, cases, ran = check(fixture("faulty-sink-syncs_nothing", "sink"), *judges)
    assert code == UNCHECKED and [case["status"] for case in cases.values()].count("unchecked") == 1, ran
    assert "nothing asks the disk to keep" in cases[DISK]["reason"], ran
    # That a failure is one, nothing allows.
    code, cases, ran = check(fixture("faulty-sink-fails_every_finish", "sink"), "--allow-unchecked", *judges)
    assert code == NONCONFORMING, ran


def test_what_is_read_back_is_checked():
    code, cases, ran = check(fixture("faulty-sink-hides_its_files", "sink"), *READ_BACK, "--promise", "syncs", *only(*STORING))
    assert code == OK, ran
    assert {case["status"] for case in cases.values()} == {"passed"}, ran


def test_sink_that_refuses_everything_is_unchecked_with_a_reason():
    code, cases, ran = check(fixture("faulty-sink-refuses_everything", "sink"))
    assert code == UNCHECKED, ran
    assert cases[SIZES]["status"] == "unchecked"
    assert "nothing is taken here" in cases[SIZES]["reason"] and "--content" in cases[SIZES]["reason"]
    assert cases["becomes_ready"]["status"] == "passed"
    # Unless its author knows better, or says what it takes.
    code, cases, ran = check(fixture("faulty-sink-refuses_everything", "sink"), "--offer-name", ".csv", "--case", SIZES)
    assert code == NONCONFORMING and "refused everything that was tried" in cases[SIZES]["reason"], ran
    code, cases, ran = check(fixture("faulty-sink-refuses_everything", "sink"), "--promise", "takes-anything", "--case", SIZES)
    assert code == NONCONFORMING and "refused everything that was tried" in cases[SIZES]["reason"], ran


def test_what_a_plugin_prints_is_noted():
    code, cases, ran = check(fixture("faulty-sink-prints", "sink"), "--case", SIZES)
    assert code == OK and "writes to standard output by itself: 'begin'" in cases[SIZES]["notes"][0], ran


def test_a_fault_does_not_keep_the_other_cases_from_running():
    code, cases, ran = check(fixture("faulty-sink-crashes_in_abort", "sink"))
    assert code == NONCONFORMING, ran
    assert cases[ABORT]["status"] == "failed" and cases["deliveries_take_turns"]["status"] == "passed", ran
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["event"] == "summary" and said["failed"] > 0 and said["passed"] > said["failed"], said


def test_what_is_no_plugin_is_told(tmp_path):
    def told(*arguments):
        ran = subprocess.run([BIN, "check-plugin", *arguments], capture_output=True, timeout=60)
        return ran.returncode, (ran.stdout + ran.stderr).decode()

    code, text = told(tmp_path / "sink-none.so")
    assert code == USAGE and "there is no file" in text
    (tmp_path / "mine.so").write_text("x")
    code, text = told(tmp_path / "mine.so")
    assert code == USAGE and "is not named like a plugin; it has to be KIND-NAME.so" in text
    (tmp_path / "sink-text.so").write_text("no ELF")
    code, text = told(tmp_path / "sink-text.so")
    assert code == NONCONFORMING and "is no shared object for this machine" in text
    assert "0 passed, 1 failed" in text
    code, text = told(FIXTURES / "other-abi" / "sink-bad.so")
    assert code == NONCONFORMING and "was built for another plugin ABI" in text
    code, text = told()
    assert code == USAGE and "wherry check-plugin path/to/sink-mine.so" in text
    code, text = told(fixture("faulty-sink-none", "sink"), "--case", "take_turns")
    assert code == USAGE and "--case does not know 'take_turns'" in text
    code, text = told(fixture("faulty-sink-none", "sink"), "--faulty.coun", "3")
    assert code == USAGE and "did you mean --faulty.count?" in text
    code, text = told(fixture("faulty-sink-none", "sink"), "--list")
    assert code == OK and SIZES in text and "takes-anything" in text


def test_nothing_stays_behind(tmp_path):
    env = dict(os.environ, TMPDIR=str(tmp_path))
    ran = subprocess.run([BIN, "check-plugin", fixture("faulty-sink-crashes_in_abort", "sink"), "--case", ABORT],
                         capture_output=True, env=env, timeout=300, cwd=tmp_path)
    assert ran.returncode == NONCONFORMING, ran
    assert list(tmp_path.iterdir()) == []
