"""`doctor bundle` of a real node that is full of secrets, in every place that a secret can be in."""

from __future__ import annotations

import base64
import errno
import gzip
import http.client
import io
import json
import os
import ssl
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from girginosvm.cli import local
from girginosvm.cli.bundle import Bundle
from girginosvm.cli.client import Client
from girginosvm.cli.scrub import private_lines
from girginosvm.cli.trouble import Trouble
from tests.scenarios.node import REPO, Node, UnixLink, qcow2

USER_DATA = "#cloud-config\nchpasswd: {list: 'root:guest-password-3141'}\n"
CHOSEN = "a-password-of-my-own-2718"
TYPED = "typed-where-it-does-not-belong-1618"
VNC = "vnc-pass-5772"
MIRROR = "mirror-password-4669"
CLUSTER_TOKEN = "manual-cluster-token-0123456789"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    root = tmp_path_factory.mktemp("node")
    toml = root / "etc/girginosvm/girginosvm.toml"
    toml.parent.mkdir(parents=True)
    toml.write_text(f'token = "{CLUSTER_TOKEN}"\nimage_mirror = "https://reader:{MIRROR}@images.example.net/"\n')
    node = Node(root, GIRGINOSVM_ADDRESS="127.0.0.1")
    yield node.ready()
    node.remove()


def login(node: Node, password: str, chosen: str = "") -> str:
    """A session's token; its holder chooses another password first."""
    context = ssl.create_default_context(cafile=str(node.root / "var/lib/girginosvm/pki/ca.crt"))
    link = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=20, context=context)
    token = ""
    for path, body in (
        ("/v1/auth/login", {"email": "admin@local", "password": password}),
        ("/v1/auth/password", {"current": password, "new": chosen}),
    ):
        head = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        link.request("POST", path, json.dumps(body), head)
        answer = link.getresponse()
        said = json.loads(answer.read() or b"{}")
        assert answer.status < 300, said
        token = said.get("token") or token
    link.close()
    return token


def why(node: Node, text: str) -> None:
    """A command whose reason a person typed."""
    link = UnixLink(node.root / "run/girginosvm/agent.sock")
    name = f"p{len(node.ask('GET', '/v1/pools')['items'])}"
    body = json.dumps({"name": name, "path": f"/srv/{name}"})
    link.request("POST", "/v1/pools", body, {"Content-Type": "application/json", "X-Why": text})
    answer = link.getresponse()
    assert answer.status == 201, answer.read()
    link.close()


@pytest.fixture(scope="module")
def secrets(node: Node) -> dict[str, str]:
    """All of them, by what they are."""
    pki = node.root / "var/lib/girginosvm/pki"
    first = (pki / "first-password").read_text().strip()
    found = {
        "first password": first, "chosen password": CHOSEN, "user-data": "guest-password-3141", "vnc": VNC,
        "mirror": MIRROR, "token of the settings": CLUSTER_TOKEN, "cluster key": (pki / "cluster.key").read_text(),
        "ca key": private_lines((pki / "ca.key").read_text())[0],
        "typed": TYPED,
        "token": node.ask("POST", "/v1/tokens", {"name": "billing", "role": "viewer"})["token"],
        "join token": node.ask("POST", "/v1/membership/tokens", {})["token"], "session": login(node, first, CHOSEN),
    }  # fmt: skip
    node.upload("tiny", qcow2(node.root / "tiny.qcow2"))
    body = {"name": "web", "image": "tiny", "memory_mb": 256, "user_data": USER_DATA}
    vm = node.ask("POST", "/v1/vms", body)["vm"]
    node.until(f"/v1/vms/{vm}", lambda seen: seen["state"] == "running")
    for name in ("token", "join token", "session", "cluster key", "ca key"):
        why(node, f"for the people of {name}: {found[name]}.")
    why(node, f"the password is {TYPED}")
    (node.root / "var/lib/girginosvm/serial").mkdir(exist_ok=True)
    (node.root / "var/lib/girginosvm/serial" / f"{vm}.log").write_text(f"login: root\nPassword: {TYPED}\n")
    return found


def host(secrets: dict[str, str]) -> Any:
    """A host whose programs say every secret, as a log may that somebody pasted something into."""

    def say(words: tuple[str, ...]) -> str:
        if words[0] == "virsh":
            assert words[-1] in ("version", "--all", "nodeinfo", "capabilities"), "no definition of a machine"
            return f"<domain><graphics type='vnc' passwd='{secrets['vnc']}'/></domain>"
        if words[0] == "journalctl":
            lines = [f"raft.note {name}: {secrets[name]} was seen" for name in secrets if "token" in name]
            lines += [f"said {secrets[name]}" for name in secrets if name == "session" or name.endswith(" key")]
            lines += [
                f"password={secrets[name]}" for name in ("first password", "chosen password", "typed", "user-data")
            ]
            lines += [f"fetching https://reader:{secrets['mirror']}@images.example.net/debian failed"]
            return "\n".join(lines)
        return f"{words[0]} says nothing\n"

    return say


def made(node: Node, path: Path, say: Any, **more: Any) -> tuple[Bundle, dict[str, Any]]:
    client = Client(str(node.root / "run/girginosvm/agent.sock"))
    bundle = Bundle(str(node.root), more, client, say=say)
    return bundle, bundle.write(str(path))


def files(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        found = {}
        for entry in tar.getmembers():
            content = tar.extractfile(entry)
            assert content is not None
            assert entry.mode == 0o600
            found[entry.name.partition("/")[2]] = content.read().decode()
        return found


def test_no_secret_of_the_node_is_anywhere_in_its_bundle(node: Node, secrets: dict[str, str], tmp_path: Path) -> None:
    # The node makes itself another key when it learns of an address: the one that it has now is what counts.
    pem = (node.root / "var/lib/girginosvm/pki/server.pem").read_text()
    secrets = {**secrets, "server key": private_lines(pem)[1]}
    _, said = made(node, tmp_path / "b.tar.gz", host(secrets))
    assert said["missing"] == []
    whole = gzip.decompress((tmp_path / "b.tar.gz").read_bytes()).decode()
    for name, secret in secrets.items():
        for form in (secret, secret.strip(), base64.b64encode(secret.encode()).decode(), secret.encode().hex()):
            assert form not in whole, f"{name} is in the bundle"
    for shape in ("sealed:1:", "$argon2", "PRIVATE KEY", "#cloud-config"):
        assert shape not in whole
    assert TYPED not in whole
    # The secrets are there to be found: what is not in the bundle is in what it is made from.
    database = b"".join(one.read_bytes() for one in (node.root / "var/lib/girginosvm/db").iterdir())
    for word in (TYPED, "$argon2", "sealed:1:", secrets["join token"]):
        assert word.encode() in database, word


def test_what_helps_is_in_it(node: Node, secrets: dict[str, str], tmp_path: Path) -> None:
    _, said = made(node, tmp_path / "b.tar.gz", host(secrets))
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    found = files(tmp_path / "b.tar.gz")
    assert said["parts"] == len(found)
    assert json.loads(found["agent/quorum.json"])["quorum"] is True
    assert {one["name"] for one in json.loads(found["agent/doctor.json"])["checks"]} >= {"raft", "journal", "disk"}
    assert json.loads(found["agent/health.json"])["version"]
    tables = json.loads(found["files/tables.json"])
    assert tables["rows"]["vm"] == 1
    assert tables["rows"]["user"] == 1
    assert any(one["kind"] == "vm.created" for one in tables["events"]), [one["kind"] for one in tables["events"]]
    rows = {one["name"]: one for one in json.loads(found["settings.json"])["items"]}
    assert rows["token"]["value"] == "(set)"
    assert rows["image_mirror"]["source"].endswith("girginosvm.toml")
    assert "pki/cluster.key" in found["files/list.txt"]
    assert json.loads(found["about.json"])["libraries"]["pysyncobj"] == "0.3.17"
    assert "was seen" in found["logs/girginosvm-raft.txt"]
    assert json.loads(found["manifest.json"])["parts"] == [name for name in found if name != "manifest.json"]


def test_a_part_that_cannot_be_had_is_said_and_the_rest_is_there(
    node: Node, secrets: dict[str, str], tmp_path: Path
) -> None:
    def say(words: tuple[str, ...]) -> str:
        if words[0] == "nft":
            raise Trouble("HostFault", "", f"nft ended with 1: no table; token={secrets['token']}")
        raise OSError(errno.ENOENT, "No such file or directory", words[0])

    bundle, said = made(node, tmp_path / "b.tar.gz", say)
    missing = {one["part"]: one["why"] for one in said["missing"]}
    assert missing["host/nft-bridge.txt"].startswith("nft ended with 1: no table")
    assert "FileNotFoundError" in missing["logs/girginosvm.txt"]
    found = files(tmp_path / "b.tar.gz")
    assert "agent/quorum.json" in found
    assert json.loads(found["manifest.json"])["missing"].keys() == missing.keys()
    assert secrets["token"] not in json.dumps(said) + found["manifest.json"]
    assert bundle.missing


def test_no_file_is_overwritten_and_a_link_is_not_followed(node: Node, secrets: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(Trouble) as refused:
            made(node, tmp_path / name, host(secrets))
        assert (refused.value.code, refused.value.exit_code) == ("bundle-exists", 5)
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_fills_up_leaves_no_half_of_a_bundle(node: Node, secrets: dict[str, str], tmp_path: Path) -> None:
    class Full(Bundle):
        def _pack(self, file: Any) -> list[str]:
            super()._pack(io.BytesIO())
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bundle = Full(str(node.root), {}, Client(str(node.root / "run/girginosvm/agent.sock")), say=host(secrets))
    with pytest.raises(Trouble) as refused:
        bundle.write(str(tmp_path / "b.tar.gz"))
    assert (refused.value.code, refused.value.exit_code) == ("bundle-not-written", 9)
    assert "No space left on device" in refused.value.detail
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Trouble) as refused:
        bundle.write(str(tmp_path / "none/b.tar.gz"))
    assert refused.value.code == "bundle-not-written"


def test_settings_say_where_the_cluster_s_rows_are_what_counts(node: Node) -> None:
    def rows(**environment: str) -> dict[str, str]:
        found = local.settings(str(node.root), environment)["items"]
        return {one["name"]: one["cluster"] for one in found if one["cluster"]}

    here = {"GIRGINOSVM_ADDRESS": "127.0.0.1"}
    assert rows(**here) == {}
    assert rows(GIRGINOSVM_RESERVE_POOL_PERCENT="11", GIRGINOSVM_RAFT_PORT="1234", **here) == {
        "reserve_pool_percent": "5, of pool default: that is what counts",
        "raft_port": "1995: the others still reach it there",
    }
    assert rows(GIRGINOSVM_ADDRESS="192.0.2.7", GIRGINOSVM_NODE_NAME="other").keys() == {"address", "node_name"}


def test_what_the_command_line_says_when_the_node_is_down(node: Node, secrets: dict[str, str], tmp_path: Path) -> None:
    """The last one: the node stays down."""
    node.stop()

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "girginosvm", *words, "--root", str(node.root), "-f", "json"],
            env={**os.environ, "PYTHONPATH": str(REPO)}, cwd=tmp_path, check=False, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip

    done = said("doctor", "bundle")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert Path(value["file"]).parent == tmp_path.resolve()
    missing = {one["part"]: one["why"] for one in value["missing"]}
    assert missing["agent/quorum.json"].startswith("no agent answers at")
    found = files(Path(value["file"]))
    assert json.loads(found["files/tables.json"])["rows"]["vm"] == 1
    examined = json.loads(found["files/doctor.json"])
    assert {one["name"] for one in examined["checks"]} >= {"database", "history", "disk", "certificate"}

    done = said("doctor")
    value = json.loads(done.stdout)
    assert (done.returncode, value["verdict"]) == (2, "fail")
    first, *rest = value["checks"]
    assert (first["name"], first["state"]) == ("agent", "fail")
    assert first["next"].startswith("systemctl status girginosvm girginosvm-raft")
    assert {one["state"] for one in rest} <= {"ok", "warn"}
    assert {one["name"] for one in rest} >= {"database", "history", "disk", "certificate"}
