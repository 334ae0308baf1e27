"""The door of the cluster: which key its secrets are sealed with."""

from __future__ import annotations

from girginosvm.state.reader import Reader


def key_mark(reader: Reader) -> str:
    """The mark of the cluster's key, "" before one is recorded."""
    row = reader.one("SELECT mark FROM cluster_key")
    return "" if row is None else str(row["mark"])
