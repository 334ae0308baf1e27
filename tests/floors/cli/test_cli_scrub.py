"""What is taken out of a text, and what is left in it."""

from __future__ import annotations

import hashlib

import pytest

from girginosvm.cli.scrub import GONE, Scrubber, private_lines

KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49
AwEHoUQ=
-----END EC PRIVATE KEY-----"""
TOKEN = "ops-" + "aB3_-" * 8 + "xyz"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"joined with {TOKEN}.", TOKEN),
        (f"session gvm-{'Q' * 43} ended", "Q" * 43),
        ("sealed:1:AAECAwQFBgcICQoLDA0ODw== in a row", "AAECAwQFBgcICQoLDA0ODw=="),
        ("hash $argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA here", "c2FsdA$aGFzaA"),
        ("root:$6$saltsalt$abcdefghijk:19000", "saltsalt$abcdefghijk"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("https://mirror:hunter2@images.example.net/x", "hunter2"),
        ("password: hunter2hunter", "hunter2hunter"),
        ('{"password": "hunter2hunter"}', "hunter2hunter"),
        ('"chpasswd": "{\\"password\\": \\"hunter2hunter\\"}"', "hunter2hunter"),
        ("<graphics type='vnc' passwd='vncvncvn' port='-1'/>", "vncvncvn"),
        ("GIRGINOSVM_TOKEN=abcd1234", "abcd1234"),
        ("api_key = 'k-123456'", "k-123456"),
        (f"a log line with {KEY} in it", "MHcCAQEEIIrYSSNQFaA2"),
        (KEY[:90], "MHcCAQEEIIrYSSNQFaA2"),  # cut off in the middle
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_goes(text: str, secret: str) -> None:
    said = Scrubber().clean(text)
    assert secret not in said
    assert GONE in said


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "token", "value": "(set)", "source": "GIRGINOSVM_TOKEN"}', '"tokens_endless": []',
        "made token billing", "https://images.example.net:8443/debian", "2026-11-26T10:59:14.000Z raft.leads term=4",
        "<secret type='vnc'/>", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "01a21782-615f-762b-afe0-0af9e11d2670", "password_hash TEXT NOT NULL",
    ],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert Scrubber().clean(text) == text


def test_a_known_secret_goes_wherever_it_stands_and_a_short_word_is_none() -> None:
    scrubber = Scrubber(["correct horse battery", "horse battery", "n1"])
    assert scrubber.clean("n1 said 'correct horse battery', then horse battery") == f"n1 said '{GONE}', then {GONE}"


@pytest.mark.parametrize("around", ["{}", "with {}.", "token={}", "({})", "a {} b", "{}\n"])
def test_a_secret_that_is_known_by_its_hash_goes_and_so_does_the_hash(around: str) -> None:
    secret = "any-shape-0123456789"
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    scrubber = Scrubber(hashes=[hashed])
    assert secret not in scrubber.clean(around.format(secret))
    assert hashed not in scrubber.clean(around.format(hashed))
    assert scrubber.clean("any-shape-0123456788") == "any-shape-0123456788"


def test_a_private_key_is_known_by_each_of_its_lines() -> None:
    lines = private_lines(f"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{KEY}\n")
    assert "AwEHoUQ=" in lines
    assert "MIIB" not in lines
    assert Scrubber(lines).clean("it begins with AwEHoUQ= and") == f"it begins with {GONE} and"
