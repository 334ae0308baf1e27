"""What every test run has: fast levels first, no silent skip, and closing lines that name the levels run."""

from __future__ import annotations

import pytest

LEVELS = ("unit", "host", "web", "lab", "soak")
SKIPPED = pytest.StashKey[list[str]]()
RUN = pytest.StashKey[dict[str, int]]()


def level_of(item: pytest.Item) -> str:
    """The heaviest level that a test is marked with; unit without a mark."""
    marks = {mark.name for mark in item.iter_markers()}
    return next((level for level in reversed(LEVELS) if level in marks), "unit")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SKIPPED] = []
    config.stash[RUN] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LEVELS.index(level_of(item)))
    for item in items:
        level = level_of(item)
        config.stash[RUN][level] = config.stash[RUN].get(level, 0) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.skipped:
        item.config.stash[SKIPPED].append(item.nodeid)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.stash[SKIPPED] and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in config.stash[SKIPPED]:
        terminalreporter.write_line(f"skipped, which counts as failed: {name}", red=True)
    levels = ", ".join(f"{level} ({config.stash[RUN][level]})" for level in LEVELS if level in config.stash[RUN])
    terminalreporter.write_line(f"levels run: {levels or 'none'}")
