"""What the lines of history say, by the kind of the event; where one kind says several things, by a word behind it. The
text of a line is kept as it was written and chained, so this is what reads it: whoever changes a text there adds one
here, and the old one stays for the lines of before. Pure."""

from __future__ import annotations

from typing import Final

_STATES: Final = ("running", "paused", "stopped", "crashed", "gone", "unknown")
TEXTS: Final = {
    "node.added": "node {name} came up ({acceleration})",
    "node.away": "node {name} is not reached by the node that leads",
    "node.back": "node {name} is reached again",
    "node.cordoned": "node {name} takes no new machines",
    "node.uncordoned": "node {name} is no longer cordoned",
    "node.maintenance-begun": "node {name} is in maintenance",
    "node.maintenance-ended": "the maintenance of node {name} has ended",
    "node.located": "node {name} is in failure domain {domain}",
    "node.located.none": "node {name} is in no failure domain",
    "node.release": "{name} runs release {release}, which supports feature level {level}; it was {before}",
    "user.created": "{email} may sign in as {role}",
    "user.password-set": "{email} has a new password",
    "user.disabled": "{email} may no longer sign in",
    "user.enabled": "{email} may sign in again",
    "user.administrator": "{email} is an administrator with a new password",
    "session.opened": "{email} signed in from {address}",
    "session.closed": "{email} signed out",
    "token.created": "token {name} as {role}",
    "token.revoked": "token {name} is revoked",
    "operation.given-up": "gave up {kind} of {name}",
    "operation.pruned": "{count} operations that ended long ago were taken out",
    "event.pruned": "{count} events up to {until} were taken out because of their age",
    "membership.authority.offered": "CA {generation} is offered: a member has left",
    "membership.authority.signs": "CA {generation} signs for the members",
    "membership.authority.alone": "CA {generation} is the only one that is trusted",
    "membership.token-revoked": "the token to join {token}, made by {by}, is revoked",
    "membership.token-created": "made the token {token} to join the cluster with",
    "membership.joined": "{name} is a member of the cluster",
    "membership.admitted": "{name} is let in",
    "membership.admitted.brings": "{name} is let in, and brings {what}",
    "membership.removed": "{name} is no member any more",
    "membership.removed.lost": "{name} is no member any more; given up with it: {names}",
    "membership.drained": "{name} gives its vote away",
    "membership.undrained": "{name} may vote again",
    "membership.lead.first": "{name} is to lead first",
    "membership.lead.last": "{name} is to lead last",
    "membership.lead.any": "{name} is to lead like any other",
    "center.promoted": "{name} is a center at {url} ({bind})",
    "center.demoted": "{name} is no center any more",
    "pool.added": "added pool {name} at {path}",
    "pool.removed": "forgot pool {name}",
    "disk.forgotten": "forgot {path}, kept of machine {name}",
    "network.added": "added network {name} on {bridge}",
    "network.removed": "removed network {name}",
    "image.pulling": "image {name} from {source}",
    "image.pulling.unsigned": "image {name} (unsigned) from {source}",
    "image.ready": "image {name} is ready",
    "image.ready.from": "image {name} from {source}",
    "image.ready.unsigned": "image {name} (unsigned) from {source}",
    "image.failed": "image {name}: {why}",
    "image.deleted": "deleted image {name}",
    "image.copied": "image {name} is on {node} too",
    "image.problem": "image {name} cannot be copied to {node} yet: {why}",
    "vm.created": "created machine {name} from {image}",
    "vm.destroying.purge": "destroy machine {name} and its disks",
    "vm.destroying.keep": "destroy machine {name} and keep its disks",
    "vm.adopted": "adopted domain {domain} as machine {name}",
    "vm.start-asked": "start machine {name}",
    "vm.stop-asked.guest": "shut down machine {name}",
    "vm.stop-asked.cut": "cut the power of machine {name}",
    "vm.reboot-asked": "reboot machine {name}",
    "vm.reboot-asked.reset": "reset machine {name}",
    "vm.brought": "machine {name} came with its node",
} | {
    f"vm.{state}{ending}": f"machine {{name}} is {state}: {reason}"
    for state in _STATES for ending, reason in (("", "{reason}"), (".bare", ""))
} | {
    "vm.problem": "machine {name}: {why}",
    "vm.destroyed": "machine {name} is gone",
    "vm.stray.unknown": "domain {domain} on {node} ({power}) carries our mark, and the cluster does not have it",
    "vm.stray.elsewhere": "domain {domain} on {node} ({power}) is machine {name}, which the cluster has on {other}",
    "cluster.founded": "founded a cluster of one",
    "cluster.level-raised": "the cluster goes on to feature level {level}: {why}",
    "cluster.recovered": "goes on without {names} from entry {index} of term {term}. The proof: {proof}",
    "cluster.recovered.center": "goes on without {names} from entry {index} of term {term}; no center until it "
    "is back: {centers}. The proof: {proof}",
    "cluster.recovered.rejoin": "goes on without {names} from entry {index} of term {term}; to come back under "
    "another id: {others}. The proof: {proof}",
    "cluster.recovered.both": "goes on without {names} from entry {index} of term {term}; to come back under "
    "another id: {others}; no center until it is back: {centers}. The proof: {proof}",
    "command.refused": "refused: {why}",
}  # fmt: skip
