-- The working tables of one run. They are tables and not parts of one statement so that each has statistics and an
-- index: plans stay right however large the run is and however fresh the warehouse's own statistics are. They carry
-- the agent so that joins are planned over whole staging tables: as a constant, an agent that statistics never saw
-- counts as one row.
CREATE TEMP TABLE judge_concerned (
    rebate_id text COLLATE "C" NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_loads (
    load_id bigint PRIMARY KEY
) ON COMMIT DROP;

CREATE TEMP TABLE judge_ledger (
    width interval NOT NULL,
    origin timestamptz NOT NULL,
    responsible tstzmultirange NOT NULL,
    certified tstzmultirange NOT NULL,
    out_of_reach tstzmultirange NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_spans (
    could_hold tstzrange PRIMARY KEY
) ON COMMIT DROP;

CREATE TEMP TABLE judge_rules (
    currency text COLLATE "C" PRIMARY KEY,
    places integer NOT NULL,
    mode text NOT NULL,
    turnover numeric NOT NULL,
    turnover_relative numeric NOT NULL,
    amount numeric NOT NULL,
    amount_relative numeric NOT NULL,
    medium numeric NOT NULL,
    high numeric NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_claimed (
    agent text COLLATE "C" NOT NULL,
    rebate_id text COLLATE "C",
    bet_id text COLLATE "C",
    PRIMARY KEY (rebate_id, bet_id)
) ON COMMIT DROP;

CREATE TEMP TABLE judge_rejected (
    bet_id text COLLATE "C" PRIMARY KEY,
    pulled_at timestamptz,
    slices tstzmultirange NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_coverage (
    could_hold tstzrange PRIMARY KEY,
    needed tstzmultirange NOT NULL,
    open_gaps tstzmultirange NOT NULL,
    lost_gaps tstzmultirange NOT NULL,
    not_ours boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_sums (
    rebate_id text COLLATE "C" NOT NULL,
    linked_bets bigint NOT NULL,
    linked_turnover numeric NOT NULL,
    bets_of_other_days bigint NOT NULL,
    oldest_state timestamptz,
    repeated_ids text[],
    odd_ids text[],
    is_whole boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_odd (
    agent text COLLATE "C" NOT NULL,
    rebate_id text COLLATE "C",
    bet_id text COLLATE "C",
    is_repeated boolean NOT NULL,
    is_known boolean NOT NULL,
    is_rejected boolean NOT NULL,
    is_claimed boolean NOT NULL,
    is_own_user boolean NOT NULL,
    is_own_currency boolean NOT NULL,
    status integer,
    turnover numeric,
    bet_amount numeric,
    bet_time timestamptz,
    update_time timestamptz,
    then_known boolean NOT NULL,
    then_counted numeric NOT NULL,
    now_counted numeric NOT NULL,
    last_settled numeric,
    PRIMARY KEY (rebate_id, bet_id)
) ON COMMIT DROP;

CREATE TEMP TABLE judge_findings (
    rebate_id text COLLATE "C" PRIMARY KEY,
    missing_ids text[] NOT NULL,
    voided_ids text[] NOT NULL,
    foreign_ids text[] NOT NULL,
    reused_ids text[] NOT NULL,
    unsettled_ids text[] NOT NULL,
    has_unsettled boolean NOT NULL,
    has_rejected boolean NOT NULL,
    unentitled_turnover numeric NOT NULL,
    voided_turnover numeric NOT NULL,
    foreign_turnover numeric NOT NULL,
    reused_turnover numeric NOT NULL,
    unsettled_stake numeric NOT NULL,
    recheck_at timestamptz,
    is_never_told boolean NOT NULL,
    awaited tstzmultirange NOT NULL,
    lost tstzmultirange NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_verdicts (LIKE recon.rebates INCLUDING DEFAULTS) ON COMMIT DROP;
ALTER TABLE judge_verdicts
ADD COLUMN is_decided boolean NOT NULL,
ADD COLUMN is_read boolean NOT NULL,
ADD COLUMN says_the_same boolean NOT NULL,
ADD COLUMN waits_the_same boolean NOT NULL,
ADD COLUMN counts_the_same boolean NOT NULL,
ADD COLUMN day_before date;

CREATE TEMP TABLE judge_changed (
    rebate_id text COLLATE "C" PRIMARY KEY,
    only_waits boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_components (LIKE recon.break_components) ON COMMIT DROP;

CREATE TEMP TABLE judge_breaks (
    rebate_id text COLLATE "C",
    reason text COLLATE "C",
    amount numeric NOT NULL,
    bet_ids text[] NOT NULL,
    sentence text NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    is_event boolean NOT NULL,
    since_run bigint,
    cause text,
    load_id bigint,
    bet_id text COLLATE "C",
    reading_id text COLLATE "C",
    PRIMARY KEY (rebate_id, reason)
) ON COMMIT DROP
