"""This release, for tests that cannot wait a day: ``python -m tests.scenarios.this_release raft|agent ...``.
A node is absent after 6 s: what ``RaiseLevel`` comes to hangs on it, so every process of a test has to have the same.
"""

from __future__ import annotations

import sys
from typing import Final

from girginosvm.core import levels

ABSENT_MS: Final = 6_000


def main() -> int:
    """The product, with that."""
    levels.ABSENT_MS = ABSENT_MS  # type: ignore[misc]
    from girginosvm.__main__ import main as product

    return product()


if __name__ == "__main__":
    sys.exit(main())
