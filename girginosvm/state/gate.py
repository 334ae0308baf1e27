"""What a leader takes into the log for other members: what every replica of the active level can apply. Pure.

A command that a replica cannot read ends its applying (``Beyond``), and an entry never leaves the log again: one
message of one member that lies, or has a fault, would end all of them. No release of ours says such a command
(``levels``), so whoever leads refuses it. What is refused in the log, on every replica alike, needs no gate.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from girginosvm.core import codec, levels
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope
from girginosvm.state.migrate import Schema, Step


class Gate:
    """One release's. ``kinds`` are its commands by name, ``supported`` the highest feature level that it knows."""

    def __init__(self, kinds: Mapping[str, type[Command]], schema: Schema, supported: int) -> None:
        self._decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in kinds.items()}
        self._kinds, self._schema, self._supported = kinds, schema, supported

    def objection(self, data: bytes) -> str:
        """Why this command of a peer's may not enter the log, or nothing."""
        if len(data) > codec.MAX_COMMAND_BYTES:
            return f"a command of {len(data):,} bytes"
        try:
            envelope, unknown = codec.known(data), ""
            if envelope is None:
                envelope, unknown = codec.envelope(data), unknown_fields(data, Envelope)
            return f"the request's {unknown}" if unknown else self._body(envelope)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
            return f"no command of ours: {fault}"

    def _body(self, envelope: Envelope) -> str:
        kind, version = self._kinds.get(envelope.name), envelope.version
        if envelope.level > self._supported or version < 1:
            return ""  # no node applies it
        if kind is None or version > kind.action.version:
            return f"{envelope.name} version {version}"
        if kind.action.levels[version - 1] > envelope.level:
            return f"{envelope.name} version {version} at feature level {envelope.level}"
        unknown = unknown_fields(envelope.body, kind, without=levels.later(kind, version))
        if unknown:
            return f"{envelope.name}'s {unknown}"
        try:
            return self._steps(self._decoders[envelope.name].decode(envelope.body), envelope.name)
        except msgspec.MsgspecError as fault:
            inside = unknown_inside(fault)
            return f"{envelope.name}'s {inside}" if inside else ""

    def _steps(self, command: Command, name: str) -> str:
        strange = self._schema.strange(one for one in getattr(command, "steps", ()) if isinstance(one, Step))
        return f"{name} with migration {strange}" if strange else ""


def unknown_fields(body: bytes | msgspec.Raw, kind: type[msgspec.Struct], *, without: tuple[str, ...] = ()) -> str:
    """What a message has that ``kind`` has not, or only in a later version (``without``); "" when it is none."""
    try:
        names = msgspec.msgpack.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return ""
    return ", ".join(sorted(set(names) - (set(kind.__struct_encode_fields__) - set(without))))


def unknown_inside(fault: Exception) -> str:
    """The field of a part of a command that is not this release's; msgspec says it in words only."""
    return str(fault).partition("contains unknown ")[2]
