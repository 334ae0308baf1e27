"""The short page of each problem code: a title, paragraphs, and commands to try. One file each, for the daemon's web
page and for ``girginosvm explain`` alike. Imported by the command line: the standard library only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

# Beside the package, in a source tree and in a compiled one.
ASSETS: Final = Path(__file__).parents[2] / "assets"
_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Page(NamedTuple):
    """What a code means (``paragraphs``) and what to look at next (``commands``, lines for a shell)."""

    code: str
    title: str
    paragraphs: tuple[str, ...]
    commands: tuple[str, ...]


def codes(folder: Path = ASSETS / "problems") -> list[str]:
    """Every code that has a page, sorted."""
    return sorted(path.stem for path in folder.glob("*.md"))


def find(code: str, folder: Path = ASSETS / "problems") -> Page | None:
    """The page of ``code``, None when there is none. Whatever is asked for, no other file is ever read."""
    if not _CODE.fullmatch(code) or len(code) > 64:
        return None
    try:
        text = (folder / f"{code}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return parsed(code, text)


def parsed(code: str, text: str) -> Page:
    """``# Title``, paragraphs between blank lines, commands indented by four spaces. Line ends mean nothing."""
    title, paragraphs, commands = code, [], []
    for block in re.split(r"\n{2,}", text.strip()):
        if block.startswith("# "):
            title = block[2:]
        elif block.startswith("    "):
            commands += [line.strip() for line in block.splitlines()]
        else:
            paragraphs.append(" ".join(block.split()))
    return Page(code, title, tuple(paragraphs), tuple(commands))
