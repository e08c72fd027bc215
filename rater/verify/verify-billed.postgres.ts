/**
 * What the commands have in common that verify what was billed: `--organization <id>`, `--invoice <id>` and
 * `--period <month>` say of what, and all of it is the default. One line per fault and one per organization on stdout,
 * how far it is on stderr; exit code 1 where anything differs (the configuration too), 2 where it could not be
 * verified.
 *
 * They work as the owner of the schema while the services go on: what they read never changes.
 */
import { parseArgs } from 'node:util';
import type { ClickHouseClient } from '@clickhouse/client';
import type { Config } from '#platform/config/config.ts';
import { stopwatch } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import type { Asked, Fault, PageReport } from './rate-again.ts';

type Command = {
  /** The word of the command and of its lines. */
  readonly name: string;
  readonly verify: (
    stores: { readonly postgres: Postgres; readonly clickhouse: ClickHouseClient },
    asked: Asked,
  ) => AsyncGenerator<PageReport>;
  /** What is done to lines, and what it is done to. */
  readonly done: string;
  readonly what: string;
};

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const options = {
  organization: { type: 'string' },
  invoice: { type: 'string' },
  period: { type: 'string' },
} as const;

const readArguments = (name: string): { organization?: string; invoice?: string; period?: string } => {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return fail(
      `${(error as Error).message}\nusage: npm run verify -- ${name} [--organization <id>] [--invoice <id>] [--period <month>]`,
    );
  }
};

/** Row-level security would hide rows from another login, and what is hidden has no fault. */
const refuseHidden = async (postgres: Postgres): Promise<void> => {
  const { rows } = await postgres.query<{ hidden: boolean }>("SELECT row_security_active('rated_lines') AS hidden");
  if (rows[0]?.hidden)
    throw new Error('DATABASE_URL has to name the owner of the schema: row-level security hides rows from this login');
};

/** Organizations with what is to be verified of them. */
const selectAsked = `SELECT organization_id AS id, count(*)::integer AS periods FROM billing_periods
  WHERE state IN ('billed', 'credited') AND ($1::text IS NULL OR organization_id = $1)
    AND ($2::text IS NULL OR invoice_id = $2) AND ($3::text IS NULL OR billing_month = $3)
  GROUP BY 1 ORDER BY 1`;

const progressMs = 2_000;
const statementMsMax = 600_000;

export const verifyBilled = async (
  config: Pick<Config, 'clickhouseUrl' | 'databaseUrl' | 'logLevel' | 'raterShardSize'>,
  { name, verify, done, what }: Command,
): Promise<void> => {
  const { organization, invoice, period } = readArguments(name);
  const postgres = connectPostgres(config.databaseUrl, {
    poolMax: 1,
    log: createLog('verify', config.logLevel),
    statementMsMax,
  });
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: statementMsMax, connectionsMax: 1 });
  const total = { organizations: 0, periods: 0, lines: 0, faults: 0 };

  const printFault = (organizationId: string, { of, difference: { field, stored, recomputed } }: Fault): void =>
    print(`${organizationId} ${name}: FAULT ${of} ${field}: stored ${stored}, recomputed ${recomputed}`);

  const verifyOrganization = async (organizationId: string, periodsOfAll: number): Promise<void> => {
    let [periods, lines, unhashed, faults] = [0, 0, 0, 0];
    let sinceMs = stopwatch();
    const asked = { organizationId, invoiceId: invoice, month: period, pageSize: config.raterShardSize };
    for await (const page of verify({ postgres, clickhouse }, asked)) {
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
    print(`${organizationId} ${name}: ${lines} lines of ${periods} billing periods ${done}${before}`);
    total.organizations += 1;
    total.periods += periods;
    total.lines += lines;
    total.faults += faults;
  };

  const elapsedMs = stopwatch();
  try {
    await refuseHidden(postgres);
    const { rows } = await postgres.query<{ id: string; periods: number }>(selectAsked, [
      organization ?? null,
      invoice ?? null,
      period ?? null,
    ]);
    if (rows.length === 0 && (organization ?? invoice ?? period) !== undefined)
      throw new Error('nothing is billed of what was asked for');
    for (const { id, periods } of rows) await verifyOrganization(id, periods);
  } catch (error) {
    fail(`the ${what} could not be verified: ${(error as Error).message}`);
  }
  await Promise.all([postgres.close(), clickhouse.close()]);

  const seconds = (elapsedMs() / 1000).toFixed(1);
  print(
    `${total.lines} rated lines of ${total.periods} billing periods of ${total.organizations} organizations were ${done}, in ${seconds} s; ${total.faults === 0 ? 'no fault' : `faults: ${total.faults}`}`,
  );
  if (total.faults > 0) process.exitCode = 1;
};
