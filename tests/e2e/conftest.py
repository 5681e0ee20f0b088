# SPDX-License-Identifier: BSD-2-Clause
import signal
import tempfile
from pathlib import Path

import pytest

import support

SKIPPED = 77  # CTest's SKIP_RETURN_CODE


@pytest.fixture
def place():
    """The test's place. Every process and file is gone afterwards: pytest would keep gigabytes, and share one folder
    with all that run at the same time."""
    with tempfile.TemporaryDirectory(prefix="wherry-e2e.", ignore_cleanup_errors=True) as folder:
        place = support.Place(Path(folder))
        with place.closing:
            yield place


@pytest.fixture(autouse=True)
def time_limit():
    """Ends a test that hangs where nothing else would, so that its processes are still cleaned up."""

    def out_of_time(signum, frame):
        raise AssertionError("the test takes too long")

    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(4 * support.LIMIT)
    yield
    signal.alarm(0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """A run that skipped everything must not look like one that passed."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if exitstatus == 0 and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED
