"""Times as JSON shows them."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """Milliseconds UTC as RFC 3339 with milliseconds and Z."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{ms:03d}Z"
