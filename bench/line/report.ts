/** What the bench of the line found, as text and as a file. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ClaimsFigures } from '../stages/claims-memory.ts';
import type { IdentityFigures } from '../stages/identity.ts';
import type { StageResult } from '../stages/stage.ts';
import type { CaseResult } from './cases.ts';

export type Report = {
  readonly date: string;
  readonly commit: string;
  /** Never its name or a path: what is compared is the kind of machine. */
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memory_gb: number;
    readonly kernel: string;
    readonly node: string;
    /** Whether the stream syncs each write, and who serves what. */
    readonly nats_sync_always: boolean | null;
  };
  readonly seconds: number;
  readonly flood_seconds: number;
  /** Keys that the checker knew before. */
  readonly window_keys: number;
  readonly cases: Readonly<Record<string, CaseResult>>;
  readonly stages: Readonly<Record<string, StageResult>>;
  /** Ways that were given up for the stages of the same name. */
  readonly rejected: Readonly<Record<string, StageResult>>;
  /** What claims take of Redis, by how many it holds. */
  readonly claims_memory?: Readonly<Record<string, ClaimsFigures>> | undefined;
  /** The identity check by itself, by what was measured. */
  readonly identity?: Readonly<Record<string, IdentityFigures>> | undefined;
  readonly limit?: { readonly events_per_second: number; readonly share_reached: number };
};

/** The short name of the commit, with a word where the files differ from it. */
const commitName = (): string => {
  const git = (...words: string[]) =>
    execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' and changes'}`;
  } catch {
    return 'unknown';
  }
};

export const machineOf = (natsSyncAlways: boolean | null): Report['machine'] => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memory_gb: Math.round(totalmem() / 2 ** 30),
  kernel: `${type()} ${release()}`,
  node: process.version,
  nats_sync_always: natsSyncAlways,
});

/**
 * What the stages allow where each event passes all of them, every core does nothing else, and none waits: cores / sum
 * of their costs. The line does more than the stages that are measured, so its share says what the rest costs.
 */
export const limitOf = (
  stages: Report['stages'],
  cores: number,
  lineEventsPerSecond: number | undefined,
): Report['limit'] | undefined => {
  const micros = Object.values(stages).reduce((sum, { cpuMicrosPerEvent }) => sum + cpuMicrosPerEvent, 0);
  if (micros === 0 || lineEventsPerSecond === undefined) return undefined;
  const eventsPerSecond = (cores * 1e6) / micros;
  return { events_per_second: eventsPerSecond, share_reached: lineEventsPerSecond / eventsPerSecond };
};

const number = (value: number): string =>
  value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? (value < 10 ? 2 : 1) : 0 });

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const padded = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(padded).join('  ')}`).join('\n');
};

const columns = [
  'events_per_second',
  'requests_per_second',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'refused_requests',
  'other_cores',
] as const;
const processes = ['gateway', 'sink', 'checker', 'nats', 'redis', 'clickhouse', 'postgres', 'generator'] as const;

const sumOf = (costs: Readonly<Record<string, number>>): number =>
  Object.values(costs).reduce((sum, cost) => sum + cost, 0);

const costRow = (name: string, costs: Readonly<Record<string, number>>): string[] => {
  const sum = sumOf(costs);
  const rest = processes.reduce((left, process) => left - (costs[process] ?? 0), sum);
  return [name, ...processes.map((process) => number(costs[process] ?? 0)), number(Math.max(rest, 0)), number(sum)];
};

/** What a case says beside what every case says. */
const more = (name: string, { figures }: CaseResult): string[] => {
  const common: readonly string[] = [...columns, 'sent', 'max_ms'];
  const own = Object.entries(figures).filter(([figure]) => !common.includes(figure));
  return own.length === 0
    ? []
    : [`  ${name}: ${own.map(([figure, value]) => `${figure.replaceAll('_', ' ')} ${number(value)}`).join(', ')}`];
};

const machineText = ({ date, commit, machine }: Report): string => {
  const { cpu, cores, memory_gb: memory, kernel, node, nats_sync_always: sync } = machine;
  const synced = sync === null ? '' : `; the stream ${sync ? 'syncs' : 'does not sync'} every write`;
  return `${date}, commit ${commit}: ${cpu}, ${cores} cores, ${memory} GB, ${kernel}, Node ${node}; everything on this machine${synced}`;
};

const casesText = (cases: Report['cases']): string[] => {
  const all = Object.entries(cases);
  const ran = all.filter(([, { skipped }]) => skipped === undefined);
  const leftOut = all.flatMap(([name, { skipped }]) =>
    skipped === undefined ? [] : [`  ${name}: left out, ${skipped}`],
  );
  if (all.length === 0) return [];
  return [
    table([
      ['', 'events/s', 'requests/s', 'p50 ms', 'p95 ms', 'p99 ms', 'refused', 'other cores'],
      ...ran.map(([name, { figures }]) => [name, ...columns.map((column) => number(figures[column] ?? 0))]),
    ]),
    ...leftOut,
    '',
    ...ran.flatMap(([name, result]) => more(name, result)),
    '',
    'CPU in microseconds per event',
    table([
      ['', ...processes, 'rest', 'all'],
      ...ran.map(([name, { cpuMicrosPerEvent }]) => costRow(name, cpuMicrosPerEvent)),
    ]),
    '',
  ];
};

const limitText = ({ machine: { cores }, cases, limit }: Report): string[] => {
  const cost = sumOf(cases.line?.cpuMicrosPerEvent ?? {});
  return [
    ...(limit
      ? [
          `  Where an event passed these stages alone, ${cores} cores would carry ${number(limit.events_per_second)} events/s; the line reached ${number(limit.share_reached * 100)} % of it.`,
        ]
      : []),
    ...(cost > 0
      ? [
          `  An event costs the whole line ${number(cost)} us, its generator included: at that cost ${cores} cores that never wait would carry ${number((cores * 1e6) / cost)} events/s.`,
        ]
      : []),
  ];
};

export const textOf = (report: Report): string => {
  const stages = Object.entries({ ...report.stages, ...report.rejected });
  const rows = stages.map(([name, stage]) => [name, number(stage.eventsPerSecond), number(stage.cpuMicrosPerEvent)]);
  return [
    machineText(report),
    '',
    ...casesText(report.cases),
    ...(stages.length === 0 ? [] : ['Stages by themselves', table([['', 'events/s', 'CPU us/event'], ...rows])]),
    ...Object.entries(report.claims_memory ?? {}).map(
      ([name, { bytesPerKey, redisMicrosPerKey }]) =>
        `  claims, ${name}: Redis takes ${number(bytesPerKey)} bytes and ${number(redisMicrosPerKey)} us of CPU a key`,
    ),
    ...Object.entries(report.identity ?? {}).map(
      ([name, figures]) =>
        `  identity, ${name.replaceAll('_', ' ')}: ${Object.entries(figures)
          .map(([figure, value]) => `${figure.replaceAll('_', ' ')} ${number(value)}`)
          .join(', ')}`,
    ),
    ...limitText(report),
  ].join('\n');
};

/** Names as the API writes them. */
const inFileForm = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value).map(([name, one]) => [
          name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
          inFileForm(one),
        ]),
      )
    : value;

const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(5)) : value;

export const todayAndCommit = (): Pick<Report, 'date' | 'commit'> => ({
  date: new Date().toISOString().slice(0, 10),
  commit: commitName(),
});

const resultsFolder = fileURLToPath(new URL('../results/', import.meta.url));

/** Gives the path from the root of the checkout. */
export const keepResults = (name: string, results: unknown, form?: typeof rounded): string => {
  mkdirSync(resultsFolder, { recursive: true });
  writeFileSync(`${resultsFolder}${name}.json`, `${JSON.stringify(results, form, 2)}\n`);
  return `bench/results/${name}.json`;
};

export const writeReport = (report: Report, name: string): string => keepResults(name, inFileForm(report), rounded);

type Kept = Pick<Report, 'date' | 'commit'> & {
  readonly machine: { readonly cpu: string };
  readonly cases?: Readonly<Record<string, { readonly figures: Readonly<Record<string, number>> } | undefined>>;
};

/** Events a second of each case against those that were kept under the name before; nothing where none were. */
export const ratiosText = (report: Report, name: string): string => {
  const file = `${resultsFolder}${name}.json`;
  if (!existsSync(file)) return '';
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept;
  const ratios = Object.entries(report.cases).flatMap(([one, { figures }]) => {
    const before = kept.cases?.[one]?.figures.events_per_second;
    const now = figures.events_per_second;
    return before && now ? [`${one} ${number(now / before)}`] : [];
  });
  const machine = kept.machine.cpu === report.machine.cpu ? 'the same kind of machine' : kept.machine.cpu;
  return ratios.length === 0 ? '' : `\n\nAgainst ${kept.commit} of ${kept.date}, ${machine}: ${ratios.join(', ')}`;
};
