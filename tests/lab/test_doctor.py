"""The doctor and its bundle on a host with its own libvirtd and packet filter."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import LabHost
from tests.lab.product import CHECKOUT, Product
from tests.lab.spaces import until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def product(host: LabHost) -> Product:
    one = Product(host)
    one.prepare({})
    one.start()
    return one


def said(product: Product, *words: str) -> tuple[int, Any]:
    """The command line inside the host: its exit code and what it says."""
    argv = (sys.executable, "-m", "girginosvm", *words, "--root", str(product.host.root), "-f", "json")
    done = product.host.exec("env", f"PYTHONPATH={CHECKOUT}", *argv, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout or "null")


def checks(product: Product) -> dict[str, dict[str, str]]:
    """By name, the worst of each."""
    return {one["name"]: one for one in reversed(said(product, "doctor")[1]["checks"])}


def test_a_host_that_is_well_is_told_so(product: Product) -> None:
    code, value = said(product, "doctor")
    bad = [one for one in value["checks"] if one["state"] != "ok"]
    # Where the lab has no hardware acceleration, that is said, and nothing else.
    assert [one["name"] for one in bad] in ([], ["libvirt"]), bad
    assert code == (1 if bad else 0)
    found = checks(product)
    assert found["libvirt"]["says"].startswith("libvirt ")
    assert "QEMU " in found["libvirt"]["says"]
    assert found["ports"]["says"] == "listening: 1996 (panel and API)"
    assert found["pool"]["state"] == found["work"]["state"] == "ok"


def test_a_libvirtd_that_is_away_is_a_failure_until_it_is_back(product: Product) -> None:
    product.host.kill_libvirtd()
    try:
        until(lambda: checks(product)["libvirt"]["state"] == "fail", 60, "the doctor to miss libvirt")
        assert said(product, "doctor")[0] == 2
    finally:
        product.host.start_libvirtd()
    until(lambda: checks(product)["libvirt"]["state"] != "fail", 60, "the doctor to find libvirt again")


def test_the_bundle_has_what_libvirt_and_the_packet_filter_say(product: Product, tmp_path: Path) -> None:
    for family in ("bridge", "inet"):  # ours are made with the first machine; these stand for them
        product.host.exec("nft", "add", "table", family, "girginosvm")
    file = tmp_path / "b.tar.gz"
    code, value = said(product, "doctor", "bundle", str(file))
    assert code == 0
    missing = {one["part"] for one in value["missing"]}
    assert not [part for part in missing if part.startswith(("host/virsh", "host/nft", "agent/", "files/"))], value
    with tarfile.open(file) as tar:
        parts = {one.name.partition("/")[2]: tar.extractfile(one) for one in tar.getmembers()}
        words = {name: part.read().decode() for name, part in parts.items() if part is not None}
    assert "table bridge girginosvm" in words["host/nft-bridge.txt"]
    assert "table inet girginosvm" in words["host/nft-inet.txt"]
    assert "<capabilities>" in words["host/virsh-capabilities.xml"]
    assert "Running hypervisor: QEMU" in words["host/virsh-version.txt"]
    assert words["host/virsh-list.txt"].split()[:3] == ["Id", "Name", "State"]
