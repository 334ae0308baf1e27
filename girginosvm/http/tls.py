"""The node's own CA and server certificate, made at first start, renewed in time; TLS 1.3 and nothing older."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach

VALID_DAYS: Final = 90
RENEW_DAYS: Final = 60
_CA_DAYS: Final = 3650
_SKEW: Final = timedelta(hours=1)


class Identity:
    """Files under ``pki``: ``ca.key`` and ``server.pem`` (key and certificate; 0600), ``ca.crt`` (0644)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file = folder / "ca.crt"

    def ensure(self, names: Iterable[str], *, now: datetime | None = None) -> bool:
        """Make what is missing; a new server certificate after 60 days, or when ``names`` (host names and addresses)
        are others. Answers whether the server certificate is new."""
        now = now or datetime.now(UTC)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca_key, ca = self._authority(now)
        wanted = sorted({"localhost", "127.0.0.1", "::1", *filter(None, names)})
        if self._serves(wanted, ca, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(wanted[-1][:60], ca.subject, key.public_key(), now, VALID_DAYS)
            .add_extension(x509.SubjectAlternativeName([_name(one) for one in wanted]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        # One file for both: a crash leaves the old pair or the new one, never a key without its certificate.
        _write(
            self._folder / "server.pem", _key_bytes(key) + certificate.public_bytes(serialization.Encoding.PEM), 0o600
        )
        return True

    def context(self) -> ssl.SSLContext:
        """A server context; ``reload`` gives a running one the new certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        self.reload(context)
        return context

    def reload(self, context: ssl.SSLContext) -> None:
        """Use the certificate on disk for connections from now on."""
        context.load_cert_chain(self._folder / "server.pem")

    def fingerprint(self) -> str:
        """SHA-256 of the CA's certificate, as an operator would compare it."""
        certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        return certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def _authority(self, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key_file = self._folder / "ca.key"
        if self.ca_file.exists() or (self._folder / "server.pem").exists():
            return _known_authority(key_file, self.ca_file)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, f"girginosvm CA {x509.random_serial_number():x}"[:60])]
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder("", name, key.public_key(), now, _CA_DAYS)
            .subject_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(key_file, _key_bytes(key), 0o600)
        _write(self.ca_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return key, certificate

    def _serves(self, wanted: list[str], ca: x509.Certificate, now: datetime) -> bool:
        try:
            data = (self._folder / "server.pem").read_bytes()
            key = serialization.load_pem_private_key(data, None)
            found = x509.load_pem_x509_certificate(data)
            found.verify_directly_issued_by(ca)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
            return False
        born = found.not_valid_before_utc
        fits = _public(key) == _public(found)
        return fits and born <= now < born + timedelta(days=RENEW_DAYS) and set(names) == {_name(one) for one in wanted}


def _known_authority(key_file: Path, ca_file: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Key and certificate that were made before; HostFault ``pki-damaged``: others in their place would be a node that
    nobody trusts, so that is for a person to say."""
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(ca_file.read_bytes())
        certificate.verify_directly_issued_by(certificate)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or _public(key) != _public(certificate):
            raise ValueError("the key is not the certificate's")
    except (OSError, ValueError, TypeError, InvalidSignature) as fault:
        why = str(fault).partition("\n")[0] or type(fault).__name__
        raise HostFault(
            "pki-damaged", f"{key_file} and {ca_file} are no longer the pair that was made here: {why}",
            hint="put both back from a copy",
        ) from fault  # fmt: skip
    return key, certificate


def _public(owner: Any) -> bytes:
    raw: bytes = owner.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw


def _builder(
    common: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )
    if common:
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
    return builder


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all: aside, flushed, renamed."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    reach(f"pki.{path.name}:before")
    os.replace(aside, path)
    reach(f"pki.{path.name}:after")
