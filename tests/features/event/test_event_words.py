"""What history says is read back out of the text that is kept, so that the panel can say it in its languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from features.engine import Engine
from features.story import tell

from girginosvm.core.words import TEXTS, Said, read
from girginosvm.features.event.queries import ListEvents
from girginosvm.state.tx import Tx

CODES = [code for code in TEXTS if code.startswith("event.")]
OPEN = {"event.retention"}  # days or for ever, four times in one line: that stays English
# What the story has no turn for.
UNTOLD = {
    "event.cluster.level-raised", "event.cluster.recovered", "event.cluster.recovered.both",
    "event.cluster.recovered.center", "event.image.ready.from", "event.membership.admitted.brings",
    "event.membership.lead.any", "event.membership.lead.first", "event.membership.removed", "event.vm.crashed",
    "event.vm.gone", "event.vm.gone.bare", "event.vm.paused", "event.vm.paused.bare", "event.vm.reboot-asked.reset",
    "event.vm.running.bare", "event.vm.stop-asked.cut", "event.vm.stopped", "event.vm.stray.elsewhere",
    "event.vm.unknown", "event.vm.unknown.bare",
}  # fmt: skip


def test_every_line_of_a_long_history_is_a_sentence_of_the_catalogue_and_each_of_them_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, engine, write = set(), Engine(), Tx.event

    def event(tx: Tx, kind: str, noun: str, subject_id: str, text: str, **fields: Any) -> None:
        lines.add((kind, text))
        write(tx, kind, noun, subject_id, text, **fields)

    monkeypatch.setattr(Tx, "event", event)
    tell(engine)
    told = {(kind, text): read(text, f"event.{kind}") for kind, text in lines if kind not in OPEN}
    assert [line for line, sentence in told.items() if sentence is None or sentence.text != line[1]] == []
    assert set(CODES) - {sentence.code for sentence in told.values() if sentence} == UNTOLD
    shown = ListEvents().fetch(engine.reader).items
    assert [one for one in shown if one.text_said != read(one.text, f"event.{one.kind}")] == []
    engine.close()


@pytest.mark.parametrize("code", CODES)
def test_a_line_is_read_as_the_sentence_that_it_was_made_of(code: str) -> None:
    sentence = Said(code, {name: f"{name}-1" for name in re.findall(r"\{(\w+)\}", TEXTS[code])})
    assert read(sentence.text, ".".join(code.split(".")[:3])) == sentence
