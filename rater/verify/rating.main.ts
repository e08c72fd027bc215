/**
 * `npm run verify -- rating`: rates billed billing periods again, from the usage in ClickHouse at the watermark that
 * each is billed at, and reports every value of a rated line or of its invoice line that is another. What it takes and
 * prints is told by `verify-billed.postgres.ts`.
 */
import { loadConfig } from '#platform/config/config.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { createReadFromEvents } from '../quantities/quantities.clickhouse.ts';
import { createCatalog } from '../run/catalog.postgres.ts';
import { createBilledLines, createRatedPriceSpans } from './billed-lines.postgres.ts';
import { verifyRatings } from './rate-again.ts';
import { verifyBilled } from './verify-billed.postgres.ts';

const config = orExit(() => loadConfig(process.env, ['clickhouseUrl', 'databaseUrl']));

await verifyBilled(config, {
  name: 'rating',
  what: 'ratings',
  done: 'rated again',
  verify: ({ postgres, clickhouse }, asked) =>
    verifyRatings(
      {
        catalog: { ...createCatalog(postgres), priceSpans: createRatedPriceSpans(postgres) },
        readQuantities: createReadFromEvents(clickhouse),
        ...createBilledLines(postgres),
      },
      asked,
    ),
});
