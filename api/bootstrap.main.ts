/**
 * The first start: an organization, and a key with all scopes (`MILLRACE_BOOTSTRAP_KEY`). Run again it changes nothing; with another key it adds
 * that one.
 */
import { loadConfig } from '#platform/config.ts';
import { newId } from '#platform/ids.ts';
import { orExit } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { hashApiKey } from '#schemas/api-key.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl', 'keyPepper', 'bootstrapKey']));
const log = createLog('bootstrap', config.logLevel);
if (config.bootstrapKey === '') {
  process.stderr.write('MILLRACE_BOOTSTRAP_KEY is missing: the first key has to come from somewhere\n');
  process.exit(1);
}
const postgres = connectPostgres(config.databaseUrl, { poolMax: 1, as: 'application', log });
const hash = hashApiKey(config.keyPepper, config.bootstrapKey);
await postgres.transaction(async (client) => {
  // One at a time, so that two first starts make one organization.
  await client.query("SELECT pg_advisory_xact_lock(hashtext('millrace bootstrap'))");
  const known = await client.query('SELECT 1 FROM api_keys WHERE key_hash = $1', [hash]);
  if (known.rowCount) return;
  const first = await client.query<{ id: string }>('SELECT id FROM organizations ORDER BY id LIMIT 1');
  const organizationId = first.rows[0]?.id ?? newId('org');
  if (!first.rowCount)
    await client.query('INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, now())', [organizationId, 'First organization']);
  await client.query('INSERT INTO api_keys (id, organization_id, name, key_hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5, now())', [
    newId('key'),
    organizationId,
    'Bootstrap key',
    hash,
    ['admin'],
  ]);
  log.info({ organizationId }, 'the bootstrap key was added');
});
await postgres.close();
