"""A node that goes along with the cluster's next CA, and whose disk is full on the way."""

from __future__ import annotations

import base64
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.action import Command
from girginosvm.core.clock import SystemChance
from girginosvm.core.log import Log
from girginosvm.daemon.reconcile import Loop
from girginosvm.daemon.secrets import load_key
from girginosvm.daemon.trust import TrustReconciler
from girginosvm.features.lanes import Lanes
from girginosvm.features.membership.api import Ca, Trust
from girginosvm.features.membership.authority import ReportTrust
from girginosvm.http.tls import Identity, new_authority

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Node:
    """Its files, what it has said, and how often what it shows was made anew; ``faults``: what its next rounds meet
    when they make a certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = Identity(folder)
        self.identity.ensure(("n1",))
        self.key = load_key(folder / "cluster.key", SystemChance())
        certificate, private = self.identity.authority()
        self.cas = [Ca(1, certificate, self.key.seal(private), "", "used")]
        self.said: list[Command] = []
        self.renewals = 0
        self.faults: list[OSError] = []
        self.trust = TrustReconciler(
            self.identity, self, self.key, folder / "cluster.key", node="n1", read=self._read, say=self._say,  # type: ignore[arg-type]
            status=self._status, log=Log(level="error"),
        )  # fmt: skip

    def offered(self) -> None:
        """The cluster's next CA, with a key of its own."""
        certificate, private = new_authority()
        ring = self.key.with_new()
        fresh = base64.b64encode(ring.keys[0]).decode()
        self.cas.append(Ca(2, certificate, ring.seal(private), self.key.seal(fresh), "offered"))

    async def _read(self, _: Callable[[Any], Any]) -> Any:
        return tuple(self.cas), (Trust("n1", 1, 1), Trust("n2", 1, 1)), set(), False

    async def _say(self, command: Command) -> None:
        self.said.append(command)

    async def _status(self) -> Any:
        raise AssertionError("nothing is to be led")

    async def reconcile(self, lanes: Lanes) -> None:
        if self.faults:
            raise self.faults.pop()

    def renewed(self) -> None:
        self.renewals += 1

    async def round(self) -> None:
        await self.trust.reconcile(None)  # type: ignore[arg-type]


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    one = Node(tmp_path)
    await one.round()
    one.offered()
    one.renewals, one.said = 0, []
    return one


async def test_what_is_shown_and_accepted_is_made_anew_in_the_round_after_a_full_disk(node: Node) -> None:
    """It said that it trusts the next CA, and its connections did not."""
    node.faults = [FULL]
    with pytest.raises(OSError, match="No space left"):
        await node.round()
    assert (node.renewals, node.said) == (0, [])
    await node.round()
    assert (node.renewals, node.said) == (1, [ReportTrust(member="n1", trusts=2, shows=1)])
    await node.round()
    assert node.renewals == 1


async def test_the_same_when_only_one_of_two_files_was_written(node: Node) -> None:
    (node.folder / "ca.crt.new").mkdir()  # what is in the way of the second one
    with pytest.raises(OSError):
        await node.round()
    assert node.said == []
    (node.folder / "ca.crt.new").rmdir()
    await node.round()
    assert node.renewals == 1
    assert (node.folder / "ca.crt").read_bytes().count(b"BEGIN CERT") == 2


class _Full:
    name, wakes_on, resync_s = "trust", (), 30.0

    async def reconcile(self, lanes: Lanes) -> None:
        raise FULL


async def test_a_full_disk_is_said_as_one_and_not_as_a_fault_of_ours() -> None:
    loop = Loop(_Full(), Log(io.StringIO()))
    await loop._round(None)  # type: ignore[arg-type]
    assert loop.last_problem == "there is no room for what this node keeps: No space left on device"
