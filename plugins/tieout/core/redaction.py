"""Keeps secrets out of errors: out of their texts when a provider says one, and out of the frames they leave behind.

Errors are read by more people than logs are: in mails, in tickets, in Airflow's UI. Airflow's masking covers logs, but
not the local variables that some formatters of tracebacks show.
"""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

from tieout.core.errors import TieoutError

#: Shorter ones are left alone, as Airflow does: they would black out ordinary words.
MIN_LENGTH = 5
#: A piece of base64 shorter than this occurs by chance.
MIN_PIECE = 8
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
        found += [secret, html.escape(secret), repr(secret)[1:-1]]
        found += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    trimmed = [text.rstrip("=") for text in found]
    whole = [text for text in (*found, *trimmed) if len(text) >= MIN_LENGTH]
    return tuple(dict.fromkeys((*whole, *(piece for piece in _inside_base64(raw) if len(piece) >= MIN_PIECE))))


def _inside_base64(raw: bytes) -> list[str]:
    """Return how *raw* shows in the base64 of something longer, such as the header made of login and password.

    base64 has three phases; the characters at the edges depend on the neighbours as well and are left out.
    """
    shifted = [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 :].rstrip(b"=").decode() for shift in range(3)]
    return [piece[: len(piece) // 4 * 4] for piece in shifted]


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


class without_frames:
    """Lets tieout's errors pass without the frames and errors below the block: their variables hold secrets."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, frames: object) -> None:
        # A generator would not do: contextlib gives the error its old frames back.
        if isinstance(error, TieoutError):
            error.__context__ = None
            raise error.with_traceback(None) from None
