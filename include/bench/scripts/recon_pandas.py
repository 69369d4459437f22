"""What the judge says of the bench's rebates, as a pandas script says it; runs in an environment of its own.

``python recon_pandas.py CONNINFO AGENT`` reads the staging tables, decides verdicts, reasons, entitlement and the daily
figures with exact decimals, and writes them to the tables ``pandas_*`` of the same database. It assumes what holds for
the bench's data: everything was read, the default settings, no bet that changed since. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
import psycopg

ZERO, CENT = Decimal(0), Decimal("0.01")
REBATE = ["rebate_id"]
warnings.filterwarnings("ignore", message="pandas only supports SQLAlchemy")


def main(conninfo: str, agent: str) -> dict[str, Any]:
    """Judge and write; returns seconds, peak memory (bytes), reasons by number of rebates, and sums."""
    started = time.monotonic()
    with psycopg.connect(conninfo) as connection:
        rebates = read(
            connection, agent, "lucko_rebates",
            "id AS rebate_id, activity_id, user_id, date, currency, turnover, rate, rebate_amount, wallet_txn_id, "
            "status, create_time",
        )  # fmt: skip
        links = read(connection, agent, "lucko_rebate_bets", "rebate_id, bet_id, times")
        bets = read(
            connection, agent, "lucko_bets",
            "id AS bet_id, user_id AS bettor, currency AS bet_currency, game_id, status AS bet_status, bet_time, "
            "settle_time, valid_bet_turnover",
        )  # fmt: skip
        verdicts, linked = judge(rebates, links, bets)
        daily, unclaimed = figures(verdicts, linked, bets)
        steps, rates = bridge(linked, daily)
        frames = {"verdicts": verdicts, "daily": daily, "unclaimed": unclaimed, "bridge": steps, "rates": rates}
        for name, frame in frames.items():
            write(connection, f"pandas_{name}", frame)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": time.monotonic() - started,
        "peak": peak if sys.platform == "darwin" else peak * 1024,
        "verdicts": verdicts["verdict"].value_counts().to_dict(),
        "reasons": verdicts["reasons"].explode().dropna().value_counts().to_dict(),
        "difference": str(verdicts["difference"].sum()),
        "overpaid": str(verdicts["overpaid"].sum()),
        "bet_turnover": str(daily["bet_turnover"].sum()),
        "claimed_again": str(steps["claimed_again"].sum()),
        "claimed": str(rates["claimed_turnover"].sum()),
    }


def read(connection: psycopg.Connection, agent: str, table: str, columns: str) -> pd.DataFrame:
    """Return an agent's rows of a staging table; amounts stay Decimal."""
    query = f"SELECT {columns} FROM staging.{table} WHERE agent = %(agent)s"
    return pd.read_sql(query, connection, params={"agent": agent}, coerce_float=False)


def judge(rebates: pd.DataFrame, links: pd.DataFrame, bets: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per rebate with its verdict and sums, and a row per rebate and bet."""
    rebates = rebates.sort_values(["create_time", "rebate_id"])
    rebates["place"] = range(len(rebates))
    linked = links.merge(rebates, on="rebate_id").merge(bets, on="bet_id", how="left")
    linked = linked.sort_values("place")
    paid = linked["status"] != 0
    settled = (linked["bet_status"] == 1) & (linked["bet_currency"] == linked["currency"])
    own = settled & (linked["bettor"] == linked["user_id"])
    known = linked["bet_status"].notna()
    linked["claimed"] = paid & linked[paid].duplicated(["activity_id", "bet_id"]).reindex(
        linked.index, fill_value=False
    )
    linked["missing"] = ~known
    linked["voided"] = known & ~linked["bet_status"].isin([0, 1])
    linked["foreign"] = known & (
        (linked["bettor"] != linked["user_id"]) | (linked["bet_currency"] != linked["currency"])
    )
    linked["reused"] = linked["claimed"] | (linked["times"] > 1)
    linked["counted"] = linked["valid_bet_turnover"].where(settled, ZERO)
    linked["entitling"] = linked["valid_bet_turnover"].where(own & ~linked["claimed"], ZERO)
    grouped = linked.groupby("rebate_id")
    sums = grouped[["counted", "entitling"]].sum()
    flags = grouped[["missing", "voided", "foreign", "reused"]].any()
    sets = linked.sort_values("bet_id").groupby("rebate_id")["bet_id"].agg(tuple).rename("bet_ids")
    verdicts = rebates.set_index("rebate_id").join(sums).join(flags).join(sets)
    for name in ("counted", "entitling"):
        verdicts[name] = verdicts[name].where(verdicts[name].notna(), ZERO)
    for name in ("missing", "voided", "foreign", "reused"):
        verdicts[name] = verdicts[name].fillna(False).astype(bool)
    verdicts["difference"] = verdicts["turnover"] - verdicts["counted"]
    verdicts["expected"] = rounded(verdicts["turnover"] * verdicts["rate"])
    verdicts["overpaid"] = verdicts["rebate_amount"] - rounded(verdicts["entitling"] * verdicts["rate"])
    success = verdicts["status"] != 0
    wallet = verdicts["wallet_txn_id"].fillna("")
    payment = ["activity_id", "user_id", "date", "currency", "bet_ids"]
    found = {
        "turnover": verdicts["difference"] != ZERO,
        "amount": verdicts["rebate_amount"] != verdicts["expected"],
        "missing_bet": verdicts["missing"],
        "voided_bet": verdicts["voided"],
        "foreign_bet": verdicts["foreign"],
        "reused_bet": verdicts["reused"],
        "wallet_txn_missing": wallet == "",
        "wallet_txn_reused": (wallet != "") & verdicts[success].duplicated("wallet_txn_id").reindex(verdicts.index),
        "paid_twice": verdicts[success].duplicated(payment).reindex(verdicts.index, fill_value=False),
    }
    table = pd.DataFrame(found).fillna(False).astype(bool)
    verdicts["reasons"] = [
        [name for name, holds in zip(table.columns, row, strict=True) if holds] for row in table.to_numpy()
    ]
    verdicts["verdict"] = ["break" if reasons else "matched" for reasons in verdicts["reasons"]]
    verdicts.loc[~success, "verdict"] = "failed"
    return verdicts.reset_index(), linked


def rounded(percents: pd.Series) -> pd.Series:
    """Return hundredths of amounts in cents, halves away from zero."""
    return percents.map(lambda amount: (amount * CENT).quantize(CENT, ROUND_HALF_UP))


def figures(
    verdicts: pd.DataFrame, linked: pd.DataFrame, bets: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Return the tie-out per day and currency, and unclaimed turnover per user, day and currency."""
    settled = bets[bets["bet_status"] == 1].copy()
    settled["day"] = settled["settle_time"].fillna(settled["bet_time"]).dt.date
    claimed = linked.loc[linked["status"] != 0, "bet_id"].unique()
    settled["unclaimed"] = ~settled["bet_id"].isin(claimed)
    settled["unclaimed_turnover"] = settled["valid_bet_turnover"].where(settled["unclaimed"], ZERO)
    of_bets = settled.rename(columns={"bet_currency": "currency"}).groupby(["day", "currency"])
    tie_out = of_bets.agg(
        bets=("bet_id", "size"), bet_turnover=("valid_bet_turnover", "sum"), unclaimed_bets=("unclaimed", "sum"),
        unclaimed_turnover=("unclaimed_turnover", "sum"),
    )  # fmt: skip
    paid = verdicts[verdicts["status"] != 0].assign(day=verdicts["date"].dt.date)
    of_rebates = paid.groupby(["day", "currency"]).agg(
        rebates=("rebate_id", "size"), rebated_turnover=("turnover", "sum"), paid=("rebate_amount", "sum"),
        expected=("expected", "sum"), difference=("difference", "sum"), overpaid=("overpaid", "sum"),
    )  # fmt: skip
    unclaimed = settled[settled["unclaimed"]].groupby(["day", "bet_currency", "bettor"])
    per_user = unclaimed.agg(bets=("bet_id", "size"), turnover=("valid_bet_turnover", "sum")).reset_index()
    return tie_out.join(of_rebates, how="outer").reset_index(), per_user


def bridge(linked: pd.DataFrame, daily: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the steps from bet to rebated turnover per day and currency, and what each activity claimed."""
    claims = linked[(linked["status"] != 0) & (linked["bet_status"] == 1)].copy()
    claims["rebate_day"] = claims["date"].dt.date
    claims["bet_day"] = claims["settle_time"].fillna(claims["bet_time"]).dt.date
    claims["is_own"] = claims["currency"] == claims["bet_currency"]
    claims = claims.sort_values(["is_own", "place"], ascending=[False, True])
    first = ~claims.duplicated("bet_id")
    first_of_activity = ~claims.duplicated(["activity_id", "bet_id"])
    own, away = claims["is_own"], claims["rebate_day"] != claims["bet_day"]
    turnover = claims["valid_bet_turnover"]
    masks = {
        "claimed_again": ("rebate_day", own & ~first),
        "from_other_days": ("rebate_day", own & first & away),
        "reused": ("rebate_day", own & ~first_of_activity),
        "to_other_days": ("bet_day", own & first & away),
        "other_currency": ("bet_day", ~own & first),
    }
    steps = daily.set_index(["day", "currency"])
    for name, (day, mask) in masks.items():
        amounts = claims.assign(amount=turnover.where(mask, ZERO)).groupby([day, "bet_currency"])["amount"].sum()
        steps[name] = amounts.rename_axis(["day", "currency"])
        steps[name] = steps[name].where(steps[name].notna(), ZERO)
    of_activity = claims[first_of_activity].groupby(["activity_id", "bet_day", "bet_currency"])
    rates = of_activity.agg(
        claimed_bets=("bet_id", "size"), claimed_turnover=("valid_bet_turnover", "sum")
    ).reset_index()  # fmt: skip
    return steps.reset_index(), rates


def write(connection: psycopg.Connection, table: str, frame: pd.DataFrame) -> None:
    """Replace a table by the frame, every column as text."""
    columns = [name for name in frame.columns if name != "bet_ids"]
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    declared = ", ".join(f'"{name}" text' for name in columns)
    connection.execute(f"CREATE TABLE {table} ({declared})")
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in frame[columns].itertuples(index=False, name=None):
            copy.write_row([str(value) for value in row])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
