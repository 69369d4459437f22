"""Tables of staging, ops, recon and mart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('turnover_daily',
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('day_rule', sa.Text(collation='C'), nullable=False, comment='which instant, in which timezone, decides the day'),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False, comment='empty where the feed has no users'),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('game', sa.Text(collation='C'), nullable=False),
    sa.Column('bets', sa.BigInteger(), nullable=True),
    sa.Column('turnover', sa.Numeric(), nullable=False),
    sa.Column('win_loss', sa.Numeric(), nullable=False, comment="the player's net"),
    sa.Column('rebate', sa.Numeric(), nullable=False),
    sa.CheckConstraint('turnover >= 0', name=op.f('ck_turnover_daily_turnover')),
    sa.PrimaryKeyConstraint('provider', 'agent', 'day', 'day_rule', 'user_id', 'currency', 'game', name=op.f('pk_turnover_daily')),
    schema='mart',
    comment='Turnover per provider, agent, day, user, currency and game.'
    )
    op.create_table('agents',
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('feed', sa.Text(collation='C'), nullable=False),
    sa.Column('merchant_id', sa.Text(collation='C'), nullable=True, comment="the provider's own id, from the connection; a change is refused"),
    sa.Column('currency', sa.Text(collation='C'), nullable=True),
    sa.Column('g_types', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False, comment='JDB: declared game types'),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('stop_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('slice_width', sa.Interval(), nullable=False),
    sa.Column('slice_anchor', sa.Interval(), nullable=False, comment='offset of slice boundaries from UTC midnight'),
    sa.Column('lag', sa.Interval(), nullable=False),
    sa.Column('reach', sa.Interval(), nullable=True, comment='how far back the provider answers; null: no limit stated'),
    sa.Column('declared_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('provider', 'agent', 'feed', name=op.f('pk_agents')),
    schema='ops',
    comment='Declared feeds: the slices that are expected of each agent.'
    )
    op.create_table('config',
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('reconciliation', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.PrimaryKeyConstraint('provider', 'agent', name=op.f('pk_config')),
    schema='ops',
    comment='Reconciliation settings of each agent as last declared.'
    )
    op.create_table('loads',
    sa.Column('load_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('feed', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('inserted', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('updated', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('retired', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.PrimaryKeyConstraint('load_id', name=op.f('pk_loads')),
    schema='ops',
    comment='Every committed load; a row of staging carries the load_id that last changed it.'
    )
    op.create_index('ix_loads_agent', 'loads', ['provider', 'agent', 'load_id'], unique=False, schema='ops')
    op.create_table('quota',
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('endpoint', sa.Text(collation='C'), nullable=False),
    sa.Column('merchant_id', sa.Text(collation='C'), nullable=False),
    sa.Column('next_free_at', sa.DateTime(timezone=True), nullable=False, comment='the next instant a caller may reserve (database clock)'),
    sa.Column('min_interval', sa.Interval(), nullable=True, comment='widened spacing after throttle answers; null: as declared'),
    sa.Column('reserved', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('given_up', sa.BigInteger(), server_default=sa.text('0'), nullable=False, comment='slots whose caller woke too late'),
    sa.Column('throttled', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('throttled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('provider', 'endpoint', 'merchant_id', name=op.f('pk_quota')),
    schema='ops',
    comment='One row per rate-limited thing: provider, endpoint and merchant id.'
    )
    op.create_table('readings',
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('feed', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('slice_start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('slice_end', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('state', sa.Text(collation='C'), nullable=False),
    sa.Column('pages', sa.Integer(), nullable=False),
    sa.Column('rows', sa.BigInteger(), nullable=False),
    sa.Column('distinct_keys', sa.BigInteger(), nullable=True),
    sa.Column('reported_total_first', sa.BigInteger(), nullable=True),
    sa.Column('reported_total_last', sa.BigInteger(), nullable=True),
    sa.Column('inserted', sa.BigInteger(), nullable=True),
    sa.Column('updated', sa.BigInteger(), nullable=True),
    sa.Column('unchanged', sa.BigInteger(), nullable=True),
    sa.Column('retired', sa.BigInteger(), nullable=True),
    sa.Column('rejected', sa.BigInteger(), nullable=True),
    sa.Column('landing_uri', sa.Text(), nullable=False),
    sa.Column('sha256', sa.Text(collation='C'), nullable=False),
    sa.Column('g_types', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False, comment='JDB: the game types read'),
    sa.Column('pulled_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('loaded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.CheckConstraint("kind in ('first', 'revisit', 'repair', 'replay', 'backfill')", name=op.f('ck_readings_kind')),
    sa.CheckConstraint("state in ('landed', 'certified', 'suspect')", name=op.f('ck_readings_state')),
    sa.CheckConstraint('slice_start < slice_end', name=op.f('ck_readings_slice')),
    sa.PrimaryKeyConstraint('reading_id', name=op.f('pk_readings')),
    schema='ops',
    comment='One certificate per reading of a slice.'
    )
    op.create_index('ix_readings_slice', 'readings', ['provider', 'feed', 'agent', 'slice_start', 'slice_end'], unique=False, schema='ops')
    op.create_table('rejects',
    sa.Column('reject_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('provider', sa.Text(collation='C'), nullable=False),
    sa.Column('feed', sa.Text(collation='C'), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('page', sa.Text(collation='C'), nullable=False),
    sa.Column('row_number', sa.BigInteger(), nullable=False),
    sa.Column('natural_key', sa.Text(collation='C'), nullable=True, comment='where the row still shows one'),
    sa.Column('reason', sa.Text(collation='C'), nullable=False),
    sa.Column('detail', sa.Text(), nullable=False),
    sa.Column('raw', sa.Text(), nullable=False),
    sa.Column('rejected_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('reject_id', name=op.f('pk_rejects')),
    schema='ops',
    comment="Rows that broke their feed's contract, with reason and raw text."
    )
    op.create_index('ix_rejects_key', 'rejects', ['provider', 'feed', 'agent', 'natural_key'], unique=False, schema='ops')
    op.create_index('ix_rejects_reading_id', 'rejects', ['reading_id'], unique=False, schema='ops')
    op.create_table('break_components',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('rebate_id', sa.Text(collation='C'), nullable=False),
    sa.Column('of', sa.Text(collation='C'), nullable=False, comment='difference, or entitlement (turnover - entitled_turnover)'),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_id', sa.Text(collation='C'), nullable=False, comment='empty where no bet is concerned'),
    sa.Column('amount', sa.Numeric(), nullable=False),
    sa.Column('evidence', sa.Text(collation='C'), nullable=False),
    sa.Column('is_fact', sa.Boolean(), nullable=False),
    sa.CheckConstraint("evidence in ('observed', 'presumed', 'none')", name=op.f('ck_break_components_evidence')),
    sa.CheckConstraint("of in ('difference', 'entitlement')", name=op.f('ck_break_components_of')),
    sa.PrimaryKeyConstraint('agent', 'rebate_id', 'of', 'kind', 'bet_id', name=op.f('pk_break_components')),
    schema='recon',
    comment='What a difference is made of; the amounts of one rebate sum to it exactly.'
    )
    op.create_table('runs',
    sa.Column('run_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('days', sa.ARRAY(sa.Date()), nullable=False, comment='settlement days judged in full; empty for incremental runs'),
    sa.Column('config', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('duration', sa.Interval(), nullable=True),
    sa.Column('judged', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('matched', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('pending', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('broken', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('unprovable', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('failed', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.CheckConstraint("kind in ('full', 'incremental')", name=op.f('ck_runs_kind')),
    sa.PrimaryKeyConstraint('run_id', name=op.f('pk_runs')),
    schema='recon',
    comment='Every run of the judge: what it judged, with which settings, and how it came out.'
    )
    op.create_table('hotroad_summary',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('hour_start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('game_type', sa.Text(collation='C'), nullable=False),
    sa.Column('game_code', sa.Text(collation='C'), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_amount', sa.Numeric(), nullable=False),
    sa.Column('real_credit', sa.Numeric(), nullable=True),
    sa.Column('free_credit', sa.Numeric(), nullable=True),
    sa.Column('promotion_credit', sa.Numeric(), nullable=True),
    sa.Column('win_loss', sa.Numeric(), nullable=False),
    sa.Column('win_amount', sa.Numeric(), nullable=False),
    sa.Column('valid_bet', sa.Numeric(), nullable=False),
    sa.Column('commission', sa.Numeric(), nullable=True),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('extra', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'hour_start', 'game_type', 'game_code', name=op.f('pk_hotroad_summary')),
    schema='staging',
    comment="HotRoad's totals per bet hour and game; retired_at: the row vanished from a newer reading."
    )
    op.create_table('jdb_daily',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('report_date', sa.Date(), nullable=False),
    sa.Column('g_type', sa.Text(collation='C'), nullable=False),
    sa.Column('uid', sa.Text(collation='C'), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('bet', sa.Numeric(), nullable=False),
    sa.Column('win', sa.Numeric(), nullable=False),
    sa.Column('net_win', sa.Numeric(), nullable=False),
    sa.Column('jackpot', sa.Numeric(), nullable=True),
    sa.Column('jackpot_contribute', sa.Numeric(), nullable=True),
    sa.Column('count', sa.BigInteger(), nullable=True),
    sa.Column('valid_bet', sa.Numeric(), nullable=False),
    sa.Column('tax', sa.Numeric(), nullable=True),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('extra', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'report_date', 'g_type', 'uid', name=op.f('pk_jdb_daily')),
    schema='staging',
    comment="JDB's totals per Beijing noon-to-noon day, game type and player; bets are negative as delivered."
    )
    op.create_table('lucko_bet_versions',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('game_id', sa.Text(collation='C'), nullable=False),
    sa.Column('inst_id', sa.Text(collation='C'), nullable=True),
    sa.Column('shoe_id', sa.BigInteger(), nullable=True),
    sa.Column('round_id', sa.BigInteger(), nullable=True),
    sa.Column('bet_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('settle_time', sa.DateTime(timezone=True), nullable=True),
    sa.Column('bet_amount', sa.Numeric(), nullable=False),
    sa.Column('real_bet_amount', sa.Numeric(), nullable=True),
    sa.Column('valid_bet_turnover', sa.Numeric(), nullable=False),
    sa.Column('win_amount', sa.Numeric(), nullable=True),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('real_win_amount', sa.Numeric(), nullable=True),
    sa.Column('no_comm', sa.Boolean(), nullable=True),
    sa.Column('create_time', sa.DateTime(timezone=True), nullable=True),
    sa.Column('update_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('pulled_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'id', 'pulled_at', name=op.f('pk_lucko_bet_versions')),
    schema='staging',
    comment='Every state of a bet that was ever read, the current one included.'
    )
    op.create_table('lucko_bets',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('game_id', sa.Text(collation='C'), nullable=False),
    sa.Column('inst_id', sa.Text(collation='C'), nullable=True),
    sa.Column('shoe_id', sa.BigInteger(), nullable=True),
    sa.Column('round_id', sa.BigInteger(), nullable=True),
    sa.Column('bet_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('settle_time', sa.DateTime(timezone=True), nullable=True),
    sa.Column('bet_amount', sa.Numeric(), nullable=False),
    sa.Column('real_bet_amount', sa.Numeric(), nullable=True),
    sa.Column('valid_bet_turnover', sa.Numeric(), nullable=False),
    sa.Column('win_amount', sa.Numeric(), nullable=True),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('real_win_amount', sa.Numeric(), nullable=True),
    sa.Column('no_comm', sa.Boolean(), nullable=True),
    sa.Column('create_time', sa.DateTime(timezone=True), nullable=True),
    sa.Column('update_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('bet_detail', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('win_detail', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('game_result', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('open_cards', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('extra', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'id', name=op.f('pk_lucko_bets')),
    schema='staging',
    comment='Bets of Lucko agents, newest known state; one row per bet id.'
    )
    op.create_index('ix_lucko_bets_settled', 'lucko_bets', ['agent', 'settle_time'], unique=False, schema='staging')
    op.create_table('lucko_rebate_bets',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('rebate_id', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_id', sa.Text(collation='C'), nullable=False),
    sa.Column('times', sa.Integer(), nullable=False, comment="how often the rebate's txn_ids names the bet"),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'rebate_id', 'bet_id', name=op.f('pk_lucko_rebate_bets')),
    schema='staging',
    comment='Distinct bet ids named by each rebate (txn_ids).'
    )
    op.create_index('ix_lucko_rebate_bets_agent_bet_id', 'lucko_rebate_bets', ['agent', 'bet_id'], unique=False, schema='staging')
    op.create_table('lucko_rebate_versions',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('activity_id', sa.Text(collation='C'), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('date', sa.DateTime(timezone=True), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('turnover', sa.Numeric(), nullable=False),
    sa.Column('rate', sa.Numeric(), nullable=False),
    sa.Column('rebate_amount', sa.Numeric(), nullable=False),
    sa.Column('wallet_txn_id', sa.Text(collation='C'), nullable=True),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('create_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('txn_ids', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('pulled_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'id', 'pulled_at', name=op.f('pk_lucko_rebate_versions')),
    schema='staging',
    comment='Every state of a rebate that was ever read, the current one included.'
    )
    op.create_table('lucko_rebates',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('activity_id', sa.Text(collation='C'), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('date', sa.DateTime(timezone=True), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('turnover', sa.Numeric(), nullable=False),
    sa.Column('rate', sa.Numeric(), nullable=False),
    sa.Column('rebate_amount', sa.Numeric(), nullable=False),
    sa.Column('wallet_txn_id', sa.Text(collation='C'), nullable=True),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('create_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('txn_ids', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('extra', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'id', name=op.f('pk_lucko_rebates')),
    schema='staging',
    comment='Rebates of Lucko agents, newest known state; one row per rebate id.'
    )
    op.create_index('ix_lucko_rebates_agent_date', 'lucko_rebates', ['agent', 'date'], unique=False, schema='staging')
    op.create_table('vertexplay_betlogs',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_key', sa.Text(collation='C'), nullable=False, comment='bet:<betId>, or transfer:<transferId> for rows without a betId'),
    sa.Column('bet_id', sa.Text(collation='C'), nullable=True),
    sa.Column('transfer_id', sa.Text(collation='C'), nullable=False),
    sa.Column('round_id', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tx_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('brand', sa.Text(collation='C'), nullable=True),
    sa.Column('game_code', sa.Text(collation='C'), nullable=False),
    sa.Column('username', sa.Text(collation='C'), nullable=False),
    sa.Column('bet_status', sa.Integer(), nullable=False),
    sa.Column('actual_bet_amt', sa.Numeric(), nullable=False),
    sa.Column('valid_bet_amt', sa.Numeric(), nullable=False),
    sa.Column('win_amt', sa.Numeric(), nullable=False),
    sa.Column('jackpot_win', sa.Numeric(), nullable=True),
    sa.Column('jackpot_contribute', sa.Numeric(), nullable=True),
    sa.Column('bet_source_id', sa.Integer(), nullable=True),
    sa.Column('extra', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('reading_id', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('agent', 'bet_key', name=op.f('pk_vertexplay_betlogs')),
    schema='staging',
    comment="VertexPlay's bet logs, newest known state; one row per bet_key."
    )
    op.create_index('ix_vertexplay_betlogs_agent_bet_time', 'vertexplay_betlogs', ['agent', 'bet_time'], unique=False, schema='staging')
    op.create_index('ix_vertexplay_betlogs_agent_transfer_id', 'vertexplay_betlogs', ['agent', 'transfer_id'], unique=False, schema='staging')
    op.create_table('breaks',
    sa.Column('break_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('rebate_id', sa.Text(collation='C'), nullable=False),
    sa.Column('reason', sa.Text(collation='C'), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('state', sa.Text(collation='C'), nullable=False),
    sa.Column('amount', sa.Numeric(), nullable=False, comment='what the reason is about: turnover, or money for reason amount'),
    sa.Column('overpaid', sa.Numeric(), nullable=False),
    sa.Column('bet_ids', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('sentence', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(collation='C'), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('accepted_reason', sa.Text(), nullable=True),
    sa.Column('accepted_by', sa.Text(collation='C'), nullable=True),
    sa.Column('accepted_until', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state in ('open', 'healed', 'reopened', 'accepted')", name=op.f('ck_breaks_state')),
    sa.ForeignKeyConstraint(['run_id'], ['recon.runs.run_id'], name=op.f('fk_breaks_run_id_runs')),
    sa.PrimaryKeyConstraint('break_id', name=op.f('pk_breaks')),
    schema='recon',
    comment='One row per agent, rebate and reason; it lives on through healing and reopening.'
    )
    op.create_index('ix_breaks_agent_day', 'breaks', ['agent', 'day'], unique=False, schema='recon')
    op.create_index('uq_breaks_subject', 'breaks', ['agent', 'rebate_id', 'reason'], unique=True, schema='recon')
    op.create_table('daily',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('bets', sa.BigInteger(), nullable=False),
    sa.Column('bet_turnover', sa.Numeric(), nullable=False),
    sa.Column('rebates', sa.BigInteger(), nullable=False),
    sa.Column('rebates_failed', sa.BigInteger(), nullable=False),
    sa.Column('rebated_turnover', sa.Numeric(), nullable=False),
    sa.Column('paid', sa.Numeric(), nullable=False),
    sa.Column('expected', sa.Numeric(), nullable=False),
    sa.Column('difference', sa.Numeric(), nullable=False, comment='paid - expected'),
    sa.Column('entitled', sa.Numeric(), nullable=False),
    sa.Column('overpaid', sa.Numeric(), nullable=False),
    sa.Column('underpaid', sa.Numeric(), nullable=False),
    sa.Column('unclaimed_bets', sa.BigInteger(), nullable=False),
    sa.Column('unclaimed_turnover', sa.Numeric(), nullable=False),
    sa.Column('matched', sa.BigInteger(), nullable=False),
    sa.Column('pending', sa.BigInteger(), nullable=False),
    sa.Column('broken', sa.BigInteger(), nullable=False),
    sa.Column('unprovable', sa.BigInteger(), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['recon.runs.run_id'], name=op.f('fk_daily_run_id_runs')),
    sa.PrimaryKeyConstraint('agent', 'day', 'currency', name=op.f('pk_daily')),
    schema='recon',
    comment='The daily tie-out: bets by day of settle_time, rebates by the settlement day they name.'
    )
    op.create_table('rebates',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('rebate_id', sa.Text(collation='C'), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False, comment='the settlement day the rebate names'),
    sa.Column('activity_id', sa.Text(collation='C'), nullable=False),
    sa.Column('user_id', sa.Text(collation='C'), nullable=False),
    sa.Column('currency', sa.Text(collation='C'), nullable=False),
    sa.Column('create_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('verdict', sa.Text(collation='C'), nullable=False),
    sa.Column('reasons', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('warnings', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('provisional_reasons', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('pending_reason', sa.Text(collation='C'), nullable=True),
    sa.Column('waits_for', postgresql.TSTZMULTIRANGE(), nullable=True, comment='slices of the bets feed that must be certified first'),
    sa.Column('turnover', sa.Numeric(), nullable=False),
    sa.Column('rate', sa.Numeric(), nullable=False),
    sa.Column('rebate_amount', sa.Numeric(), nullable=False),
    sa.Column('linked_bets', sa.Integer(), nullable=False),
    sa.Column('linked_turnover', sa.Numeric(), nullable=False, comment='sum over distinct linked bets, settled, in its currency'),
    sa.Column('difference', sa.Numeric(), nullable=False, comment='turnover - linked_turnover'),
    sa.Column('expected_amount', sa.Numeric(), nullable=False, comment='round(turnover x rate x 0.01)'),
    sa.Column('entitled_turnover', sa.Numeric(), nullable=False),
    sa.Column('entitled', sa.Numeric(), nullable=False),
    sa.Column('overpaid', sa.Numeric(), nullable=False, comment='rebate_amount - entitled; negative: underpaid'),
    sa.Column('severity', sa.Text(collation='C'), nullable=True),
    sa.Column('missing_ids', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('voided_ids', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('judged_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(verdict = 'break') = (cardinality(reasons) > 0)", name=op.f('ck_rebates_break_has_reasons')),
    sa.CheckConstraint("pending_reason in ('not_fetched', 'unsettled', 'rejected')", name=op.f('ck_rebates_pending_reason')),
    sa.CheckConstraint("verdict in ('matched', 'break', 'pending', 'failed', 'unprovable')", name=op.f('ck_rebates_verdict')),
    sa.ForeignKeyConstraint(['run_id'], ['recon.runs.run_id'], name=op.f('fk_rebates_run_id_runs')),
    sa.PrimaryKeyConstraint('agent', 'rebate_id', name=op.f('pk_rebates')),
    schema='recon',
    comment='The verdict on every rebate.'
    )
    op.create_index('ix_rebates_agent_day', 'rebates', ['agent', 'day'], unique=False, schema='recon')
    op.create_table('run_inputs',
    sa.Column('agent', sa.Text(collation='C'), nullable=False),
    sa.Column('load_id', sa.BigInteger(), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['recon.runs.run_id'], name=op.f('fk_run_inputs_run_id_runs')),
    sa.PrimaryKeyConstraint('agent', 'load_id', name=op.f('pk_run_inputs')),
    schema='recon',
    comment='The loads each run was the first to consume.'
    )
    op.create_index('ix_run_inputs_run_id', 'run_inputs', ['run_id'], unique=False, schema='recon')
    op.create_table('break_events',
    sa.Column('event_id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('break_id', sa.BigInteger(), nullable=False),
    sa.Column('run_id', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.Text(collation='C'), nullable=False),
    sa.Column('amount', sa.Numeric(), nullable=False),
    sa.Column('fingerprint', sa.Text(collation='C'), nullable=False),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('actor', sa.Text(collation='C'), nullable=True),
    sa.Column('happened_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['break_id'], ['recon.breaks.break_id'], name=op.f('fk_break_events_break_id_breaks')),
    sa.ForeignKeyConstraint(['run_id'], ['recon.runs.run_id'], name=op.f('fk_break_events_run_id_runs')),
    sa.PrimaryKeyConstraint('event_id', name=op.f('pk_break_events')),
    schema='recon',
    comment='Append-only history of every break.'
    )
    op.create_index('ix_break_events_break_id', 'break_events', ['break_id'], unique=False, schema='recon')


def downgrade() -> None:
    op.drop_index('ix_break_events_break_id', table_name='break_events', schema='recon')
    op.drop_table('break_events', schema='recon')
    op.drop_index('ix_run_inputs_run_id', table_name='run_inputs', schema='recon')
    op.drop_table('run_inputs', schema='recon')
    op.drop_index('ix_rebates_agent_day', table_name='rebates', schema='recon')
    op.drop_table('rebates', schema='recon')
    op.drop_table('daily', schema='recon')
    op.drop_index('uq_breaks_subject', table_name='breaks', schema='recon')
    op.drop_index('ix_breaks_agent_day', table_name='breaks', schema='recon')
    op.drop_table('breaks', schema='recon')
    op.drop_index('ix_vertexplay_betlogs_agent_transfer_id', table_name='vertexplay_betlogs', schema='staging')
    op.drop_index('ix_vertexplay_betlogs_agent_bet_time', table_name='vertexplay_betlogs', schema='staging')
    op.drop_table('vertexplay_betlogs', schema='staging')
    op.drop_index('ix_lucko_rebates_agent_date', table_name='lucko_rebates', schema='staging')
    op.drop_table('lucko_rebates', schema='staging')
    op.drop_table('lucko_rebate_versions', schema='staging')
    op.drop_index('ix_lucko_rebate_bets_agent_bet_id', table_name='lucko_rebate_bets', schema='staging')
    op.drop_table('lucko_rebate_bets', schema='staging')
    op.drop_index('ix_lucko_bets_settled', table_name='lucko_bets', schema='staging')
    op.drop_table('lucko_bets', schema='staging')
    op.drop_table('lucko_bet_versions', schema='staging')
    op.drop_table('jdb_daily', schema='staging')
    op.drop_table('hotroad_summary', schema='staging')
    op.drop_table('runs', schema='recon')
    op.drop_table('break_components', schema='recon')
    op.drop_index('ix_rejects_reading_id', table_name='rejects', schema='ops')
    op.drop_index('ix_rejects_key', table_name='rejects', schema='ops')
    op.drop_table('rejects', schema='ops')
    op.drop_index('ix_readings_slice', table_name='readings', schema='ops')
    op.drop_table('readings', schema='ops')
    op.drop_table('quota', schema='ops')
    op.drop_index('ix_loads_agent', table_name='loads', schema='ops')
    op.drop_table('loads', schema='ops')
    op.drop_table('config', schema='ops')
    op.drop_table('agents', schema='ops')
    op.drop_table('turnover_daily', schema='mart')
