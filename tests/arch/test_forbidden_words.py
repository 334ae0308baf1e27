"""What no line of the package may say: nothing is unpickled, evaluated or run through a shell."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "girginosvm"
MODULES = {"pickle", "marshal", "shelve", "dill", "subprocess", "pty"}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "create_subprocess_shell"}


def found(text: str) -> list[str]:
    """Forbidden words in one module."""
    words: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            words += [one.name for one in node.names if one.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            words.append(node.module or "")
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            if isinstance(owner, ast.Name) and owner.id in ("os", "asyncio"):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            words += [name] if name in CALLS else []
            words += ["shell=" for word in node.keywords if word.arg == "shell"]
    return words


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_module_says_a_forbidden_word(file: Path) -> None:
    assert found(file.read_text(encoding="utf-8")) == []


def test_the_gate_sees_what_it_is_for() -> None:
    assert len(found("import pickle\nfrom marshal import loads\neval('1')\nos.system('x')\nf(shell=True)")) == 5
