"""Membership: the nodes that agree with each other."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.membership import authority, commands, parting, queries, schema, tokens

MANIFEST: Final = Manifest(
    name="membership",
    nouns={"member": queries.resolve, "join-token": tokens.resolve},
    actions=(
        commands.ShowMembership, commands.CreateJoinToken, commands.JoinCluster, commands.AskAdmission,
        commands.ShowAuthority, commands.DrainMember, commands.UndrainMember, commands.OrderLead, commands.LeaveCluster,
        commands.AddWitness, commands.AskStanding, commands.RemoveMember, parting.ForeseeRemoval,
        parting.ForeseeLeaving, commands.DescribeMember, authority.ReportTrust, authority.KeepAuthority,
        authority.OfferAuthority, authority.AdvanceAuthority, commands.RecordJoinToken, commands.AdmitMember,
        tokens.ListJoinTokens, tokens.RevokeJoinToken,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
