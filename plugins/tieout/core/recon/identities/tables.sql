-- Rows whose figures contradict each other, as they are found now.
CREATE TEMP TABLE integrity_found (
    identity text COLLATE "C" NOT NULL,
    row_key text COLLATE "C" NOT NULL,
    feed text COLLATE "C" NOT NULL,
    day date NOT NULL,
    game_type text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    stated numeric NOT NULL,
    computed numeric NOT NULL,
    sentence text NOT NULL,
    PRIMARY KEY (identity, row_key)
) ON COMMIT DROP
