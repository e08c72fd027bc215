/** The tidy rules about the whole: which room may know which, who writes a table, and what a literal may hide. */
import type { SourceFile } from './source-files.ts';
import { type Fault, isMain, isTool, type Rule, targetOf, topOf } from './tidy-paths.ts';

/**
 * By top folder, its rooms in order: a room imports from those before it. A room that is not listed stands by itself:
 * it imports from the first of its folder, which the others stand on, and from no other, as none imports from it. Mains
 * compose, and stand outside of it.
 */
const roomsInOrder: Readonly<Record<string, readonly string[]>> = {
  platform: ['json', 'process', 'stores', 'audit', 'secrets', 'config', 'http', 'access', 'work', 'start', 'local'],
  ingest: ['parse', 'gateway', 'stream', 'claims', 'sink', 'identity', 'amendments'],
  rater: ['aggregate', 'totals', 'live', 'quantities', 'price', 'run', 'simulate', 'verify'],
  invoicer: ['periods', 'clocks', 'corrections', 'taxes', 'discounts', 'invoices', 'credits', 'issuing'],
  api: [
    'route',
    'issuing',
    'access',
    'catalog',
    'taxes',
    'customers',
    'subscriptions',
    'coupons',
    'quotes',
    'usage',
    'subscription-views',
    'entitlements',
    'runs',
    'invoices',
    'balances',
    'credits',
    'clocks',
    'simulations',
    'plan-migrations',
    'events',
    'explain',
    'reconciliation',
    'exports',
  ],
};

const roomOf = (path: string): string | undefined => {
  const [, room, file] = path.split('/');
  return file === undefined ? undefined : room;
};

const isProduct = (path: string): boolean => path.endsWith('.ts') && !isTool(path);

const orderFaults = (files: readonly SourceFile[]): Fault[] =>
  files
    .filter(({ path }) => isProduct(path) && !isMain(path) && roomsInOrder[topOf(path)] !== undefined)
    .flatMap(({ path, imports }) => {
      const order = roomsInOrder[topOf(path)] ?? [];
      const room = roomOf(path);
      if (room === undefined) return [];
      return imports.flatMap(({ specifier, at }) => {
        const target = targetOf(path, specifier) ?? '';
        if (topOf(target) !== topOf(path)) return [];
        const other = roomOf(target);
        // What lies beside the rooms puts them together.
        if (other === undefined) return [{ path, at, message: `${specifier}: a room knows nothing of what holds it` }];
        if (other === room || other === order[0]) return [];
        for (const one of [room, other])
          if (!order.includes(one))
            return [{ path, at, message: `${specifier}: the room ${one} has no place in the order` }];
        return order.indexOf(other) < order.indexOf(room)
          ? []
          : [{ path, at, message: `${specifier}: ${other} stands behind ${room}` }];
      });
    });

/** Files that import each other in a circle, types included: by each import that closes one. */
const cycleFaults = (files: readonly SourceFile[]): Fault[] => {
  const product = new Map(files.filter(({ path }) => isProduct(path)).map((file) => [file.path, file]));
  const faults: Fault[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (done.has(path)) return;
    for (const { specifier, at } of product.get(path)?.imports ?? []) {
      const target = targetOf(path, specifier);
      if (target === undefined || !product.has(target)) continue;
      const from = [...trail, path].indexOf(target);
      if (from >= 0) {
        const circle = [...trail.slice(from), path, target].join(' -> ');
        faults.push({ path, at, message: circle });
      } else visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of product.keys()) visit(path, []);
  return faults;
};

/** Tables that several rooms write, each with its reason. */
const sharedTables: Readonly<Record<string, string>> = {
  amendments: 'The API takes them in, the relay notes how far each has come on its way into the stream.',
  billing_periods: 'The rater cuts the time of a run into open ones, the invoicer marks them as billed.',
  subscriptions: 'The API says what is billed; the rater keeps beside it how far it has cut that time.',
  one_time_charges: 'The API takes them in, the rater notes what it wrote down of them.',
  invoice_documents:
    'The invoicer queues them with the invoice, the API makes them, and takes them away with a customer.',
  test_clocks: 'The API sets one going, the invoicer moves it.',
  invoice_drafts:
    'The invoicer makes them of what is closed and issues them, the API changes them and makes those of one-off invoices, the rater notes the run that takes them.',
  invoice_states:
    'The invoicer writes them with the invoices, the API moves them, credit notes raise what was credited.',
  billing_runs: 'A queue: the API and the scheduler ask, the rater prepares, the invoicer completes.',
  billing_run_shards: 'A queue: the rater makes and rates, the invoicer issues.',
  simulations: 'A queue: the API asks and cancels, the rater does the work.',
  simulation_shards: 'A queue: the rater makes and rates, the API takes them away from what it cancels.',
  simulation_results: 'The rater writes them, the API takes them away with what it cancels.',
};

const written = /\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+([a-z_]+)\b/g;

/** A table is written by one room; what the room's statements mean is then decided in one place. */
const writerFaults = (files: readonly SourceFile[]): Fault[] => {
  const writers = new Map<string, { path: string; room: string; at: number }[]>();
  for (const { path, text } of files.filter((file) => isProduct(file.path) && topOf(file.path) !== 'schemas')) {
    for (const match of text.matchAll(written)) {
      const table = match[1] as string;
      const room = path.split('/').slice(0, -1).join('/');
      writers.set(table, [...(writers.get(table) ?? []), { path, room, at: match.index }]);
    }
  }
  return [...writers].flatMap(([table, all]) => {
    const first = all[0]?.room;
    if (table in sharedTables || all.every(({ room }) => room === first)) return [];
    return all.map(({ path, at }) => ({ path, at, message: `${table} is written by several rooms` }));
  });
};

const groupedMembers = /\.\.\.\{/g;

export const structureRules: readonly Rule[] = [
  {
    name: 'rooms of a folder have an order, and import from those before them',
    check: orderFaults,
    bad: [
      { 'rater/aggregate/a.ts': "import type { B } from '../price/b.ts';" },
      { 'platform/json/a.ts': "import { b } from '../http/b.ts';" },
      { 'api/route/a.ts': "import { b } from '../server.ts';" },
      { 'api/cellar/a.ts': "import { b } from '../catalog/b.ts';" },
      { 'api/catalog/a.ts': "import { b } from '../cellar/b.ts';" },
    ],
    good: [
      {
        'rater/run/a.ts': "import { b } from '../price/b.ts';",
        'rater/aggregate/b.ts': "import { c } from './c.ts';",
        'ingest/gateway/gateway.main.ts': "import { c } from '../claims/claims.redis.ts';",
        'api/events/a.ts': "import { b } from '../../rater/run/b.ts';",
        'api/cellar/a.ts': "import { b } from '../route/b.ts';\nimport { c } from './c.ts';",
      },
    ],
  },
  {
    name: 'no files import each other in a circle, types included',
    check: cycleFaults,
    bad: [
      { 'api/a.ts': "import './b.ts';", 'api/b.ts': "import type { A } from './a.ts';" },
      {
        'api/a.ts': "import './b.ts';",
        'api/b.ts': "import { C } from '#platform/c.ts';",
        'platform/c.ts': "export type { A } from '../api/a.ts';",
      },
    ],
    good: [{ 'api/a.ts': "import './b.ts';\nimport './c.ts';", 'api/b.ts': "import './c.ts';", 'api/c.ts': '' }],
  },
  {
    name: 'a table is written by one room',
    check: writerFaults,
    bad: [
      {
        'api/catalog/a.postgres.ts': '`INSERT INTO plans (id)`',
        'api/events/b.postgres.ts': "'UPDATE plans SET a = 1'",
      },
      { 'rater/a.ts': "'DELETE FROM plans'", 'api/b.ts': '`WITH a AS (INSERT INTO plans (id) SELECT 1)`' },
    ],
    good: [
      {
        'api/catalog/a.postgres.ts': '`INSERT INTO plans (id)`',
        'api/catalog/b.postgres.ts': "'UPDATE plans p SET a = 1'",
        'rater/run/c.ts': "'SELECT 1 FROM plans FOR UPDATE OF plans'",
        'test/d.ts': "'DELETE FROM plans'",
      },
    ],
  },
  {
    name: 'members of a literal stand in it plainly: a group would hide misspelt ones from the compiler',
    check: (files) =>
      files
        .filter(({ path }) => /\.(?:ts|mjs)$/.test(path))
        .flatMap(({ path, code }) =>
          [...code.matchAll(groupedMembers)].map(({ index }) => ({
            path,
            at: index,
            message: 'write the members out',
          })),
        ),
    bad: [{ 'api/a.ts': 'const a = { ...{ b, c } };' }, { 'test/a.ts': 'f({ d,\n  ...{ b: 1 },\n});' }],
    good: [{ 'api/a.ts': "const a = { ...b, ...(c ? { d } : {}) }; const e = '...{'; f(...g);" }],
  },
];
