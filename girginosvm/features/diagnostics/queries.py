"""What is asked of the process itself: it knows more than the database does."""

from girginosvm.core.action import Stream, action
from girginosvm.features.diagnostics.model import Diagnosis, Quorum


@action(
    "GET /v1/quorum", cli="quorum", permission="diagnostics.read",
    summary="Show whether anything can be changed, who votes, and who is reached", answers=Quorum,
    examples=("girginosvm quorum",),
)  # fmt: skip
class ShowQuorum(Stream, frozen=True, kw_only=True):
    """As the node that is asked sees it; it answers without a quorum, too, and says what can still be done by hand.
    An observer has no line to other observers, and says of them that it does not look at them. Ends with 0 while
    changes are possible, with 7 while they are not."""


@action(
    "GET /v1/doctor", cli="doctor", permission="diagnostics.read",
    summary="Look at everything that could be wrong with this node, and say what to do", answers=Diagnosis,
    examples=("girginosvm doctor", "girginosvm doctor -f json"),
)  # fmt: skip
class ShowDoctor(Stream, frozen=True, kw_only=True):
    """The node that is asked looks at itself: agreement, journal, database, disks, certificates, clocks, libvirt,
    pools, images, ports, operations, tokens, settings. Takes a few seconds and changes nothing. Ends with 0 when all
    is well, 1 with warnings, 2 with failures."""
