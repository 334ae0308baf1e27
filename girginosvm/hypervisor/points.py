"""Kill points around every method of a port, from the outside, so that no port can forget one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from girginosvm.core.points import reach

PortT = TypeVar("PortT")


def _pointed(method: Callable[..., Awaitable[Any]], point: str) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        reach(f"{point}:before")
        answer = await method(*args, **kwargs)
        reach(f"{point}:after")
        return answer

    return call


class _Pointed:
    """Stands before ``port``: its coroutine methods pass two points, the rest goes straight through."""

    def __init__(self, port: object, name: str) -> None:
        self._port = port
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._port, attribute)
        if not inspect.iscoroutinefunction(found):
            return found
        call = _pointed(found, f"{self._name}.{attribute}")
        setattr(self, attribute, call)  # the next access finds it without us
        return call


def pointed(port: PortT, name: str) -> PortT:
    """``port`` with ``reach("<name>.<method>:before")`` and ``:after`` around each of its async methods."""
    return cast("PortT", _Pointed(port, name))


def points_of(port: type, name: str) -> tuple[str, ...]:
    """The points that ``pointed`` makes for a port's protocol, sorted: what a crash test has to cover."""
    methods = sorted(key for key, value in vars(port).items() if inspect.iscoroutinefunction(value))
    return tuple(f"{name}.{method}:{side}" for method in methods for side in ("before", "after"))
