"""One toy house for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.floors.http.toyhouse import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    web = tmp_path / "assets" / "web"
    web.mkdir(parents=True)
    (web / "index.html").write_text("<!doctype html><title>panel</title>" + " " * 2000)
    (web / "app-0123abcd.js").write_text("export const one = 1;\n" * 100)
    (tmp_path / "assets" / "secret.txt").write_text("canary-outside")
    (web / "link.txt").symlink_to(tmp_path / "assets" / "secret.txt")
    (tmp_path / "assets" / "problems").mkdir()
    (tmp_path / "assets" / "problems" / "toy-exists.md").write_text("# A toy\n\nIt <exists>.\n")
    made = House(tmp_path)
    await made.start()
    yield made
    await made.stop()
