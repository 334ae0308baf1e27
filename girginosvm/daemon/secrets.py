"""Secrets on their way into the log: hashed, or sealed with the cluster key, which is never in the database."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from girginosvm.core.clock import Chance
from girginosvm.core.errors import Busy, Conflict, HostFault
from girginosvm.daemon import durable

_PREFIX = "sealed:1:"
T = TypeVar("T")


def shown_once(what: str, instead: str) -> Conflict:
    """Of a repeated Idempotency-Key whose answer was a secret: of that only a hash was kept. ``what`` is there;
    ``instead`` is how to come to another one."""
    detail = f"{what} was made by the first request with this Idempotency-Key. It was shown then, and cannot be again"
    return Conflict("secret-shown-once", detail, hint=instead)


class ClusterKey:
    """The cluster's keys, the newest first: AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce per value. A key
    comes along when a member was removed (``add``); the older ones stay, to open what they have sealed.

    What has to be equal for ever (the digest of a request, the mark) is made with the first key there was.
    """

    def __init__(self, *keys: bytes, chance: Chance) -> None:
        self._chance = chance
        self._hold(keys)

    def _hold(self, keys: tuple[bytes, ...]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.keys = keys
        self._ciphers = [AESGCM(key) for key in keys]
        self._digest_key = hmac.digest(keys[-1], b"girginosvm request digest 1", "sha256")

    def seal(self, text: str) -> str:
        """Ciphertext as text; an empty text stays empty."""
        if not text:
            return ""
        nonce = self._chance.take(12)
        return _PREFIX + base64.b64encode(nonce + self._ciphers[0].encrypt(nonce, text.encode(), b"")).decode()

    def digest(self, data: bytes) -> bytes:
        """HMAC-SHA256: equal for equal requests on every node. Keyed, because a request may hold a password, and a
        bare hash of it in the log would let anyone with a backup guess."""
        return hmac.digest(self._digest_key, data, "sha256")

    @property
    def mark(self) -> str:
        """Which keys these are, for the database: others, or a first one with a changed bit, have another mark. It
        says nothing about the key, which is 256 bits of chance."""
        return hmac.digest(self.keys[-1], b"girginosvm cluster key mark 1", "sha256").hex()

    def unseal(self, text: str) -> str:
        """What was sealed; HostFault ``seal-broken`` when the key is another one."""
        from cryptography.exceptions import InvalidTag

        if not text:
            return ""
        why: Exception | None = None
        for cipher in self._ciphers:
            try:
                raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
                return cipher.decrypt(raw[:12], raw[12:], b"").decode()
            except (InvalidTag, ValueError) as fault:
                why = fault
        raise HostFault("seal-broken", "a sealed value does not open with this node's cluster key") from why

    def with_new(self) -> ClusterKey:
        """These and a fresh one, which seals from then on."""
        return ClusterKey(self._chance.take(32), *self.keys, chance=self._chance)

    def add(self, newest: bytes, path: Path) -> bool:
        """Take a new key in, on disk first; False when it is here."""
        if newest in self.keys:
            return False
        durable.replace(path, text_of(newest, *self.keys).encode(), point="cluster-key.rename")
        self._hold((newest, *self.keys))
        return True


def text_of(*keys: bytes) -> str:
    """Keys as their file has them: a line each, the newest first."""
    return "\n".join(base64.b64encode(key).decode() for key in keys)


def load_key(path: Path, chance: Chance, *, founded: bool = False, mark: str = "") -> ClusterKey:
    """The keys at ``path`` (0600), made at first start: written aside, flushed, renamed. HostFault
    ``cluster-key-damaged`` when it is no key, is not there although the cluster is ``founded``, or is not the one
    whose ``mark`` the cluster has recorded: what was sealed would not open with another one."""
    if not path.exists():
        if founded:
            raise _no_key(path, "it is not there")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.replace(path, base64.b64encode(chance.take(32)), point="cluster-key.rename")
    try:
        keys = [base64.b64decode(line, validate=True) for line in path.read_bytes().split(b"\n")]
    except (OSError, ValueError) as fault:
        raise _no_key(path, str(fault)) from fault
    for key in keys:
        if len(key) != 32:
            raise _no_key(path, f"it has {len(key)} bytes of 32")
    made = ClusterKey(*keys, chance=chance)
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
