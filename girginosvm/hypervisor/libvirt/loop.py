"""One connection to libvirt: blocking calls in threads of its own, events into asyncio, reconnecting by itself.

libvirt's own event loop runs in one thread of the process and hands each event over with call_soon_threadsafe
(docs/adr says why not libvirtaio). Calls have deadlines; a call that hangs keeps its thread, never the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import libvirt

from girginosvm.core.errors import HostFault
from girginosvm.core.host import DomainEvent
from girginosvm.hypervisor.libvirt.states import event_of

AnswerT = TypeVar("AnswerT")
_WORKERS: Final = 16  # calls at once
_KEEPALIVE_S: Final = 5
_KEEPALIVE_COUNT: Final = 3
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LOST: Final = frozenset({libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_RPC})

_pump_lock = threading.Lock()
_pump: threading.Thread | None = None


def _run_pump() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _nothing() -> None:
    """Nobody waits for the end of a call."""


def _ensure_pump() -> None:
    """libvirt allows one event loop per process, registered before the first connection."""
    global _pump  # noqa: PLW0603 - the process has one
    with _pump_lock:
        if _pump is None:
            libvirt.registerErrorHandler(lambda _context, _error: None, None)  # else it prints to stderr
            libvirt.virEventRegisterDefaultImpl()
            # A timer that never matters: without any handle or timer the loop of libvirt could sleep for ever.
            libvirt.virEventAddTimeout(60_000, lambda _timer, _opaque: None, None)
            _pump = threading.Thread(target=_run_pump, name="libvirt-events", daemon=True)
            _pump.start()


def fault_of(error: libvirt.libvirtError, doing: str) -> HostFault:
    """libvirt's words, under a stable code."""
    words = (error.get_error_message() or str(error)).strip()
    code = {
        libvirt.VIR_ERR_NO_DOMAIN: "domain-missing",
        libvirt.VIR_ERR_NO_CONNECT: "libvirt-unreachable",
        libvirt.VIR_ERR_RPC: "libvirt-unreachable",
    }.get(error.get_error_code(), "libvirt-refused")
    return HostFault(code, f"{doing}: {words}")


class Link:
    """The connection of one port set. Made outside of any loop, used in one loop; opened by the first call."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="libvirt")
        self._connection: libvirt.virConnect | None = None
        self._callbacks: list[int] = []
        self._opening = asyncio.Lock()
        self._listeners: set[asyncio.Queue[DomainEvent]] = set()
        self._reconnecting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def call(
        self,
        doing: str,
        work: Callable[[Any], AnswerT],
        *,
        timeout_s: float = 30,
        ended: Callable[[], None] = _nothing,
    ) -> AnswerT:
        """``work(connection)`` in a thread. HostFault with libvirt's words, or ``libvirt-timeout``. ``ended`` is called
        once, when the call has really ended: later than this returns, when libvirt hangs or the caller goes away."""
        try:
            connection = await self._open(doing)
        except BaseException:
            ended()
            raise
        try:
            return await self._threaded(doing, lambda: work(connection), timeout_s, ended)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _LOST or not _alive(connection):
                self._lost(connection)
                raise HostFault("libvirt-unreachable", f"{doing}: {error.get_error_message()}") from error
            raise fault_of(error, doing) from error

    async def events(self) -> AsyncIterator[DomainEvent]:
        """Events from now on; one with an empty id after each new connection."""
        queue: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            if self._connection is None:
                self._reconnect()
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def close(self) -> None:
        """Let go; calls under way end by themselves."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError, HostFault):  # libvirtd hangs or has gone: it is closed
                await self._threaded("closing", lambda: _release(connection, self._callbacks), 5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _threaded(
        self, doing: str, work: Callable[[], AnswerT], timeout_s: float, ended: Callable[[], None] = _nothing
    ) -> AnswerT:
        call = self._pool.submit(work)
        call.add_done_callback(lambda _: self._soon(ended))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(call)
        except TimeoutError as late:
            raise HostFault("libvirt-timeout", f"{doing}: libvirt did not answer within {timeout_s:g} s") from late

    async def _open(self, doing: str) -> Any:
        async with self._opening:
            if self._connection is not None:
                return self._connection
            if self._closed:
                raise HostFault("libvirt-unreachable", f"{doing}: the connection was closed")
            self._loop = asyncio.get_running_loop()
            try:
                self._connection = await self._threaded("connecting", self._connect, 15)
            except libvirt.libvirtError as error:
                words = f"{doing}: {self.uri}: {error.get_error_message()}"
                raise HostFault("libvirt-unreachable", words) from error
            self._tell(DomainEvent("", "connected"))
            return self._connection

    def _connect(self) -> Any:
        """In a thread: connect, and have events and the loss of the connection reported."""
        _ensure_pump()
        connection = libvirt.open(self.uri)
        with contextlib.suppress(libvirt.libvirtError):  # local drivers have no wire to keep alive
            connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)
        connection.registerCloseCallback(self._on_close, None)
        self._callbacks = [
            connection.domainEventRegisterAny(None, kind, callback, None)
            for kind, callback in (
                (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
                (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot),
                (libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._on_agent),
            )
        ]
        return connection

    # Called in libvirt's thread:

    def _on_close(self, connection: Any, _reason: int, _opaque: object) -> None:
        self._soon(partial(self._lost, connection))

    def _on_lifecycle(self, _c: Any, domain: Any, event: int, _detail: int, _opaque: object) -> None:
        self._soon(partial(self._tell, DomainEvent(domain.UUIDString(), event_of(event))))

    def _on_reboot(self, _c: Any, domain: Any, _opaque: object) -> None:
        self._soon(partial(self._tell, DomainEvent(domain.UUIDString(), "rebooted")))

    def _on_agent(self, _c: Any, domain: Any, _state: int, _reason: int, _opaque: object) -> None:
        self._soon(partial(self._tell, DomainEvent(domain.UUIDString(), "agent")))

    def _soon(self, deed: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
            if self._loop is not None:
                self._loop.call_soon_threadsafe(deed)

    # Called in asyncio's thread:

    def _tell(self, event: DomainEvent) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)

    def _lost(self, connection: Any) -> None:
        """Only the present connection can be lost; a late word about an earlier one changes nothing."""
        if self._connection is None or self._connection.c_pointer() != connection.c_pointer():
            return
        self._connection = None
        self._reconnect()

    def _reconnect(self) -> None:
        if not self._closed and (self._reconnecting is None or self._reconnecting.done()):
            self._reconnecting = asyncio.get_running_loop().create_task(self._try_until_connected())

    async def _try_until_connected(self) -> None:
        attempt = 0
        while not self._closed:
            with contextlib.suppress(HostFault):  # whoever calls meanwhile gets it; here the next try is the answer
                await self._open("reconnecting")
                return
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            attempt += 1


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _release(connection: Any, callbacks: list[int]) -> None:
    """Callbacks hold the connection: with one left, close() would not close it. What libvirt does not know any more is
    gone."""
    for callback in callbacks:
        with contextlib.suppress(libvirt.libvirtError):  # gone with libvirtd
            connection.domainEventDeregisterAny(callback)
    with contextlib.suppress(libvirt.libvirtError):
        connection.unregisterCloseCallback()
    connection.close()
