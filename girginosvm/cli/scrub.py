"""Takes secrets out of a text: those that this node knows, and what looks like one. Pure.

A bundle is made of parts that hold no secret to begin with. This is for what people paste where it does not belong: a
token in a reason, a key in a log.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

GONE: Final = "[taken out]"
_LEAST: Final = 8  # a shorter word is in every text
_WORD: Final = re.compile(r"[A-Za-z0-9_\-+/=.~]{16,}")
_HASH: Final = re.compile(r"\b[0-9a-f]{64}\b")
_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)
_SHAPES: Final = (
    re.compile(r"sealed:\d+:[A-Za-z0-9+/=]+"),
    re.compile(r"\$(?:argon2[a-z]*|2[aby]|5|6|y)\$[^\s\"'<]+"),
    re.compile(r"\b(?:ops|gvm)-[A-Za-z0-9_\-]{40,}={0,2}"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9_\-.~+/=]{8,}"),
    re.compile(r"(?<=://)[^\s/@:\"']+:[^\s/@\"']+(?=@)"),
    # A value behind a word that names a secret; what stands for "there is one" stays.
    re.compile(
        r"(?i)(?:passw(?:or)?d|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key)"
        r"\\?[\"']?\s*[=:]\s*\\?[\"']?(?!\(set\))(?P<value>[^\s\"',;&\\]{4,})"
    ),
)


class Scrubber:
    """``known``: secrets as they are; ``hashes``: SHA-256 (hex) of others, which nobody knows until they are met."""

    def __init__(self, known: Iterable[str] = (), hashes: Iterable[str] = ()) -> None:
        # The longest first: one may be a part of another.
        self._known = sorted({one for one in known if len(one) >= _LEAST}, key=lambda one: (-len(one), one))
        self._hashes = frozenset(hashes)

    def clean(self, text: str) -> str:
        """The text without them."""
        for one in self._known:
            text = text.replace(one, GONE)
        if self._hashes:
            text = _WORD.sub(self._unless_hashed, text)
            text = _HASH.sub(lambda found: GONE if found[0] in self._hashes else found[0], text)
        text = _KEY_BLOCK.sub(GONE, text)
        for shape in _SHAPES:
            text = shape.sub(_taken, text)
        return text

    def _unless_hashed(self, found: re.Match[str]) -> str:
        """A word, or what it ends in or begins with: a token in the middle of a sentence has a full stop behind it."""
        for one in (found[0], found[0].strip(".=~"), found[0].rpartition("=")[2]):
            if one and hashlib.sha256(one.encode()).hexdigest() in self._hashes:
                return found[0].replace(one, GONE)
        return found[0]


def _taken(found: re.Match[str]) -> str:
    value = found.groupdict().get("value")
    return GONE if value is None else found[0].replace(value, GONE)


def private_lines(pem: str) -> list[str]:
    """The lines of the private keys in a PEM text, and each key as a whole: what must not be found anywhere."""
    found = []
    for block in _KEY_BLOCK.findall(pem):
        lines = [line.strip() for line in block.splitlines() if not line.startswith("-----")]
        found += [*lines, "".join(lines)]
    return [line for line in found if line]
