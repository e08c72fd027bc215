import { createAuthenticate } from '#platform/authenticate.ts';
import { clickHouseAnswers, connectClickHouse } from '#platform/clickhouse.ts';
import { systemClock } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { listen } from '#platform/http.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { createAccountStore } from './accounts.postgres.ts';
import { createCatalogStore } from './catalog.postgres.ts';
import { createInvoiceReader } from './invoices.postgres.ts';
import { createApi } from './server.ts';
import { createReadUsage } from './usage.clickhouse.ts';

const config = orExit(() => loadConfig(process.env, ['clickhouseUrl', 'databaseUrl', 'keyPepper']));
const log = createLog('api', config.logLevel);

await runProcess(log, config.shutdownMsMax, async () => {
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, as: 'application', log });
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 16 });
  const app = createApi({
    log,
    metrics: createMetrics(),
    bodyBytesMax: Math.min(config.bodyBytesMax, 1_048_576),
    authenticate: createAuthenticate(postgres, config.keyPepper, systemClock),
    ports: {
      clock: systemClock,
      catalog: createCatalogStore(postgres),
      accounts: createAccountStore(postgres),
      invoices: createInvoiceReader(postgres),
      readUsage: createReadUsage(clickhouse),
    },
    health: [
      { name: 'postgres', required: true, check: postgres.answers },
      { name: 'clickhouse', required: false, check: () => clickHouseAnswers(clickhouse) },
    ],
  });
  const url = await listen(app, config.host, config.apiPort);
  return {
    url,
    close: async () => {
      await app.close();
      await Promise.all([postgres.close(), clickhouse.close()]);
    },
  };
});
