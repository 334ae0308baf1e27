"""How many files an agent may have open."""

import resource

from girginosvm.daemon.agent import room_for_files
from girginosvm.http import door


def test_an_agent_has_files_for_more_connections_than_its_door_lets_in() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        room_for_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 2 * door._CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
