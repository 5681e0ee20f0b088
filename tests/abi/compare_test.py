#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""compare.py lets appends pass, and finds each kind of other change, also beside an append."""
import re
import tempfile
from pathlib import Path

import compare

TREE = Path(__file__).resolve().parents[2]
HEADER = TREE / "core/include/wherry/plugin.h"
TEXT = HEADER.read_text()
MINOR = int(re.search(r"#define WHERRY_ABI_MINOR (\d+)u", TEXT)[1])


def append(name, members):
    return (rf"\n\}} {name};", f"\n{members};\n}} {name};")


APPEND = append("wherry_offer", "uint64_t later")
RAISE = (r"(?<=#define WHERRY_ABI_MINOR )\d+", str(MINOR + 1))
WRITE = r"\(\*write\)\(void\* delivery, const void\* data, size_t length"

# Each is a list of replacements, a pattern and what is put there.
APPENDS = [
    [],
    [APPEND, RAISE],
    [append("wherry_identity", "const char* later"), append("wherry_sink_functions", "void (*later)(void*, int)"), RAISE],
    [append("wherry_ending", "uint64_t later"), RAISE],
    [append("wherry_offer", "const wherry_later* later"),
     (r"(?=typedef struct wherry_offer)", "typedef struct wherry_later { uint32_t struct_size; } wherry_later;\n"), RAISE],
    [(r"WHERRY_MESSAGE = 1,", "WHERRY_MESSAGE = 1, WHERRY_LATER = 9,"), RAISE],
    [(r"(?=#define WHERRY_LABEL_BYTES)", "#define WHERRY_LATER 7\n"), RAISE],
    [(r"/\* ---- cipher -+ \*/", "/* Another comment. */")],
]
# The same, and what is said of it.
OTHERS = [
    ([(r"(?=    const char\* peer_address;)", "    uint64_t later;\n"), RAISE], "peer_address' offset changed"),
    ([append("wherry_plugin", "uint64_t later"), RAISE], "'struct wherry_plugin' changed"),
    ([append("wherry_option", "uint64_t later"), RAISE], "'struct wherry_option' changed"),
    ([append("wherry_error", "uint64_t later"), RAISE], "'struct wherry_error' changed"),
    ([append("wherry_piece", "uint64_t later"), RAISE], "'struct wherry_piece' changed"),
    ([append("wherry_ending", "uint32_t later"), RAISE], "later is where wherry_ending had padding"),
    ([(r"uint32_t reserved;", "uint32_t more_flags;")], "name of 'wherry_plugin::reserved' changed"),
    ([(r"    uint64_t size;\n    int64_t mtime", "    int64_t size;\n    int64_t mtime")], "type of 'uint64_t size' changed"),
    ([(r"    uint64_t size;\n    int64_t mtime", "    int64_t size;\n    int64_t mtime"), APPEND, RAISE],
     "type of 'uint64_t size' changed"),
    ([(r"listener_abort\)", "swapped)"), (r"listener_close\)", "listener_abort)"), (r"swapped\)", "listener_close)"),
      append("wherry_transport_functions", "void (*later)(void*)"), RAISE], "listener_abort' offset changed"),
    ([(r"    const char\* peer_address;\n", "")], "peer_address'"),
    ([(r"    const char\* peer_address;\n", ""), append("wherry_offer", "uint64_t later, last"), RAISE], "peer_address'"),
    ([(WRITE, "(*write)(void* delivery, const void* data, uint32_t length")], "parameter 3 of type 'typedef size_t' changed"),
    ([(WRITE, "(*write)(void* delivery, size_t length"), APPEND, RAISE], "parameter .* was removed"),
    ([(r"uint32_t \(\*record_bytes\)", "uint64_t (*record_bytes)")], "return type changed"),
    ([(r"typedef int32_t wherry_status;", "typedef uint32_t wherry_status;")], "type name changed from 'int'"),
    ([(r"\bwherry_pairing_agent\b", "wherry_pairing")], "wherry_pairing_agent is gone"),
    ([(r"WHERRY_OFFER_HAS_MTIME = 4", "WHERRY_OFFER_HAS_MTIME = 16")], "WHERRY_OFFER_HAS_MTIME was 4, and is 16"),
    ([(r"WHERRY_INTEGRITY = 9, ", "")], "WHERRY_INTEGRITY was 9, and is gone"),
    ([(r"WHERRY_LABEL_BYTES 256", "WHERRY_LABEL_BYTES 255")], "WHERRY_LABEL_BYTES was 256, and is 255"),
    ([(r'"wherry_plugin_v1"', '"wherry_plugin_v2"')], "WHERRY_PLUGIN_SYMBOL was \"wherry_plugin_v1\""),
    ([APPEND], f"WHERRY_ABI_MINOR is {MINOR} instead of {MINOR + 1}"),
    ([RAISE], f"WHERRY_ABI_MINOR is {MINOR + 1} instead of {MINOR}"),
    ([(r"wherry_offer;", "")], "has a struct in a form that tests/abi/compare.py cannot read"),
]


def finding(folder, replacements):
    """What compare.py says of today's header with these replacements."""
    text = TEXT
    for pattern, instead in replacements:
        text, count = re.subn(pattern, instead, text)
        assert count, f"plugin.h has no {pattern}"
    changed = Path(folder, "changed.h")
    changed.write_text(text)
    try:
        compare.require_append(compare.Header(HEADER), compare.Header(changed))
    except (compare.NoAppend, SystemExit) as found:
        return str(found)
    return None


with tempfile.TemporaryDirectory() as place:
    for replacements in APPENDS:
        said = finding(place, replacements)
        assert said is None, (replacements, said)
    for replacements, expected in OTHERS:
        said = finding(place, replacements)
        assert said and re.search(expected, said), (replacements, expected, said)
print(f"{len(APPENDS)} appends passed, {len(OTHERS)} other changes were found")
