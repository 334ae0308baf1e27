"""Problems as RFC 9457 documents, and the pages that their ``type`` names."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from girginosvm.core.errors import FAMILIES, Invalid, Problem

TYPE: Final = "application/problem+json"
_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# What HTTP has a status of its own for, although the family's would do.
_STATUS: Final = {"body-too-large": 413, "method-not-allowed": 405, "locked-out": 429, "too-many": 429}


def status_of(problem: Problem) -> int:
    """The HTTP status of a problem."""
    return _STATUS.get(problem.code, problem.status)


def document(problem: Problem, *, instance: str = "") -> dict[str, Any]:
    """The problem as RFC 9457 section 3 writes it, with our ``family``, ``code``, ``errors`` and ``hint``."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": status_of(problem),
        "detail": problem.detail,
        "code": problem.code,
        "family": type(problem).__name__,
    }
    if instance:
        body["instance"] = instance
    if problem.faults:
        body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in problem.faults]
    if problem.hint:
        body["hint"] = problem.hint
    if problem.retry_after_s:
        body["retry_after_s"] = problem.retry_after_s
    return body


def response(problem: Problem, *, instance: str = "") -> web.Response:
    """The answer that a problem is."""
    headers = {"Cache-Control": "no-store"}
    status = status_of(problem)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="girginosvm"'
    if problem.retry_after_s or status == 503:
        headers["Retry-After"] = str(problem.retry_after_s or 1)
    body = msgspec.json.encode(document(problem, instance=instance))
    return web.Response(body=body, status=status, content_type=TYPE, headers=headers)


def invalid_header(name: str, detail: str) -> Invalid:
    """A header that cannot be right."""
    return Invalid("header-invalid", f"{name}: {detail}")


def page(code: str, folder: Path | None) -> str | None:
    """The HTML page of a problem code, None when the code is none. A code without a page of its own gets the words
    that hold for every problem."""
    if not _CODE.fullmatch(code) or len(code) > 64:
        return None
    text = ""
    if folder is not None:
        file = folder / f"{code}.md"
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if not text:
        rows = "\n".join(
            f"* {name}: status {family.status}, exit code {family.exit_code}: {family.title}"
            for name, family in FAMILIES.items()
        )
        text = f"# {code}\n\nThe answer's `detail` says what was wrong, with the values that would help.\n\n{rows}\n"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(code)}</title>{_html(text)}</html>'
    )


def _html(text: str) -> str:
    """Headings, lists and paragraphs of our own short pages; everything else is shown as it is written."""
    out = []
    for block in re.split(r"\n{2,}", text.strip()):
        lines = [html.escape(line) for line in block.splitlines()]
        if lines[0].startswith("# "):
            out.append(f"<h1>{lines[0][2:]}</h1>")
        elif all(line.startswith("* ") for line in lines):
            out.append("<ul>" + "".join(f"<li>{line[2:]}</li>" for line in lines) + "</ul>")
        else:
            out.append("<p>" + "<br>".join(lines) + "</p>")
    return "".join(out)
