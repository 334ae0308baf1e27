"""Machines: described here, built and kept by the node they are placed on."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.vm import bring, commands, foresee, power, queries, reports, schema

MANIFEST: Final = Manifest(
    name="vm",
    nouns={"vm": queries.resolve},
    actions=(
        queries.ListVms, queries.ShowVm, queries.SerialOutput, foresee.ForeseePlacement, commands.CreateVm,
        power.StartVm, power.StopVm, power.RebootVm, commands.DestroyVm, commands.AdoptVm, reports.ReportVm,
        reports.ReportForeign, bring.BringVm,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
