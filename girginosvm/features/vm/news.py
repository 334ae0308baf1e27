"""What a node has to say of one machine, and whether it is news. Pure."""

from __future__ import annotations

from typing import Final

from girginosvm.core.errors import Problem
from girginosvm.core.host import FoundDomain, Power
from girginosvm.core.words import said
from girginosvm.features.vm.model import Wanted
from girginosvm.features.vm.reports import ReportVm

# The host was not reached, so it has refused nothing: what was asked for is still on its way, and says so.
PASSING: Final = frozenset({"libvirt-timeout", "libvirt-unreachable", "program-timeout"})


def report_of(
    machine: Wanted,
    domain: FoundDomain | None,
    *,
    node: str,
    step: str = "",
    reached: int = 0,
    problem: Problem | None = None,
    unbuilt: tuple[int, ...] = (),
) -> ReportVm:
    """The machine as it was found. ``reached``: the generation that holds since this look; 0: the one before. A problem
    ends what was asked for, unless it passes by itself."""
    passing = problem is not None and problem.code in PASSING
    if problem is not None and passing:
        step = said("step.again", why=problem.detail).text
    return ReportVm(
        vm=machine.id,
        node=node,
        state=domain.power.value if domain else ("gone" if machine.doomed else Power.STOPPED.value),
        reason=(domain.reason if domain else "no domain on the host")[:500],
        step=step[:500],
        reached=reached or machine.found_generation,
        reboots=machine.reboots if reached else machine.found_reboots,
        acceleration=domain.acceleration.value if domain and domain.acceleration else "",
        agent=bool(domain and domain.agent_connected),
        problem=problem.detail[:1000] if problem else "",
        problem_code=problem.code if problem else "",
        failed=machine.generation if problem and not passing else 0,
        unbuilt=unbuilt,
    )


def is_news(machine: Wanted, report: ReportVm, said_step: str) -> bool:
    """Whether it differs from what the database holds, or names another step than the last one said."""
    held = (machine.found_state, machine.found_reason, machine.found_generation, machine.found_reboots,
            machine.found_acceleration, machine.found_agent, machine.found_problem)  # fmt: skip
    now = (report.state, report.reason, report.reached, report.reboots,
           report.acceleration, report.agent, report.problem)  # fmt: skip
    return now != held or bool(report.step and report.step != said_step)
