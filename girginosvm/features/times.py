"""Times as JSON shows them."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """Milliseconds UTC as RFC 3339 with milliseconds and Z."""
    seconds, ms = divmod(at_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms:03d}Z"
