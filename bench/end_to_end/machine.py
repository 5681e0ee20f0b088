# SPDX-License-Identifier: BSD-2-Clause
"""Where a measurement was taken, and of what."""
import contextlib
import os
import platform
import re
from pathlib import Path

from processes import first_line

ROOT = Path(__file__).resolve().parents[2]


def processor():
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
        if found:
            return found[1]
    return "unknown CPU"


def machine_kind():
    """What a ratio may depend on."""
    return f"{processor()}, {platform.machine()}"


def machine():
    return f"{processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}"


def commit():
    return first_line(["git", "describe", "--always", "--dirty"], cwd=ROOT)


def available_memory():
    """Bytes that files in tmpfs may still take."""
    with contextlib.suppress(OSError):
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
        if found:
            return int(found[1]) * 1024
    return 0
