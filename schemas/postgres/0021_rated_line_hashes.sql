-- A rated line can be named; what was measured for it stands beside it; and it has the hash of what went into it and of what came out of it, so that it can be rated
-- again and held against both, byte by byte. Lines from before have none of these but the name.
ALTER TABLE rated_lines
  ADD COLUMN id text,
  ADD COLUMN measured json,
  ADD COLUMN hash_version integer,
  ADD COLUMN input_hash text,
  ADD COLUMN output_hash text,
  ADD CONSTRAINT rated_lines_hashes CHECK (num_nonnulls(measured, hash_version, input_hash, output_hash) IN (0, 4));
ALTER TABLE rated_lines DISABLE TRIGGER immutable;
UPDATE rated_lines SET id = 'rln_' || md5(billing_period_id || ' ' || watermark || ' ' || charge_code);
ALTER TABLE rated_lines ENABLE TRIGGER immutable;
ALTER TABLE rated_lines
  ALTER COLUMN id SET NOT NULL,
  ADD CONSTRAINT rated_lines_by_id UNIQUE (id);
