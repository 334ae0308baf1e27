"""What placement says of a node, by word: the rest of a sentence that begins with the node, with named values. The
panel has each of them in its languages (``placed.WORD``), and a test holds its English to this one. Pure.
"""

from __future__ import annotations

from typing import Final

import msgspec

_BOOKED: Final = "{share} % of its memory is booked with it"
_WOULD: Final = "{share} % of its memory would be booked"
_BESIDE: Final = {
    "": "",
    "-node": "machines of group {group} on it: {count}, and ",
    "-domain": "machines of group {group} in domain {domain}: {count}, and ",
}
TEXTS: Final = {
    "elsewhere": "is not the node that was asked for",
    "closed": "{why}",
    "cordoned": "is cordoned",
    "cordoned-why": "is cordoned: {why}",
    "maintenance": "is in maintenance",
    "maintenance-why": "is in maintenance: {why}",
    "drained": "is being drained",
    "drained-why": "is being drained: {why}",
    "witness": "is a witness and runs no machines",
    "joining": "is still joining",
    "gone": "is no member any more",
    "away-s": "has not been reached for {count} s",
    "away-min": "has not been reached for {count} min",
    "away-h": "has not been reached for {count} h",
    "silent-min": "has not been heard of for {count} min",
    "silent-h": "has not been heard of for {count} h",
    "firmware": "has no {firmware} firmware",
    "pool-unknown": "has not shown pool {pool} yet",
    "pool-faulty": "cannot use pool {pool}: {why}",
    "memory": "has {free} of memory free, {asked} asked",
    "pool-full": "has pool {pool} with {left} left above its reserve of {reserve}, {asked} asked",
    "group": "has {names} of the anti-affinity group {group}",
    "group-more": "has {names} and {more} more of the anti-affinity group {group}",
    "adopted": "had it when it was adopted",
    "brought": "brought it into the cluster",
    # Of nodes beyond those that are kept: they stand alone, and begin with no node.
    "more-fit": "more nodes that could take it: {count}",
    "more-elsewhere": "more nodes that are not the one that was asked for: {count}",
    "more-node-cordoned": "more nodes that take no new machines: {count}",
    "more-node-unheard": "more nodes that are not heard of: {count}",
    "more-firmware-missing": "more nodes without that firmware: {count}",
    "more-pool-unknown": "more nodes that have not shown the pool yet: {count}",
    "more-pool-faulty": "more nodes with a faulty pool: {count}",
    "more-memory-short": "more nodes that are short of memory: {count}",
    "more-pool-full": "more nodes that are short of room in the pool: {count}",
    "more-group-apart": "more nodes with a machine of the group: {count}",
} | {
    f"{word}{beside}": f"{head}: {group}{share}"
    for word, head, share in (
        ("could", "could take it", _WOULD), ("asked", "was asked for", _BOOKED),
        ("only", "is the only one that can take it", _BOOKED),
        ("best", "is the best of {of} that can take it", _BOOKED),
    )
    for beside, group in _BESIDE.items()
}  # fmt: skip


class Said(msgspec.Struct, frozen=True):
    """One such sentence; numbers as they are, everything else as it is shown."""

    word: str
    values: dict[str, str | int] = {}

    @property
    def text(self) -> str:
        """In English."""
        return TEXTS[self.word].format(**self.values)
