"""The one executable: a daemon when it is told so, else the command line. Thin, because every start pays for it."""

import os
import sys


def main() -> int:
    """Dispatch by the first word; nothing is imported that the word does not need."""
    prog = os.path.basename(sys.argv[0])
    prog = prog if prog == "girginosvm-center" else "girginosvm"
    words = sys.argv[1:]
    first = words[0] if words else ""
    if first in ("--version", "-V", "version"):
        from girginosvm import __version__

        sys.stdout.write(f"{prog} {__version__}\n")
        return 0
    if first in ("raft", "agent", "__selftest"):
        return _daemon(first, words[1:])
    if first == "__complete":
        from girginosvm.cli import complete, local

        return complete.main(words[1:], local.socket_of(None, local.root_of(None, os.environ), os.environ))
    from girginosvm.cli.main import main as counter

    return counter(words, prog)


def _daemon(name: str, words: list[str]) -> int:
    import gc
    from importlib import import_module

    # Literal names: the compiler follows only what it can read.
    if name == "raft":
        module = import_module("girginosvm.daemon.raft")
    elif name == "agent":
        module = import_module("girginosvm.daemon.agent")
    else:
        module = import_module("girginosvm.daemon.selftest")
    # What is there now stays: the collector need not go through it again and again, nor after every 700 new objects.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return int(module.main(words) or 0)


if __name__ == "__main__":
    sys.exit(main())
