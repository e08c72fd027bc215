/**
 * The tidy rules of time: business goes by the clock port (`platform/process/clock.ts`) and by test clocks, never by
 * the hour of the machine or of a database. What asks a database for its hour all the same is listed here, with why.
 */
import { type Fault, isCode, isLocal, isTool, type Rule } from './tidy-paths.ts';

const clockPort = 'platform/process/clock.ts';

const inCode = /\bDate\.now\b|\bnew Date\b(?!\s*\(\s*[^)\s])|(?<!new )\bDate\(\)|\bTemporal\.Now\b|\bperformance\b/g;

const codeRule: Rule = {
  name: 'only platform/process/clock.ts asks for the time',
  check: (files) =>
    files
      .filter((file) => isCode(file) && file.path !== clockPort && !isLocal(file.path) && !isTool(file.path))
      .flatMap(({ path, code }) =>
        [...code.matchAll(inCode)].map((match) => ({
          path,
          at: match.index,
          message: `${match[0]}: take a Clock, or the stopwatch, of ${clockPort}`,
        })),
      ),
  bad: [
    'Date.now();',
    'const { now } = Date.now;',
    'new Date();',
    'new Date;',
    'Date();',
    'performance.now();',
    'performance.timeOrigin;',
    'const { now } = performance;',
    'Temporal.Now.instant();',
  ].map((text) => ({ 'api/a.ts': text })),
  good: [
    {
      [clockPort]: 'Date.now();',
      'platform/local/a.ts': 'Date.now();',
      'api/a.ts': 'new Date(0); clock.nowMs(); Date.UTC(2027, 0); Date.parse(a);',
    },
  ],
};

/** The hour of PostgreSQL, and that of ClickHouse. */
const inSql = new RegExp(
  [
    '\\b(?:clock|statement|transaction)_timestamp\\s*\\(',
    '(?<![.\\w])now(?:64)?\\s*\\(',
    '\\b(?:timeofday|today|yesterday|utcTimestamp)\\s*\\(\\s*\\)',
    '\\bage\\s*\\(\\s*(?!xmin\\b)[^,()]+\\)',
    '\\b(?:current_(?:timestamp|date|time)|local(?:timestamp|time))\\b(?!\\s*:)',
    "'(?:now|today|tomorrow|yesterday)'\\s*::|\\b(?:timestamptz?|date)\\s+'(?:now|today|tomorrow|yesterday)'",
  ].join('|'),
  'gi',
);

const ofLists =
  'the hour of all in conditions of lists, beside that of test clocks: what is shown, and nothing is billed by it';

type Technical = { readonly path: string; readonly times: number; readonly because: string };

const rowsOfWork = 'when a row of work was written or changed, and how long it took: nothing is billed by it';

/** What asks a store for its hour: how often, and why that is none of the business. Another one is counted. */
const technical: readonly Technical[] = [
  { path: 'platform/work/leased-jobs.postgres.ts', times: 7, because: 'leases' },
  { path: 'platform/work/shard-jobs.postgres.ts', times: 1, because: rowsOfWork },
  { path: 'platform/stores/migrate.ts', times: 2, because: 'when a migration was applied' },
  { path: 'api/access/bootstrap.main.ts', times: 4, because: 'a command of the operator, before anything is billed' },
  { path: 'api/access/set-tier.main.ts', times: 1, because: 'a command of the operator' },
  { path: 'api/reconciliation/ingest-counts.postgres.ts', times: 1, because: 'whether a gateway is still alive' },
  { path: 'api/runs/runs.postgres.ts', times: 1, because: 'for how long a run is under way' },
  { path: 'api/simulations/simulations.postgres.ts', times: 1, because: 'for how long a simulation is under way' },
  { path: 'ingest/identity/checked-sequence.postgres.ts', times: 1, because: 'progress of a process' },
  { path: 'invoicer/clocks/test-clocks.postgres.ts', times: 3, because: rowsOfWork },
  { path: 'invoicer/issuing/invoices.postgres.ts', times: 2, because: rowsOfWork },
  { path: 'invoicer/periods/closings.postgres.ts', times: 4, because: `${rowsOfWork}; gauges` },
  {
    path: 'rater/totals/make-totals.ts',
    times: 3,
    because: 'how long a day rests, and which are over, by the clock that dated their change',
  },
  { path: 'rater/totals/totals.clickhouse.ts', times: 1, because: 'the same' },
  { path: 'rater/run/billing-runs.postgres.ts', times: 3, because: rowsOfWork },
  { path: 'rater/run/cut-deltas.postgres.ts', times: 1, because: rowsOfWork },
  { path: 'rater/run/late-periods.postgres.ts', times: 2, because: rowsOfWork },
  { path: 'rater/run/backlog.postgres.ts', times: 2, because: 'gauges' },
  { path: 'rater/run/save-rated.postgres.ts', times: 6, because: rowsOfWork },
  { path: 'api/plan-migrations/migration-work.postgres.ts', times: 9, because: `leases; ${rowsOfWork}` },
  {
    path: 'api/plan-migrations/plan-migrations.postgres.ts',
    times: 1,
    because: 'for how long a migration is under way',
  },
  { path: 'api/invoices/invoice-documents.postgres.ts', times: 1, because: 'leases' },
  { path: 'schemas/postgres/0053_invoice_documents.sql', times: 2, because: 'leases' },
  { path: 'schemas/postgres/0063_documents_wait.sql', times: 3, because: 'leases, and how long work has waited' },
  { path: 'api/quotes/quotes.postgres.ts', times: 1, because: ofLists },
  { path: 'api/subscriptions/subscription-filters.ts', times: 2, because: ofLists },
  { path: 'rater/simulate/simulations.postgres.ts', times: 6, because: rowsOfWork },
];

/** The last of the migrations that were there before the rule: those do leases, gateways, and what is forgotten. */
const migrationsBefore = 45;

const isNewMigration = (path: string): boolean => {
  const [, number = ''] = /^schemas\/(?:postgres|clickhouse)\/(\d{4})_\w+\.sql$/.exec(path) ?? [];
  return path.startsWith('schemas/postgres/') && Number(number) > migrationsBefore;
};

/** Lines of comments are no statements. */
const withoutComments = (text: string): string =>
  text.replaceAll(/^[ \t]*(?:\/\/|--|\/?\*).*$/gm, (line) => ' '.repeat(line.length));

const sqlFaults = ({ path, text }: { readonly path: string; readonly text: string }): Fault[] => {
  const found = [...withoutComments(text).matchAll(inSql)];
  const listed = technical.find((one) => one.path === path);
  if (listed && found.length === listed.times) return [];
  if (listed)
    return [
      {
        path,
        at: found[0]?.index ?? 0,
        message: `a store is asked for its hour ${found.length} times, and ${listed.times} are listed: ${listed.because}`,
      },
    ];
  return found.map((match) => ({
    path,
    at: match.index,
    message: `${match[0]}: the hour of business is a parameter, from the clock port; what is technical is listed`,
  }));
};

const sqlRule: Rule = {
  name: 'no statement goes by the hour of a store, but what is technical',
  check: (files) =>
    files
      .filter(({ path }) => !isTool(path) && !isLocal(path) && (/\.ts$/.test(path) || isNewMigration(path)))
      .flatMap(sqlFaults),
  bad: [
    "query('SELECT 1 FROM a WHERE b < now()')",
    "query('SELECT NOW ()')",
    'query(`UPDATE a SET b = clock_timestamp()`)',
    "query('SELECT current_timestamp')",
    "query('SELECT CURRENT_DATE')",
    "query('SELECT localtimestamp')",
    'query("SELECT \'now\'::timestamptz")',
    'query("SELECT date \'today\'")',
    "query('SELECT now64(3)')",
    "query('SELECT today()')",
    "query('SELECT age(ended_at)')",
    "query('SELECT statement_timestamp()')",
  ]
    .map((text): Readonly<Record<string, string>> => ({ 'api/a.postgres.ts': text }))
    .concat(
      { 'schemas/postgres/0046_a.sql': 'CREATE FUNCTION a() AS $$ SELECT now() $$' },
      { 'platform/work/leased-jobs.postgres.ts': "query('SELECT now()')" },
    ),
  good: [
    {
      'api/a.postgres.ts':
        "// by now()\nclock.now(); const { now } = a; query('SELECT $1 < b.now_at, age(a, b)'); known(now);",
      'schemas/postgres/0001_a.sql': 'SELECT now();',
      'schemas/postgres/0046_a.sql': '-- now() is none\nSELECT 1;',
      'test/a.test.ts': "query('SELECT now()')",
      'platform/local/a.ts': "query('SELECT now()')",
    },
  ],
};

export const clockRules: readonly Rule[] = [codeRule, sqlRule];
