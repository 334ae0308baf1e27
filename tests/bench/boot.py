"""From asking for a machine to the first byte on its serial port, real libvirt and QEMU, beside plain virsh with the
same XML and image in the same lab."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from pathlib import Path

from tests.bench.table import line, spread
from tests.lab import guest
from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product
from tests.lab.spaces import until
from tests.scenarios.node import UnixLink

RUNS = 5


def first_byte(log: Path) -> None:
    until(lambda: log.exists() and log.stat().st_size > 0, 60, f"a byte in {log}")


def ours(product: Product, number: int) -> tuple[float, str]:
    """Seconds from the request to the byte; the machine's id."""
    link = UnixLink(product.host.root / "run/girginosvm/agent.sock")
    body = {"name": f"b{number}", "image": "tiny", "network": "lab", "memory_mb": 256}
    began = time.perf_counter()
    link.request("POST", "/v1/vms", json.dumps(body), {"Content-Type": "application/json"})
    made = json.loads(link.getresponse().read())
    link.close()
    first_byte(product.host.root / f"var/lib/girginosvm/serial/{made['vm']}.log")
    return time.perf_counter() - began, str(made["vm"])


def virsh(host: LabHost, xml: str, image: Path, number: int) -> float:
    """qemu-img create, define, start: what a person would type."""
    folder = host.root / "plain"
    name, disk, log = f"plain{number}", folder / f"p{number}.qcow2", folder / f"p{number}.log"
    xml = re.sub(r"<uuid>.*?</uuid>", f"<uuid>{uuid.uuid4()}</uuid>", xml)
    xml = re.sub(r"<name>.*?</name>", f"<name>{name}</name>", xml)
    xml = re.sub(r"(<source file=')[^']*-0\.qcow2'", rf"\g<1>{disk}'", xml)
    xml = re.sub(r"(<source file=')[^']*\.iso'", rf"\g<1>{folder}/seed.iso'", xml)
    xml = re.sub(r"(<log file=')[^']*'", rf"\g<1>{log}'", xml)
    xml = re.sub(r"'[^']*/run/girginosvm/vm/[^']*\.(vnc|serial)'", rf"'{folder}/{name}.\1'", xml)
    (folder / f"{name}.xml").write_text(xml)
    began = time.perf_counter()
    host.exec("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "qcow2", str(disk), "1G")
    host.exec("virsh", "define", str(folder / f"{name}.xml"))
    host.exec("virsh", "start", name)
    first_byte(log)
    took = time.perf_counter() - began
    host.exec("virsh", "destroy", name)
    host.exec("virsh", "undefine", name)
    return took


def measure() -> None:
    with LabHost() as host:
        product = Product(host)
        product.prepare({"tiny": guest.tiny()})
        product.start()
        product("image", "pull", "tiny")
        product("net", "pool", "add", *NETWORK)
        (image,) = (host.root / "var/lib/girginosvm/images").glob("*.qcow2")
        _, first = ours(product, 0)  # warms what is read for the first time, and gives the XML
        product.wait_state("b0", "running")
        xml = host.exec("virsh", "dumpxml", "--inactive", first).stdout
        (host.root / "plain").mkdir(mode=0o755)
        shutil.chown(host.root / "plain", host.qemu, host.qemu)  # QEMU makes its VNC socket in it
        shutil.copy(host.root / f"var/lib/girginosvm/seeds/{first}.iso", host.root / "plain/seed.iso")
        product("vm", "destroy", "b0", "--purge", "--force")
        until(lambda: product.vm("b0") is None, 60, "b0 to go")
        virsh(host, xml, image, 0)
        mine, plain = [], []
        for number in range(1, RUNS + 1):
            took, _ = ours(product, number)
            mine.append(took)
            product("vm", "destroy", f"b{number}", "--purge", "--force")
            until(lambda: not host.emulators(), 60, "QEMU to go")
            plain.append(virsh(host, xml, image, number))
        line("create to the first serial byte", spread(mine, "s"),
             f"qemu-img, virsh define, virsh start: {spread(plain, 's')}; {RUNS} runs each, by turns")  # fmt: skip
