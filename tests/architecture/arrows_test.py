#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""arrows.py finds each kind of arrow that does not point down."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).parents[2]
# A file, the line that is added to it, and what is said of it.
WRONG = [
    ("core/src/frame.hpp", '#include "wherry/engine/sender.hpp"',
     "core/src/frame.hpp includes engine/include/wherry/engine/sender.hpp, which is not below it"),
    ("core/src/secure_channel.cpp", '#include "wherry/plugin_host.hpp"',
     "core/src/secure_channel.cpp includes host/include/wherry/plugin_host.hpp, which is not below it"),
    ("host/src/plugin_host.cpp", '#include "frame.hpp"',
     "host/src/plugin_host.cpp includes core/src/frame.hpp, which is not below it"),
    ("engine/src/digest.cpp", '#include "wherry/plugin_calls.hpp"',
     "engine/src/digest.cpp includes host/include/wherry/plugin_calls.hpp, which is not below it"),
    ("engine/src/sender.cpp", '#include "wherry/send.hpp"',
     "engine/src/sender.cpp includes library/include/wherry/send.hpp, which is not below it"),
    ("library/src/send.cpp", '#include "frame.hpp"',
     "library/src/send.cpp includes core/src/frame.hpp, which is not below it"),
    ("plugins/transport-tcp/endpoint.hpp", '#include "wherry/keys/authorized_keys.hpp"',
     "plugins/transport-tcp/endpoint.hpp includes keys/include/wherry/keys/authorized_keys.hpp, which is not below it"),
    ("engine/src/digest.hpp", '#include "outgoing.hpp"',
     "in engine the rooms lead back to themselves: "),
]


def arrows(tree):
    ran = subprocess.run([sys.executable, TREE / "tests/architecture/arrows.py", tree], capture_output=True, text=True)
    return ran.returncode, ran.stdout


with tempfile.TemporaryDirectory() as folder:
    copy = Path(folder)
    for part in ("core", "host", "compression", "engine", "keys", "library", "server", "conformance", "plugins-common", "plugins",
                 "apps"):
        shutil.copytree(TREE / part, copy / part)
    status, said = arrows(copy)
    assert status == 0, said
    for file, line, expected in WRONG:
        before = (copy / file).read_text()
        (copy / file).write_text(before + line + "\n")
        status, said = arrows(copy)
        assert status == 1 and expected in said, (file, line, said)
        (copy / file).write_text(before)
print(f"{len(WRONG)} wrong arrows were found")
