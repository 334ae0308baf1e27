"""The list of rooms, written out: no discovery, no plug-ins."""

from typing import Final

from girginosvm.core.manifest import Registry

REGISTRY: Final = Registry(())
