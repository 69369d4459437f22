-- The working tables of the daily figures. Most bets have one claim at most (a claim: a successful rebate names a
-- settled bet) and are only counted; those that may have several are looked at one by one.
CREATE TEMP TABLE day_away (
    bet_id text COLLATE "C" NOT NULL,
    rebate_day date NOT NULL,
    currency text COLLATE "C" NOT NULL,
    turnover numeric NOT NULL,
    is_own_currency boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE day_several (
    bet_id text COLLATE "C" PRIMARY KEY
) ON COMMIT DROP;

CREATE TEMP TABLE day_claims (
    bet_id text COLLATE "C" NOT NULL,
    activity_id text COLLATE "C" NOT NULL,
    rebate_day date NOT NULL,
    bet_day date NOT NULL,
    currency text COLLATE "C" NOT NULL,
    game_id text COLLATE "C" NOT NULL,
    turnover numeric NOT NULL,
    is_own_currency boolean NOT NULL,
    is_first boolean NOT NULL,
    is_first_of_activity boolean NOT NULL
) ON COMMIT DROP;

CREATE TEMP TABLE day_sums (
    day date NOT NULL,
    currency text COLLATE "C" NOT NULL,
    game_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    activity_id text COLLATE "C",
    is_dated boolean NOT NULL,
    fate text COLLATE "C" NOT NULL,
    bets bigint NOT NULL,
    turnover numeric NOT NULL
) ON COMMIT DROP
