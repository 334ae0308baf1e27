"""A certificate authority for tests, and members' certificates of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from girginosvm.core.ids import member_uri
from girginosvm.raft.credentials import Credentials

PEM = serialization.Encoding.PEM
_LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """``credentials`` makes a member's files under ``folder``."""

    def __init__(self, folder: Path, name: str = "cluster") -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = self._folder / "ca.crt"
        self.ca.write_bytes(self._certificate.public_bytes(PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 0
    ) -> x509.CertificateBuilder:  # fmt: skip
        now = datetime.now(UTC) + timedelta(days=days)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def credentials(self, *members: str, uri: str = member_uri("", ""), days: int = 0) -> Credentials:
        """A certificate with the URIs of ``members`` (one, unless the test is about another number), made so many
        ``days`` from now and good for one."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.UniformResourceIdentifier(uri + member) for member in members]
        certificate = (
            self._builder(_name("n2"), key, days)  # the common name says nothing, and everybody's is the same
            .add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("host"), _LOOPBACK]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        own = self._folder / f"{'+'.join(members) or 'nobody'}.pem"
        own.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(PEM)
        )
        return Credentials(self.ca, own)
