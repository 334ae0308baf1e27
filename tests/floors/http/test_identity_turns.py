"""The keys of a node while rounds that know nothing of each other make and replace them."""

from __future__ import annotations

import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from girginosvm.http.tls import Identity, new_authority

ROUNDS = 30


def test_certificates_and_authorities_that_are_made_at_once_do_not_mix(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    identity = Identity(folder)
    identity.ensure(["n1"])
    known = [new_authority() for _ in range(3)]
    faults: list[Exception] = []

    def adopting() -> None:
        for number in range(ROUNDS):
            certificate, key = known[number % 3]
            identity.adopt(key, [certificate])

    def serving() -> None:
        for number in range(ROUNDS):
            identity.ensure([f"n{number}"])
            identity.context()
            identity.authority()

    def run(deed: object) -> None:
        try:
            deed()  # type: ignore[operator]
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(deed,)) for deed in (adopting, serving, serving)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    identity.ensure(["n1"])
    certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert oct((folder / "ca.key").stat().st_mode)[-3:] == "600"
    assert b"PRIVATE" not in (folder / "ca.crt").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["authority.pem", "ca.crt", "ca.key", "server.pem"]
