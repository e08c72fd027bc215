/**
 * `npm run verify -- rating [--organization <id>] [--invoice <id>]`: rates billed billing periods again, from the usage
 * in ClickHouse at the watermark that each is billed at, and reports every value of a rated line or of its invoice line
 * that is another. One line per fault and one per organization on stdout, how far it is on stderr; exit code 1 where
 * anything differs (the configuration too), 2 where it could not be verified.
 *
 * Works as the owner of the schema while the services go on: what it reads never changes.
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '#platform/config/config.ts';
import { stopwatch } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { createReadQuantities } from '../quantities/quantities.clickhouse.ts';
import { createCatalog } from '../run/catalog.postgres.ts';
import { createBilledLines, createRatedPriceSpans } from './billed-lines.postgres.ts';
import { type Fault, verifyRatings } from './rate-again.ts';

const config = orExit(() => loadConfig(process.env, ['clickhouseUrl', 'databaseUrl']));

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const usage = 'usage: npm run verify -- rating [--organization <id>] [--invoice <id>]';
const readArguments = (): { organization?: string; invoice?: string } => {
  try {
    return parseArgs({ options: { organization: { type: 'string' }, invoice: { type: 'string' } } }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n${usage}`);
  }
};

const { organization, invoice } = readArguments();
const statementMsMax = 600_000;
const postgres = connectPostgres(config.databaseUrl, {
  poolMax: 1,
  log: createLog('verify', config.logLevel),
  statementMsMax,
});
const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: statementMsMax, connectionsMax: 1 });
const ports = {
  catalog: { ...createCatalog(postgres), priceSpans: createRatedPriceSpans(postgres) },
  readQuantities: createReadQuantities(clickhouse),
  ...createBilledLines(postgres),
};

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Row-level security would hide rows from another login, and what is hidden has no fault. */
const refuseHidden = async (): Promise<void> => {
  const { rows } = await postgres.query<{ hidden: boolean }>("SELECT row_security_active('rated_lines') AS hidden");
  if (rows[0]?.hidden)
    throw new Error('DATABASE_URL has to name the owner of the schema: row-level security hides rows from this login');
};

/** Organizations with what is to be verified of them. */
const selectAsked = `SELECT organization_id AS id, count(*)::integer AS periods FROM billing_periods
  WHERE state IN ('billed', 'credited') AND ($1::text IS NULL OR organization_id = $1)
    AND ($2::text IS NULL OR invoice_id = $2)
  GROUP BY 1 ORDER BY 1`;

const progressMs = 2_000;
const total = { organizations: 0, periods: 0, lines: 0, faults: 0 };

const printFault = (organizationId: string, { of, difference: { field, stored, recomputed } }: Fault): void =>
  print(`${organizationId} rating: FAULT ${of} ${field}: stored ${stored}, recomputed ${recomputed}`);

const verifyOrganization = async (organizationId: string, periodsOfAll: number): Promise<void> => {
  let [periods, lines, unhashed, faults] = [0, 0, 0, 0];
  let sinceMs = stopwatch();
  const asked = { organizationId, invoiceId: invoice, pageSize: config.raterShardSize };
  for await (const page of verifyRatings(ports, asked)) {
    for (const fault of page.faults) printFault(organizationId, fault);
    periods += page.periods;
    lines += page.lines;
    unhashed += page.unhashed;
    faults += page.faults.length;
    if (sinceMs() < progressMs) continue;
    sinceMs = stopwatch();
    process.stderr.write(
      `${organizationId}: ${periods} of ${periodsOfAll} billing periods, ${lines} lines, ${faults === 0 ? 'no fault' : `faults: ${faults}`}\n`,
    );
  }
  const before = unhashed === 0 ? '' : `, ${unhashed} of them from before lines were hashed`;
  print(`${organizationId} rating: ${lines} lines of ${periods} billing periods rated again${before}`);
  total.organizations += 1;
  total.periods += periods;
  total.lines += lines;
  total.faults += faults;
};

const elapsedMs = stopwatch();
try {
  await refuseHidden();
  const { rows } = await postgres.query<{ id: string; periods: number }>(selectAsked, [
    organization ?? null,
    invoice ?? null,
  ]);
  if (rows.length === 0 && (organization !== undefined || invoice !== undefined))
    throw new Error('nothing is billed of what was asked for');
  for (const { id, periods } of rows) await verifyOrganization(id, periods);
} catch (error) {
  fail(`the ratings could not be verified: ${(error as Error).message}`);
}
await Promise.all([postgres.close(), clickhouse.close()]);

const seconds = (elapsedMs() / 1000).toFixed(1);
print(
  `${total.lines} rated lines of ${total.periods} billing periods of ${total.organizations} organizations were rated again, in ${seconds} s; ${total.faults === 0 ? 'no fault' : `faults: ${total.faults}`}`,
);
if (total.faults > 0) process.exitCode = 1;
