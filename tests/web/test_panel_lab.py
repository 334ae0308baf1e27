"""What a person does on the first day, in the panel, on real libvirt and QEMU."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.lab import forward, guest
from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product

pytestmark = [pytest.mark.lab, pytest.mark.web]
BOOT_MS = 60_000


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """girginosvm on a host of its own, with an image and a network."""
    with LabHost(name="panelhost") as host:
        one = Product(host)
        one.prepare({"tiny": guest.tiny()})
        one.start()
        one("image", "pull", "tiny")
        one("net", "pool", "add", *NETWORK)
        yield one


@pytest.fixture(scope="module")
def address(product: Product) -> str:
    """The panel's address outside of the host's namespace."""
    listening = socket.create_server(("127.0.0.1", 0))
    argv = (sys.executable, str(Path(forward.__file__)), str(listening.fileno()), "127.0.0.1", "1996")
    product.host.spawn(*argv, log="forward.log", pass_fds=(listening.fileno(),))
    port = listening.getsockname()[1]
    listening.close()
    return f"https://127.0.0.1:{port}/"


@pytest.fixture
def page(chromium: Browser, faults: list[str]) -> Iterator[Page]:
    context = chromium.new_context(ignore_https_errors=True, locale="en-US", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    one = context.new_page()
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield one
    context.close()


def enter(page: Page, product: Product) -> None:
    """Sign in with the one-time password and choose another."""
    once = (product.host.root / "var/lib/girginosvm/pki/first-password").read_text().strip()
    page.fill("input[name=username]", "admin@local")
    page.fill("input[name=password]", once)
    page.keyboard.press("Enter")
    page.fill("input[name=new-password]", "a password of my own")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Overview')")


def create(page: Page, name: str) -> None:
    """By the form, from the empty list's own button."""
    page.get_by_role("link", name="Create machine").first.click()
    page.fill("#f-name", name)
    page.fill("#f-memory_mb", "0.25")
    page.select_option("#f-network", "lab")
    page.get_by_role("button", name=f"Create {name}").click()


def test_a_machine_from_sign_in_to_destroy_on_real_qemu(
    page: Page, product: Product, address: str, faults: list[Any]
) -> None:
    page.goto(address)
    enter(page, product)
    create(page, "web01")
    page.wait_for_selector("#detail .badge.run:has-text('Running')", timeout=BOOT_MS)
    page.get_by_role("link", name="Serial output").click()
    page.wait_for_selector(".serial:has-text('TINY READY web01')", timeout=BOOT_MS)
    page.get_by_role("button", name="Shut down…").click()
    page.get_by_role("button", name="Shut down web01").click()
    page.wait_for_selector("#detail .badge.stop:has-text('Stopped')", timeout=BOOT_MS)
    assert product.host.emulators() == []
    page.get_by_role("button", name="More for web01").click()
    page.get_by_role("menuitem", name="Destroy…").click()
    page.get_by_label("Erase its disk too").check()
    page.get_by_label("Type web01").fill("web01")
    page.get_by_role("button", name="Destroy web01").click()
    page.wait_for_selector("#detail", state="detached")
    page.get_by_role("heading", name="No machines yet").wait_for()
    assert product("vm", "list") == []
    assert product("storage", "disk", "list") == []
    assert faults == []
