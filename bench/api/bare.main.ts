/**
 * What the platform is compared with: a bare Fastify route with the same schema that reads the same row by the same
 * statement, opens it and answers the same body; no key, no limit, no tenant wall, no headers of ours.
 */
import Fastify from 'fastify';
import { loadConfig } from '#platform/config/config.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import { createVault, masterKeysFrom } from '#platform/secrets/vault.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { customerJson } from '../../api/customers/customer-routes.ts';
import { createCustomerStore } from '../../api/customers/customers.postgres.ts';

const config = loadConfig(process.env, ['databaseUrl', 'masterKey']);
const postgres = connectPostgres(config.databaseUrl, {
  poolMax: config.databasePoolMax,
  log: createLog('bare', 'warn'),
});
const customers = createCustomerStore(createVault({ masterKeys: masterKeysFrom(config), clock: systemClock }));
const organizationId = process.env.BENCH_ORGANIZATION_ID ?? '';
const metrics = createMetrics();

const app = Fastify();
app.get<{ Params: { id: string } }>('/v1/customers/:id', { schema: { params: IdParam } }, async (request, reply) => {
  const row = await customers.customer({ query: postgres.query, organizationId }, request.params.id);
  return row ? customerJson(row) : reply.code(404).send();
});
app.get('/metrics', () => metrics.text());
process.send?.(await app.listen({ host: '127.0.0.1', port: 0 }));
process.on('disconnect', () => process.exit(0));
