"""The mirror's catalogue: ``index.json`` and its Ed25519 signature (RFC 8032) ``index.json.sig``, base64."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from girginosvm.core.errors import HostFault, Invalid, Missing, Unsafe
from girginosvm.core.fields import NAME_PATTERN
from girginosvm.hypervisor.storage.mirror import Response, checked, http_response, is_url, opened

_MAX: Final = 4 * 1024 * 1024


class CatalogueImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a mirror. ``file`` is a plain name beside the catalogue."""

    name: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
    file: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=1)]
    virtual_size: Annotated[int, msgspec.Meta(ge=0)] = 0
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""
    format: Literal["qcow2"] = "qcow2"
    min_disk_gb: Annotated[int, msgspec.Meta(ge=0, le=65536)] = 0
    firmware: Literal["", "bios", "uefi"] = ""


class Catalogue(msgspec.Struct, frozen=True):
    """``index.json``."""

    images: tuple[CatalogueImage, ...]


class Offer(msgspec.Struct, frozen=True):
    """An image of a mirror, where its bytes are, and whether the catalogue's signature was checked."""

    image: CatalogueImage
    source: str
    signed: bool


def is_signed(index: bytes, signature: bytes, key: bytes) -> bool:
    """``signature`` (base64) over ``index`` by ``key`` (PEM, or base64 of the 32 raw bytes). Pure."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if key.lstrip().startswith(b"-----BEGIN"):
            public = load_pem_public_key(key)
            if not isinstance(public, Ed25519PublicKey):
                return False
        else:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=False))
        public.verify(base64.b64decode(signature, validate=False), index)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


async def offer(mirror: str, name: str, *, trust_key: str, insecure: bool, trusted: tuple[str, ...] = ()) -> Offer:
    """What ``mirror`` (a directory or an http(s) URL) offers under ``name``.

    Unsafe ``image-unsigned`` when the signature is missing or wrong and ``insecure`` was not said.
    """
    if not mirror:
        raise Invalid("mirror-missing", "no mirror is set", hint="give --source, or set image_mirror in the settings")
    checked(mirror)
    index = await asyncio.to_thread(_bytes, mirror, "index.json", trusted)
    doubt = await asyncio.to_thread(_doubt, mirror, index, trust_key, trusted)
    if doubt and not insecure:
        raise Unsafe("image-unsigned", doubt, hint="--insecure takes it all the same, and marks the image")
    try:
        catalogue = msgspec.json.decode(index, type=Catalogue)
    except msgspec.MsgspecError as fault:
        raise Invalid("catalogue-invalid", f"{mirror}: {fault}") from fault
    for image in catalogue.images:
        if image.name == name:
            return Offer(image, _place(mirror, image.file), signed=not doubt)
    names = ", ".join(image.name for image in catalogue.images[:20])
    raise Missing("image-not-offered", f"{mirror} does not offer {name}; it has: {names or 'nothing'}")


def _doubt(mirror: str, index: bytes, trust_key: str, trusted: tuple[str, ...]) -> str:
    """Why the catalogue may not be the one that was signed; "" when it is."""
    if not trust_key:
        return "no trust key is set"
    try:
        key = Path(trust_key).read_bytes()
    except OSError as fault:
        raise HostFault("trust-key-unreadable", f"{trust_key}: {fault.strerror}") from fault
    try:
        signature = _bytes(mirror, "index.json.sig", trusted)
    except HostFault as fault:
        return f"there is no signature of the catalogue: {fault.detail}"
    return "" if is_signed(index, signature, key) else f"the signature of {mirror} does not fit the key {trust_key}"


def _place(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{name}"


def _whole(answer: Response) -> bytes:
    """All of it, or one byte more than may be."""
    data = bytearray()
    while len(data) <= _MAX and (piece := answer.read(_MAX + 1 - len(data))):
        data += piece
    return bytes(data)


def _bytes(mirror: str, name: str, trusted: tuple[str, ...]) -> bytes:
    place = _place(mirror, name)
    if is_url(mirror):
        with http_response(place, {}, trusted=trusted) as answer:
            data = _whole(answer)
    else:
        try:
            with opened(place) as file:
                data = file.read(_MAX + 1)
        except OSError as fault:
            raise HostFault("mirror-away", f"{place}: {fault.strerror}") from fault
    if len(data) > _MAX:
        raise Invalid("catalogue-invalid", f"{place} is larger than {_MAX:,} bytes")
    return data
