"""From words to a request: which verb is meant, its parser, and the body, query and path that the words make."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

from girginosvm.cli.catalogue import PLACES
from girginosvm.cli.render import FORMATS
from girginosvm.cli.trouble import Trouble, usage
from girginosvm.core.units import GIB, MIB, size_in

Verb = dict[str, Any]
_UNITS: Final = {"MiB": MIB, "GiB": GIB}
# Written by hand: what needs no action of a room.
LOCAL: Final[tuple[Verb, ...]] = (
    {
        "cli": "doctor settings", "way": "local", "summary": "Show each setting of this node and where it comes from",
        "doc": "", "positionals": [], "examples": ["girginosvm doctor settings"], "fields": [],
    },
    {
        "cli": "doctor bundle", "way": "local",
        "summary": "Write all that helps to find a fault into one file, without secrets",
        "doc": "Logs, settings, how the node stands, how many rows each table has, the last events, versions, our "
        "packet filter, what libvirt lists. It works while the agent is away, too. The file is for its owner only, and "
        "none is overwritten.", "positionals": ["file"],
        "examples": ["girginosvm doctor bundle", "girginosvm doctor bundle /root/n1.tar.gz"],
        "fields": [{
            "name": "file", "flag": "file", "help": "Where to; otherwise a file here that is named by the time.",
            "type": "str", "default": "",
        }],
    },
    {
        "cli": "explain", "way": "local", "summary": "Say what a problem code means and what to do", "doc":
        "Without a code: all of them. The node shows the same pages at /problems.", "positionals": ["code"],
        "examples": ["girginosvm explain pool-full"],
        "fields": [{
            "name": "code", "flag": "code", "help": "The word in parentheses behind an error.", "type": "str",
            "ref": "problem", "default": "",
        }],
    },
    {
        "cli": "completion", "way": "local", "summary": "Print the completion script of a shell", "doc": "",
        "positionals": ["shell"], "examples": ["source <(girginosvm completion bash)"],
        "fields": [{
            "name": "shell", "flag": "shell", "help": "Which shell.", "type": "str", "required": True,
            "choices": ["bash", "zsh", "fish"],
        }],
    },
)  # fmt: skip
# What a list's form is called by kubectl, by Ganeti and by Proxmox VE.
_FORMAT_ELSEWHERE: Final = frozenset({"o", "output", "output-format"})
# What others call our verbs: a whole one, or its last word.
_ELSEWHERE: Final = {
    "status": "membership status", "cluster status": "membership status", "cluster list": "node list",
    "cluster info": "membership status", "node add": "membership token create", "node remove": "membership remove",
    "node rm": "membership remove", "node delete": "membership remove", "node drain": "membership drain",
    "node evacuate": "membership drain", "cluster join": "membership join", "cluster add": "membership token create",
    "cluster remove": "membership remove", "node join": "membership join", "cluster leave": "membership leave",
    "verify": "doctor", "cluster verify": "doctor", "login": "token create",
}  # fmt: skip
_LAST_ELSEWHERE: Final = {
    "info": ("show",), "get": ("show",), "status": ("show",), "config": ("show",), "describe": ("show",),
    "ls": ("list",), "delete": ("destroy", "rm"), "rm": ("destroy",), "remove": ("destroy", "rm"),
    "shutdown": ("stop",), "poweroff": ("stop",), "restart": ("reboot",), "reset": ("reboot",),
    "console": ("serial",), "launch": ("create",), "add": ("create",), "new": ("create",),
}  # fmt: skip
DAEMONS: Final = (("agent", "Run the agent"), ("raft", "Run the Raft process"))


class Request:
    """What to send, and how the person wants it answered."""

    def __init__(self, verb: Verb, values: dict[str, Any], options: argparse.Namespace) -> None:
        self.verb = verb
        self.values = values
        self.options = options

    @property
    def path(self) -> str:
        """The path with its fields filled in."""
        return self.filled(str(self.verb["path"]))

    def filled(self, text: str) -> str:
        """A path like the verb's with its fields filled in."""
        for name in self._path_fields:
            text = text.replace(f"{{{name}}}", quote(str(self.values[name]), safe=""))
        return text

    @property
    def rest(self) -> dict[str, Any]:
        """The fields that are not in the path: the body of a command, the query of a query."""
        return {name: value for name, value in self.values.items() if name not in self._path_fields}

    @property
    def _path_fields(self) -> list[str]:
        return [name for name in self.verb["positionals"] if f"{{{name}}}" in self.verb["path"]]


def find(verbs: Sequence[Verb], words: Sequence[str]) -> tuple[Verb | None, int]:
    """The verb that the first words name, the longest that fits, and how many words that took."""
    best: tuple[Verb | None, int] = (None, 0)
    for verb in verbs:
        parts = str(verb["cli"]).split()
        if list(words[: len(parts)]) == parts and len(parts) > best[1]:
            best = (verb, len(parts))
    return best


def below(verbs: Sequence[Verb], words: Sequence[str]) -> list[Verb]:
    """The verbs that begin with these words."""
    return [verb for verb in verbs if str(verb["cli"]).split()[: len(words)] == list(words)]


def meant(verbs: Sequence[Verb], words: Sequence[str]) -> str:
    """The verb that was probably meant, or nothing."""
    import difflib  # for mistakes only

    names = [str(verb["cli"]) for verb in verbs]
    for count in (2, 1):
        said = " ".join(words[:count])
        noun, _, last = said.rpartition(" ")
        ours = [_ELSEWHERE.get(said, ""), *(f"{noun} {one}" for one in _LAST_ELSEWHERE.get(last, ()))]
        if found := [one for one in ours if one in names]:
            return found[0]
    names += [name.split()[0] for name in names]
    for count in (len(words), 3, 2, 1):
        close = difflib.get_close_matches(" ".join(words[:count]), names, n=1, cutoff=0.7)
        if close:
            return close[0]
    return ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise usage(message, f"{self.prog} --help")


def _global_options() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [
        (("-f", "--format"), {"choices": FORMATS, "help": "how to print (table)"}),
        (("--url",), {"metavar": "URL", "help": "a node's API instead of the local socket (GIRGINOSVM_API)"}),
        (("--token-file",), {"metavar": "FILE", "help": "token for --url (or GIRGINOSVM_API_TOKEN)"}),
        (("--token",), {"metavar": "TOKEN", "help": "the same; other users see command lines"}),
        (("--ca",), {"metavar": "FILE", "help": "the only CA to trust (GIRGINOSVM_API_CA)"}),
        (("--socket",), {"metavar": "PATH", "help": "the agent's socket (GIRGINOSVM_SOCKET)"}),
        (("--root",), {"metavar": "DIR", "help": "everything lies below DIR (GIRGINOSVM_ROOT)"}),
    ]


def global_flags() -> dict[str, bool]:
    """Each flag that every verb takes, and whether a value follows."""
    return {flag: True for flags, _ in _global_options() for flag in flags}


def parser(verb: Verb, prog: str, formatter: type[argparse.HelpFormatter]) -> argparse.ArgumentParser:
    """The parser of one verb; only the asked one is ever built."""
    lines = "\n".join(f"  {line}" for line in verb["examples"])
    made = _Parser(
        prog=f"{prog} {verb['cli']}",
        description="\n".join(part for part in (f"{verb['summary']}.", verb["doc"]) if part),
        epilog=f"Examples:\n{lines}" if lines else None,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    own = made.add_argument_group("fields")
    for field in verb["fields"]:
        _add_field(own, verb, field)
    if verb["way"] == "stream" and verb["method"] != "GET":
        own.add_argument("--file", dest="_file", required=True, metavar="FILE", help="what to send")
        _add_key(made.add_argument_group("manners"), verb)
    if verb["way"] == "command":
        _add_manners(made.add_argument_group("manners"), verb)
    everywhere = made.add_argument_group("everywhere")
    taken = {f"--{field['flag']}" for field in verb["fields"] if field["name"] not in verb["positionals"]}
    for flags, words in _global_options():
        dest = "_" + flags[-1][2:].replace("-", "_")
        if taken & set(flags):  # it means the verb's own field here, and the global option stays unsaid
            made.set_defaults(**{dest: None})
        else:
            everywhere.add_argument(*flags, dest=dest, **words)
    return made


def _add_manners(group: argparse._ArgumentGroup, verb: Verb) -> None:
    group.add_argument("--no-wait", dest="_no_wait", action="store_true", help="do not wait for the operation")
    group.add_argument("--timeout", dest="_timeout", type=float, metavar="S", help="wait so long, then exit 11")
    _add_key(group, verb)
    if verb.get("destroys"):
        own = any(field["name"] == "confirm" for field in verb["fields"])
        yes = ("--yes",) if own else ("--yes", "--confirm")
        scripts = "; scripts have to say it" if verb.get("foresees") else ""
        group.add_argument(*yes, dest="_yes", action="store_true", help=f"that is meant: do not ask{scripts}")
        group.add_argument("--dry-run", dest="_dry_run", action="store_true", help="show what would be destroyed")


def _add_key(group: argparse._ArgumentGroup, verb: Verb) -> None:
    if verb.get("keyed"):
        group.add_argument("--key", dest="_key", metavar="KEY", help="Idempotency-Key; the same again is done once")
        group.add_argument("--why", dest="_why", default="", metavar="TEXT", help="the reason; events keep it")


def _add_field(group: argparse._ArgumentGroup, verb: Verb, field: dict[str, Any]) -> None:
    words: dict[str, Any] = {"help": _help(field), "default": None}
    if field["type"] == "bool":
        if field.get("default") is False and not field.get("optional"):
            words["action"] = "store_true"
        else:
            words["action"] = argparse.BooleanOptionalAction
    else:
        words["type"] = _reader(field)
        words["choices"] = field.get("choices")
        if not field.get("choices"):
            words["metavar"] = _metavar(field)
    if field["type"] == "list":
        words["action"] = "append"
    if field["name"] in verb["positionals"]:
        words["metavar"] = field["name"].upper() if not field.get("choices") else None
        if not field.get("required"):
            words["nargs"] = "?"
        group.add_argument(field["name"], **words)
        return
    if field.get("required") and not field.get("secret"):
        words["required"] = True
    group.add_argument(f"--{field['flag']}", dest=field["name"], **words)


def _help(field: dict[str, Any]) -> str:
    text = str(field["help"]) or field["name"]
    if field.get("unit") in _UNITS:
        text += f" A plain number is {field['unit']}; 2G, 512M say their own."
    if field["type"] == "list":
        text += " May be given several times."
    if field.get("default") not in (None, "", False):
        text += f" Default: {field['default']}"
        text += f" {field['unit']}." if field.get("unit") else "."
    return text.replace("%", "%%")


def _metavar(field: dict[str, Any]) -> str:
    if field.get("file"):
        return "FILE"
    if field.get("unit"):
        return "SIZE"
    return {"int": "N", "json": "JSON"}.get(field["type"], str(field["flag"]).upper().replace("-", "_"))


def _reader(field: dict[str, Any]) -> Callable[[str], Any]:
    """How a word becomes the field's value; argparse shows what it raises."""

    def read(text: str) -> Any:
        try:
            return _value(field, text)
        except OSError as fault:
            raise argparse.ArgumentTypeError(f"cannot read {text}: {fault.strerror}") from fault
        except UnicodeDecodeError as fault:
            raise argparse.ArgumentTypeError(f"{text} is no text in UTF-8") from fault
        except ValueError as fault:
            raise argparse.ArgumentTypeError(str(fault)) from fault

    return read


def _value(field: dict[str, Any], text: str) -> Any:
    kind = field.get("item") or field["type"]
    if field.get("file"):
        return sys.stdin.read() if text == "-" else Path(text).expanduser().read_text(encoding="utf-8")
    if field.get("unit") in _UNITS:
        return size_in(text, _UNITS[field["unit"]])
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number") from None
    if kind == "json":
        import json  # rare

        return json.loads(text)
    return text


def parse(verb: Verb, words: list[str], prog: str, formatter: type[argparse.HelpFormatter]) -> Request:
    """The request that the words make; Trouble (exit 2) when they make none. Only fields that were given travel."""
    made = parser(verb, prog, formatter)
    try:
        options, strange = made.parse_known_args(_joined(words, made))
    except argparse.ArgumentError as fault:
        raise usage(str(fault), f"{made.prog} --help") from fault
    if strange:
        raise _strange(strange[0], made, verb, options)
    values = {name: value for name, value in vars(options).items() if not name.startswith("_") and value is not None}
    for field in verb["fields"]:
        if field["type"] == "list" and field.get("ref") and field["name"] in values:  # no name of ours has a comma
            values[field["name"]] = [one for said in values[field["name"]] for one in said.split(",") if one]
    for field in verb["fields"]:
        if field["type"] == "bool" and values.get(field["name"]) is False and field.get("default") is False:
            del values[field["name"]]
        if field.get("secret") and field.get("required") and field["name"] not in values:
            values[field["name"]] = _ask_secret(field)
    return Request(verb, values, options)


def _ask_secret(field: dict[str, Any]) -> str:
    if not sys.stdin.isatty():
        raise usage(f"--{field['flag']} is missing, and nobody can be asked for it here")
    import getpass  # rare

    return getpass.getpass(f"{field['flag']}: ")


def in_words_of(verb: Verb, trouble: Trouble, everything: Sequence[Verb], prog: str) -> Trouble:
    """A server's refusal in the words of the command line: options for fields, and where the right names are listed."""
    fields = {f"/{field['name']}": field for field in verb["fields"]}
    at = {pointer: fields.get("/" + pointer.split("/")[1] if "/" in pointer else "") for pointer, _ in trouble.faults}
    if trouble.code in ("body-invalid", "query-invalid") and trouble.faults:
        said = [f"{_spelt(verb, at[pointer], pointer)}: {detail}" for pointer, detail in trouble.faults]
        trouble.detail, trouble.faults = "; ".join(said), ()
        trouble.hint = f"{prog} {verb['cli']} --help"
    elif trouble.code == "agent-unreachable" and verb["cli"] == "quorum":
        trouble.hint = (
            "systemctl status girginosvm girginosvm-raft; machines run on meanwhile: virsh -c qemu:///system list --all"
        )
    elif trouble.family == "Missing":
        nouns = [field["ref"] for field in at.values() if field and field.get("ref")]
        lists = [one["cli"] for noun in nouns for one in everything if _lists(one, noun)]
        trouble.hint = f"{prog} {lists[0]}" if lists else trouble.hint
    return trouble


def _spelt(verb: Verb, field: dict[str, Any] | None, pointer: str) -> str:
    if field is None:
        return pointer[1:] or "the request"
    return str(field["name"]).upper() if field["name"] in verb["positionals"] else f"--{field['flag']}"


def _lists(verb: Verb, noun: str) -> bool:
    return bool(verb.get("paged")) and verb["path"] == PLACES.get(noun)


def _joined(words: Sequence[str], made: argparse.ArgumentParser) -> list[str]:
    """``--sort -name`` as ``--sort=-name``: argparse takes a value that begins with a dash for an option."""
    flags = made._option_string_actions
    out: list[str] = []
    for word in words:
        before = flags.get(out[-1]) if out and out[-1].startswith("--") else None
        valued = before is not None and before.nargs is None and word not in flags
        if valued and len(word) > 1 and word[0] == "-" and word[1] != "-":
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def _strange(word: str, made: argparse.ArgumentParser, verb: Verb, options: argparse.Namespace) -> Trouble:
    import difflib  # for mistakes only

    if not word.startswith("-"):
        free = [
            field for field in verb["fields"]
            if field.get("ref") and field["name"] not in verb["positionals"] and not getattr(options, field["name"])
        ]  # fmt: skip
        hint = f"did you mean --{free[0]['flag']} {word}?" if len(free) == 1 else f"{made.prog} --help"
        return usage(f"unknown argument {word!r}", hint)
    bare = word.partition("=")[0].lstrip("-")
    if bare in verb["positionals"]:
        return usage(f"unknown option {word!r}", f"it stands without one: {made.prog} {bare.upper()}")
    if bare in _FORMAT_ELSEWHERE:
        return usage(f"unknown option {word!r}", f"did you mean --format? {', '.join(FORMATS)}")
    flags = [flag for one in made._actions for flag in one.option_strings]
    # Without the dashes: two short words are not alike because both begin with them.
    plain = {flag.lstrip("-"): flag for flag in flags if flag.startswith("--")}
    close = difflib.get_close_matches(bare, plain, n=1, cutoff=0.6)
    hint = f"did you mean {plain[close[0]]}?" if close else f"{made.prog} --help"
    return usage(f"unknown option {word!r}", hint)
