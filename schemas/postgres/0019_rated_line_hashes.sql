-- A rated line can be named, and it has the hash of what went into it and of what came out of it, so that it can be rated again and held against both, byte by byte.
-- Lines from before have no hashes.
ALTER TABLE rated_lines
  ADD COLUMN id text,
  ADD COLUMN hash_version integer,
  ADD COLUMN input_hash text,
  ADD COLUMN output_hash text,
  -- What was measured in parts, for a price that asks for more than one quantity.
  ADD COLUMN parts json,
  ADD CONSTRAINT rated_lines_hashes CHECK (num_nonnulls(hash_version, input_hash, output_hash) IN (0, 3));
ALTER TABLE rated_lines DISABLE TRIGGER immutable;
UPDATE rated_lines SET id = 'rln_' || md5(billing_period_id || ' ' || watermark || ' ' || charge_code);
ALTER TABLE rated_lines ENABLE TRIGGER immutable;
ALTER TABLE rated_lines
  ALTER COLUMN id SET NOT NULL,
  ADD CONSTRAINT rated_lines_by_id UNIQUE (id);
