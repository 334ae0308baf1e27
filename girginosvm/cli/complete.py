"""Completion: one script per shell that asks ``girginosvm __complete`` with the words so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from girginosvm.cli.catalogue import PLACES, VERBS
from girginosvm.cli.client import Client
from girginosvm.cli.render import FORMATS, visible
from girginosvm.cli.trouble import Trouble
from girginosvm.cli.verbs import DAEMONS, LOCAL, Verb, find, global_flags

_ALL: Final = (*VERBS, *LOCAL)
_SCRIPTS: Final = {
    "bash": """_girginosvm() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" \\
    -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _girginosvm girginosvm girginosvm-center
""",
    "zsh": """#compdef girginosvm girginosvm-center
_girginosvm() {
  local -a found
  local line
  while IFS=$'\\t' read -r word text; do
    found+=("${word//:/\\\\:}:${text}")
  done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe girginosvm found || _files
}
compdef _girginosvm girginosvm girginosvm-center
""",
    "fish": """function __girginosvm_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c girginosvm -a '(__girginosvm_complete)'
complete -c girginosvm-center -a '(__girginosvm_complete)'
""",
}


def script(shell: str) -> str:
    """What the shell has to source."""
    return _SCRIPTS[shell]


def candidates(words: Sequence[str], names: Callable[[str], list[str]]) -> list[tuple[str, str]]:
    """What could stand where the last word is, each with a text. ``names`` lists a noun's names from the server."""
    *before, last = words or [""]
    plain = _without_globals(before)
    verb, taken = find(_ALL, plain)
    if verb is None:
        found = _next_words(plain)
    elif last.startswith("-"):
        found = _flags(verb)
    else:
        found = _values(verb, before, plain[taken:], names)
    return [(word, text) for word, text in found if word.startswith(last)]


def _without_globals(words: Sequence[str]) -> list[str]:
    takes = global_flags()
    plain: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif not plain and word.startswith("-"):
            skip = takes.get(word, False)
        else:
            plain.append(word)
    return plain


def _next_words(plain: list[str]) -> list[tuple[str, str]]:
    found: dict[str, str] = {} if plain else dict(DAEMONS)
    for verb in _ALL:
        parts = str(verb["cli"]).split()
        if parts[: len(plain)] == plain and len(parts) > len(plain):
            word = parts[len(plain)]
            last = len(parts) == len(plain) + 1
            found.setdefault(word, str(verb["summary"]) if last else f"{word} ...")
    return sorted(found.items())


def _flags(verb: Verb) -> list[tuple[str, str]]:
    found = [
        (f"--{field['flag']}", str(field["help"]))
        for field in verb["fields"]
        if field["name"] not in verb["positionals"]
    ]
    if verb["way"] == "command":
        found += [
            ("--no-wait", "do not wait for the operation"),
            ("--timeout", "wait so long"),
        ]
    if verb.get("keyed"):
        found += [("--key", "Idempotency-Key"), ("--why", "the reason")]
    if verb.get("destroys"):
        found += [("--yes", "that is meant: do not ask"), ("--dry-run", "show what would be destroyed")]
    return found + [(flag, "") for flag in global_flags()] + [("--help", "")]


def _values(verb: Verb, before: list[str], rest: list[str], names: Callable[[str], list[str]]) -> list[tuple[str, str]]:
    flags = {f"--{field['flag']}": field for field in verb["fields"]}
    by_name = {field["name"]: field for field in verb["fields"]}
    field = flags.get(before[-1]) if before else None
    if before and before[-1] in ("-f", "--format"):
        return [(form, "") for form in FORMATS]
    if field is None or field["type"] == "bool":
        given = _positionals(rest, flags)
        if given >= len(verb["positionals"]):
            return []
        field = by_name[verb["positionals"][given]]
    if field.get("choices"):
        return [(str(choice), "") for choice in field["choices"]]
    return [(name, "") for name in names(str(field["ref"]))] if field.get("ref") else []


def _positionals(rest: list[str], flags: dict[str, Verb]) -> int:
    count, skip = 0, False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = flags.get(word, {}).get("type", "bool") != "bool" or global_flags().get(word, False)
        else:
            count += 1
    return count


def from_server(client: Client) -> Callable[[str], list[str]]:
    """Names of a noun; nothing when the agent does not answer at once: a shell must not hang on Tab."""

    def names(noun: str) -> list[str]:
        if noun == "problem":
            from girginosvm.core import pages  # for this verb only

            return pages.codes()
        place = PLACES.get(noun)
        if place is None:
            return []
        try:
            value = client.get(place, {"limit": 200}).value
        except Trouble:
            return []
        items = value.get("items", []) if isinstance(value, dict) else []
        found = [str(item.get("name") or item.get("id", "")) for item in items]
        # A name with a control character is not offered: the shell would put it on its command line.
        return sorted(
            name for name in found if name and visible(name) == name and not set(name) & set(" $`\\\"';|&<>()")
        )

    return names


def main(words: list[str], socket_path: str, environment: dict[str, str] | None = None) -> int:
    """``__complete``: one candidate a line, its text behind a tab."""
    said = dict(os.environ) if environment is None else environment
    client = Client(
        socket_path,
        url=said.get("GIRGINOSVM_API", ""),
        token=said.get("GIRGINOSVM_API_TOKEN", ""),
        ca=said.get("GIRGINOSVM_API_CA", ""),
        deadline_s=1.0,
    )
    for word, text in candidates(words, from_server(client)):
        print(f"{word}\t{text}")
    return 0
