-- Every rebate of the agent. Parameters: agent.
INSERT INTO judge_chosen (rebate_id)
SELECT id FROM staging.lucko_rebates WHERE agent = %(agent)s
