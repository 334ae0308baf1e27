"""``doctor bundle``: what somebody who helps needs to see of a node, in one file, and no secret.

It works with the agent away, and with a part that cannot be had: the manifest says which, and why. What is gathered
holds no secrets to begin with (no definition of a machine, no seed, no serial output, no reason that a person typed);
all of it goes through ``scrub`` nevertheless.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import platform
import stat
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from girginosvm import __version__
from girginosvm.cli import local, node
from girginosvm.cli.client import Client
from girginosvm.cli.scrub import Scrubber
from girginosvm.cli.trouble import Trouble
from girginosvm.core import settings
from girginosvm.core.errors import Problem
from girginosvm.hypervisor.net.filter import TABLE
from girginosvm.hypervisor.run import run

_MOST_BYTES: Final = 4 * 1024 * 1024
_FILES: Final = 20_000
_SAID_S: Final = 20.0
Run = Callable[[tuple[str, ...]], str]
_ASKED: Final = {
    "quorum": "/v1/quorum", "doctor": "/v1/doctor", "membership": "/v1/membership", "health": "/v1/health",
    "nodes": "/v1/nodes?limit=500", "networks": "/v1/networks?limit=500", "pools": "/v1/pools?limit=500",
    "images": "/v1/images?limit=500", "operations": "/v1/operations?limit=200&sort=-created_at",
}  # fmt: skip


def default_name() -> str:
    """A file in the present directory."""
    return f"girginosvm-{platform.node().split('.')[0]}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"


class Bundle:
    """Gathers, cleans, writes. ``say`` runs a program of the host and answers its words; OSError or a problem when it
    cannot."""

    def __init__(self, root: str, environment: Mapping[str, str], client: Client, *, say: Run | None = None) -> None:
        self._root = root
        self._environment = environment
        self._client = client
        self._say = say or _said
        self._scrubber = Scrubber(*node.secrets(root, environment))
        self.missing: dict[str, str] = {}

    def write(self, name: str) -> dict[str, Any]:
        """The file ``name`` (0600), which was not there before; whole, or not at all."""
        path = Path(name)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            detail = f"{path} is there already, and is not overwritten"
            raise Trouble("Conflict", "bundle-exists", detail, hint="give another name") from None
        except OSError as fault:
            raise _unwritten(path, fault) from fault
        try:
            with os.fdopen(handle, "wb") as file:
                names = self._pack(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            path.unlink(missing_ok=True)
            raise _unwritten(path, fault) from fault
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return {
            "file": str(path.resolve()), "size_bytes": path.stat().st_size, "parts": len(names),
            "missing": [{"part": part, "why": self._scrubber.clean(why)} for part, why in self.missing.items()],
        }  # fmt: skip

    def _pack(self, file: Any) -> list[str]:
        names = []
        folder = f"girginosvm-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in self.parts():
                data = self._scrubber.clean(text[-_MOST_BYTES:]).encode("utf-8", "backslashreplace")
                entry = tarfile.TarInfo(f"{folder}/{self._scrubber.clean(name)}")
                entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
                tar.addfile(entry, io.BytesIO(data))
                names.append(name)
        return names

    def parts(self) -> Iterator[tuple[str, str]]:
        """Name and text of each part; the manifest last."""
        names = []
        for name, make in self._makers():
            try:
                text = make()
            except Trouble as trouble:
                self.missing[name] = trouble.detail
            except Problem as problem:
                self.missing[name] = problem.detail
            except Exception as fault:  # a part that cannot be had is said, and is no reason to have none
                self.missing[name] = f"{type(fault).__name__}: {fault}"
            else:
                names.append(name)
                yield name, text
        yield "manifest.json", _json({"parts": names, "missing": self.missing, "made_by": __version__})

    def _makers(self) -> Iterator[tuple[str, Callable[[], str]]]:
        uri = self._libvirt_uri()
        yield "about.json", lambda: _json(_about())
        yield "settings.json", lambda: _json(local.settings(self._root, self._environment))
        for name, path in _ASKED.items():
            yield f"agent/{name}.json", partial(self._asked, path)
        yield "files/doctor.json", lambda: _json(node.examined(self._root, self._environment, ""))
        yield "files/tables.json", lambda: _json(node.tables(self._path("db", "state.db")))
        yield "files/list.txt", lambda: "\n".join(_listed(self._path()))
        for unit in ("girginosvm", "girginosvm-raft"):
            log = ("journalctl", "-u", unit, "-n", "5000", "--no-pager", "-o", "short-iso")
            yield f"logs/{unit}.txt", partial(self._say, log)
        for name, words in _host(uri).items():
            yield f"host/{name}", partial(self._say, words)

    def _asked(self, path: str) -> str:
        return _json(self._client.get(path).value)

    def _path(self, *parts: str) -> Path:
        return settings.Settings(root=self._root).path(*parts)

    def _libvirt_uri(self) -> str:
        try:
            found = settings.load(self._root, self._environment)
        except Problem:
            return settings.Settings().libvirt_uri
        return "" if found.witness or found.fake_host else found.libvirt_uri


def _host(uri: str) -> dict[str, tuple[str, ...]]:
    """What the host says of itself: programs that change nothing."""
    found = {
        "nft-bridge.txt": ("nft", "list", "table", "bridge", TABLE),
        "nft-inet.txt": ("nft", "list", "table", "inet", TABLE),
        "addresses.txt": ("ip", "-br", "address"), "links.txt": ("ip", "-br", "link"), "listening.txt": ("ss", "-ltn"),
        "disks.txt": ("df", "-hT"), "memory.txt": ("free", "-m"), "kernel.txt": ("dmesg", "--level", "err,warn"),
    }  # fmt: skip
    if uri:
        virsh = ("virsh", "-c", uri)
        found |= {
            "virsh-version.txt": (*virsh, "version"), "virsh-list.txt": (*virsh, "list", "--all"),
            "virsh-node.txt": (*virsh, "nodeinfo"), "virsh-capabilities.xml": (*virsh, "capabilities"),
        }  # fmt: skip
    return found


def _said(words: tuple[str, ...]) -> str:
    ran = asyncio.run(run(*words, timeout_s=_SAID_S, most_bytes=_MOST_BYTES))
    if ran.code:
        said = " ".join((ran.err or ran.out).split())
        raise Trouble("HostFault", "", f"{words[0]} ended with {ran.code}: {said[-300:]}")
    return ran.out


def _about() -> dict[str, Any]:
    system = {}
    with contextlib.suppress(OSError):  # not every system has it (os-release(5))
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        system = {name: value.strip('"') for name, found, value in (line.partition("=") for line in lines) if found}
    libraries = {}
    for name in ("msgspec", "apsw", "aiohttp", "cryptography", "pysyncobj", "libvirt-python"):
        from importlib.metadata import PackageNotFoundError, version  # slow, and for this verb only

        with contextlib.suppress(PackageNotFoundError):  # the one executable has no metadata of what is in it
            libraries[name] = version(name)
    return {
        "girginosvm": __version__, "python": platform.python_version(), "libraries": libraries,
        "system": system.get("PRETTY_NAME", ""), "kernel": platform.release(), "machine": platform.machine(),
        "processors": os.cpu_count(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "up_s": round(time.clock_gettime(time.CLOCK_BOOTTIME)), "load": os.getloadavg(),
    }  # fmt: skip


def _listed(folder: Path) -> Iterator[str]:
    """Mode, owner, size, blocks, time and name of each file: names, and nothing of what is in them."""
    for n, path in enumerate(sorted(folder.rglob("*"))):
        if n == _FILES:
            yield f"... there are more than {_FILES:,}"
            return
        with contextlib.suppress(OSError):  # removed while we look
            one = path.lstat()
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.st_mtime))
            owner = f"{one.st_uid}:{one.st_gid}"
            size = f"{one.st_size:>14} {one.st_blocks * 512:>14}"
            yield f"{stat.filemode(one.st_mode)} {owner:>11} {size} {at} {path.relative_to(folder)}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _unwritten(path: Path, fault: OSError) -> Trouble:
    detail = f"{path} cannot be written: {fault.strerror}"
    return Trouble("HostFault", "bundle-not-written", detail, hint="df -h; ls -ld .")
