/**
 * The first start: an organization with its sandbox, and a key with all scopes (`MILLRACE_BOOTSTRAP_KEY`; one that
 * begins with `mr_test_` sees the sandbox). Run again it changes nothing; with another key it adds that one. Works as
 * the owner of the schema, before there is an organization to work for.
 */
import type { Change } from '#platform/audit/audit-entry.ts';
import { recordChange } from '#platform/audit/record-change.ts';
import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { createLog } from '#platform/process/log.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { connectPostgres, type Queryable } from '#platform/stores/postgres.ts';
import { hashApiKey, hintOfApiKey } from '#schemas/api-key.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl', 'keyPepper', 'bootstrapKey']));
const log = createLog('bootstrap', config.logLevel, secretsOf(config));
if (config.bootstrapKey === '') {
  process.stderr.write('MILLRACE_BOOTSTRAP_KEY is missing: the first key has to come from somewhere\n');
  process.exit(1);
}
const audit = (client: Queryable, organizationId: string, changes: readonly Change[]): Promise<void> =>
  recordChange(
    { query: client.query, organizationId },
    { actor: 'bootstrap', requestId: undefined, result: 'done' },
    changes,
    systemClock.nowMs(),
  );

/**
 * Organizations from before they had entries in the audit log; from here on a change of them shows. A sandbox is
 * recorded with its live world.
 */
const recordOrganizations = async (client: Queryable): Promise<void> => {
  const { rows } = await client.query<{ chain: string; id: string }>(
    `SELECT coalesce(o.sandbox_of, o.id) AS chain, o.id FROM organizations o WHERE NOT EXISTS (
       SELECT 1 FROM audit_log a WHERE a.organization_id IN (o.id, o.sandbox_of) AND a.object_id = o.id
     ) ORDER BY o.id`,
  );
  for (const [chain, some] of Map.groupBy(rows, (row) => row.chain))
    await audit(
      client,
      chain,
      some.map(({ id }) => ({ action: 'organization.recorded', objectType: 'organization', objectId: id })),
    );
};

const postgres = connectPostgres(config.databaseUrl, { poolMax: 1, log });
const hash = hashApiKey(config.keyPepper, config.bootstrapKey);
await postgres.transaction(async (client) => {
  // One at a time, so that two first starts make one organization.
  await client.query("SELECT pg_advisory_xact_lock(hashtext('millrace bootstrap'))");
  await recordOrganizations(client);
  const known = await client.query('SELECT 1 FROM api_keys WHERE key_hash = $1', [hash]);
  if (known.rowCount) return;
  const first = await client.query<{ id: string; sandbox: string }>(
    `SELECT o.id, s.id AS sandbox FROM organizations o JOIN organizations s ON s.sandbox_of = o.id
     ORDER BY o.id LIMIT 1`,
  );
  const { id, sandbox } = first.rows[0] ?? { id: newId('org'), sandbox: newId('org') };
  if (!first.rowCount) {
    await client.query(
      `INSERT INTO organizations (id, name, created_at, tier, sandbox_of)
       VALUES ($1, $3, now(), $4, NULL), ($2, $3, now(), $4, $1)`,
      [id, sandbox, 'First organization', config.organizationTier],
    );
    const made = [id, sandbox].map((objectId) => ({
      action: 'organization.created',
      objectType: 'organization',
      objectId,
    }));
    await audit(client, id, made);
  }
  const organizationId = config.bootstrapKey.startsWith('mr_test_') ? sandbox : id;
  const keyId = newId('key');
  await client.query(
    `INSERT INTO api_keys (id, organization_id, name, hint, key_hash, scopes, created_at, updated_at)
     VALUES ($1, $2, 'Bootstrap key', $3, $4, '{admin}', now(), now())`,
    [keyId, organizationId, hintOfApiKey(config.bootstrapKey), hash],
  );
  await audit(client, organizationId, [{ action: 'api_key.created', objectType: 'api_key', objectId: keyId }]);
  log.info({ organizationId }, 'the bootstrap key was added');
});
await postgres.close();
