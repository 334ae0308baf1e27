"""What the doctor and the quorum can say, by code: the sentence in English, with named values; and by another code what
is to be done. The panel has each of them in its languages (``check.CODE``, ``advice.CODE``), and a test holds its
English to this one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from girginosvm.core.words import Said, shown
from girginosvm.features.diagnostics.model import Check, State

# What a value ``why`` says was found by another program or process, and stays in its words.
TEXTS: Final = {
    "quorum.away": "{why}: nothing can be changed through it; what it shows is as old as that",
    "quorum.halted": "this node applies nothing any more, and shows what it knew: {why}",
    "quorum.lacking": "this node applies nothing before it has the state again: {why}",
    "quorum.trouble": "{why}",
    "quorum.notice": "{why}",
    "quorum.never-led": "no leader was heard since the raft process of this node began, though {here} of {voters} "
    "voters are reached from here: changes wait",
    "quorum.unled": "no leader was heard for {seconds} s, though {here} of {voters} voters are reached from here: "
    "changes wait",
    "quorum.lost": "nothing can be changed: {need} of {voters} voters are needed; reached from here: {here}; "
    "not reached: {names}",
    "quorum.only-here": "this node is the only voter: changes are possible as long as it runs",
    "quorum.only": "{leader} is the only voter: changes are possible as long as it runs",
    "quorum.from-afar": "{leader} leads and reaches a majority; from here {here} of {voters} voters are reached",
    "quorum.leads": "{leader} leads, {here} of {voters} voters are reached: {spare} of {voters} voters may fail",
    "quorum.leads-two": "{leader} leads, and both voters are reached: neither may fail; a third node, or a witness, "
    "would let one fail (girginosvm witness add)",
    "quorum.leads-none": "{leader} leads, {here} of {voters} voters are reached: no further voter may fail",
    "agent.away": "{why}",
    "raft.away": "{why}",
    "raft.removed": "{why}",
    "raft.lacking": "{why}",
    "raft.unreached": "{leader} leads, {reached} of {voters} voters are reached; not reached: {names}",
    "raft.late": "the leader was last heard {seconds} s ago",
    "raft.closed": "{names}: reached by the Raft port, and not by the API's",
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
    "clock.ok": "within {seconds} s of every other node ({count})",
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

# What to do: commands, and between them as few words as they need.
ADVICE: Final = {
    "agent": "systemctl status girginosvm girginosvm-raft; journalctl -u girginosvm -u girginosvm-raft",
    "raft": "journalctl -u girginosvm-raft -n 50",
    "raft.removed": "girginosvm membership leave --confirm",
    "raft.parted": "girginosvm membership status",
    "raft.lacking": "girginosvm explain database-behind; look again: it is fetched",
    "raft.stands": "girginosvm quorum",
    "raft.unreached": "systemctl status girginosvm-raft, on those nodes",
    "raft.late": "look again; ping the leader's address if it stays so",
    "raft.closed": "systemctl status girginosvm, on those nodes; and the firewall between",
    "lag": "look again: the number falls while they catch up",
    "journal.trouble": "dmesg | tail; df -h /var/lib/girginosvm",
    "journal.slow": "look for what else writes to that disk: iostat -x 1",
    "journal.large": "journalctl -u girginosvm-raft | grep journal.not-compacted",
    "database.damaged": "girginosvm explain database-damaged",
    "database.wal": "systemctl restart girginosvm",
    "history": "girginosvm event verify",
    "disk": "df -h {place}; df -i {place}",
    "certificate.file": "ls -l {path}",
    "certificate.ca": "girginosvm membership status",
    "certificate.server": "journalctl -u girginosvm | grep certificate",
    "clock": "timedatectl, on both; systemctl restart chronyd where it is wrong",
    "clock.log": "timedatectl",
    "libvirt": "systemctl status libvirtd virtqemud; virsh -c qemu:///system list",
    "libvirt.qemu": "dnf install qemu-kvm",
    "libvirt.tcg": "ls -l /dev/kvm; grep -c -E 'vmx|svm' /proc/cpuinfo",
    "machines.twice": "girginosvm vm show {id}; where it does not belong, once that is sure: virsh destroy {domain}; "
    "virsh undefine --nvram {domain}",
    "machines.elsewhere": "girginosvm vm show {id}; where it does not belong, once that is sure: virsh undefine "
    "--nvram {domain}",
    "machines.unknown": "girginosvm vm adopt {id}; or, when nobody needs it any more: virsh destroy {domain}; virsh "
    "undefine --nvram {domain}",
    "machines.unknown-off": "girginosvm vm adopt {id}; or, when nobody needs it any more: virsh undefine --nvram "
    "{domain}",
    "machines.more": "virsh list --all",
    "pool": "girginosvm storage pool list; girginosvm storage disk list",
    "images": "girginosvm image list; girginosvm image rm NAME, and fetch it again",
    "ports": "ss -ltnp 'sport = :{port}'",
    "operations": "girginosvm operation show {id}",
    "nodes": "girginosvm node list; systemctl status girginosvm, on those",
    "releases": "girginosvm membership status; upgrade the older nodes",
    "tokens": "girginosvm token revoke NAME, when nobody uses it any more",
    "work": "girginosvm health; girginosvm event list",
    "settings.refused": "girginosvm doctor settings",
    "settings.changed": "systemctl restart girginosvm-raft girginosvm",
}  # fmt: skip


class Sentence(msgspec.Struct, frozen=True):
    """One of ``TEXTS``; numbers as they are, everything else as it is shown."""

    code: str
    values: dict[str, str | int] = {}

    @property
    def text(self) -> str:
        """In English."""
        return _worded(TEXTS[self.code], self.values)


def said(check: str, state: State, code: str, advice: str = "", /, **values: str | int | list[Said]) -> Check:
    """The check, with its sentence, and what to do about it; ``values`` are both their values."""
    does = _worded(ADVICE[advice], values) if advice else ""
    return Check(check, state, _worded(TEXTS[code], values), does, code, advice, values)


def _worded(text: str, values: Mapping[str, str | int | list[Said]]) -> str:
    """Numbers get separators here, and the panel's own there."""
    return text.format(
        **{key: f"{value:,}" if isinstance(value, int) else shown(value) for key, value in values.items()}
    )
