"""The secrets this process knows, so that nothing a provider says can bring one of them into an error.

Errors are read by more people than logs are: in mails, in tickets, in Airflow's UI. Airflow's masking covers logs;
this covers texts that come from outside and go into a message.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

#: Shorter ones are left alone, as Airflow does: they would black out ordinary words.
MIN_LENGTH = 5
#: Tokens come and go; the oldest spellings are forgotten first.
MAX_KNOWN = 5_000

_known: dict[str, None] = {}


def spellings(secret: str | bytes) -> tuple[str, ...]:
    """Return how a secret may show: plain, URL-encoded, base64, hex, escaped in JSON or as Python shows it."""
    raw = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    found = [
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        repr(raw)[2:-1],
    ]
    if isinstance(secret, str):
        found += [secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]]
    trimmed = [text.rstrip("=") for text in found]
    return tuple(dict.fromkeys(text for text in (*found, *trimmed) if len(text) >= MIN_LENGTH))


def remember(*secrets: str | bytes) -> list[str]:
    """Know these secrets from now on; returns all their spellings, for whoever else has to know them."""
    found = [spelling for secret in secrets if len(secret) >= MIN_LENGTH for spelling in spellings(secret)]
    for spelling in found:
        _known[spelling] = None
    while len(_known) > MAX_KNOWN:
        del _known[next(iter(_known))]
    return found


def redact(text: str) -> str:
    """Return *text* with every known secret replaced by ``***``, longest spellings first."""
    for spelling in sorted(_known, key=len, reverse=True):
        if spelling in text:
            text = text.replace(spelling, "***")
    return text
