"""What Airflow's provider manager is told: four connection types with their forms."""

from __future__ import annotations

from typing import Any

import tieout


def _field(label: str, help_text: str, *, secret: bool = False, **schema: Any) -> dict[str, Any]:
    form = {"type": ["string", "null"], **schema}
    if secret:
        form["format"] = "password"
    return {"label": label, "schema": form, "description": help_text}


_HOST = "Full base URL of the provider's API, https (plain http only for loopback)"
_ALLOW_HTTP = {
    "label": "Allow plain http",
    "schema": {"type": ["boolean", "null"], "default": False},
    "description": "Only inside a private network: credentials would travel unencrypted.",
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "tieout",
        "name": "tieout",
        "description": "Pulls, certifies and reconciles betting and rebate reports of game providers.",
        "versions": [tieout.__version__],
        "connection-types": [
            {
                "connection-type": "lucko",
                "hook-class-name": "tieout.providers.lucko.LuckoHook",
                "hook-name": "Lucko",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"login": "Agent id", "password": "Sign key"},
                    "placeholders": {"host": _HOST},
                },
                "conn-fields": {"allow_http": _ALLOW_HTTP},
            },
            {
                "connection-type": "hotroad",
                "hook-class-name": "tieout.providers.hotroad.HotRoadHook",
                "hook-name": "HotRoad Gaming",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"login": "User name (Basic auth)", "password": "Password (Basic auth)"},
                    "placeholders": {"host": _HOST},
                },
                "conn-fields": {
                    "agent_id": _field("Agent id", "agentId of the requests, at most 50 characters."),
                    "retry_codes": _field(
                        "Codes to retry", "Answer codes that pass by themselves, separated by commas."
                    ),
                    "allow_http": _ALLOW_HTTP,
                },
            },
            {
                "connection-type": "jdb",
                "hook-class-name": "tieout.providers.jdb.JdbHook",
                "hook-name": "JDB",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"login": "Parent (agent account)", "password": "AES key (16 characters)"},
                    "placeholders": {"host": _HOST},
                },
                "conn-fields": {
                    "dc": _field("Domain code (dc)", "The dc parameter of the requests."),
                    "iv_secret": _field("AES IV (16 characters)", "Initialisation vector.", secret=True),
                    "padding": _field(
                        "Padding",
                        "How the request is padded to 16 bytes.",
                        enum=["space", "nul", "pkcs7"],
                        default="space",
                    ),
                    "allow_http": _ALLOW_HTTP,
                },
            },
            {
                "connection-type": "vertexplay",
                "hook-class-name": "tieout.providers.vertexplay.VertexPlayHook",
                "hook-name": "VertexPlay",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"login": "Agent id (agentId)", "password": "Secret of /v2/auth"},
                    "placeholders": {"host": _HOST},
                },
                "conn-fields": {
                    "api_key": _field("API key (64 hex digits)", "Key of AES-256-GCM.", secret=True),
                    "signature_form": _field(
                        "Signature form",
                        "pipe unless the provider told you otherwise.",
                        enum=["pipe", "concat_body"],
                        default="pipe",
                    ),
                    "allow_http": _ALLOW_HTTP,
                },
            },
        ],
    }
