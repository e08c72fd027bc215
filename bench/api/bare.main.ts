/**
 * What the platform is compared with: a bare Fastify route with the same schema that reads the same row by the same
 * statement, opens it and answers the same body; no key, no limit, no tenant wall, no headers of ours.
 */
import Fastify from 'fastify';
import { systemClock } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { createVault, masterKeysFrom } from '#platform/vault.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { createAccountStore } from '../../api/accounts.postgres.ts';
import { customerJson } from '../../api/routes/customers.ts';

const config = loadConfig(process.env, ['databaseUrl', 'masterKey']);
const postgres = connectPostgres(config.databaseUrl, {
  poolMax: config.databasePoolMax,
  log: createLog('bare', 'warn'),
});
const accounts = createAccountStore(createVault({ masterKeys: masterKeysFrom(config), clock: systemClock }));
const organizationId = process.env.BENCH_ORGANIZATION_ID ?? '';
const metrics = createMetrics();

const app = Fastify();
app.get<{ Params: { id: string } }>('/v1/customers/:id', { schema: { params: IdParam } }, async (request, reply) => {
  const row = await accounts.customer({ query: postgres.query, organizationId }, request.params.id);
  return row ? customerJson(row) : reply.code(404).send();
});
app.get('/metrics', () => metrics.text());
process.send?.(await app.listen({ host: '127.0.0.1', port: 0 }));
process.on('disconnect', () => process.exit(0));
