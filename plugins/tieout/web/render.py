"""Templates and how values look in them: everything escaped, every number exact, every instant with its zone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tieout import __version__
from tieout.core.coverage import plain
from tieout.core.recon import markup
from tieout.core.recon.statement import TITLES
from tieout.core.slices import stamp
from tieout.web import plainly
from tieout.web.query import link

#: Which clock a provider's own screens and documents show; Lucko's is the agent's settlement timezone.
PROVIDER_ZONES = {"hotroad": "Asia/Shanghai", "jdb": "Asia/Shanghai", "vertexplay": "UTC", "lucko": "UTC"}

HUNDREDTH = Decimal("0.01")


def page(template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a rendered page."""
    return HTMLResponse(_environment().get_template(template).render(**context), status_code=status)


def text(value: object) -> Markup:
    """Return a value as text; control characters and those that turn the direction of text show as themselves."""
    return Markup("" if value is None else markup.text(value))


def number(value: Decimal | int | None, places: int | None = None) -> str:
    """Return a number with thousands separators, never rounded; *places* None is for counts."""
    return markup.number(value, places).replace("-", "−")


def utc(instant: datetime | None) -> Markup:
    """Return an instant in UTC, to the second only where there are seconds."""
    if instant is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(stamp(instant), _clock(instant.astimezone(UTC)))


def zoned(instant: datetime | None, zone: str) -> Markup:
    """Return an instant on the clock of *zone*."""
    return Markup("–") if instant is None else Markup("{}").format(_clock(instant.astimezone(_zone(zone))))


def share(value: Decimal | None) -> str:
    """Return a share as percent with two decimals; what is not nothing or all does not look so."""
    if value is None:
        return "–"
    rounded = (Decimal(value) * 100).quantize(HUNDREDTH, ROUND_HALF_UP)
    if rounded == 0 != value:
        return "< 0.01 %" if value > 0 else "> −0.01 %"
    if rounded == 100 and value < 1:
        return "> 99.99 %"
    return f"{number(rounded, 2)} %"


def words(name: str) -> str:
    """Return a name of ours as words."""
    return name.replace("_", " ")


def duration(span: timedelta | None) -> str:
    """Return ``2 d 4 h``."""
    return "–" if span is None else plain(span)


def places(rows: Iterable[Any], *names: str) -> int:
    """Return how many decimals show all amounts of these columns exactly."""
    return markup.places_of(row[name] for row in rows for name in names)


def places_by_currency(rows: Iterable[Any], *names: str) -> dict[str, int]:
    """Return the same for each currency: what one needs is not forced upon another."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["currency"], []).append(row)
    return {currency: places(of_it, *names) for currency, of_it in found.items()}


def zone_of(provider: str, settlement_zone: str | None = None) -> str:
    """Return the provider's zone."""
    return (settlement_zone if provider == "lucko" else None) or PROVIDER_ZONES.get(provider, "UTC")


def _clock(local: datetime) -> str:
    whole = not (local.second or local.microsecond)
    return f"{local:%Y-%m-%d %H:%M}" if whole else f"{local:%Y-%m-%d %H:%M:%S}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _weekday(day: date) -> str:
    return f"{day:%a}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tieout.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: text(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters.update({"number": number, "share": share, "utc": utc, "zoned": zoned, "stamp": stamp})
    environment.filters.update({"duration": duration, "weekday": _weekday, "words": words})
    environment.globals.update({"link": link, "places": places, "places_by_currency": places_by_currency})
    environment.globals.update({"zone_of": zone_of, "plainly": plainly, "titles": TITLES, "version": __version__})
    return environment
