# SPDX-License-Identifier: BSD-2-Clause
"""What cmake says where libraries are missing: one sentence, with the name of the package. Nothing is compiled."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from packaged import SOURCES

NEEDS = Path(__file__).resolve().parent / "needs"
TIME_LIMIT = 240
BLUETOOTH = "libbluetooth (package libbluetooth-dev) and sdbus-c++ (package libsdbus-c++-dev)"




def configure(folder, missing, *settings):
    """The status of cmake and what it said, line breaks taken out. Hides what is missing from pkg-config and CMake."""
    found = subprocess.run(["pkg-config", "--variable", "pc_path", "pkg-config"], capture_output=True, text=True,
                           check=True).stdout.strip().split(":")
    shown = folder / "pkgconfig"
    shown.mkdir()
    for place in filter(Path.is_dir, map(Path, found)):
        for file in place.glob("*.pc"):
            if file.stem not in missing and not (shown / file.name).exists():
                (shown / file.name).symlink_to(file)
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("sdbus-c++", "spdlog") if name in missing]
    ended = subprocess.run(["cmake", "-S", NEEDS, "-B", folder / "build", f"-DTREE={SOURCES}", *hidden, *settings],
                           env={**os.environ, "PKG_CONFIG_LIBDIR": str(shown)}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIME_LIMIT)
    return ended.returncode, re.sub(r"\s+", " ", ended.stdout)


@pytest.mark.parametrize("missing, settings, sentence", [
    (["bluez", "sdbus-c++"], ["-DPLUGINS=transport-rfcomm", "-DWHERRY_BLUETOOTH=ON"],
     f"WHERRY_BLUETOOTH is ON, and needs {BLUETOOTH}; install that, or configure with -DWHERRY_BLUETOOTH=OFF"),
    (["libcrypto"], ["-DPLUGINS=cipher-hybrid", "-DWHERRY_OPENSSL=ON"],
     "WHERRY_OPENSSL is ON, and needs libcrypto of OpenSSL 3 (package libssl-dev); install that, or configure with "
     "-DWHERRY_OPENSSL=OFF"),
    ([], ["-DPLUGINS=transport-rfcomm", "-DWHERRY_BLUETOOTH=maybe"],
     "WHERRY_BLUETOOTH is 'maybe'; give ON, OFF or AUTO"),
    (["libelf", "libzstd", "spdlog", "botan-2", "botan-3"], [],
     "wherry needs what is not there: spdlog (package libspdlog-dev), libelf (package libelf-dev), libzstd 1.4 or newer "
     "(package libzstd-dev), Botan 3, or 2.19 (package libbotan-3-dev or libbotan-2-dev); on Debian, scripts/packages "
     "build installs it"),
], ids=["bluetooth", "openssl", "word", "libraries"])
def test_what_is_needed_and_not_there_is_told_in_one_sentence(tmp_path, missing, settings, sentence):
    status, said = configure(tmp_path, missing, *settings)
    assert status != 0
    assert sentence in said
    assert said.count("CMake Error") == 1, said
    assert "CMake Warning" not in said, said


@pytest.mark.parametrize("missing, setting, why", [
    (["bluez"], "AUTO", ", for lack of libbluetooth (package libbluetooth-dev)"),
    (["bluez", "sdbus-c++"], "AUTO", f", for lack of {BLUETOOTH}"),
    ([], "OFF", ": WHERRY_BLUETOOTH is OFF"),
])
def test_a_plugin_is_left_out_with_a_sentence(tmp_path, missing, setting, why):
    status, said = configure(tmp_path, missing, "-DPLUGINS=transport-rfcomm", f"-DWHERRY_BLUETOOTH={setting}")
    assert status == 0, said
    assert said.count(f"The plugin transport-rfcomm is left out{why} ") == 1, said
    assert "Left out: 'transport-rfcomm'" in said
    assert "CMake Warning" not in said and "CMake Error" not in said, said
