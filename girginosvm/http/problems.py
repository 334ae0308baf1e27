"""Problems as RFC 9457 documents."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from girginosvm.core.errors import Invalid, Problem
from girginosvm.core.words import read

TYPE: Final = "application/problem+json"
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
        body["errors"] = [
            {"pointer": fault.pointer, "detail": fault.detail, "detail_said": read(fault.detail, "fault")}
            for fault in problem.faults
        ]
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
