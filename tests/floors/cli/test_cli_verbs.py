"""Words to requests."""

import argparse
from pathlib import Path

import pytest

from girginosvm.cli import complete, verbs
from girginosvm.cli.catalogue import VERBS
from girginosvm.cli.trouble import Trouble

ALL = (*VERBS, *verbs.LOCAL)
GLOBAL = ("_format", "_url", "_token_file", "_token", "_ca", "_socket", "_root")


def parsed(line: str | list[str]) -> verbs.Request:
    words = line.split() if isinstance(line, str) else line
    verb, taken = verbs.find(ALL, words)
    assert verb is not None, line
    return verbs.parse(verb, list(words[taken:]), "girginosvm", argparse.HelpFormatter)


@pytest.mark.parametrize(
    ("line", "method", "path", "rest"),
    [
        ("vm list", "GET", "/v1/vms", {}),
        ("vm show web01", "GET", "/v1/vms/web01", {}),
        (
            "vm create --name web01 --image almalinux-10 --vcpu 4 --memory 8192 --disk 80 --network br-vsw",
            "POST",
            "/v1/vms",
            {
                "name": "web01",
                "image": "almalinux-10",
                "vcpu": 4,
                "memory_mb": 8192,
                "disk_gb": 80,
                "network": "br-vsw",
            },
        ),
        ("vm list --sort -name --limit 3", "GET", "/v1/vms", {"sort": "-name", "limit": 3}),
        ("vm start web01", "POST", "/v1/vms/web01/start", {}),
        ("vm stop web01 --graceful", "POST", "/v1/vms/web01/stop", {"graceful": True}),
        ("vm reboot web01", "POST", "/v1/vms/web01/reboot", {}),
        ("vm destroy web01 --purge", "DELETE", "/v1/vms/web01", {"purge": True}),
        ("image list", "GET", "/v1/images", {}),
        ("image pull almalinux-10", "POST", "/v1/images/pull", {"name": "almalinux-10"}),
        ("image rm debian-12", "DELETE", "/v1/images/debian-12", {}),
        ("storage pool list", "GET", "/v1/pools", {}),
        (
            "storage pool add --name fast --path /var/lib/girginosvm/storage",
            "POST",
            "/v1/pools",
            {"name": "fast", "path": "/var/lib/girginosvm/storage"},
        ),
        ("net list", "GET", "/v1/networks", {}),
        (
            "net pool add --name pub-eu --cidr 49.12.158.176/29 --gateway 49.12.158.177 --vlan 4001 --bridge br-vsw",
            "POST",
            "/v1/networks",
            {
                "name": "pub-eu",
                "cidr": "49.12.158.176/29",
                "gateway": "49.12.158.177",
                "vlan": 4001,
                "bridge": "br-vsw",
            },
        ),
        ("ipam leases", "GET", "/v1/leases", {}),
    ],
)
def test_a_line_of_the_manual_becomes_its_request(line: str, method: str, path: str, rest: dict[str, object]) -> None:
    request = parsed(line)
    assert (request.verb["method"], request.path, request.rest) == (method, path, rest)


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb["cli"])
def test_every_example_of_a_help_parses(verb: verbs.Verb) -> None:
    for example in verb["examples"]:
        if example.startswith("girginosvm "):
            assert parsed(example.removeprefix("girginosvm ")).verb is verb


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb["cli"])
def test_every_verb_has_a_help(verb: verbs.Verb) -> None:
    text = verbs.parser(verb, "girginosvm", argparse.RawDescriptionHelpFormatter).format_help()
    assert verb["summary"] in text


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb["cli"])
def test_every_verb_can_be_asked_for_every_global_option(verb: verbs.Verb) -> None:
    """Also one whose own field has the flag, as --token of ``membership join``: nobody said the global one then."""
    options = vars(verbs.parser(verb, "girginosvm", argparse.HelpFormatter).parse_known_args(filled(verb))[0])
    assert {name: options[name] for name in GLOBAL} == dict.fromkeys(GLOBAL)


def filled(verb: verbs.Verb) -> list[str]:
    """Words that the verb cannot go without."""
    words = ["--file=f"] if verb["way"] == "stream" and verb["method"] != "GET" else []
    for field in verb["fields"]:
        if field.get("required"):
            value = (field.get("choices") or ["1"])[0]
            words.append(value if field["name"] in verb["positionals"] else f"--{field['flag']}={value}")
    return words


@pytest.mark.parametrize(("text", "mib"), [("8192", 8192), ("8GiB", 8192), ("8g", 8192), ("512M", 512)])
def test_sizes_take_suffixes(text: str, mib: int) -> None:
    assert parsed(f"vm create --name a --image b --memory {text}").rest["memory_mb"] == mib


def test_a_wrong_size_says_what_would_be_right() -> None:
    with pytest.raises(Trouble, match="8GiB") as caught:
        parsed("vm create --name a --image b --memory 1.5X")
    assert caught.value.exit_code == 2


def test_a_repeated_flag_is_a_list() -> None:
    request = parsed("vm create --name a --image b --tag web --tag eu")
    assert request.rest["tags"] == ["web", "eu"]


def test_names_may_be_given_in_one_word() -> None:
    assert parsed("cluster recover --without h2,h3 --without h4").rest["without"] == ["h2", "h3", "h4"]


def test_user_data_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("#cloud-config\n", encoding="utf-8")
    assert parsed(["vm", "create", "--name", "a", "--image", "b", "--user-data", str(file)]).rest["user_data"] == (
        "#cloud-config\n"
    )


@pytest.mark.parametrize(
    ("line", "hint"),
    [("vm list --formt json", "did you mean --format?"), ("image upload --file f --odd x", "girginosvm image upload")],
)
def test_a_wrong_option_names_another_only_when_they_are_alike(line: str, hint: str) -> None:
    with pytest.raises(Trouble) as caught:
        parsed(line)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("membership drain h1", "did you mean --node h1?"), ("center demote h1", "did you mean --node h1?"),
        ("membership drain --node h1 h2", "girginosvm membership drain --help"),
        ("image upload --name x --file f", "it stands without one: girginosvm image upload NAME"),
        ("token create --name ci", "it stands without one: girginosvm token create NAME"),
        ("vm list -o json", "did you mean --format? table, json, yaml, csv"),
        ("vm list --output-format=json", "did you mean --format? table, json, yaml, csv"),
    ],
)  # fmt: skip
def test_what_other_tools_would_take_is_answered_with_how_it_is_said_here(line: str, hint: str) -> None:
    with pytest.raises(Trouble) as caught:
        parsed(line)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("vm info web01", "vm show"), ("vm delete", "vm destroy"), ("vm shutdown web01", "vm stop"),
        ("vm ls", "vm list"), ("status", "membership status"), ("cluster status", "membership status"),
        ("node remove h1", "membership remove"), ("node drain h1", "membership drain"), ("cluster verify", "doctor"),
        ("vm creat", "vm create"), ("image delete", "image rm"),
    ],
)  # fmt: skip
def test_what_others_call_a_verb_leads_to_ours(words: str, verb: str) -> None:
    assert verbs.meant(VERBS, words.split()) == verb


def test_every_verb_that_others_words_lead_to_is_there() -> None:
    assert set(verbs._ELSEWHERE.values()) <= {verb["cli"] for verb in VERBS}


def test_a_file_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(Trouble, match="No such file"):
        parsed("vm create --name a --image b --user-data /nowhere/seed.yaml")


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert parsed(["vm", "show", "../nodes/x?y"]).path == "/v1/vms/..%2Fnodes%2Fx%3Fy"


def test_a_mistyped_flag_gets_a_suggestion() -> None:
    with pytest.raises(Trouble) as caught:
        parsed("vm create --name a --image b --netwrk x")
    assert caught.value.hint == "did you mean --network?"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Trouble, match="--image"):
        parsed("vm create --name a")


def test_a_mistyped_verb_is_guessed() -> None:
    assert verbs.meant(ALL, ["vm", "crate", "--name"]) == "vm create"
    assert verbs.meant(ALL, ["imagee"]) == "image"


def offered(line: str, **names: list[str]) -> list[str]:
    return [word for word, _ in complete.candidates(line.split(" "), lambda noun: names.get(noun, []))]


def test_completion_walks_the_verbs() -> None:
    assert "vm" in offered("")
    assert offered("storage pool ") == ["add", "list", "rm"]
    assert offered("--root /x vm cr") == ["create"]


def test_completion_offers_flags_names_and_choices() -> None:
    assert "--memory" in offered("vm create --mem")
    assert offered("vm stop we", vm=["web01", "db01"]) == ["web01"]
    assert offered("vm create --image al", image=["almalinux-10", "debian-12"]) == ["almalinux-10"]
    assert offered("vm list -f y") == ["yaml"]
    assert offered("completion z") == ["zsh"]
