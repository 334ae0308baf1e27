"""`girginosvm explain`: what a code means, without a server."""

from __future__ import annotations

import io
import json

from girginosvm.cli.client import Client
from girginosvm.cli.complete import candidates, from_server
from girginosvm.cli.main import Counter


def explained(*words: str) -> tuple[int, str, str]:
    out, talk = io.StringIO(), io.StringIO()
    code = Counter("girginosvm", out, talk, {"GIRGINOSVM_SOCKET": "/nowhere"}).serve(["explain", *words])
    return code, out.getvalue(), talk.getvalue()


def test_a_code_is_explained_without_a_server() -> None:
    code, out, talk = explained("pool-full")
    assert (code, talk) == (0, "")
    first, *rest = out.splitlines()
    assert first == "The pool has not enough room left (pool-full)"
    assert "    girginosvm storage pool list" in rest
    assert max(map(len, rest)) <= 88
    assert json.loads(explained("pool-full", "-f", "json")[1])["commands"][0] == "girginosvm storage pool list"


def test_without_a_code_all_are_listed() -> None:
    code, out, _ = explained()
    assert code == 0
    assert len(out.splitlines()) > 100
    assert any(line.startswith("pool-full ") for line in out.splitlines())


def test_an_unknown_code_names_a_near_one_and_reads_no_other_file() -> None:
    code, out, talk = explained("pol-full")
    assert (code, out) == (4, "")
    assert "girginosvm explain pool-full" in talk
    for outside in ("../web/index", "/etc/passwd", "pool-full.md", ""):
        assert explained(outside or "..")[0] == 4


def test_codes_are_completed() -> None:
    names = from_server(Client("/nowhere"))
    assert ("pool-full", "") in candidates(["explain", "pool-f"], names)
