"""An image mirror in a directory, signed as the product expects it: ``index.json``, its Ed25519 signature in
``index.json.sig`` (base64), and the images beside them. ``trust.pub`` is the public key, PEM."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def write(folder: Path, images: dict[str, Path], *, uefi: frozenset[str] = frozenset()) -> Path:
    """Publish ``images`` (name -> qcow2 file) in ``folder`` under a key made for it; answers the public key's file.
    Those in ``uefi`` start through UEFI, the others through BIOS."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, source in sorted(images.items()):
        file = folder / f"{name}.qcow2"
        shutil.copy(source, file)
        seen = subprocess.run(
            ["qemu-img", "info", "--output=json", "-f", "qcow2", file], check=True, capture_output=True
        )
        entries.append(
            {
                "name": name,
                "version": "1",
                "file": file.name,
                "format": "qcow2",
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "size": file.stat().st_size,
                "virtual_size": json.loads(seen.stdout)["virtual-size"],
                "firmware": "uefi" if name in uefi else "bios",
            }
        )
    text = json.dumps({"images": entries}, indent=2).encode()
    key = Ed25519PrivateKey.generate()
    (folder / "index.json").write_bytes(text)
    (folder / "index.json.sig").write_bytes(base64.b64encode(key.sign(text)))
    public = folder / "trust.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public
