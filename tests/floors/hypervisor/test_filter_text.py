"""The ruleset as text: golden, and never more than one word per value."""

from __future__ import annotations

from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Guard
from girginosvm.hypervisor.net.filter import ruleset

GOLDEN = Path(__file__).parents[2] / "golden" / "nft"
ONE = Guard("gvm0a1b2c3d4e5", "52:54:00:00:00:01", ("192.0.2.10", "192.0.2.11"))
TWO = Guard("gvmffffffffff0", "52:54:00:00:00:02", ())


@pytest.mark.parametrize(("name", "guards"), [("none", ()), ("two", (ONE, TWO))])
def test_the_ruleset_is_the_golden_one(name: str, guards: tuple[Guard, ...]) -> None:
    assert ruleset(guards) == (GOLDEN / f"{name}.nft").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "guard",
    [
        Guard("eth0", ONE.mac, ()), Guard('gvm"; flush ruleset', ONE.mac, ()), Guard("gvm1", "52:54", ()),
        Guard("gvm1", ONE.mac, ("::1",)), Guard("gvm1", ONE.mac, ("0/0 } accept",)), Guard("gvm1\n", ONE.mac, ()),
    ],
)  # fmt: skip
def test_what_is_no_tap_mac_or_address_never_becomes_a_rule(guard: Guard) -> None:
    with pytest.raises(HostFault) as refused:
        ruleset((guard,))
    assert refused.value.code == "guard-invalid"
