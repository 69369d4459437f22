"""RaiseAlertsOperator: what somebody has to know is told once, through Airflow's notifiers, and shown as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

from airflow.configuration import conf
from airflow.sdk import BaseNotifier, BaseOperator, Context

from tieout import pages
from tieout.core import alerts
from tieout.core.errors import ConfigError, RetryLater
from tieout.core.warehouse import connect
from tieout.feeds import load_alert_settings
from tieout.operators.gauges import show
from tieout.operators.links import CoverageLink, Links
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

#: One monitor at a time finds, tells and remembers.
_LOCK = "SELECT pg_advisory_lock(hashtextextended('tieout:alerts', 0))"


class RaiseAlertsOperator(BaseOperator):
    """Bring ``ops.alerts`` up to date and give each notifier what it has not been given; return open alerts by kind.

    A notifier's templates see ``tieout.title``, ``tieout.text``, ``tieout.html`` and ``tieout.alerts``; links in them
    take ``[api] base_url``, and without it are words. Raises
    ConfigError when a notifier cannot be made, RetryLater when one fails: what it was not given is told again, to it
    alone.
    """

    template_fields: Sequence[str] = ("warehouse_conn_id",)
    operator_extra_links: Links = (CoverageLink(),)
    ui_color = "#fecaca"
    page = pages.coverage()

    def __init__(self, *, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Find, remember, tell."""
        settings = load_alert_settings()
        # Not in one transaction: what one notifier was given is not forgotten because another one fails.
        with connect(warehouse_url(self.warehouse_conn_id), autocommit=True) as connection:
            connection.execute(_LOCK)
            causes = alerts.find_causes(connection, settings)
            alerts.open_new(connection, causes)
            closed = alerts.close_vanished(connection, causes)
            counts = Counter(cause.kind for cause in causes)
            self.log.info("%d alert(s) are open, %d were closed: %s", len(causes), closed, dict(counts))
            show(alerts.find_gauges(connection, causes))
            failed = []
            if settings.notifiers and causes and not pages.is_address(_base_url()):
                self.log.warning(
                    "messages carry no links: set AIRFLOW__API__BASE_URL to the address at which people reach Airflow"
                )
            for spec in settings.notifiers:
                if told := alerts.unsent(connection, spec.name):
                    try:
                        self._tell(spec, alerts.compose(told, _link, _runbook), context, told)
                    except ConfigError:
                        raise
                    except Exception as error:
                        # Whatever a notifier of somebody else's raises; its text may hold an address with a token.
                        failed.append(f"{spec.name} ({type(error).__name__})")
                        continue
                    alerts.mark_sent(connection, spec.name, told)
        if not settings.notifiers and causes:
            self.log.warning("no notifier is declared (key alerts.notifiers of the feeds file): nobody is told")
        if failed:
            raise RetryLater(
                f"alerts could not be sent through {', '.join(failed)}.",
                advice="Look at the notifier's connection and arguments under alerts.notifiers in the feeds file.",
            )
        return dict(counts)

    def _tell(
        self, spec: alerts.NotifierSpec, message: alerts.Message, context: Context, told: Sequence[alerts.Alert]
    ) -> None:
        notifier = _make(spec)
        values = cast("Context", {**context, "tieout": {**vars(message), "alerts": told}})
        notifier.render_template_fields(values)
        # Called directly: a notifier that is called as a callback swallows its errors.
        notifier.notify(values)
        self.log.info("told %s: %s", spec.name, message.title)


def _make(spec: alerts.NotifierSpec) -> BaseNotifier:
    module, _, name = spec.path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
        notifier = found(**spec.arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"the notifier {spec.name!r} cannot be made of {spec.path}: {error}.",
            advice="Install its provider package, or mend its class and arguments under alerts.notifiers.",
        ) from None
    if not isinstance(notifier, BaseNotifier):
        raise ConfigError(f"{spec.path} of the notifier {spec.name!r} is no Airflow notifier.")
    return notifier


def _link(alert: alerts.Alert) -> str:
    """Return the address of the page that shows an alert's cause."""
    page = pages.of_alert(
        kind=alert.kind, provider=alert.provider, feed=alert.feed, agent=alert.agent, cause=alert.cause,
        since=alert.since, detail=alert.detail,
    )  # fmt: skip
    return _absolute(page)


def _runbook(kind: str) -> str:
    return _absolute(pages.runbook(kind))


def _absolute(page: str) -> str:
    return pages.elsewhere(_base_url(), page)


def _base_url() -> str:
    return conf.get("api", "base_url", fallback="") or ""
