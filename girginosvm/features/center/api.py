"""The door of centers: what a node has to serve, and what goes with a node."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


class Wanted(msgspec.Struct, frozen=True):
    """A node's center: where it listens (IP:port), how people reach it, and what the node last said of it."""

    bind: str
    public_url: str
    said_bind: str
    said_problem: str

    @property
    def host(self) -> str:
        """The name in the public address."""
        return urlsplit(self.public_url).hostname or ""


def of_node(reader: Reader, node: str) -> Wanted:
    """What is wanted of a node; ``bind`` is empty when it is no center."""
    row = reader.one(
        "SELECT ifnull(c.bind, '') AS bind, ifnull(c.public_url, '') AS url, ifnull(f.bind, '') AS said, "
        "ifnull(f.problem, '') AS problem FROM (SELECT ? AS node) n LEFT JOIN center c ON c.node = n.node "
        "LEFT JOIN center_found f ON f.node = n.node",
        (node,),
    )
    assert row is not None
    return Wanted(row["bind"], row["url"], row["said"], row["problem"])


class Seat(msgspec.Struct, frozen=True):
    """A node that is to be a center, by id."""

    node: str
    bind: str
    public_url: str


def seats(reader: Reader) -> tuple[Seat, ...]:
    """Every node that is to be a center, in order of id; one that a recovery gave up is one when it comes back."""
    return tuple(Seat(**row) for row in reader.all("SELECT node, bind, public_url FROM center ORDER BY node"))


def give_up(tx: Tx, node: str) -> bool:
    """Nobody serves there any more; whether it was to be a center, which it is again once its host comes back."""
    tx.run("DELETE FROM center_found WHERE node = ?", (node,))
    return tx.one("SELECT 1 FROM center WHERE node = ?", (node,)) is not None


def succeed(tx: Tx, was: str, node: str) -> None:
    """The same host under another id: what it is to serve stays true of it."""
    tx.run("UPDATE center SET node = ? WHERE node = ?", (node, was))


def forget_node(tx: Tx, node: str) -> None:
    """The node is no member any more, and nobody will be in its place."""
    tx.run("DELETE FROM center WHERE node = ?", (node,))
    tx.run("DELETE FROM center_found WHERE node = ?", (node,))
