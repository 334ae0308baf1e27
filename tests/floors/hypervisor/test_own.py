"""Our own directories and ports, as the kernel shows them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from girginosvm.hypervisor.own import file_systems, listeners, listening, size_of

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07CC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:07CB 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:07CD 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 3 1 0
"""


def test_only_ports_that_are_listened_on_are_listed() -> None:
    assert listeners(TABLE) == {1996, 1997}
    assert listeners("") == set()


def test_a_port_is_listed_from_when_somebody_listens_until_nobody_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_connection(one.getsockname()) as line:
        port, far = one.getsockname()[1], line.getsockname()[1]
        assert port in listening()
        assert far not in listening()
    assert port not in listening()


def test_places_on_one_file_system_are_one_and_those_that_are_not_there_none(tmp_path: Path) -> None:
    for name in ("db", "raft"):
        (tmp_path / name).mkdir()
    (found,) = file_systems([tmp_path / "db", tmp_path / "raft", tmp_path / "images"])
    assert found.places == (str(tmp_path / "db"), str(tmp_path / "raft"))
    room = os.statvfs(tmp_path)
    assert found.capacity_bytes == room.f_blocks * room.f_frsize
    assert 0 < found.free_bytes <= found.capacity_bytes
    assert len(file_systems([tmp_path, Path("/proc")])) == 2


def test_a_directory_is_as_large_as_what_its_files_take(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(100_000))
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 30)
    os.sync()
    assert 100_000 <= size_of(tmp_path) < 1_000_000
    assert size_of(tmp_path / "none") == 0
