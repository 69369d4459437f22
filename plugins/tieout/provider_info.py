"""What Airflow's provider manager is told: four connection types with their forms."""

from __future__ import annotations

from typing import Any

import tieout

_HOST = "Full base URL of the provider's API, https (plain http only for loopback)"


def _field(label: str, help_text: str, *, secret: bool = False, **schema: Any) -> dict[str, Any]:
    form = {"type": ["string", "null"], **schema}
    if secret:
        form["format"] = "password"
    return {"label": label, "schema": form, "description": help_text}


def _connection_type(
    name: str, title: str, hook: str, *, login: str, password: str, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return one connection type: the provider's words for login and password, its own fields, and plain http."""
    allow_http = {
        "label": "Allow plain http",
        "schema": {"type": ["boolean", "null"], "default": False},
        "description": "Only inside a private network: credentials would travel unencrypted.",
    }
    return {
        "connection-type": name,
        "hook-class-name": f"tieout.providers.{name}.{hook}",
        "hook-name": title,
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "extra"],
            "relabeling": {"login": login, "password": password},
            "placeholders": {"host": _HOST},
        },
        "conn-fields": {**fields, "allow_http": allow_http},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "tieout",
        "name": "tieout",
        "description": "Pulls, certifies and reconciles betting and rebate reports of game providers.",
        "versions": [tieout.__version__],
        "connection-types": [
            _connection_type("lucko", "Lucko", "LuckoHook", login="Agent id", password="Sign key", fields={}),
            _connection_type(
                "hotroad",
                "HotRoad Gaming",
                "HotRoadHook",
                login="User name (Basic auth); empty: same as the password",
                password="Password (Basic auth)",
                fields={
                    "agent_id": _field("Agent id", "agentId of the requests, at most 50 characters."),
                    "retry_codes": _field(
                        "Codes to retry", "Answer codes that pass by themselves, separated by commas."
                    ),
                },
            ),
            _connection_type(
                "jdb",
                "JDB",
                "JdbHook",
                login="Parent (agent account)",
                password="AES key (16 characters)",
                fields={
                    "dc": _field("Domain code (dc)", "The dc parameter of the requests."),
                    "iv_secret": _field("AES IV (16 characters)", "Initialisation vector.", secret=True),
                    "padding": _field(
                        "Padding",
                        "How the request is padded to 16 bytes.",
                        enum=["space", "nul", "pkcs7"],
                        default="space",
                    ),
                },
            ),
            _connection_type(
                "vertexplay",
                "VertexPlay",
                "VertexPlayHook",
                login="Agent id (agentId)",
                password="Secret of /v2/auth",
                fields={
                    "api_key": _field("API key (64 hex digits)", "Key of AES-256-GCM.", secret=True),
                    "signature_form": _field(
                        "Signature form",
                        "pipe unless the provider told you otherwise.",
                        enum=["pipe", "concat_body"],
                        default="pipe",
                    ),
                },
            ),
        ],
    }
