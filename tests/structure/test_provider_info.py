"""The connection types as Airflow finds them: through the entry point, by its own schemas, with its own forms."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from airflow._shared.module_loading import import_string
from airflow._shared.secrets_masker import should_hide_value_for_key
from airflow.providers_manager import ProvidersManager

import tieout
from simulator import SimConfig, connections
from tieout.provider_info import get_provider_info
from tieout.providers import HOOKS, jdb, vertexplay
from tieout.providers.base import ProviderHook

TYPES = {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}
#: Connection type → the extra fields of its form, and which of them are secret.
FIELDS = {
    "lucko": ({"allow_http"}, set()),
    "hotroad": ({"agent_id", "retry_codes", "allow_http"}, set()),
    "jdb": ({"dc", "iv_secret", "padding", "allow_http"}, {"iv_secret"}),
    "vertexplay": ({"api_key", "signature_form", "allow_http"}, {"api_key"}),
}


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files("airflow").joinpath(name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def manager() -> ProvidersManager:
    return ProvidersManager()


def test_the_information_is_valid_by_the_schema_airflow_checks_it_with() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


def test_forms_are_valid_by_the_stricter_schema_of_airflows_own_providers() -> None:
    full = schema("provider.yaml.schema.json")
    part = {**full["properties"]["connection-types"], "definitions": full["definitions"]}
    jsonschema.validate(list(TYPES.values()), part)


def test_a_misspelt_form_key_would_be_found() -> None:
    full = schema("provider.yaml.schema.json")
    wrong = [{**TYPES["lucko"], "ui-field-behaviour": {"hidden_fields": ["port"]}}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, full["properties"]["connection-types"])


def test_the_entry_point_is_installed() -> None:
    found = [entry for entry in entry_points(group="apache_airflow_provider") if entry.value.startswith("tieout")]
    assert [entry.load() for entry in found] == [get_provider_info]
    assert [entry.dist.name for entry in found if entry.dist] == ["tieout"]


def test_airflow_knows_the_package_at_this_version(manager: ProvidersManager) -> None:
    assert manager.providers["tieout"].version == tieout.__version__
    assert get_provider_info()["versions"] == [tieout.__version__]


def test_every_provider_has_a_connection_type_and_no_other_is_offered() -> None:
    assert set(TYPES) == set(HOOKS) == set(FIELDS)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_airflow_finds_and_imports_the_hook(name: str, manager: ProvidersManager) -> None:
    hook = manager.hooks[name]
    assert hook is not None
    assert hook.package_name == "tieout"
    assert hook.connection_testable, "the Test button would be missing"
    assert import_string(hook.hook_class_name) is HOOKS[name]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_class_and_declaration_agree(name: str) -> None:
    kind: type[ProviderHook] = HOOKS[name]
    assert (kind.conn_type, kind.hook_name) == (name, TYPES[name]["hook-name"])
    assert kind.conn_name_attr == "conn_id"


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_form_has_the_fields_the_hook_reads(name: str, manager: ProvidersManager) -> None:
    expected, secret = FIELDS[name]
    widgets = {
        widget.field_name: widget
        for key, widget in manager.connection_form_widgets.items()
        if key.startswith(f"extra__{name}__")
    }
    assert set(widgets) == expected
    assert {field for field, widget in widgets.items() if widget.is_sensitive} == secret
    behaviour = manager.field_behaviours[name]
    # Host, login and password are what every provider needs; the rest would only confuse.
    assert {"schema", "port"} <= set(behaviour["hidden_fields"])
    assert {"login", "password"} == set(behaviour["relabeling"])
    assert not {"host", "login", "password"} & set(behaviour["hidden_fields"])


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in sorted(FIELDS) for field in FIELDS[name][1]])
def test_airflow_masks_secret_fields_by_their_names(name: str, field: str) -> None:
    """The form hides what is typed; logs and the API mask by name, so the name has to say it."""
    assert should_hide_value_for_key(field), f"{name}.{field} would be shown in clear"


def test_choices_are_those_the_code_accepts() -> None:
    padding = TYPES["jdb"]["conn-fields"]["padding"]["schema"]["enum"]
    form = TYPES["vertexplay"]["conn-fields"]["signature_form"]["schema"]["enum"]
    assert set(padding) - {None} == set(jdb.PADDINGS)
    assert set(form) - {None} == set(vertexplay.SIGNATURE_FORMS)


def test_the_simulators_connections_fit_the_forms() -> None:
    offered = connections(SimConfig(), url="http://127.0.0.1:8099")
    assert {connection["conn_type"] for connection in offered.values()} == set(TYPES)
    for connection in offered.values():
        known, _ = FIELDS[connection["conn_type"]]
        assert set(connection["extra"]) <= known
        # HotRoad's demo key is user and password in one: logins are shown, so it is not given as one.
        assert connection["login"] or connection["conn_type"] == "hotroad"
        assert connection["password"]
