"""Domains on a host that the cluster's state does not have there: they came back with a host that was given up, or a
machine of the cluster's runs a second time. Pure; whoever finds one says so, and starts or ends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from girginosvm.core.host import FoundDomain, Power


class Held(msgspec.Struct, frozen=True):
    """Where the state has a machine: the node's id, and what people call it."""

    node: str
    called: str


class Stray(msgspec.Struct, frozen=True):
    """``domain`` is libvirt's name for it. ``elsewhere``: the node that the state has the machine on; empty: on none,
    and the domain carries our mark."""

    id: str
    domain: str
    runs: bool
    elsewhere: str = ""


def strays(domains: Iterable[FoundDomain], held: Mapping[str, Held], here: str) -> tuple[Stray, ...]:
    """Of the domains on node ``here`` those that are the cluster's by mark or by id, and that it does not have there;
    the running ones first. ``held``: every machine of the cluster by id. A domain of somebody else's is none."""
    found = []
    for domain in domains:
        row = held.get(domain.id)
        if (row is None and domain.ours) or (row is not None and row.node != here):
            runs = domain.power in (Power.RUNNING, Power.PAUSED)
            found.append(Stray(domain.id, domain.name, runs, row.called if row else ""))
    return tuple(sorted(found, key=lambda one: (not one.runs, not one.elsewhere, one.domain, one.id)))
