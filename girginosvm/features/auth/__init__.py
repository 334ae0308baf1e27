"""Who may come in: people, sessions, tokens of programs."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.auth import commands, queries, schema

MANIFEST: Final = Manifest(
    name="auth",
    nouns={"user": queries.resolve_user, "token": queries.resolve_token},
    actions=(
        commands.Login, commands.Refresh, commands.Logout, commands.ChangePassword, commands.WhoAmI,
        queries.ListUsers, commands.CreateUser, commands.FoundAdministrator, commands.SetPassword,
        commands.DisableUser, commands.EnableUser, queries.ListTokens, commands.CreateToken, commands.RecordToken,
        commands.RevokeToken, commands.CountAttempt, commands.OpenSession, commands.RotateSession,
        commands.CloseSession,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
