-- Simulations: what chosen customers would have been charged by other plans. Nothing of billing reads them. What is asked for is written down with all that decides
-- its answer (terms, versions of meters, and from its beginning the watermark), so that whichever rater works on it, however often, comes to the same sums.

CREATE TABLE simulations (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  name            text,
  period_start    timestamptz NOT NULL,
  period_end      timestamptz NOT NULL CHECK (period_end > period_start),
  -- Whose subscriptions, and the baseline with the candidates, as schemas/simulation.ts has them.
  chosen          json NOT NULL,
  plans           json NOT NULL,
  -- A rater cuts what is queued, rates the shards of what is running, and sums up what is rated.
  state           text NOT NULL CHECK (state IN ('queued', 'running', 'rated', 'completed', 'failed', 'cancelled')),
  watermark       bigint,
  customers_total integer,
  customers_done  integer NOT NULL DEFAULT 0,
  started_at      timestamptz,
  ended_at        timestamptz CHECK (ended_at IS NULL OR state IN ('completed', 'failed', 'cancelled')),
  summary         json CHECK (summary IS NULL OR state IN ('completed', 'cancelled')),
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  request_id      text NOT NULL,
  api_key_id      text NOT NULL,
  leased_until    timestamptz,
  attempts        integer NOT NULL DEFAULT 0,
  failure         text,
  UNIQUE (organization_id, id)
);
CREATE INDEX simulations_by_creation ON simulations (organization_id, created_at DESC, id DESC);
CREATE INDEX simulations_waiting ON simulations (leased_until NULLS FIRST, updated_at, id) WHERE state IN ('queued', 'rated');
-- How many an organization has under way is counted before it gets another one.
CREATE INDEX simulations_open ON simulations (organization_id) WHERE state IN ('queued', 'running', 'rated');

-- The customers of a simulation in pieces. First pieces come first, whosesoever, so that a small simulation does not wait for the whole of a large one.
CREATE TABLE simulation_shards (
  organization_id text NOT NULL,
  simulation_id   text NOT NULL,
  shard_number    integer NOT NULL,
  -- The number of its first customer in the simulation, from 0.
  first_customer  integer NOT NULL,
  customer_ids    text[] NOT NULL,
  state           text NOT NULL CHECK (state IN ('queued', 'done', 'failed')),
  leased_until    timestamptz,
  attempts        integer NOT NULL DEFAULT 0,
  failure         text,
  PRIMARY KEY (simulation_id, shard_number),
  FOREIGN KEY (organization_id, simulation_id) REFERENCES simulations (organization_id, id)
);
CREATE INDEX simulation_shards_queued ON simulation_shards (leased_until NULLS FIRST, shard_number, simulation_id) WHERE state = 'queued';

-- One row per (customer, candidate, currency): sums, and no lines.
CREATE TABLE simulation_results (
  organization_id text NOT NULL,
  simulation_id   text NOT NULL,
  customer_number bigint NOT NULL,
  -- Candidate in two digits, and currency: the order within a customer.
  place           text COLLATE "C" NOT NULL,
  candidate       integer NOT NULL,
  customer_id     text NOT NULL,
  external_id     text NOT NULL,
  currency        text NOT NULL,
  -- Null where one of the two has no price in the currency.
  baseline        numeric,
  amount          numeric,
  failure         text CHECK ((failure IS NULL) = (baseline IS NOT NULL AND amount IS NOT NULL)),
  PRIMARY KEY (simulation_id, customer_number, place),
  FOREIGN KEY (organization_id, simulation_id) REFERENCES simulations (organization_id, id)
);
CREATE INDEX simulation_results_by_candidate ON simulation_results (simulation_id, candidate, customer_number, place);

GRANT SELECT, INSERT, UPDATE ON simulations TO millrace_app;
GRANT SELECT, UPDATE ON simulations TO millrace_worker;
GRANT SELECT, DELETE ON simulation_shards, simulation_results TO millrace_app;
-- What came to its end has no shards any more.
GRANT SELECT, INSERT, UPDATE, DELETE ON simulation_shards TO millrace_worker;
GRANT SELECT, INSERT ON simulation_results TO millrace_worker;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['simulations', 'simulation_shards', 'simulation_results'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_organization ON %I TO millrace_app USING (organization_id = (SELECT current_organization()))', name);
    EXECUTE format('CREATE POLICY every_organization ON %I TO millrace_worker USING (true)', name);
  END LOOP;
END $$;
