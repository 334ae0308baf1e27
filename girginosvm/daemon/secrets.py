"""Secrets on their way into the log: hashed, or sealed with the cluster key, which is never in the database."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from girginosvm.core.clock import Chance
from girginosvm.core.errors import Busy, HostFault
from girginosvm.core.points import reach

_PREFIX = "sealed:1:"
T = TypeVar("T")


class ClusterKey:
    """AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce per value."""

    def __init__(self, key: bytes, chance: Chance) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key = key
        self._cipher = AESGCM(key)
        self._digest_key = hmac.digest(key, b"girginosvm request digest 1", "sha256")
        self._chance = chance

    def seal(self, text: str) -> str:
        """Ciphertext as text; an empty text stays empty."""
        if not text:
            return ""
        nonce = self._chance.take(12)
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), b"")).decode()

    def digest(self, data: bytes) -> bytes:
        """HMAC-SHA256: equal for equal requests on every node. Keyed, because a request may hold a password, and a
        bare hash of it in the log would let anyone with a backup guess."""
        return hmac.digest(self._digest_key, data, "sha256")

    @property
    def mark(self) -> str:
        """Which key this is, for the database: another key, or one with a changed bit, has another mark. It says
        nothing about the key, which is 256 bits of chance."""
        return hmac.digest(self._key, b"girginosvm cluster key mark 1", "sha256").hex()

    def unseal(self, text: str) -> str:
        """What was sealed; HostFault ``seal-broken`` when the key is another one."""
        from cryptography.exceptions import InvalidTag

        if not text:
            return ""
        try:
            raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:12], raw[12:], b"").decode()
        except (InvalidTag, ValueError) as fault:
            raise HostFault("seal-broken", "a sealed value does not open with this node's cluster key") from fault


def load_key(path: Path, chance: Chance, *, founded: bool = False, mark: str = "") -> ClusterKey:
    """The key at ``path`` (0600), made at first start: written aside, flushed, renamed. HostFault
    ``cluster-key-damaged`` when it is no key, is not there although the cluster is ``founded``, or is not the one
    whose ``mark`` the cluster has recorded: what was sealed would not open with another one."""
    if not path.exists():
        if founded:
            raise _no_key(path, "it is not there")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_suffix(".new")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, base64.b64encode(chance.take(32)))
            os.fsync(handle)
        finally:
            os.close(handle)
        reach("cluster-key.rename:before")
        os.rename(aside, path)
        reach("cluster-key.rename:after")
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    try:
        key = base64.b64decode(path.read_bytes(), validate=True)
    except (OSError, ValueError) as fault:
        raise _no_key(path, str(fault)) from fault
    if len(key) != 32:
        raise _no_key(path, f"it has {len(key)} bytes of 32")
    made = ClusterKey(key, chance)
    if mark and not hmac.compare_digest(mark, made.mark):
        raise _no_key(path, "it is another key, or was changed")
    return made


def _no_key(path: Path, why: str) -> HostFault:
    detail = f"{path} is not the key that this cluster's secrets are sealed with: {why}"
    return HostFault("cluster-key-damaged", detail, hint="put it back from a copy")


class Turns:
    """argon2id takes 64 MiB and ~50 ms each time: two at once on this node, a short queue, then Busy. Signing in and
    setting passwords share one, so that neither is a way around the other."""

    def __init__(self, *, at_once: int = 2, queue: int = 32) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._queue = queue
        self._waiting = 0

    async def take(self, work: Callable[..., T], *words: Any) -> T:
        """``work(*words)`` in a thread when its turn comes; Busy ``sign-in-busy`` when too many wait for theirs."""
        if self._waiting >= self._queue:
            raise Busy("sign-in-busy", f"{self._queue} passwords wait to be checked or set", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work, *words)
        finally:
            self._waiting -= 1


def hash_password(password: str) -> str:
    """argon2id with the library's defaults (RFC 9106's second choice)."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)
