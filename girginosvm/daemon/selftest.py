"""``girginosvm __selftest``: every module of ours and of others, imported and used once; the gate of a compiled tree.

What a compiler leaves out shows itself only where it is imported, so everything is.
"""

from __future__ import annotations

import pkgutil
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final

import girginosvm

# Written by hand from requirements/run.in, and the accelerators that may be missing without a sound.
OTHERS: Final = (
    "_json", "_bisect", "_heapq", "aiohttp", "apsw", "argon2", "cryptography.x509", "libvirt", "libvirtaio",
    "msgspec", "pycdlib", "pyroute2", "pysyncobj", "rich.table", "rich_argparse",
)  # fmt: skip


def _database() -> None:
    rows = import_module("apsw").Connection(":memory:").execute("SELECT json_extract('[7]', '$[0]')").fetchall()
    if rows != [(7,)]:
        raise ValueError(f"SQLite answered {rows}")


def _password() -> None:
    hasher = import_module("argon2").PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    hasher.verify(hasher.hash("a"), "a")


def _signature() -> None:
    key = import_module("cryptography.hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"a"), b"a")


def _links() -> None:
    with import_module("pyroute2").IPRoute() as route:
        if not route.link_lookup(ifname="lo"):
            raise ValueError("no link lo")


def _hypervisor() -> None:
    libvirt = import_module("libvirt")
    connection = libvirt.open("test:///default")
    try:
        if not connection.listAllDomains():
            raise ValueError("the test driver has no domain")
    finally:
        connection.close()


def _verbs() -> None:
    registry = import_module("girginosvm.features.registry").REGISTRY
    made = import_module("girginosvm.cli.describe").table(registry)[0]
    if made != list(import_module("girginosvm.cli.catalogue").VERBS):
        raise ValueError("the catalogue of verbs is not what the rooms define")


def _found() -> list[str]:
    return [found.name for found in pkgutil.walk_packages(girginosvm.__path__, "girginosvm.")]


def checks(ours: list[str]) -> list[tuple[str, Callable[[], object]]]:
    """Each check by name; ``ours`` names modules of ours."""
    names = [*OTHERS, *(name for name in ours if not name.endswith("__main__"))]
    imports: list[tuple[str, Callable[[], object]]] = [(name, partial(import_module, name)) for name in names]
    uses = [_database, _password, _signature, _links, _hypervisor, _verbs]
    return [*imports, *((use.__name__.strip("_"), use) for use in uses)]


def main(words: list[str]) -> int:
    """0 when everything is there; each failure is a line on stderr.

    ``words`` name the modules that have to be there; none: those that lie in the source tree.
    """
    began = time.monotonic()
    failed = 0
    made = checks(words or _found())
    for name, check in made:
        try:
            check()
        except Exception as fault:
            failed += 1
            sys.stderr.write(f"selftest: {name}: {type(fault).__name__}: {fault}\n")
    took_ms = (time.monotonic() - began) * 1000
    sys.stdout.write(f"selftest: {len(made) - failed} of {len(made)} in {took_ms:.0f} ms\n")
    return 1 if failed else 0
