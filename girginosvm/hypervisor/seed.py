"""NoCloud seeds (cloud-init): an ISO 9660 image labelled ``cidata``, readable by QEMU only."""

from __future__ import annotations

import asyncio
import io
import os
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import msgspec

from girginosvm.core.errors import Fault, Invalid, disk_fault
from girginosvm.core.host import SeedSpec
from girginosvm.core.points import reach
from girginosvm.hypervisor import owners


class IsoSeeds:
    """See ``Seeds``; works without root too."""

    async def ensure(self, spec: SeedSpec) -> None:
        """Write it; nothing when the same files are there (the image has dates, so its bytes always differ)."""
        try:
            await asyncio.to_thread(_write, spec)
        except OSError as fault:
            raise disk_fault("seed-failed", spec.path, fault) from fault

    async def remove(self, path: str) -> None:
        """Gone."""
        for one in (_aside(Path(path)), Path(path)):
            one.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """Where a seed is written before it has its name; it holds the same secrets."""
    return path.with_name(f".{path.name}.part")


def _write(spec: SeedSpec) -> None:
    path = Path(spec.path)
    if read_back(path) == files(spec):
        return
    data = iso(spec)
    owners.directory(path.parent, 0o751)
    aside = _aside(path)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        owners.give(aside, 0o640)
        reach("seed.rename:before")
        os.rename(aside, path)
        reach("seed.rename:after")
        owners.flush(path.parent)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def files(spec: SeedSpec) -> dict[str, bytes]:
    """The seed's files. Pure."""
    meta = {"instance-id": spec.machine, "local-hostname": spec.hostname}
    found = {
        # YAML's flow style is JSON, but small guests read lines: so lines, each value a JSON string's plain text.
        "meta-data": "".join(f"{name}: {value}\n" for name, value in meta.items()).encode(),
        "user-data": _user_data(spec).encode(),
    }
    if spec.network_config:
        found["network-config"] = spec.network_config.encode()
    return found


def _user_data(spec: SeedSpec) -> str:
    config: dict[str, object] = {"hostname": spec.hostname, "preserve_hostname": False}
    if spec.ssh_keys:
        config["ssh_authorized_keys"] = list(spec.ssh_keys)
    ours = "#cloud-config\n" + msgspec.json.format(msgspec.json.encode(config), indent=2).decode() + "\n"
    if not spec.user_data:
        return ours
    if spec.user_data.startswith("#!") and not spec.ssh_keys:
        return spec.user_data
    # Parts of a MIME message stay what they are; joined texts would let one rewrite the other. Ours comes second and
    # says how it joins: what the operator wrote stands, and keys in both are all let in. By cloud-init's own rule the
    # later part's list of keys would take the place of the earlier one's, without a word.
    whole = MIMEMultipart(boundary="==girginosvm==")
    own = _part(ours)
    own["Merge-Type"] = "dict(no_replace,recurse_list)+list(append)+str()"
    for part in (_part(spec.user_data), own):
        whole.attach(part)
    return whole.as_string()


def user_data_kind(text: str) -> str:
    """The MIME subtype that cloud-init knows such user-data by; Invalid ``user-data-unknown`` when it knows none."""
    kinds = {"#cloud-config": "cloud-config", "#!": "x-shellscript", "#include": "x-include-url",
             "#cloud-boothook": "cloud-boothook"}  # fmt: skip
    for start, name in kinds.items():
        if text.startswith(start):
            return name
    detail = "user-data begins with #cloud-config, #!, #include or #cloud-boothook"
    raise Invalid("user-data-unknown", detail, faults=(Fault("/user_data", detail),))


def _part(text: str) -> MIMEText:
    return MIMEText(text, user_data_kind(text), "utf-8")


def read_back(path: Path) -> dict[str, bytes]:
    """The files of the seed at ``path``; empty when there is none that can be read."""
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    image = pycdlib.PyCdlib()
    try:
        image.open(str(path))
    except (OSError, PyCdlibException):
        return {}
    found = {}
    try:
        for child in image.list_children(joliet_path="/"):
            if child.is_file():
                name = child.file_identifier().decode("utf-16-be")
                out = io.BytesIO()
                image.get_file_from_iso_fp(out, joliet_path=f"/{name}")
                found[name] = out.getvalue()
    except (PyCdlibException, UnicodeDecodeError):
        return {}
    finally:
        image.close()
    return found


def iso(spec: SeedSpec) -> bytes:
    """The image's bytes."""
    import pycdlib

    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, vol_ident="cidata", joliet=3, rock_ridge="1.09")
    for name, data in files(spec).items():
        short = name.replace("-", "").upper()[:8]
        image.add_fp(io.BytesIO(data), len(data), f"/{short}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()
