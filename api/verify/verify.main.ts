/**
 * `npm run verify [-- --organization <id>] [--anchors <file>] [--write-anchors <file>]`: whether the audit log, the
 * invoices and the credit notes are as they were written, for every organization or for one. One line each on stdout,
 * of the audit log one per lane, and the first row that is not by name; exit code 1 where anything is wrong (the
 * configuration too), 2 where it could not be verified.
 *
 * `--write-anchors` adds the heads to a file, which belongs on another machine; only where all is well. `--anchors`
 * holds the chains against the heads of such a file. Both may name the same file: it is read before it is written. With
 * `--organization` nothing of any other is read: neither its heads, nor rows that belong to no organization.
 *
 * Works as the owner of the schema, and reads one snapshot while the services go on.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { loadConfig } from '#platform/config/config.ts';
import { stopwatch, systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { linesOfNamesLikeIds, type NameLikeId, namesLikeIdsStatement } from '#platform/stores/names-like-ids.ts';
import { connectPostgres, type Queryable } from '#platform/stores/postgres.ts';
import { type Anchor, anchorLines, anchorsFromText } from './anchors.ts';
import { type ChainReport, type FaultyRow, verifyChains } from './verify-chains.postgres.ts';
import { type ChangeFaults, verifyChanges, verifyStrays } from './verify-changes.postgres.ts';
import { verifyCredits } from './verify-credits.postgres.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl']));

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const usage = 'usage: npm run verify [-- --organization <id>] [--anchors <file>] [--write-anchors <file>]';

const readArguments = (): { organization?: string; anchors?: string; 'write-anchors'?: string } => {
  const path = { type: 'string' } as const;
  try {
    return parseArgs({ options: { organization: path, anchors: path, 'write-anchors': path } }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n${usage}`);
  }
};

const readAnchors = async (path: string | undefined, ifThere: boolean): Promise<Anchor[]> => {
  if (path === undefined) return [];
  try {
    return anchorsFromText(await readFile(path, 'utf8'));
  } catch (error) {
    if (ifThere && (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return fail(`the anchors of ${path} can't be read: ${(error as Error).message}`);
  }
};

/** Row-level security would hide rows from another login, and an empty chain verifies. */
const refuseHidden = async (client: Queryable): Promise<void> => {
  const { rows } = await client.query<{ hidden: boolean }>(
    "SELECT row_security_active('audit_log') OR row_security_active('invoices') AS hidden",
  );
  if (rows[0]?.hidden)
    throw new Error('DATABASE_URL has to name the owner of the schema: row-level security hides rows from this login');
};

const textOfFault = ({ number, kind, id, reason }: FaultyRow): string =>
  [
    'FAULT',
    ...(number === undefined ? [] : [`at ${number}`]),
    ...(kind === undefined ? [] : [kind]),
    ...(id === undefined ? [] : [`(${id})`]),
  ]
    .join(' ')
    .concat(`: ${reason}`);

const nameOf = ({ chain, lane }: ChainReport): string => (chain === 'audit' ? `audit lane ${lane}` : chain);

const textOf = (report: ChainReport): string => {
  const { organizationId, head, fault } = report;
  const found = fault ? textOfFault(fault) : `${head.number} as written${head.number > 0 ? `, head ${head.hash}` : ''}`;
  return `${organizationId} ${nameOf(report)}: ${found}`;
};

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Some statements read a whole table. */
const statementMsMax = 1_800_000;

const { organization: only, anchors: anchorsPath, 'write-anchors': writePath } = readArguments();
const anchors = (await readAnchors(anchorsPath, false)).filter(
  ({ organizationId }) => only === undefined || organizationId === only,
);
const known = await readAnchors(writePath, true);
const postgres = connectPostgres(config.databaseUrl, {
  poolMax: 1,
  log: createLog('verify', config.logLevel),
  statementMsMax,
});
const heads: Anchor[] = [];
let faults = 0;

const printFaults = (of: string, { rows, more }: ChangeFaults): void => {
  for (const fault of rows) print(`${of}: ${textOfFault(fault)}`);
  if (more > 0) print(`${of}: FAULT ${rows[0]?.kind}: and ${more} more`);
  faults += rows.length + more;
};
const printChanges = (of: string, found: ChangeFaults): void => printFaults(`${of} changes`, found);

const verifyOrganization = async (client: Queryable, organizationId: string): Promise<void> => {
  for (const report of await verifyChains(client, organizationId, anchors)) {
    print(textOf(report));
    if (report.fault) faults += 1;
    heads.push({ organizationId, chain: report.chain, lane: report.lane, ...report.head });
  }
  for await (const found of verifyChanges(client, organizationId)) printChanges(organizationId, found);
  printFaults(`${organizationId} credits`, await verifyCredits(client, organizationId));
};

const elapsedMs = stopwatch();
try {
  await postgres.transaction(async (client) => {
    await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await refuseHidden(client);
    const { rows } = await client.query<{ id: string }>(
      // One whose row is gone has its chain still.
      `SELECT id FROM organizations WHERE $1::text IS NULL OR id = $1
       UNION SELECT organization_id FROM audit_heads WHERE $1::text IS NULL OR organization_id = $1 ORDER BY 1`,
      [only ?? null],
    );
    if (only !== undefined && rows.length === 0 && anchors.length === 0)
      throw new Error(`there is no organization ${only}`);
    for (const { id } of rows) await verifyOrganization(client, id);
    // Not as they would be written today, and still as they were written: no fault.
    const { rows: named } = await client.query<NameLikeId>(namesLikeIdsStatement);
    const isMeant = ({ organization_id: id }: NameLikeId) => only === undefined || id === only;
    for (const line of linesOfNamesLikeIds(named.filter(isMeant))) print(line);
    if (only === undefined) for (const found of await verifyStrays(client)) printChanges('installation', found);
    const ids = new Set(rows.map(({ id }) => id));
    for (const organizationId of new Set(anchors.map((anchor) => anchor.organizationId).filter((id) => !ids.has(id)))) {
      print(`${organizationId} audit: FAULT: the organization of an anchor is gone`);
      faults += 1;
    }
  });
} catch (error) {
  fail(`the chains could not be verified: ${(error as Error).message}`);
}
await postgres.close();

const sumOf = (chain: string): number => heads.reduce((sum, head) => sum + (head.chain === chain ? head.number : 0), 0);
const seconds = (elapsedMs() / 1000).toFixed(1);
print(
  `${sumOf('audit')} audit entries and ${sumOf('invoices')} invoices are as written, and ${sumOf('credit_notes')} credit notes, in ${seconds} s; ${faults === 0 ? 'no fault' : `faults: ${faults}`}`,
);
if (faults > 0) process.exitCode = 1;
else if (writePath !== undefined) await appendFile(writePath, anchorLines(heads, known, systemClock.nowMs()));
