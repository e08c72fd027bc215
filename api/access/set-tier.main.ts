/**
 * `npm run set-tier -- <organization id> <tier>`: puts an organization and its sandbox on a tier, with their entries in
 * the audit log; exit code 1 where there is no such organization or tier. Gateways and API take it up as their keys are
 * read anew. Works as the owner of the schema.
 */

import { recordChange } from '#platform/audit/record-change.ts';
import { loadConfig } from '#platform/config/config.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { organizationTiers } from '#schemas/rate-tiers.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl']));
const [organizationId, tier, ...more] = process.argv.slice(2);
if (organizationId === undefined || more.length > 0 || !organizationTiers.some((known) => known === tier)) {
  process.stderr.write(`usage: npm run set-tier -- <organization id> <${organizationTiers.join(' | ')}>\n`);
  process.exit(1);
}
const postgres = connectPostgres(config.databaseUrl, { poolMax: 1, log: createLog('set-tier', config.logLevel) });
const changed = await postgres.transaction(async (client) => {
  const { rows } = await client.query<{ id: string }>(
    `UPDATE organizations SET tier = $2, version = version + 1, updated_at = clock_timestamp()
     WHERE $1 IN (id, sandbox_of)
       AND EXISTS (SELECT 1 FROM organizations o WHERE o.id = $1 AND o.sandbox_of IS NULL) RETURNING id`,
    [organizationId, tier],
  );
  const changes = rows.map(({ id }) => ({ action: 'organization.updated', objectType: 'organization', objectId: id }));
  await recordChange(
    { query: client.query, organizationId },
    { actor: 'set-tier', requestId: undefined, result: 'done' },
    changes,
    systemClock.nowMs(),
  );
  return rows.length;
});
await postgres.close();
process.stdout.write(
  changed === 0 ? `there is no organization ${organizationId}\n` : `${organizationId} and its sandbox are on ${tier}\n`,
);
if (changed === 0) process.exitCode = 1;
