"""The last resort is not taken lightly: who may ask for it, with which words, and when it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.scenarios.last_resort import (
    PROOF,
    cluster,
    history,
    recover,
    recovered,
    without_the_others,
)
from tests.scenarios.node import REPO
from tests.scenarios.test_join import Start, is_member, joined, membership, start
from tests.scenarios.test_voters import cluster as voting
from tests.scenarios.test_voters import settled, watching

__all__ = ["start"]


def test_of_two_survivors_that_are_told_at_once_at_most_one_goes_on(start: Start) -> None:
    """Their logs are equal, and each hears the other: both went on, as two clusters with one id in one term."""
    nodes = {one: start(one).ready() for one in ("n1", "n2", "n3", "n4")}
    for name in ("n2", "n3", "n4"):
        joined(nodes[name], nodes["n1"], name)
    settled(nodes["n4"], 3)
    watches = next(one["name"] for one in membership(nodes["n1"])["members"] if one["role"] == "observer")
    lives, *gone = (name for name in nodes if name != watches)
    survivors = [nodes[lives], nodes[watches]]
    for name in gone:
        nodes[name].stop()
    for node in survivors:
        node.until("/v1/membership", lambda found: not found["quorum"])
    for _ in range(20):  # until both have looked at the same time
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda node: recover(node, *gone, proof=PROOF), survivors))
        took = [status for status, _ in said].count(202)
        assert took < 2, said
        if took:
            return
        assert {answer["code"] for _, answer in said} <= {"recover-elsewhere"}, said


def test_an_observer_gives_up_nobody_whose_raft_process_is_there_though_it_has_no_line_to_it(start: Start) -> None:
    nodes = voting(start, 3)
    watching(nodes)
    _, second, third = nodes.values()
    third._stopping = True  # what ends is not started again
    third._processes["agent"].kill()
    without_the_others(second, nodes["n1"])
    assert recover(second, "n1", "n3", proof=PROOF)[1]["code"] == "recover-answers"
    third.stop()
    assert recovered(second, "n1", "n3")["gone"] == ["n1", "n3"]


def test_without_proof_by_tcp_or_with_wrong_words_nothing_happens(start: Start) -> None:
    first, second = cluster(start, 2)
    home = second.root / "var/lib/girginosvm/raft"
    without_the_others(second, first)
    for body, code in (
        ({"without": ["n1"]}, "proof-missing"),
        ({"without": ["n1"], "proof": "sure"}, "proof-missing"),
        ({"without": ["n1"], "i_am_sure": "yes"}, "proof-missing"),
        ({"without": ["n1"], "i_am_sure": "yes", "proof": PROOF}, "proof-missing"),
        ({"proof": PROOF}, "without-missing"),
        ({"without": ["n2"], "proof": PROOF}, "recover-itself"),
        ({"without": ["n9"], "proof": PROOF}, "member-missing"),
    ):
        assert second.ask("POST", "/v1/cluster/recover", body)["code"] == code
        assert not (home / "recover").exists()
    assert len(membership(second)["members"]) == 2
    assert recover(second, "n1", i_am_sure="I know that n1 will never run again with this identity")[0] == 202


def test_the_command_line_shows_asks_for_proof_and_recovers(start: Start) -> None:
    first, second = cluster(start, 2)
    without_the_others(second, first)

    def line(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "girginosvm", *words, "--root", str(second.root)]
        return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=60)

    said = line("cluster", "recover")
    assert said.returncode == 0, said.stderr
    assert "n1 (not reached)" in said.stdout
    assert "--without n1 --proof" in said.stdout
    said = line("cluster", "recover", "--without", "n1")
    assert (said.returncode, "(proof-missing)" in said.stderr) == (10, True)
    assert "--without n1 --proof" in said.stderr
    said = line("cluster", "recover", "--without", "n1", "--proof", PROOF, "--dry-run")
    assert said.returncode == 0
    assert not history(second)
    said = line("cluster", "recover", "--without", "n1", "--proof", PROOF)
    assert said.returncode == 0, said.stderr
    second.until("/v1/membership", lambda found: found["leader"])
    assert len(history(second)) == 1


def test_it_is_for_root_on_the_node_itself_and_for_nobody_who_signs_in(start: Start) -> None:
    first, second = cluster(start, 2)
    admin = second.ask("POST", "/v1/tokens", {"name": "all", "role": "admin"})["token"]
    without_the_others(second, first)
    command = [
        sys.executable, "-m", "girginosvm", "cluster", "recover", "--without", "n1", "--proof", PROOF,
        "--url", f"https://127.0.0.1:{second.port}", "--root", str(second.root),
    ]  # fmt: skip
    environment = os.environ | {"GIRGINOSVM_API_TOKEN": admin}
    said = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (said.returncode, "(local-only)" in said.stderr) == (3, True), said.stderr
    assert len(membership(second)["members"]) == 2
    assert is_member(second, "n2")
