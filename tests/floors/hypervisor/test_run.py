"""Programs on the host."""

import sys
import time

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.hypervisor.run import demand, run


async def test_a_program_gets_its_arguments_unchanged_and_its_input() -> None:
    ran = await run("cat", "-", stdin=b"$(id)\n")
    assert (ran.code, ran.out) == (0, "$(id)\n")
    assert (await run("printf", "%s", "; rm -rf $HOME")).out == "; rm -rf $HOME"


async def test_a_program_that_hangs_is_killed_at_its_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(HostFault) as caught:
        await run("tail", "-f", "/dev/null", timeout_s=0.1)
    assert caught.value.code == "program-timeout"
    assert time.monotonic() - began < 5


async def test_output_without_end_is_kept_to_a_bound() -> None:
    ran = await run(sys.executable, "-c", "import sys; sys.stdout.write('x' * (3 << 20))")
    assert (ran.code, len(ran.out), ran.cut) == (0, 1 << 20, True)


async def test_a_bound_that_is_met_to_the_byte_cuts_nothing_and_a_cut_answer_is_a_fault() -> None:
    assert await demand("printf", "%s", "12345", most_bytes=5) == "12345"
    with pytest.raises(HostFault, match="more than 4 bytes"):
        await demand("printf", "%s", "12345", most_bytes=4)


async def test_a_missing_program_and_a_failing_one_are_host_faults_with_words() -> None:
    with pytest.raises(HostFault, match="no-such-program cannot be started"):
        await run("no-such-program")
    with pytest.raises(HostFault, match="No such file"):
        await demand("ls", "/no/such/path")
