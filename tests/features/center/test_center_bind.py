"""Where a center listens."""

from __future__ import annotations

import pytest
from features.engine import Engine
from features.membership.test_given_up import FIRST, member

from girginosvm.core.errors import Invalid
from girginosvm.features.center.commands import PromoteCenter

URL = "https://center.example.net:1997"


@pytest.mark.parametrize("bind", ["999.1.1.1:80", "127.0.0.1:99999", "127.0.0.1:0", "[:::]:1997"])
def test_where_nobody_can_listen_is_refused_and_not_found_out_later(engine: Engine, bind: str) -> None:
    engine.furnish()
    member(engine, FIRST, "m1")
    with pytest.raises(Invalid, match="is no IP address and port"):
        engine.run(PromoteCenter(node=FIRST, bind=bind, public_url=URL))
    engine.run(PromoteCenter(node=FIRST, bind="[::]:1997", public_url=URL))
