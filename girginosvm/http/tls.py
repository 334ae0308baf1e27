"""The cluster's CA and this node's certificate, made at first start, renewed in time; TLS 1.3 and nothing older.

One certificate serves the panel, the API, the Raft port and the calls of one node to another: it names the host (for
browsers) and the member (for the other nodes).
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.points import reach
from girginosvm.core.timeless import timeless

VALID_DAYS: Final = 90
RENEW_DAYS: Final = 60
_CA_DAYS: Final = 3650
_SKEW: Final = timedelta(hours=1)


class Identity:
    """Files under ``pki``: ``ca.key`` and ``server.pem`` (key and certificate; 0600), ``ca.crt`` (0644). One thread at
    a time: what is made of several files is read and written by rounds that know nothing of each other."""

    def __init__(self, folder: Path, *, uri: str = "") -> None:
        """``uri``: what names this node among the members (``core.ids.member_uri``)."""
        self._folder = folder
        self._uri = uri
        self.ca_file = folder / "ca.crt"
        self._turn = threading.RLock()

    def ensure(self, names: Iterable[str], *, now: datetime | None = None) -> bool:
        """Make what is missing; a new server certificate after 60 days, or when ``names`` (host names and addresses)
        are others. Answers whether the server certificate is new."""
        with self._turn:
            return self._ensured(names, now or datetime.now(UTC))

    def _ensured(self, names: Iterable[str], now: datetime) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca_key, ca = self._authority(now)
        wanted = wanted_names(names)
        if self._serves(wanted, ca, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(ca_key, ca, key.public_key(), wanted, self._uri, now)
        # One file for both: a crash leaves the old pair or the new one, never a key without its certificate.
        _write(
            self._folder / "server.pem", _key_bytes(key) + certificate.public_bytes(serialization.Encoding.PEM), 0o600
        )
        return True

    def context(self) -> ssl.SSLContext:
        """A server context; ``reload`` gives a running one the new certificate. Whoever shows a certificate has to show
        one of the cluster's CA: that is how a node is known to another. Browsers show none."""
        context = timeless(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = ssl.CERT_OPTIONAL
        self.reload(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For calls to other nodes: they have to show a certificate of the cluster's CA, and see ours. Whom it names is
        for the caller to look at (``core.ids.member_of``)."""
        context = timeless(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        self.reload(context)
        return context

    def reload(self, context: ssl.SSLContext) -> None:
        """Use the certificate on disk for connections from now on."""
        with self._turn:
            context.load_verify_locations(self.ca_file)
            context.load_cert_chain(self._folder / "server.pem")

    def admit(self, request: bytes, names: Iterable[str], uri: str, *, now: datetime | None = None) -> bytes:
        """A certificate (PEM) for the public key in a signing request (PEM), as the member that ``uri`` names. Nothing
        else of the request is believed. Invalid ``signing-request`` when it is none, or not signed by its own key."""
        now = now or datetime.now(UTC)
        try:
            asked = x509.load_pem_x509_csr(request)
            key = asked.public_key()
            if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError("it is not signed by an elliptic-curve key of its own")
        except ValueError as fault:
            raise Invalid("signing-request", f"no signing request of a node: {fault}") from fault
        ca_key, ca = self._authority(now)
        return _signed(ca_key, ca, key, wanted_names(names), uri, now).public_bytes(serialization.Encoding.PEM)

    def adopt(self, key: str, certificates: Iterable[str]) -> bool:
        """Sign with this CA key from now on; trust these CAs, of which the first is the key's. PEM all. False when it
        is so already. One file first: a crash, or a full disk, between the two that are made of it is mended at the
        next look."""
        whole = (key.strip() + "\n" + "".join(one.strip() + "\n" for one in certificates)).encode()
        file = self._folder / "authority.pem"
        with self._turn:
            same = file.exists() and file.read_bytes() == whole
            if not same:
                _write(file, whole, 0o600)
            settled = self._settle()
        return settled or not same

    def _settle(self) -> bool:
        """``ca.key`` and ``ca.crt`` are what ``authority.pem`` says, if there is one. Answers whether one was not."""
        file = self._folder / "authority.pem"
        if not file.exists():
            return False
        wrote = False
        key, mark, certificates = file.read_text().partition("-----BEGIN CERTIFICATE-----")
        for path, text, mode in (
            (self._folder / "ca.key", key, 0o600), (self.ca_file, mark + certificates, 0o644),
        ):  # fmt: skip
            if not path.exists() or path.read_text() != text:
                _write(path, text.encode(), mode)
                wrote = True
        return wrote

    def issuer(self) -> bytes:
        """The CA (PEM) of those in ``ca.crt`` that signed what this node shows; empty when none did."""
        with self._turn:
            shown = x509.load_pem_x509_certificate((self._folder / "server.pem").read_bytes())
            trusted = x509.load_pem_x509_certificates(self.ca_file.read_bytes())
        for one in trusted:
            try:
                shown.verify_directly_issued_by(one)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return one.public_bytes(serialization.Encoding.PEM)
        return b""

    def authority(self) -> tuple[str, str]:
        """The CA's certificate and its key, both PEM."""
        with self._turn:
            self._authority(datetime.now(UTC))
            return self.ca_file.read_text(), (self._folder / "ca.key").read_text()

    def fingerprint(self) -> str:
        """SHA-256 of the CA's certificate, as an operator would compare it."""
        certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        return certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def _authority(self, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        with self._turn:
            return self._known_or_new(now)

    def _known_or_new(self, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        self._settle()
        key_file = self._folder / "ca.key"
        if self.ca_file.exists() or (self._folder / "server.pem").exists():
            return _known_authority(key_file, self.ca_file)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key, now)
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
        return fits and born <= now < born + timedelta(days=RENEW_DAYS) and set(names) == set(_names(wanted, self._uri))


def wanted_names(names: Iterable[str]) -> list[str]:
    """Host names and addresses of a certificate: those, and the host as it calls itself."""
    return sorted({"localhost", "127.0.0.1", "::1", *filter(None, names)})


def signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PEM (RFC 2986) for a key: what it asks for is nothing, since the CA says who we are."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A node's key (NIST P-256)."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority() -> tuple[str, str]:
    """A fresh CA: its certificate and its key, PEM both."""
    key = new_key()
    certificate = _self_signed(key, datetime.now(UTC))
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _key_bytes(key).decode()


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"girginosvm CA {x509.random_serial_number():x}"[:60])])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder("", name, key.public_key(), now, _CA_DAYS)
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def key_and_certificate(key: ec.EllipticCurvePrivateKey, certificate: bytes) -> bytes:
    """One file for both (PEM); HostFault ``certificate-foreign`` when the certificate is not the key's."""
    if _public(x509.load_pem_x509_certificate(certificate)) != _public(key):
        raise HostFault("certificate-foreign", "the certificate that came is for another key")
    return _key_bytes(key) + certificate


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate (PEM), 64 hex digits; Invalid ``certificate-unreadable`` when it is none."""
    try:
        return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    except ValueError as fault:
        raise Invalid("certificate-unreadable", f"no certificate: {fault}") from fault


def alone(certificates: str) -> str:
    """The first of these certificates, and nothing else of the text (PEM); Invalid ``certificate-unreadable``. It is
    the one that ``fingerprint_of`` looks at, so what comes behind it is nobody's word."""
    try:
        found = x509.load_pem_x509_certificate(certificates.encode("utf-8", "replace"))
    except ValueError as fault:
        raise Invalid("certificate-unreadable", f"no certificate: {fault}") from fault
    return found.public_bytes(serialization.Encoding.PEM).decode()


def _signed(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, key: ec.EllipticCurvePublicKey, wanted: list[str],
    uri: str, now: datetime,
) -> x509.Certificate:  # fmt: skip
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if uri else [])]
    return (
        _builder(wanted[-1][:60], ca.subject, key, now, VALID_DAYS)
        .add_extension(x509.SubjectAlternativeName(_names(wanted, uri)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _names(wanted: list[str], uri: str) -> list[x509.GeneralName]:
    named = [_name(one) for one in wanted]
    return [*named, x509.UniformResourceIdentifier(uri)] if uri else named


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
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    reach(f"pki.{path.name}:before")
    os.replace(aside, path)
    reach(f"pki.{path.name}:after")
