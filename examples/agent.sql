-- A program that decides about its next step, in a loop: a model proposes an action, expensive ones need a person's consent,
-- and a budget ends it. What was done and paid for is in the history, so a crash repeats nothing.
--     SELECT durable.raise_event('agent-1', 'consent', true);
CREATE SCHEMA agent;

CREATE TABLE agent.deed (n integer GENERATED ALWAYS AS IDENTITY, action text);

-- In real life this calls a model with the goal and the results so far.
CREATE FUNCTION agent.propose(goal text, results jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT CASE jsonb_array_length(results)
        WHEN 0 THEN '{"action": "search", "cost": 1}'::jsonb
        WHEN 1 THEN '{"action": "compare", "cost": 2}'
        WHEN 2 THEN '{"action": "buy", "cost": 50}'
        ELSE jsonb_build_object('answer', format('%s: done in %s steps', goal, jsonb_array_length(results)))
    END
$$;

CREATE FUNCTION agent.act(action text) RETURNS text
    LANGUAGE sql AS $$ INSERT INTO agent.deed (action) VALUES (action) RETURNING format('result of %s', action) $$;

CREATE FUNCTION agent.pursue(goal text, budget numeric) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    results jsonb := '[]';
    proposal jsonb;
    cost numeric;
BEGIN
    LOOP
        proposal := durable.call_activity('agent.propose', jsonb_build_array(goal, results), retry => durable.retry(5));
        IF proposal ? 'answer' THEN
            RETURN jsonb_build_object('answer', proposal -> 'answer', 'budget_left', budget);
        END IF;
        cost := (proposal ->> 'cost')::numeric;
        IF cost > budget THEN
            RETURN jsonb_build_object('answer', 'the budget does not suffice', 'budget_left', budget);
        END IF;
        IF cost >= 10 THEN
            PERFORM durable.set_custom_status(jsonb_build_object('asks_for', proposal));
            IF durable.wait_for_external_event('consent', '1 day', 'false') <> 'true' THEN
                RETURN jsonb_build_object('answer', 'nobody consented', 'budget_left', budget);
            END IF;
        END IF;
        results := results || durable.call_activity('agent.act', proposal ->> 'action');
        budget := budget - cost;
    END LOOP;
END $$;

SELECT durable.start('agent.pursue', '{"goal": "a chair", "budget": 60}'::jsonb, 'agent-1');
SELECT durable.start('agent.pursue', '{"goal": "a chair", "budget": 60}'::jsonb, 'agent-2');
SELECT durable.start('agent.pursue', '{"goal": "a chair", "budget": 20}'::jsonb, 'agent-3');
