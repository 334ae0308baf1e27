"""The counter itself: words in, an answer on stdout, talk on stderr, an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import IO, Any

from girginosvm.cli import local, render, verbs
from girginosvm.cli.after import settled
from girginosvm.cli.catalogue import PLACES, VERBS
from girginosvm.cli.client import Client, new_key
from girginosvm.cli.trouble import EXITS, INTERRUPTED, STILL_RUNNING, StillRunning, Trouble, usage, verdict
from girginosvm.cli.wait import Teller, until_done

_PAGE = 500
_MORE = "next"
_NOT_THERE = ("agent-unreachable", "state-awaited")  # what the files say is all there is


class Counter:
    """One command line's dealings; what it reads and writes is given, so that tests need no process."""

    def __init__(self, prog: str, out: IO[str], talk: IO[str], environment: Mapping[str, str]) -> None:
        self._prog = prog
        self._out = out
        self._talk = talk
        self._environment = environment
        self._all = (*VERBS, *verbs.LOCAL)
        self._terminal = out.isatty()
        self._live = talk.isatty()

    def serve(self, words: list[str]) -> int:
        """Do what the words say; the exit code. What is wrong is said on stderr."""
        try:
            return self._serve(words)
        except Trouble as trouble:
            for n, line in enumerate(trouble.lines()):
                self._say(f"{self._prog}: {line}" if n == 0 else line)
            return trouble.exit_code
        except StillRunning as running:
            self._say(f"{self._prog}: {running.why}; it goes on: {self._prog} operation show {running.operation}")
            return STILL_RUNNING

    def _say(self, line: str) -> None:
        self._talk.write(render.visible(line) + "\n")

    def _serve(self, words: list[str]) -> int:
        lead, plain = _leading(words)
        helped = any(word in ("-h", "--help") for word in words)
        verb, taken = verbs.find(self._all, plain)
        if verb is None:
            return self._overview([word for word in plain if not word.startswith("-")], helped)
        try:
            request = verbs.parse(verb, [*lead, *plain[taken:]], self._prog, _formatter(helped and self._terminal))
        except SystemExit as end:  # argparse has printed the help
            return int(end.code or 0)
        if verb["way"] == "local":
            return self._local(request)
        try:
            return self._remote(request, self._client(request.options))
        except Trouble as trouble:
            if verb["cli"] == "doctor" and trouble.code in _NOT_THERE and not self._afar(request):
                return self._without_agent(request, trouble.detail)
            raise verbs.in_words_of(verb, trouble, VERBS, self._prog) from None

    def _overview(self, words: list[str], helped: bool) -> int:
        if words in (["help"], []):
            self._list(self._all, daemons=True)
            return 0 if helped or words else 2
        under = verbs.below(self._all, words)
        if under:
            self._list(under, daemons=False)
            return 0 if helped else 2
        close = verbs.meant(self._all, words)
        hint = f"did you mean: {self._prog} {close}" if close else f"{self._prog} --help"
        raise usage(f"there is no verb {' '.join(words[:3])!r}", hint)

    def _list(self, found: tuple[verbs.Verb, ...] | list[verbs.Verb], *, daemons: bool) -> None:
        rows = [(str(verb["cli"]), str(verb["summary"])) for verb in found]
        rows += list(verbs.DAEMONS) if daemons else []
        width = max(len(name) for name, _ in rows)
        self._out.write(f"{self._prog} VERB [OPTIONS]; {self._prog} VERB --help tells more\n\n")
        for name, summary in sorted(rows):
            self._out.write(f"  {name.ljust(width)}  {summary}\n")

    def _local(self, request: verbs.Request) -> int:
        if request.verb["cli"] == "completion":
            from girginosvm.cli import complete  # the scripts are long

            self._out.write(complete.script(request.values["shell"]))
            return 0
        if request.verb["cli"] == "explain":
            page = local.explained(request.values.get("code", ""))
            if "items" in page or request.options._format not in (None, "table"):
                self._write(page, request)
            else:
                render.leaflet(page, self._out, terminal=self._terminal)
            return 0
        root = local.root_of(request.options._root, self._environment)
        if request.verb["cli"] == "doctor bundle":
            from girginosvm.cli.bundle import Bundle, default_name  # half of the product, for this verb only

            made = Bundle(root, self._environment, self._client(request.options))
            self._write(made.write(request.values.get("file") or default_name()), request)
            return 0
        self._write(local.settings(root, self._environment), request)
        return 0

    def _afar(self, request: verbs.Request) -> bool:
        """Another node is asked, or an agent whose files are not known."""
        named = request.options._url or request.options._socket
        return bool(named or self._environment.get("GIRGINOSVM_API") or self._environment.get("GIRGINOSVM_SOCKET"))

    def _without_agent(self, request: verbs.Request, why: str) -> int:
        """The doctor looks at the files of this node, as far as they say something."""
        from girginosvm.cli import node  # half of the product, for this verb only

        value = node.examined(local.root_of(request.options._root, self._environment), self._environment, why)
        self._write(value, request)
        return verdict("doctor", value)

    def _client(self, options: argparse.Namespace) -> Client:
        said = self._environment
        token = options._token or said.get("GIRGINOSVM_API_TOKEN", "")
        if options._token_file:
            try:
                with open(options._token_file, encoding="utf-8") as file:
                    token = file.read().strip()
            except OSError as fault:
                raise usage(f"cannot read {options._token_file}: {fault.strerror}") from fault
        root = local.root_of(options._root, said)
        return Client(
            local.socket_of(options._socket, root, said),
            url=options._url or ("" if options._socket else said.get("GIRGINOSVM_API", "")),
            token=token,
            ca=options._ca or said.get("GIRGINOSVM_API_CA", ""),
            own_ca=os.path.join(root, "var/lib/girginosvm/pki/ca.crt"),
        )

    def _remote(self, request: verbs.Request, client: Client) -> int:
        verb = request.verb
        if verb["way"] == "stream":
            return self._stream(request, client)
        if verb["way"] == "query":
            value = self._answer(request, client)
            following = value.pop(_MORE, "") if verb.get("paged") else ""
            self._write(value, request)
            if following:  # below the table, where it is read
                self._out.flush()
                self._say(f"there is more: --cursor {following}")
            return verdict(verb["cli"], value)
        return self._command(request, client)

    def _answer(self, request: verbs.Request, client: Client) -> Any:
        if request.verb.get("paged"):
            return self._pages(request, client)
        value = client.get(request.path, request.rest).value
        while request.verb.get("walks") and (after := value.pop("next", "")):
            value = client.get(request.path, {**request.rest, "after": after}).value
        return value

    def _pages(self, request: verbs.Request, client: Client) -> dict[str, Any]:
        """One page when ``--limit`` or ``--cursor`` asks for one, else all of them."""
        query = dict(request.rest)
        one_page = "limit" in query or "cursor" in query
        query.setdefault("limit", _PAGE)
        whole: list[Any] = []
        while True:
            value = client.get(request.path, query).value or {}
            whole += value.get("items", [])
            following = str(value.get("next") or "")
            if not following or one_page:
                break
            query["cursor"] = following
        return {"items": whole, **({_MORE: following} if following else {})}

    def _command(self, request: verbs.Request, client: Client) -> int:
        options = request.options
        if request.verb.get("destroys"):
            if options._dry_run:
                return self._dry_run(request, client)
            self._confirm(request, client)
        key, why = _manners(request)
        try:
            reply = client.send(request.verb["method"], request.path, request.rest, key, why)
        except Trouble as trouble:
            if trouble.family == "Unknown":
                trouble.hint = _again(key)
            raise
        value = reply.value
        operation = str(value.get("operation") or "") if isinstance(value, dict) else ""
        if operation and reply.status == 202 and not options._no_wait:
            ended = self._wait(client, operation, options._timeout)
            value = {**_named(value, ended), "state": ended["state"]}
        elif operation and options._no_wait:
            value = self._begun(client, operation, value)
        if value is not None:
            self._write(_as_asked(value, request) if request.options._format in (None, "table") else value, request)
        if request.verb["cli"] == "vm destroy" and not options._no_wait and not request.values.get("purge"):
            self._say(f"its disks stay: {self._prog} storage disk list")
        return self._settled(client, request, value)

    def _settled(self, client: Client, request: verbs.Request, value: Any) -> int:
        """0 once what the order began is done, 11 when it goes on. The answer is written before: whoever is interrupted
        has it."""
        if request.options._no_wait or request.values.get("rehearse"):
            return 0
        goes_on = f"it goes on: {self._prog} membership status"
        try:
            last = settled(
                client, request.verb["cli"], value, Teller(self._talk, self._live), limit_s=request.options._timeout
            )
        except KeyboardInterrupt:
            self._say(goes_on)
            raise
        if last is not None:
            self._say(last.says if last.done else f"{self._prog}: {last.says}; {goes_on}")
        return 0 if last is None or last.done else STILL_RUNNING

    def _begun(self, client: Client, operation: str, value: dict[str, Any]) -> dict[str, Any]:
        """The answer with names; as it came where the node has no time to give them, for the order is accepted."""
        try:
            now = client.get(f"/v1/operations/{operation}").value
        except Trouble:
            return value
        return {**_named(value, now), "state": now["state"]}

    def _wait(self, client: Client, operation: str, timeout_s: float | None) -> dict[str, Any]:
        try:
            return until_done(client, operation, Teller(self._talk, self._live), timeout_s=timeout_s)
        except KeyboardInterrupt:
            self._say(f"it goes on: {self._prog} operation show {operation}")
            raise

    def _confirm(self, request: verbs.Request, client: Client) -> None:
        """Whatever ends something is meant: a person says so on a terminal. In a script what is named is meant, and
        what takes more along than it names has to be confirmed, by ``--yes`` or ``--confirm``."""
        own = any(field["name"] == "confirm" for field in request.verb["fields"])
        if not (request.options._yes or request.values.get("confirm")):
            terminal = sys.stdin.isatty() and self._live
            if not terminal and request.verb.get("foresees"):
                detail = f"{self._asked(request)}: nobody can be asked here whether that is meant"
                raise Trouble("Unsafe", "confirm-missing", detail, hint="--yes; --dry-run shows what would go")
            if terminal:
                self._ask(request, client)
        if own:
            request.values["confirm"] = True

    def _ask(self, request: verbs.Request, client: Client) -> None:
        """Whoever is asked sees before what would go."""
        render.write(self._foreseen(request, client), "table", self._talk)
        self._talk.write("\n" + render.visible(f"{request.verb['summary']}: {self._asked(request)}. Go on? [y/N] "))
        self._talk.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Trouble("Conflict", "not-confirmed", "nothing was done", hint="answer y, or give --yes")

    def _dry_run(self, request: verbs.Request, client: Client) -> int:
        """Show the thing that would go; the server is only read."""
        value = self._foreseen(request, client)
        if value is not None:
            self._write(value, request)
        self._say(f"dry run: {self._asked(request)}: {str(request.verb['summary']).lower()}; nothing was changed")
        return 0

    def _asked(self, request: verbs.Request) -> str:
        """The command line, as far as it says what is meant."""
        fields, said = request.verb["fields"], request.values
        named = [str(said[name]) for name in request.verb["positionals"] if name in said]
        others = [one for one in fields if one["name"] not in request.verb["positionals"] and one["name"] in said]
        more = [f"--{one['flag']}" for one in others if said[one["name"]] is True]
        more += [f"--{one['flag']} {said[one['name']]}" for one in others if one.get("ref")]
        return " ".join([self._prog, str(request.verb["cli"]), *named, *more])

    def _foreseen(self, request: verbs.Request, client: Client) -> Any:
        """What would go, read from the server; None where it has no such answer."""
        verb = request.verb
        base, _, last = str(verb["path"]).rpartition("/")
        shown = any(one["path"] == verb["path"] and one["method"] == "GET" for one in VERBS)
        if verb.get("foresees"):
            own = {name: value for name, value in request.rest.items() if value is True and name != "confirm"}
            return client.get(request.filled(verb["foresees"]), own).value
        if last.startswith("{") and shown:
            return client.get(request.path).value
        if last.startswith("{") and base in PLACES.values():
            return client.get(base, {"filter": f"id={next(iter(request.values.values()))}"}).value
        return None

    def _stream(self, request: verbs.Request, client: Client) -> int:
        if request.verb["method"] != "GET":
            try:
                key, why = _manners(request)
                with open(request.options._file, "rb") as file:
                    reply = client.upload(request.verb["method"], request.path, file, key, why)
            except Trouble as trouble:
                if trouble.family == "Unknown":
                    trouble.hint = _again(key)
                raise
            except OSError as fault:
                raise usage(f"cannot read {request.options._file}: {fault.strerror}") from fault
            self._write(reply.value, request)
            return 0
        import codecs  # for streams only

        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        for piece in client.stream(request.path, request.rest):
            text = decoder.decode(piece)
            if self._terminal:
                lines = text.replace("\r\n", "\n").split("\n")
                text = "\n".join("\t".join(map(render.visible, line.split("\t"))) for line in lines)
            self._out.write(text)
            self._out.flush()
        return 0

    def _write(self, value: Any, request: verbs.Request) -> None:
        wanted = str(request.values.get("fields", ""))
        columns = [name.strip() for name in wanted.split(",") if name.strip()] if request.verb.get("paged") else []
        form = request.options._format or "table"
        if not columns and form == "table" and isinstance(value, dict) and "items" in value:
            known = render.COLUMNS.get(request.verb["cli"], ())
            columns = [name for name in known if not value["items"] or name in value["items"][0]]
        render.write(value, form, self._out, columns=columns, terminal=self._terminal)


def _manners(request: verbs.Request) -> tuple[str, str]:
    """Key and reason of a write; "" for both where the node would know it again by no key."""
    if not request.verb.get("keyed"):
        return "", ""
    return request.options._key or new_key(), request.options._why


def _again(key: str) -> str:
    if not key:
        return "it may be done: look at what is there before you ask again"
    return f"send it again with --key {key}; it is done at most once"


def _named(value: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The answer with names for people: the log's own knows the node by its id only."""
    named = {"name": operation["subject_name"]} if operation.get("subject_name") else {}
    node = {"node": operation["node"]} if "node" in value and operation.get("node") else {}
    return {**named, **value, **node}


def _as_asked(value: Any, request: verbs.Request) -> Any:
    """For people: what was named is called so again, and not by its id."""
    if not isinstance(value, dict) or "name" in value:
        return value
    said = {name: request.values[name] for name in request.verb["positionals"] if name in request.values}
    return {name: said.get(name, one) if isinstance(one, str) else one for name, one in value.items()}


def _leading(words: list[str]) -> tuple[list[str], list[str]]:
    """Options that stand before the verb, and the rest."""
    takes = verbs.global_flags()
    n = 0
    while n < len(words) and words[n].startswith("-") and words[n].partition("=")[0] in takes:
        n += 1 if "=" in words[n] else 2
    return words[:n], words[n:]


def _formatter(pretty: bool) -> type[argparse.HelpFormatter]:
    if not pretty:
        return argparse.RawDescriptionHelpFormatter
    from rich_argparse import RawDescriptionRichHelpFormatter  # 100 ms, for help on terminals

    return RawDescriptionRichHelpFormatter


def main(words: list[str], prog: str) -> int:
    """The exit code of one command line. A reader that went away is no error; Ctrl-C is 130."""
    try:
        code = Counter(prog, sys.stdout, sys.stderr, os.environ).serve(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; give it somewhere to go (Python docs, signal, SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        # Not a problem of the person's: the trace is what a report of the bug needs.
        import traceback

        traceback.print_exc()
        return EXITS["Bug"]
    return code
