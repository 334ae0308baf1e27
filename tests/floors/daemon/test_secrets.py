"""Secrets on their way into the log: sealed or digested with a key that is made once and kept."""

import stat
from pathlib import Path

import pytest

from girginosvm.core.clock import SystemChance
from girginosvm.core.errors import HostFault
from girginosvm.daemon.secrets import ClusterKey, load_key

CHANCE = SystemChance()


def test_the_key_is_made_once_and_only_root_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "pki/cluster.key"
    sealed = load_key(path, CHANCE).seal("#cloud-config")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path, CHANCE).unseal(sealed) == "#cloud-config"


def test_a_request_has_the_same_digest_after_a_restart_and_another_one_in_another_cluster(tmp_path: Path) -> None:
    request = b'CreateUser\0{"password": "a guess"}'
    ours, again = (load_key(tmp_path / "ours", CHANCE).digest(request) for _ in range(2))
    assert ours == again
    assert ours != load_key(tmp_path / "theirs", CHANCE).digest(request)


def test_what_another_key_sealed_or_somebody_changed_does_not_open(tmp_path: Path) -> None:
    key = load_key(tmp_path / "ours", CHANCE)
    sealed = load_key(tmp_path / "theirs", CHANCE).seal("secret")
    whole = key.seal("secret")
    changed = whole[:-6] + ("A" if whole[-6] != "A" else "B") + whole[-5:]
    for text in (sealed, changed, "sealed:1:", "nothing sealed"):
        with pytest.raises(HostFault) as caught:
            key.unseal(text)
        assert caught.value.code == "seal-broken"
        assert "secret" not in caught.value.detail


def test_the_same_text_is_never_sealed_alike(tmp_path: Path) -> None:
    key = load_key(tmp_path / "ours", CHANCE)
    assert key.seal("secret") != key.seal("secret")


def test_a_new_key_seals_and_the_ones_before_it_open(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    key = load_key(path, CHANCE)
    before, digest, mark = key.seal("old"), key.digest(b"request"), key.mark
    fresh = key.with_new().keys[0]
    assert key.add(fresh, path)
    assert not key.add(fresh, path)
    for one in (key, load_key(path, CHANCE, mark=mark)):
        assert one.unseal(before) == "old"
        assert (one.digest(b"request"), one.mark) == (digest, mark)
        assert one.keys[0] == fresh
    sealed = key.seal("new")
    removed = ClusterKey(key.keys[-1], chance=CHANCE)  # what a removed node has
    with pytest.raises(HostFault):
        removed.unseal(sealed)
