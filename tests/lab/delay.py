"""Carries frames between a port and a bridge, each held back for a while: ``delay.py PORT BRIDGE MILLISECONDS``.

Stands in for netem, which not every kernel has. Both ends speak with virtio-net headers, so that checksums and segments
that the sender left to the device pass through (packet(7) PACKET_VNET_HDR, linux/if_tun.h). Ends with its owner.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque

_PR_SET_PDEATHSIG = 1
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TAP = 0x0002 | 0x1000 | 0x4000  # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
_OFFLOADS = 0x01 | 0x02 | 0x04  # checksums, TSO4, TSO6
_SOL_PACKET, _IGNORE_OUTGOING, _VNET_HDR, _ETH_P_ALL = 263, 23, 15, 3
_WAITING = 20_000  # frames; what comes on top is lost, as on a full line
_LARGEST = 66_000  # bytes, with the header


def opened(port: str, bridge: str) -> tuple[int, socket.socket]:
    """A tap in the port's place on the bridge, and the port itself."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", f"late-{port}".encode(), _TAP))
    fcntl.ioctl(tap, _TUNSETOFFLOAD, _OFFLOADS)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
    raw.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    raw.bind((port, _ETH_P_ALL))
    raw.setblocking(False)
    subprocess.run(["ip", "link", "set", port, "nomaster", "promisc", "on"], check=True)
    subprocess.run(["ip", "link", "set", f"late-{port}", "master", bridge, "up"], check=True)
    return tap, raw


def carry(tap: int, port: int, hold_s: float) -> None:
    """For ever."""
    waiting: dict[int, deque[tuple[float, bytes]]] = {tap: deque(), port: deque()}
    other = {tap: port, port: tap}
    while True:
        now = time.monotonic()
        for out, frames in waiting.items():
            while frames and frames[0][0] <= now:
                with contextlib.suppress(OSError):  # a full line loses it
                    os.write(out, frames.popleft()[1])
        due = min((frames[0][0] for frames in waiting.values() if frames), default=now + 1)
        for source in select.select(list(waiting), [], [], max(0.0, due - now))[0]:
            frames = waiting[other[source]]
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame = os.read(source, _LARGEST)
                    if len(frames) < _WAITING:
                        frames.append((time.monotonic() + hold_s, frame))


if __name__ == "__main__":
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    device, late_on, late_ms = sys.argv[1:]
    there, here = opened(device, late_on)
    carry(there, here.fileno(), float(late_ms) / 1000)
