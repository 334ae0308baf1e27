"""A list of 100,000 machines costs what a page costs: the orders and look-ups that people use have an index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from features.engine import Engine

from girginosvm.features.network.queries import ListLeases
from girginosvm.features.network.queries import resolve as network_id
from girginosvm.features.storage.queries import resolve as pool_id
from girginosvm.features.vm.commands import CreateVm
from girginosvm.features.vm.queries import ListVms, resolve
from girginosvm.state.reader import Reader


class Planned(Reader):
    """Notes SQLite's plan of every statement."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self.plan: list[str] = []

    def all(self, sql: str, params: Iterable[Any] = ()) -> list[dict[str, Any]]:
        kept = tuple(params)
        self.plan += [row["detail"] for row in super().all(f"EXPLAIN QUERY PLAN {sql}", kept)]
        return super().all(sql, kept)


NAMES = ["web", "db", "app", "mail", "dns", "cache", "log"]


@pytest.fixture
def many(engine: Engine) -> Engine:
    image = engine.furnish()
    network, pool = network_id(engine.reader, "default") or "", pool_id(engine.reader, "default") or ""
    for name in NAMES:
        engine.run(CreateVm(name=name, image=image, network=network, pool=pool, start=False))
    return engine


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (ListVms(), "vm_order"),
        (ListVms(sort="name"), "vm_by_name"),
        (ListVms(sort="-name"), "vm_by_name"),
        (ListVms(sort="-created_at"), "vm_order"),
        (ListVms(filter="name=web"), "vm_by_name"),
        (ListVms(filter="state=stopped"), "vm_order"),
        (ListVms(filter="vcpu>=1", sort="name"), "vm_by_name"),
        (ListLeases(), "lease_order"),
    ],
    ids=str,
)
def test_a_page_is_read_in_the_order_of_an_index(many: Engine, query: Any, index: str) -> None:
    reader = Planned(many.reader_db)
    query.fetch(reader)
    assert any(index in line for line in reader.plan), reader.plan
    if not query.filter.startswith("name="):  # one row needs no order
        assert not [line for line in reader.plan if "TEMP B-TREE FOR ORDER BY" in line], reader.plan


def test_a_machine_is_found_by_its_name_without_a_scan(many: Engine) -> None:
    reader = Planned(many.reader_db)
    assert resolve(reader, "web") is not None
    assert any("vm_by_name" in line for line in reader.plan)
    assert not [line for line in reader.plan if line.startswith("SCAN")]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", sorted(NAMES)), ("-name", sorted(NAMES, reverse=True)),
        ("created_at", NAMES), ("-created_at", NAMES[::-1]), ("", NAMES),
    ],
)  # fmt: skip
def test_pages_go_through_every_machine_once_in_order(many: Engine, sort: str, expected: list[str]) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        answer = ListVms(limit=2, sort=sort, cursor=cursor).fetch(many.reader)
        found += [machine.name for machine in answer.items]
        cursor = answer.next
        if not cursor:
            break
    assert found == expected
