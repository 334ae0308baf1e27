"""OpenAPI, form schemas and certificates."""

import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from openapi_spec_validator import OpenAPIV31SpecValidator

from girginosvm.core import access
from girginosvm.http import openapi
from girginosvm.http.tls import Identity
from tests.floors.http.toyhouse import REGISTRY, House


async def test_the_document_is_valid_openapi_3_1_and_names_every_action(house: House):
    _, document, _ = await house.ask("GET", "/v1/openapi.json", token="")
    OpenAPIV31SpecValidator(document).validate()
    named = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    assert named == {kind.__name__ for kind in REGISTRY.actions}
    make = document["paths"]["/v1/toys"]["post"]
    body = make["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["name"]
    assert body["properties"]["size"]["x-unit"] == "MiB"
    assert body["properties"]["secret"]["writeOnly"] is True


async def test_the_rooms_document_is_valid_too():
    from girginosvm.features.registry import REGISTRY as ROOMS

    assert [
        fault.message for fault in OpenAPIV31SpecValidator(openapi.document(ROOMS, version="1")).iter_errors()
    ] == []


async def test_a_form_has_all_that_it_takes_to_draw_it(house: House):
    _, forms, _ = await house.ask("GET", "/v1/schema", token="")
    form = forms["MakeToy"]
    assert (form["cli"], form["order"][:2]) == ("toy create", ["name", "size"])
    assert form["schema"]["properties"]["size"]["maximum"] == 9
    assert forms["GrowToy"]["refs"] == {"toy": "toy"}


def test_a_certificate_is_made_once_renewed_after_60_days_and_for_new_names(tmp_path):
    identity = Identity(tmp_path / "pki")
    now = datetime.now(UTC)
    assert identity.ensure(["node-1", "10.0.0.1"], now=now)
    mark = identity.fingerprint()
    assert not identity.ensure(["node-1", "10.0.0.1"], now=now + timedelta(days=59))
    assert identity.ensure(["node-1", "10.0.0.1"], now=now + timedelta(days=61))
    assert identity.ensure(["node-2", "10.0.0.1"], now=now + timedelta(days=61))
    assert identity.fingerprint() == mark
    assert stat.S_IMODE((tmp_path / "pki/ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pki/server.pem").stat().st_mode) == 0o600
    found = x509.load_pem_x509_certificate((tmp_path / "pki/server.pem").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert found.not_valid_after_utc - found.not_valid_before_utc <= timedelta(days=91)


def test_a_damaged_certificate_is_made_anew(tmp_path):
    identity = Identity(tmp_path / "pki")
    identity.ensure([])
    (tmp_path / "pki/server.pem").write_bytes(b"half")
    assert identity.ensure([])
    other = Identity(tmp_path / "other")
    other.ensure([])
    (tmp_path / "pki/server.pem").write_bytes((tmp_path / "other/server.pem").read_bytes())
    assert identity.ensure([])


def test_the_panel_sends_a_key_to_whatever_keeps_one_and_to_nothing_else():
    from girginosvm.features.registry import REGISTRY as ROOMS

    source = (Path(__file__).parents[3] / "assets/web/api.js").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"keyless = \(path\) => /(.+)/\.test\(path\);", source)
    keyless = re.compile(pattern.replace(r"\/", "/"))
    written = [kind for kind in ROOMS.actions if kind.action.method != "GET"]
    asked = [kind for kind in written if not kind.action.permission.endswith(".report")]  # by a person
    assert len(asked) > 40
    assert {kind.__name__ for kind in asked if bool(keyless.search(kind.action.path)) == kind.keyed} == set()


def test_the_panel_knows_what_is_the_administrators_alone():
    source = (Path(__file__).parents[3] / "assets/web/access.js").read_text(encoding="utf-8")
    (deeds,) = re.findall(r"const ADMIN_DEEDS = \[(.+)\];", source)
    assert set(re.findall(r'"([^"]+)"', deeds)) == access._ADMIN_DEEDS
