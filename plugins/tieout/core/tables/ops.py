"""Operations: what was read, what it proves, and who may call when."""

from __future__ import annotations

from sqlalchemy import ARRAY, CheckConstraint, Column, Date, Identity, Index, Interval, Table, Text, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

from tieout.core.tables.base import big, flag, ident, instant, jsonb, metadata, number, text

agents = Table(
    "agents",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    ident("feed", primary_key=True),
    ident("merchant_id", comment="the provider's own id, from the connection; a change is refused"),
    ident("currency"),
    Column("g_types", ARRAY(Text), nullable=False, server_default=sql("'{}'"), comment="JDB: declared game types"),
    instant("start_at", nullable=False),
    instant("stop_at"),
    instant(
        "first_known_at",
        nullable=False,
        server_default=func.now(),
        comment="when the feed was first declared: what the provider had forgotten by then was never ours",
    ),
    Column("slice_width", Interval, nullable=False),
    Column("slice_anchor", Interval, nullable=False, comment="offset of slice boundaries from UTC midnight"),
    Column("lag", Interval, nullable=False),
    Column("reach", Interval, comment="how far back the provider answers; null: no limit stated"),
    instant("declared_at", nullable=False, server_default=func.now()),
    schema="ops",
    comment="Declared feeds: the slices that are expected of each agent.",
)

readings = Table(
    "readings",
    metadata,
    ident("reading_id", primary_key=True),
    ident("provider", nullable=False),
    ident("feed", nullable=False),
    ident("agent", nullable=False),
    instant("slice_start", primary_key=True),
    instant("slice_end", nullable=False),
    ident("kind", nullable=False),
    ident("state", nullable=False),
    number("pages", nullable=False),
    big("rows", nullable=False),
    big("distinct_keys"),
    big("reported_total_first"),
    big("reported_total_last"),
    big("inserted"),
    big("updated"),
    big("unchanged"),
    big("retired"),
    big("rejected"),
    text("landing_uri", nullable=False),
    ident("sha256", nullable=False),
    Column("g_types", ARRAY(Text), nullable=False, server_default=sql("'{}'"), comment="JDB: the game types read"),
    instant("pulled_at", nullable=False),
    instant("finished_at", nullable=False, comment="the database's clock after the last answer"),
    instant("loaded_at"),
    text("reason"),
    CheckConstraint("kind in ('first', 'revisit', 'repair', 'replay', 'backfill')", name="kind"),
    CheckConstraint("state in ('landed', 'certified', 'suspect')", name="state"),
    CheckConstraint("slice_start < slice_end", name="slice"),
    Index("ix_readings_slice", "provider", "feed", "agent", "slice_start", "slice_end"),
    Index("ix_readings_loaded_at", "loaded_at"),
    Index(
        "ix_readings_uncertified",
        "provider",
        "feed",
        "agent",
        "slice_start",
        postgresql_where=sql("state <> 'certified'"),
    ),
    schema="ops",
    comment="One certificate per reading of a slice.",
)

certified = Table(
    "certified",
    metadata,
    ident("provider", primary_key=True),
    ident("feed", primary_key=True),
    ident("agent", primary_key=True),
    Column("g_types", ARRAY(Text), nullable=False, comment="JDB: the game types for which it was reckoned"),
    Column("ranges", TSTZMULTIRANGE, nullable=False),
    Column("active", TSTZMULTIRANGE, nullable=False, comment="of readings that brought rows"),
    instant("as_of", nullable=False, comment="the database's clock when the monitor looked; later loads are not in it"),
    schema="ops",
    comment="The certified time of each feed, kept by the monitor so that nobody adds up all readings for a page.",
)

lost = Table(
    "lost",
    metadata,
    ident("provider", primary_key=True),
    ident("feed", primary_key=True),
    ident("agent", primary_key=True),
    instant("gap_start", primary_key=True),
    instant("gap_end", nullable=False),
    number("slices", nullable=False),
    instant("recorded_at", nullable=False, server_default=func.now()),
    instant("grown_at", nullable=False, server_default=func.now(), comment="when the gap last grew"),
    CheckConstraint("gap_start < gap_end", name="gap"),
    schema="ops",
    comment="Time that no reading covers and the provider has forgotten; one row per gap.",
)

loads = Table(
    "loads",
    metadata,
    big("load_id", Identity(always=True), primary_key=True),
    ident("reading_id", nullable=False),
    ident("provider", nullable=False),
    ident("feed", nullable=False),
    ident("agent", nullable=False),
    instant("started_at", nullable=False, server_default=func.now()),
    big("inserted", nullable=False, server_default=sql("0")),
    big("updated", nullable=False, server_default=sql("0")),
    big("retired", nullable=False, server_default=sql("0")),
    flag(
        "only_appended",
        nullable=False,
        server_default=sql("false"),
        comment="histories got states at their end and lost none: what rows were before can be told by load_id",
    ),
    Index("ix_loads_agent", "provider", "agent", "load_id"),
    schema="ops",
    comment="Every committed load; a row of staging carries the load_id that last changed it.",
)

quota = Table(
    "quota",
    metadata,
    ident("provider", primary_key=True),
    ident("endpoint", primary_key=True),
    ident("merchant_id", primary_key=True),
    instant("next_free_at", nullable=False, comment="the next instant a caller may reserve (database clock)"),
    Column("min_interval", Interval, comment="widened spacing after throttle answers; null: as declared"),
    instant("widened_at", comment="since when; null beside a min_interval: a person set it, and it stays"),
    big("widened", nullable=False, server_default=sql("0"), comment="how often throttle answers widened the spacing"),
    jsonb("waiting", nullable=False, server_default=sql("'{}'"), comment="callers in the queue: class, turn, until"),
    big("reserved", nullable=False, server_default=sql("0")),
    big("given_up", nullable=False, server_default=sql("0"), comment="slots whose caller woke too late"),
    big("throttled", nullable=False, server_default=sql("0")),
    instant("throttled_at"),
    jsonb(
        "used",
        nullable=False,
        server_default=sql("'{}'"),
        comment="hour (of the epoch) to calls granted and the seconds their slots took, of the last 24 hours",
    ),
    instant("updated_at", nullable=False, server_default=func.now()),
    schema="ops",
    comment="One row per rate-limited thing: provider, endpoint and merchant id.",
)

rejects = Table(
    "rejects",
    metadata,
    big("reject_id", Identity(always=True), primary_key=True),
    ident("reading_id", nullable=False),
    ident("provider", nullable=False),
    ident("feed", nullable=False),
    ident("agent", nullable=False),
    ident("page", nullable=False),
    big("row_number", nullable=False),
    ident("natural_key", comment="where the row still shows one"),
    ident("reason", nullable=False),
    text("detail", nullable=False),
    text("raw", nullable=False),
    instant("rejected_at", nullable=False, server_default=func.now()),
    Index("ix_rejects_reading_id", "reading_id"),
    Index("ix_rejects_key", "provider", "feed", "agent", "natural_key"),
    schema="ops",
    comment="Rows that broke their feed's contract, with reason and raw text.",
)

shed = Table(
    "shed",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    Column("before", Date, nullable=False, comment="days before it are closed"),
    instant("shed_at", nullable=False, server_default=func.now()),
    schema="ops",
    comment="Days whose rows may be gone from staging: verdicts and figures of them stand.",
)

config = Table(
    "config",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    jsonb("reconciliation", nullable=False),
    schema="ops",
    comment="Reconciliation settings of each agent as last declared.",
)

alerts = Table(
    "alerts",
    metadata,
    big("alert_id", Identity(always=True), primary_key=True),
    ident("kind", nullable=False),
    ident("cause", nullable=False, comment="what names the cause within its kind"),
    ident("provider", nullable=False),
    ident("feed", nullable=False, comment="of a throttled quota: the endpoint"),
    ident("agent", nullable=False, comment="of a throttled quota: the merchant id"),
    instant("since"),
    instant("until"),
    text("detail", nullable=False),
    instant("opened_at", nullable=False, server_default=func.now()),
    instant("closed_at", comment="when the cause was gone"),
    Column(
        "sent_to", ARRAY(Text), nullable=False, server_default=sql("'{}'"), comment="the notifiers that were given it"
    ),
    Index("ix_alerts_open", "kind", "cause", unique=True, postgresql_where=sql("closed_at IS NULL")),
    schema="ops",
    comment="What somebody had to know: one row per appearance of a cause.",
)
