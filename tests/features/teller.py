"""Who tells the story of a cluster, command by command."""

from __future__ import annotations

from typing import Any

import pytest
from features.engine import NODE, Engine

from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.errors import Problem
from girginosvm.features.vm.reports import ReportVm

ADA = Actor(kind="session", id="ada", name="ada@example.org", role=Role.ADMIN, address="192.0.2.7")
HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


class Teller:
    """Says commands; a refusal has to be the one that was expected."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.said = 0

    def say(self, command: Command, **words: Any) -> Any:
        return self.engine.run(command, **words)

    def refused(self, code: str, command: Command, **words: Any) -> None:
        with pytest.raises(Problem) as caught:
            self.engine.run(command, **words)
        assert caught.value.code == code

    def id(self, table: str, name: str) -> str:
        return str(self.engine.rows(f"SELECT id FROM {table} WHERE name = ?", name)[0]["id"])

    def later(self, ms: int) -> None:
        self.engine.ahead_ms += ms

    def node_says(self, vm: str, state: str, **fields: Any) -> None:
        self.said += 1
        self.say(ReportVm(vm=vm, node=NODE, state=state, sequence=self.said, **fields))
