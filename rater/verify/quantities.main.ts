/**
 * `npm run verify -- quantities`: measures billed billing periods again, from the events in ClickHouse alone, at the
 * watermark that each is billed at, and reports every quantity of a rated line that is another, and every one that
 * totals give otherwise. What it takes and prints is told by `verify-billed.postgres.ts`.
 */
import { loadConfig } from '#platform/config/config.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { createReadFromEvents, createReadQuantities } from '../quantities/quantities.clickhouse.ts';
import { totalsAnyway } from '../quantities/read-quantities.ts';
import { createCatalog } from '../run/catalog.postgres.ts';
import { createBilledLines, createRatedPriceSpans } from './billed-lines.postgres.ts';
import { verifyQuantities } from './measure-again.ts';
import { verifyBilled } from './verify-billed.postgres.ts';

const config = orExit(() => loadConfig(process.env, ['clickhouseUrl', 'databaseUrl']));

/** Events in the place of totals would agree with themselves. */
const report = {
  way: () => {},
  fault: (error: unknown) => {
    throw error;
  },
};

await verifyBilled(config, {
  name: 'quantities',
  what: 'quantities',
  done: 'measured again',
  verify: ({ postgres, clickhouse }, asked) =>
    verifyQuantities(
      {
        catalog: { ...createCatalog(postgres), priceSpans: createRatedPriceSpans(postgres) },
        fromEvents: createReadFromEvents(clickhouse),
        fromTotals: createReadQuantities(clickhouse, report, totalsAnyway),
        ...createBilledLines(postgres),
      },
      asked,
    ),
});
