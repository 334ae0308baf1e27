"""The pages that a problem's ``type`` names (RFC 9457 3.1.1): what it means, what to look at, the next command."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Final

from aiohttp import web

from girginosvm.core import pages
from girginosvm.core.pages import Page
from girginosvm.http.api import missing_route

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2230; --soft: #5b6577; --page: #f6f7f9; --card: #fff; --line: #dfe3ea;
  --mark: #2456c8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaf0; --soft: #9aa4b5; --page: #11151c; --card: #181d26; --line: #2a313d; --mark: #8fb0ff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 system-ui, sans-serif }
main { max-width: 44rem; margin: 8vh auto; padding: 2rem clamp(1.2rem, 4vw, 2.6rem); background: var(--card);
  border: 1px solid var(--line); border-radius: 12px }
h1 { margin: .2rem 0 1rem; font-size: 1.5rem; line-height: 1.25; letter-spacing: -.01em; text-wrap: balance }
h2 { margin: 1.8rem 0 .5rem; font-size: .8rem; font-weight: 600; color: var(--soft) }
p { margin: 0 0 1rem }
code, pre { font: .9em/1.7 ui-monospace, monospace }
p code { padding: .1em .35em; background: var(--page); border: 1px solid var(--line); border-radius: 5px }
pre { margin: 0; padding: .8rem 1rem; overflow-x: auto; background: var(--page); border: 1px solid var(--line);
  border-radius: 8px }
.code { margin: 0; color: var(--soft); font: .85rem ui-monospace, monospace }
a { color: var(--mark) }
footer { margin-top: 2rem; font-size: .85rem }
ul { margin: 0; padding: 0; list-style: none }
li { padding: .35rem 0; border-top: 1px solid var(--line) }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# This one style and nothing else: no script, no image, no frame, no form.
_CSP: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(folder: Path) -> list[web.RouteDef]:
    """``/problems`` lists them, ``/problems/<code>`` shows one; a code without a page is nothing."""

    async def one(request: web.Request) -> web.Response:
        page = pages.find(request.match_info["code"], folder)
        if page is None:
            raise missing_route(request)
        return _answer(page.title, _sheet(page))

    async def every(_: web.Request) -> web.Response:
        found = [page for code in pages.codes(folder) if (page := pages.find(code, folder)) is not None]
        rows = "".join(
            f'<li><a href="/problems/{page.code}"><code>{page.code}</code></a><br>{html.escape(page.title)}</li>'
            for page in found
        )
        return _answer("Problems", f"<h1>What a problem means</h1><ul>{rows}</ul>")

    return [web.get("/problems", every), web.get("/problems/{code}", one)]


def _answer(title: str, inside: str) -> web.Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)} - girginosvm</title><style>{_STYLE}</style></head>"
        f"<body><main>{inside}</main></body></html>"
    )
    headers = {"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"}
    return web.Response(text=text, content_type="text/html", headers=headers)


def _sheet(page: Page) -> str:
    """Our own short page as HTML: nothing in it is markup but `` `words` ``."""
    text = f'<p class="code">{page.code}</p><h1>{html.escape(page.title)}</h1>'
    for paragraph in page.paragraphs:
        text += "<p>" + re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(paragraph)) + "</p>"
    if page.commands:
        lines = html.escape("\n".join(page.commands))
        text += f"<h2>On a node</h2><pre>{lines}</pre>"
    return text + '<footer><a href="/problems">All problems</a></footer>'
