"""What is asked of the process itself: it knows more than the database does."""

from girginosvm.core.action import Stream, action
from girginosvm.features.diagnostics.model import Quorum


@action(
    "GET /v1/quorum", cli="quorum", permission="diagnostics.read",
    summary="Show whether anything can be changed, who votes, and who is reached", answers=Quorum,
    examples=("girginosvm quorum",),
)  # fmt: skip
class ShowQuorum(Stream, frozen=True, kw_only=True):
    """As the node that is asked sees it; it answers without a quorum, too, and says what can still be done by hand.
    Ends with 0 while changes are possible, with 7 while they are not."""
