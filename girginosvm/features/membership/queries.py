"""Names of members."""

from girginosvm.state.reader import Reader


def resolve(reader: Reader, text: str) -> str | None:
    """A member's id by name or id."""
    row = reader.one("SELECT id FROM member WHERE id = ? OR name = ?", (text, text))
    return row["id"] if row else None
