"""What a request struct has to be before it is an action."""

from __future__ import annotations

from typing import Any

import pytest

from girginosvm.core.action import Command, action


def test_an_action_has_the_fields_that_its_path_names() -> None:
    class Grow(Command, frozen=True, kw_only=True):
        def apply(self, tx: Any) -> object:
            return None

    with pytest.raises(TypeError, match=r"Grow: the path names \['toy'\]"):
        action("POST /v1/toys/{toy}/grow", permission="toy.change", summary="Grow")(Grow)
