"""What is wrong with a field, said to the person who wrote it: no types, no regular expressions."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from girginosvm.core.errors import Invalid
from girginosvm.core.fields import extra_of
from girginosvm.features.auth.commands import CreateUser
from girginosvm.features.registry import REGISTRY
from girginosvm.features.vm.commands import CreateVm
from girginosvm.http import decode

GOOD = {"name": "web01", "image": "tiny"}


def said(kind: type[Any], fields: dict[str, Any]) -> str:
    with pytest.raises(Invalid) as caught:
        decode.struct(kind, {}, fields, lax=False)
    return str(caught.value.detail)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memory_mb": 1}, "memory_mb: 64 MiB or more, not 1 MiB"),
        ({"disk_gb": 99999}, "disk_gb: 65536 GiB at most, not 99999 GiB"),
        ({"vcpu": "two"}, "vcpu: has to be a whole number, not text"),
        ({"image": ""}, "image: cannot be empty"),
        ({"firmware": "efi"}, "firmware: has to be auto or bios or uefi; 'efi' is not"),
        (
            {"name": "Web 01"},
            "name: has to be lower-case letters, digits and dashes, no dash first or last, 63 characters at most; "
            "'Web 01' is not",
        ),
        (
            {"ssh_keys": ["/root/.ssh/id.pub"]},
            "ssh_keys/0: has to be the line of a public key, as `ssh-ed25519 AAAA... ada@desk`; "
            "'/root/.ssh/id.pub' is not",
        ),
    ],
)
def test_what_is_wrong_with_a_field_is_a_sentence_with_the_value(fields: dict[str, Any], words: str) -> None:
    assert said(CreateVm, {**GOOD, **fields}) == words


def test_a_password_that_is_too_short_is_not_repeated() -> None:
    words = said(CreateUser, {"email": "ada@example.org", "role": "viewer", "password": "hunter2"})
    assert words == "password: has to have 12 characters or more; these are 7"


def _patterns(kind: inspect.Type) -> Iterator[str]:
    match kind:
        case inspect.Metadata():
            yield from _patterns(kind.type)
        case inspect.StrType(pattern=str(pattern)):
            yield pattern
        case inspect.VarTupleType() | inspect.ListType():
            yield from _patterns(kind.item_type)
        case inspect.UnionType():
            for one in kind.types:
                yield from _patterns(one)
        case _:
            pass


def test_every_pattern_that_a_person_can_miss_is_told_in_words() -> None:
    silent = []
    for kind in REGISTRY.actions:
        if not kind.action.cli:
            continue
        words = extra_of(kind)
        shape = inspect.type_info(kind)
        assert isinstance(shape, inspect.StructType)
        silent += [
            f"{kind.__name__}.{field.name}"
            for field in shape.fields
            if any(_patterns(field.type)) and not words[field.name].get("wants")
        ]
    assert silent == []
