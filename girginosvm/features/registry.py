"""The list of rooms, written out: no discovery, no plug-ins."""

from typing import Final

from girginosvm.core.manifest import Registry
from girginosvm.features import (
    auth,
    center,
    cluster,
    diagnostics,
    event,
    image,
    membership,
    network,
    node,
    operation,
    storage,
    vm,
)

REGISTRY: Final = Registry(
    (
        auth.MANIFEST,
        cluster.MANIFEST,
        membership.MANIFEST,
        node.MANIFEST,
        center.MANIFEST,
        storage.MANIFEST,
        network.MANIFEST,
        image.MANIFEST,
        vm.MANIFEST,
        operation.MANIFEST,
        event.MANIFEST,
        diagnostics.MANIFEST,
    )
)
