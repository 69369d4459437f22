"""The sample answers of the providers' documents, loaded through landing and the real merge."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import URL

from readings import Reading, at
from tieout.core.errors import SuspectReading

D = Decimal


def rows(db: psycopg.Connection, table: str) -> list[dict[str, object]]:
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM staging.{table} ORDER BY 1, 2, 3, 4").fetchall()


def test_lucko_baccarat_bet(reading: type[Reading], db: psycopg.Connection) -> None:
    sample = reading.of("lucko", "bets", at(2024, 11, 26, 3), hours=1).sample("lucko_bets_baccarat.json")
    with pytest.raises(SuspectReading, match="reported 169 rows, 1 distinct keys came"):
        sample.load()
    (row,) = rows(db, "lucko_bets")
    assert row["id"] == "67453d0923c36d2571d40815"
    assert row["bet_amount"] == D("100")
    assert row["win_amount"] == D("200.00")
    assert str(row["win_amount"]) == "200.00"
    assert row["bet_time"] == at(2024, 11, 26, 3, 14, 17, 359)
    assert row["settle_time"] == at(2024, 11, 26, 3, 14, 41, 164)
    assert row["settle_time"] > row["update_time"]
    assert row["bet_detail"] == {"Banker": 100}
    assert row["win_detail"] == {"Banker": "200.00"}
    assert row["open_cards"] == {"banker": "Spades9,Hearts5", "player": "Clubs7,Clubs7,DiamondsA"}
    assert row["no_comm"] is True
    assert row["extra"] is None


def test_lucko_roulette_bet_without_total(reading: type[Reading], db: psycopg.Connection) -> None:
    certificate = reading.of("lucko", "bets", at(2025, 4, 24, 11), hours=1).sample("lucko_bets_roulette.json").load()
    assert (certificate.state, certificate.reason) == ("certified", "no_control_total")
    (row,) = rows(db, "lucko_bets")
    assert row["currency"] == "VND2"
    assert row["game_id"] == "103"
    assert row["valid_bet_turnover"] == D("250")
    assert row["bet_detail"]["Direct-11"] == 50
    assert row["open_cards"] == {"result": "7"}


def test_lucko_rebates(reading: type[Reading], db: psycopg.Connection) -> None:
    certificate = reading.of("lucko", "rebates", at(2025, 3, 18, 12), hours=1).sample("lucko_rebates.json").load()
    assert (certificate.state, certificate.reason, certificate.inserted) == ("certified", None, 2)
    first, second = rows(db, "lucko_rebates")
    assert (first["turnover"], first["rate"], first["rebate_amount"]) == (D("5800.00"), D("1"), D("58.00"))
    assert first["date"] == at(2025, 3, 18)
    assert first["create_time"] == at(2025, 3, 18, 12, 15, 23, 456)
    assert second["wallet_txn_id"] == "68a3c4d5e6f7890abcdef456"
    links = db.execute("SELECT rebate_id, bet_id, times FROM staging.lucko_rebate_bets ORDER BY 1, 2").fetchall()
    assert links == [
        ("67d1a2b3c4e5f6789abcdef0", "67f1a2b3c4e5f6789abc0001", 1),
        ("67d1a2b3c4e5f6789abcdef0", "67f1a2b3c4e5f6789abc0002", 1),
        ("67d1a2b3c4e5f6789abcdef1", "67f1a2b3c4e5f6789abc0010", 1),
    ]


def test_lucko_failed_rebate_has_no_wallet_id(reading: type[Reading], db: psycopg.Connection) -> None:
    failed = reading.of("lucko", "rebates", at(2025, 3, 18, 12), hours=1).sample("lucko_rebates.json")
    failed.edit(lambda answer: answer["data"]["list"][0].pop("wallet_txn_id"))
    failed.edit(lambda answer: answer["data"]["list"][0].update(status=0))
    assert failed.load().state == "certified"
    assert rows(db, "lucko_rebates")[0]["wallet_txn_id"] is None


def test_hotroad_summary(reading: type[Reading], db: psycopg.Connection) -> None:
    certificate = (
        reading.of("hotroad", "summary", at(2022, 7, 2, 16), hours=1, currency="CNY")
        .sample("hotroad_summary.json")
        .load()
    )
    assert certificate.state == "certified"
    (row,) = rows(db, "hotroad_summary")
    assert row["hour_start"] == at(2022, 7, 2, 16)
    assert (row["game_type"], row["game_code"], row["currency"]) == ("LIVE", "BACCARAT", "CNY")
    assert row["win_amount"] == row["bet_amount"] + row["win_loss"] == D("1990000.0")


def test_jdb_daily_with_a_space_in_the_key(reading: type[Reading], db: psycopg.Connection) -> None:
    certificate = (
        reading.of("jdb", "daily", at(2016, 1, 1, 4), hours=24, currency="RMB", g_types=("0",))
        .sample("jdb_daily.json")
        .load()
    )
    assert (certificate.state, certificate.inserted) == ("certified", 3)
    found = {row["uid"]: row for row in rows(db, "jdb_daily")}
    assert found["testpl01"]["tax"] == D("-77.7")
    assert found["testpl03"]["jackpot_contribute"] == D("-0.0025")
    assert str(found["testpl03"]["jackpot_contribute"]) == "-0.0025"
    assert found["testpl02"]["count"] == 274
    assert all(row["net_win"] == row["bet"] + row["win"] for row in found.values())
    assert all((str(row["report_date"]), row["g_type"]) == ("2016-01-01", "0") for row in found.values())
    assert all(row["extra"] is None for row in found.values())


def test_vertexplay_betlog(reading: type[Reading], db: psycopg.Connection) -> None:
    certificate = (
        reading.of("vertexplay", "betlogs", at(2025, 12, 9, 9), hours=1).sample("vertexplay_betlogs.json").load()
    )
    assert (certificate.state, certificate.distinct_keys) == ("certified", 1)
    (row,) = rows(db, "vertexplay_betlogs")
    assert row["bet_key"] == "transfer:7652711103511700000"
    assert str(row["win_amt"]) == "0.360000"
    assert row["bet_time"] == at(2025, 12, 9, 9, 5, 10, 151)
    assert row["bet_source_id"] == 1


def test_unknown_fields_are_kept(reading: type[Reading], db: psycopg.Connection, warehouse: URL) -> None:
    sample = reading.of("lucko", "rebates", at(2025, 3, 18, 12), hours=1).sample("lucko_rebates.json")
    sample.edit(lambda answer: answer["data"]["list"][0].update(new_field={"deep": [1, "0.10"]}))
    sample.load()
    first, second = rows(db, "lucko_rebates")
    assert first["extra"] == {"new_field": {"deep": [1, "0.10"]}}
    assert second["extra"] is None
