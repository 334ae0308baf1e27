"""How the product itself is: who agrees with whom, and what is not as it should be."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.diagnostics import queries

MANIFEST: Final = Manifest(name="diagnostics", actions=(queries.ShowQuorum, queries.ShowDoctor))
