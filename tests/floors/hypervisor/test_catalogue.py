"""Whose list of images is believed, and why one is not."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from girginosvm.core.errors import HostFault, Unsafe
from girginosvm.hypervisor.storage.catalogue import offer

DEBIAN = {"name": "debian", "file": "debian.qcow2", "sha256": "0" * 64, "size": 9}
INDEX = msgspec.json.encode({"images": [DEBIAN]})


def published(folder: Path, key: Ed25519PrivateKey, signed: bytes = INDEX) -> str:
    """A mirror in ``folder``; answers where the key's public half is."""
    (folder / "index.json").write_bytes(INDEX)
    (folder / "index.json.sig").write_bytes(base64.b64encode(key.sign(signed)))
    public = folder / "trust.pub"
    public.write_bytes(base64.b64encode(key.public_key().public_bytes_raw()))
    return str(public)


async def test_a_signed_catalogue_is_believed(tmp_path: Path) -> None:
    trust = published(tmp_path, Ed25519PrivateKey.generate())
    found = await offer(str(tmp_path), "debian", trust_key=trust, insecure=False)
    assert (found.source, found.signed) == (str(tmp_path / "debian.qcow2"), True)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("no key", "no trust key is set"),
        ("other bytes", "the signature of .* does not fit the key"),
        ("no signature", "there is no signature of the catalogue: .*index.json.sig: No such file"),
    ],
)
async def test_one_that_nobody_trusted_has_signed_is_refused_with_the_reason_and_marked_where_that_is_overruled(
    tmp_path: Path, harm: str, why: str
) -> None:
    trust = published(tmp_path, Ed25519PrivateKey.generate(), INDEX + b" " if harm == "other bytes" else INDEX)
    if harm == "no signature":
        (tmp_path / "index.json.sig").unlink()
    trust = "" if harm == "no key" else trust
    with pytest.raises(Unsafe, match=why) as refused:
        await offer(str(tmp_path), "debian", trust_key=trust, insecure=False)
    assert refused.value.code == "image-unsigned"
    found = await offer(str(tmp_path), "debian", trust_key=trust, insecure=True)
    assert not found.signed


async def test_a_trust_key_that_cannot_be_read_is_a_fault_of_this_host_and_overruled_by_nobody(tmp_path: Path) -> None:
    published(tmp_path, Ed25519PrivateKey.generate())
    with pytest.raises(HostFault) as fault:
        await offer(str(tmp_path), "debian", trust_key=str(tmp_path / "gone.pub"), insecure=True)
    assert fault.value.code == "trust-key-unreadable"
