"""What the doctor can say, by code: the sentence in English, with named values. The panel has each of them in its
languages (``check.CODE``), and a test holds its English to this one. Pure."""

from __future__ import annotations

from typing import Final

from girginosvm.features.diagnostics.model import Check, State

# What a value ``why`` says was found by another program or process, and stays in its words.
TEXTS: Final = {
    "agent.away": "{why}",
    "raft.away": "{why}",
    "raft.removed": "{why}",
    "raft.lacking": "{why}",
    "raft.halted": "this node takes no part: {why}",
    "raft.stands": "{why}",
    "raft.unreached": "{leader} leads, {reached} of {voters} voters are reached; not reached: {names}",
    "raft.late": "the leader was last heard {seconds} s ago",
    "raft.closed": "{names}: reached by the Raft port, and not by the API's",
    "raft.only": "this node is the only voter: changes are possible as long as it runs",
    "raft.leads": "{leader} leads, {reached} of {voters} voters are reached: {spare} of {voters} voters may fail",
    "raft.leads-none": "{leader} leads, {reached} of {voters} voters are reached: no further voter may fail",
    "lag.not-applied": "this node has not applied {count} entries yet",
    "lag.lacks": "{name} lacks {count} entries",
    "lag.ok": "nobody that is reached is behind",
    "journal.trouble": "{why}",
    "journal.hung": "a flush has been running for {seconds} s",
    "journal.slow": "one of the last 64 flushes took {ms} ms",
    "journal.large": "the journal has {size}: it is not compacted",
    "journal.cut": "its last start cut {bytes} bytes off that were never acknowledged",
    "journal.ok": "{size} in files: {files}, the slowest of the last 64 flushes took {ms} ms",
    "database.fault": "the database is damaged: {why}",
    "database.wal": "its write-ahead log has {size}: something keeps it from being made up",
    "database.unfinished": "{size}, no fault found; {why}",
    "database.ok": "{size}, no fault found",
    "history.broken": "{why}",
    "history.ok": "the last {count} events are as they were written",
    "disk.inodes": "{count} inodes are free for {where}",
    "disk.room": "{free} of {all} are free for {where}",
    "certificate.ca-unreadable": "the cluster's CA cannot be read: {why}",
    "certificate.ca-ended": "the cluster's CA ended {days} days ago",
    "certificate.ca-ends": "the cluster's CA ends in {days} days, and was not renewed",
    "certificate.ca-ok": "the cluster's CA is {age} days old and ends in {days} days",
    "certificate.server-unreadable": "this node's certificate cannot be read: {why}",
    "certificate.server-ended": "this node's certificate ended {days} days ago",
    "certificate.server-ends": "this node's certificate ends in {days} days, and was not renewed",
    "certificate.server-ok": "this node's certificate is {age} days old and ends in {days} days",
    "key.age": "it was last changed {days} days ago",
    "clock.ok": "within {seconds} s of {count} other nodes",
    "clock.log": "the log's time is {minutes} min ahead of this node's clock: this clock is behind, or a leader once "
    "began with one that was ahead; what happens from now on is stamped with the log's time",
    "clock.ahead": "the clock of {name} is {seconds} s ahead of this node's",
    "clock.behind": "the clock of {name} is {seconds} s behind this node's",
    "libvirt.problem": "{why}",
    "libvirt.away": "libvirt does not answer",
    "libvirt.qemu": "QEMU is not there, or does not start",
    "libvirt.tcg": "libvirt {libvirt}, QEMU {qemu}; machines run without acceleration: {why}",
    "libvirt.ok": "libvirt {libvirt}, QEMU {qemu}, KVM",
    "machines.twice": "domain {domain} ({id}) runs on this host, and the cluster has this machine on {name}: it may "
    "run twice",
    "machines.elsewhere": "domain {domain} ({id}) is defined on this host, and the cluster has this machine on {name}: "
    "it must not be started here",
    "machines.unknown": "domain {domain} ({id}) runs on this host, and the cluster does not have it: nobody looks "
    "after it, and its addresses may be given to others",
    "machines.unknown-off": "domain {domain} ({id}) is defined on this host, and the cluster does not have it",
    "machines.more": "there are {count} more like it",
    "machines.ok": "no domain of ours is on this host that the cluster does not have here",
    "pool.problem": "pool {name}: {why}",
    "pool.full": "pool {name} is full: {free} of {all} are free",
    "pool.reserve": "pool {name}: {free} of {all} are free, less than its reserve of {percent} %",
    "pool.ok": "pool {name}: {free} of {all} are free",
    "images.lost-one": "1 image has no file on this node any more: {names}",
    "images.lost": "{count} images have no file on this node any more: {names}",
    "images.ok": "all {count} images of this node have their files",
    "images.none": "no image is on this node",
    "ports.deaf": "nothing listens on {ports}",
    "ports.ok": "listening: {ports}",
    "operations.late": "{count} run for more than {limit} minutes; {kind} of {name} for {minutes}: {why}",
    "operations.ok": "{count} run, none for long",
    "nodes.silent": "not reached, or silent for more than three minutes: {names}",
    "nodes.ok": "no node is silent",
    "releases.differ": "different releases ({runs}); {why}",
    "releases.ok": "every node runs the same release, at feature level {level}",
    "tokens.endless": "tokens without an end, older than half a year: {names}",
    "tokens.ok": "no old token is without an end",
    "work.fails": "{why}",
    "work.ok": "every round of this node gets done",
    "settings.refused": "the next start would be refused: {why}",
    "settings.changed": "changed since the agent began: {names}",
    "settings.ok": "as the agent has read them",
}  # fmt: skip


def said(check: str, state: State, code: str, do: str = "", /, **values: str | int) -> Check:
    """The check, with its sentence; ``do`` is what to do. Numbers get separators here, and the panel's own there."""
    shown = {key: f"{value:,}" if isinstance(value, int) else value for key, value in values.items()}
    return Check(check, state, TEXTS[code].format(**shown), do, code, values)
