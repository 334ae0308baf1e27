"""The panel's files: read once, compressed once, served from memory. Only what was found at start exists, so no
path of a request ever reaches the disk."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
SECURITY: Final = {
    "Server": "girginosvm",  # and not which releases of what it is made of
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_TYPES: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png",
    ".ico": "image/x-icon", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
_HASHED: Final = re.compile(r"[.-][0-9a-f]{8,}\.\w+$")


class File(msgspec.Struct, frozen=True):
    """One file as it is served."""

    kind: str
    plain: bytes
    packed: bytes
    etag: str
    immutable: bool


def load(folder: Path) -> dict[str, File]:
    """Every file below ``folder`` by its URL path; links and unknown endings are left out."""
    found: dict[str, File] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.rglob("*")):
        kind = _TYPES.get(path.suffix.lower())
        if kind is None or not path.is_file() or path.is_symlink():
            continue
        plain = path.read_bytes()
        packed = gzip.compress(plain, 6, mtime=0)
        mark = f'"{hashlib.sha256(plain).hexdigest()[:32]}"'
        url = "/" + path.relative_to(folder).as_posix()
        file = File(kind, plain, packed if len(packed) < len(plain) else b"", mark, bool(_HASHED.search(path.name)))
        found[url] = file
        if url == "/index.html":
            found["/"] = file
    return found


def serve(request: web.Request, files: dict[str, File]) -> web.Response | None:
    """The file at the request's path, None when there is none. A path that the panel's router owns (no dot in its
    last part) is the panel itself, to a browser."""
    file = files.get(request.path)
    if (
        file is None
        and "." not in request.path.rpartition("/")[2]
        and "//" not in request.path
        and not request.path.startswith(("/v1", "/problems"))
        and "text/html" in request.headers.get("Accept", "")  # a program that errs gets a problem, and no page
    ):
        file = files.get("/")
    if file is None:
        return None
    headers = {
        "ETag": file.etag,
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": "public, max-age=31536000, immutable" if file.immutable else "no-cache",
    }
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if file.etag in known:
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.kind
    if file.packed and "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=file.plain, headers=headers)
