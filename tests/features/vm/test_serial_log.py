"""Serial logs have a bound, and a writer that knows nothing of it."""

from pathlib import Path

from girginosvm.features.vm.serial import earlier, turn


def test_a_log_that_grew_starts_over_and_its_writer_goes_on_at_the_new_end(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with open(log, "ab", buffering=0) as qemu:
        qemu.write(b"a" * 60 + b"b" * 60)
        assert not turn(log, most_bytes=120)
        qemu.write(b"c")
        assert turn(log, most_bytes=120)
        qemu.write(b"after")
    assert log.read_bytes() == b"after"
    assert earlier(log).read_bytes() == b"b" * 59 + b"c"


def test_a_log_that_is_not_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert not turn(tmp_path / "none.log")


def test_the_bound_holds_though_the_earlier_bytes_cannot_be_kept(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * 11)
    earlier(log).mkdir()
    assert turn(log, most_bytes=10)
    assert log.read_bytes() == b""
