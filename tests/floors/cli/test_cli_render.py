"""The four formats."""

import csv
import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from girginosvm.cli import render

text = some.text(some.characters(codec="utf-8"), max_size=20)
scalars = some.none() | some.booleans() | some.integers() | text
values = some.recursive(
    scalars,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


def written(value: Any, form: str, **more: Any) -> str:
    out = io.StringIO()
    render.write(value, form, out, **more)
    return out.getvalue()


@given(some.dictionaries(text.filter(lambda name: name != "items"), values, max_size=4))
def test_another_reader_reads_our_yaml_as_the_same(value: Any) -> None:
    assert yaml.safe_load(written(value, "yaml")) == value


def test_yaml_quotes_what_would_be_something_else() -> None:
    value = {
        "a": "no",
        "b": "1e3",
        "c": "",
        "d": "x: y",
        "e": "~",
        "f": "2026-11-25",
        "g": "- a",
        "h": "0x10",
        "i": "null",
    }
    assert yaml.safe_load(written(value, "yaml")) == value


@given(values)
def test_json_on_a_terminal_means_the_same_without_control_characters(value: Any) -> None:
    shown = written({"a": value}, "json", terminal=True)
    assert json.loads(shown) == {"a": value}
    assert render.visible(shown.replace("\n", "")) == shown.replace("\n", "")


def test_csv_does_not_hand_formulas_to_a_spreadsheet() -> None:
    rows = {"items": [{"name": '=HYPERLINK("x")', "n": -3}, {"name": " +1", "n": 4}, {"name": "a,b", "n": None}]}
    read = list(csv.reader(io.StringIO(written(rows, "csv"))))
    assert read == [["name", "n"], ['\'=HYPERLINK("x")', "-3"], ["' +1", "4"], ["a,b", ""]]


def test_a_sheet_shows_nested_rows_as_tables() -> None:
    value = {"name": "web01", "memory_mb": 1536, "tags": ["a", "b"], "disks": [{"name": "vda", "size_bytes": 1024}]}
    assert written(value, "table").splitlines() == [
        "NAME    web01", "MEMORY  1.5 GiB", "TAGS    a, b", "", "DISKS", "NAME  SIZE", "vda   1 KiB",
    ]  # fmt: skip


def test_an_empty_list_prints_no_rows() -> None:
    assert written({"items": []}, "json") == "[]\n"
    assert written({"items": []}, "table") == ""


def test_chosen_columns_are_the_only_ones() -> None:
    rows = {"items": [{"name": "a", "state": "running", "id": "1"}]}
    assert written(rows, "table", columns=["state", "name"]).splitlines() == ["STATE    NAME", "running  a"]


def test_a_narrow_terminal_loses_the_id_before_it_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    rows = {"items": [{"name": "web01", "id": "0190f3c2-0000-7000-8000-000000000001"}]}
    assert "0190" not in written(rows, "table", columns=["name", "id"], terminal=True)
    monkeypatch.setenv("COLUMNS", "80")
    assert "0190f3c2-0000-7000-8000-000000000001" in written(rows, "table", columns=["name", "id"], terminal=True)


def test_a_sheet_leaves_out_what_is_empty_and_shortens_its_lists() -> None:
    done = {"id": "op1", "kind": "vm.create", "noun": "vm", "subject_id": "0190", "state": "done", "problem": None}
    vm = {"name": "web01", "agent": False, "vcpu": 0, "tags": [], "notes": "", "problem": None, "operations": [done]}
    assert written(vm, "table").split() == [
        "NAME", "web01", "AGENT", "no", "VCPU", "0", "OPERATIONS", "KIND", "STATE", "PROBLEM", "ID", "vm.create",
        "done", "op1",
    ]  # fmt: skip
    assert json.loads(written(vm, "json")) == vm


def test_what_nobody_hears_is_said_to_people_as_it_was_and_to_programs_as_it_is_known() -> None:
    vms = {
        "items": [{"name": "a", "state": "running", "heard": False}, {"name": "b", "state": "running", "heard": True}]
    }
    assert written(vms, "table", columns=("name", "state")) == (
        "NAME  STATE\na     was running\nb     running\n"
    )  # fmt: skip
    assert "was running" in written(vms["items"][0], "table")
    assert (
        written(vms, "csv", columns=("name", "state", "heard")) == "name,state,heard\na,running,false\nb,running,true\n"
    )
    assert json.loads(written(vms, "json")) == vms["items"]


def test_a_node_that_is_heard_was_seen_now() -> None:
    rows = {"items": [
        {"name": "h1", "state": "ready", "heard": True, "seen_at": "2026-01-01T00:00:00.000Z"},
        {"name": "h2", "state": "silent", "heard": False, "seen_at": "2026-01-01T00:00:00.000Z"},
    ]}  # fmt: skip
    assert written(rows, "table", columns=("state", "seen_at")) == (
        "STATE   SEEN AT\nready   now\nsilent  2026-01-01T00:00:00.000Z\n"
    )  # fmt: skip


def test_a_person_reads_the_sentence_and_a_program_what_it_was_made_of() -> None:
    value = {"says": "n1 leads", "code": "quorum.leads", "values": {"leader": "n1"}, "voters": 3}
    assert "quorum.leads" not in written(value, "table")
    assert "leader=" not in written(value, "table")
    assert "n1 leads" in written(value, "table")
    assert json.loads(written(value, "json")) == value
    assert "CODE" in written({"code": "x", "title": "y"}, "table")
    step = {"step": "bridge br0 is not ready", "step_said": {"code": "step.bridge", "values": {"bridge": "br0"}}}
    assert written(step, "table").split() == ["STEP", *step["step"].split()]
    assert json.loads(written(step, "json")) == step


def test_of_a_machine_the_reasons_of_its_place_are_sentences() -> None:
    reasons = [
        {"node": "h1", "text": "is the best of 2 that can take it", "word": "best", "values": {"of": 2}},
        {"node": "h2", "text": "is in maintenance", "word": "maintenance", "values": {}},
    ]
    out = io.StringIO()
    render.write({"name": "db2", "placement": {"node": "h1", "generation": 1, "reasons": reasons}}, "table", out)
    assert out.getvalue().splitlines() == [
        "NAME  db2", "", "PLACEMENT", "NODE  TEXT", "h1    is the best of 2 that can take it",
        "h2    is in maintenance",
    ]  # fmt: skip


def test_several_sentences_are_a_line_each() -> None:
    out = io.StringIO()
    render.write({"problems": ["not reached: h2, h3", "it goes on by itself"], "names": ["a", "b"]}, "table", out)
    assert out.getvalue() == "PROBLEMS  not reached: h2, h3\n          it goes on by itself\nNAMES     a, b\n"


def test_a_problem_in_a_list_is_its_sentence() -> None:
    out = io.StringIO()
    rows = [{"kind": "vm.stop", "problem": {"code": "overtaken", "detail": "a newer order took its place"}}]
    render.write({"items": rows}, "table", out, columns=["kind", "problem"])
    assert out.getvalue().splitlines()[1].split("  ") == ["vm.stop", "a newer order took its place"]
    assert "problem" in render.COLUMNS["operation list"]


def test_a_machine_of_a_dead_host_was_running_where_it_is_one_of_several_rows() -> None:
    out = io.StringIO()
    machines = [{"name": "db2", "state": "running", "heard": False}, {"name": "x1", "state": "stopped", "heard": True}]
    render.write({"name": "h1", "machines": machines}, "table", out)
    assert [line.split(None, 1) for line in out.getvalue().splitlines()[3:]] == [
        ["NAME", "STATE"], ["db2", "was running"], ["x1", "stopped"],
    ]  # fmt: skip
