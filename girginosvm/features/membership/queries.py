"""Names of members."""

from girginosvm.state.reader import Reader


def resolve(reader: Reader, text: str) -> str | None:
    """A member's id by name or id; also of one that a recovery gave up, while its host is still described."""
    row = reader.one("SELECT id FROM member WHERE id = ? OR name = ?", (text, text))
    row = row or reader.one(
        "SELECT node.id FROM node JOIN member_gone ON member_gone.id = node.id WHERE node.id = ? OR node.name = ?",
        (text, text),
    )
    return row["id"] if row else None
