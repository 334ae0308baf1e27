"""What a member shows, whom it believes (TLS 1.3, certificates of the cluster's own CA), and where it listens."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import msgspec

from girginosvm.core.places import place_of
from girginosvm.core.timeless import timeless


class Credentials(msgspec.Struct, frozen=True):
    """``ca``: the cluster's CA certificate. ``own``: this member's certificate and key, in one PEM file. ``cluster``:
    whose members the certificates have to name."""

    ca: Path
    own: Path
    cluster: str = ""

    def context(self, *, server: bool) -> ssl.SSLContext:
        """TLS 1.3, both sides prove who they are; ssl.SSLError or OSError when a file does not fit."""
        context = timeless(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT))
        context.check_hostname = False  # the URI is looked at instead
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.own)
        if server:
            context.num_tickets = 0
        return context


class Address(msgspec.Struct, frozen=True):
    """Where a member listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """See ``places.place_of``."""
        return cls(*place_of(text))


NOWHERE: Final = Address("", 0)
