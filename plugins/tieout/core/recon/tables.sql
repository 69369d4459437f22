-- The working tables of one run. They are tables and not parts of one statement so that each has statistics and an
-- index: plans stay right however large the run is and however fresh the warehouse's own statistics are.
CREATE TEMP TABLE judge_keys (
    rebate_id text COLLATE "C" PRIMARY KEY,
    day date NOT NULL,
    could_hold tstzrange NOT NULL,
    decided boolean
) ON COMMIT DROP;

CREATE TEMP TABLE judge_claimed (
    rebate_id text COLLATE "C",
    bet_id text COLLATE "C",
    PRIMARY KEY (rebate_id, bet_id)
) ON COMMIT DROP;

CREATE TEMP TABLE judge_rejected (
    bet_id text COLLATE "C" PRIMARY KEY,
    pulled_at timestamptz
) ON COMMIT DROP;

CREATE TEMP TABLE judge_sums (
    rebate_id text COLLATE "C" PRIMARY KEY,
    linked_bets bigint NOT NULL,
    linked_turnover numeric NOT NULL,
    entitled_turnover numeric NOT NULL,
    missing_ids text[] NOT NULL,
    voided_ids text[] NOT NULL,
    has_unsettled boolean NOT NULL,
    has_rejected boolean NOT NULL,
    oldest_state timestamptz
) ON COMMIT DROP;

CREATE TEMP TABLE judge_coverage (
    could_hold tstzrange PRIMARY KEY,
    open_gaps tstzmultirange NOT NULL,
    lost_gaps tstzmultirange NOT NULL,
    not_ours boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE judge_breaks (
    rebate_id text COLLATE "C",
    reason text COLLATE "C",
    amount numeric NOT NULL,
    bet_ids text[] NOT NULL,
    sentence text NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    is_event boolean NOT NULL,
    cause text,
    PRIMARY KEY (rebate_id, reason)
) ON COMMIT DROP
