import signal

import pytest

import support

SKIPPED = 77  # CTest's SKIP_RETURN_CODE


@pytest.fixture
def place(tmp_path):
    """The test's place; every process is gone afterwards."""
    place = support.Place(tmp_path)
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
