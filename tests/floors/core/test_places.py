"""Where somebody listens."""

from __future__ import annotations

import pytest

from girginosvm.core.places import is_place, place_of


@pytest.mark.parametrize(
    ("text", "place"),
    [("192.0.2.1:1995", ("192.0.2.1", 1995)), ("[2001:db8::1]:1", ("2001:db8::1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_an_address_and_a_port(text: str, place: tuple[str, int]) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "nowhere", "192.0.2.4", "192.0.2.4:", "192.0.2.4:x", "192.0.2.4:0", "192.0.2.4:65536", "192.0.2.4:\u0661",
     "host:1", "1:1:1", "999.1.1.1:80", "[:::]:80", "192.0.2.4: 80", "192.0.2.4:-1"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert not is_place(text)
