/**
 * `npm run test:crash -- [--seeds N] [--seed N] [--only TEXT,TEXT] [--ci] [--list] [--self-check]`: the crash matrix.
 * Every scenario with every seed on real processes and servers; ends with 1 where any accepted event was lost, billed
 * twice, or billed for another amount, and where a round could not be judged.
 */
import { parseArgs } from 'node:util';
import { onStopSignals } from '#platform/local/signals.ts';
import { startTestServers, type TestServers } from '../support/pipeline.ts';
import { type ClockRig, clockPoints, runClockRound, startClockRig } from './clocks.ts';
import { closingPoints, runClosingRound, startClosingRig } from './closing.ts';
import { type RoundResult, runRound } from './round.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { type Row, tableOf } from './table.ts';

const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);

const options = {
  seeds: { type: 'string', default: '2' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string', default: '' },
  ci: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  'self-check': { type: 'boolean', default: false },
} as const;

const numberOf = (name: string, text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} is a whole number from 1 on, not ${text}`);
  return Number(text);
};

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

const attempt = async (
  { name }: { readonly name: string },
  seed: number,
  round: () => Promise<RoundResult>,
): Promise<RoundResult | undefined> => {
  const begin = performance.now();
  try {
    const result = await round();
    const { accepted, stored, lost, doubled, recoveredMs, faults, deaths } = result;
    print(
      `${name}, seed ${seed}: ${accepted} accepted, ${stored} stored, ${lost.length} lost, ${doubled.length} doubled, ${deaths} deaths, ` +
        `recovered in ${seconds(recoveredMs)} s, round of ${seconds(performance.now() - begin)} s`,
    );
    for (const fault of faults) print(`  ${fault}`);
    return result;
  } catch (error) {
    print(`${name}, seed ${seed}: could not be judged: ${(error as Error).stack}`);
    return undefined;
  }
};

/** Ctrl-C ends the servers; our processes end by themselves when this one is gone. */
const startServers = async (): Promise<TestServers> => {
  const servers = await startTestServers();
  const leave = () => process.exit(130);
  onStopSignals({ stop: () => void servers.stop().finally(leave), force: leave });
  return servers;
};

/** A server that a round left stopped is started for the next one. */
const wake = async ({ servers }: TestServers): Promise<void> => {
  for (const server of servers.values()) if (server.pid === 0) await server.restart();
};

const { values } = parseArgs({ options });
const wanted = values.only.split(',');
const chosen = scenarios.filter(({ name, inCi }) => wanted.some((part) => name.includes(part)) && (inCi || !values.ci));
const isChosen = (name: string): boolean => !values.ci && wanted.some((part) => name.includes(part));
const closing = closingPoints.filter(isChosen);
const clocks = clockPoints.filter(isChosen);
const ofDrafts = (name: string): string => `drafts ${name}`;
const drafts = closingPoints.filter((name) => isChosen(ofDrafts(name)));
if (chosen.length + closing.length + clocks.length + drafts.length === 0)
  throw new Error(`no scenario is called ${values.only}; --list tells them all`);
const firstSeed = numberOf('seed', values.seed);
const seeds = Array.from({ length: values.ci ? 1 : numberOf('seeds', values.seeds) }, (_, index) => firstSeed + index);

/**
 * A round whose evidence misses an event, and one whose evidence holds one twice: both must be reported, each as what
 * it is.
 */
const checkSelf = async (): Promise<void> => {
  const servers = await startServers();
  try {
    const round = scenarios.find(({ name }) => name === 'kill gateway') as Scenario;
    const loss = await runRound(round, firstSeed, servers, { lie: 'loss' });
    const double = await runRound(round, firstSeed, servers, { lie: 'double' });
    const seen = loss.lost.length === 1 && !loss.sound && double.doubled.length === 1 && !double.sound;
    print(`self-check: a planted loss and a planted double are ${seen ? 'reported' : 'NOT reported'}`);
    process.exitCode = seen ? 0 : 1;
  } finally {
    await servers.stop();
  }
};

const everySeed = async (name: string, round: (seed: number) => Promise<Row['results'][number]>): Promise<Row> => {
  const results: (RoundResult | undefined)[] = [];
  for (const seed of seeds) results.push(await round(seed));
  return { name, results };
};

if (values.list) {
  const names = [...chosen.map(({ name }) => name), ...closing, ...drafts.map(ofDrafts), ...clocks];
  for (const name of names) process.stdout.write(`${name}\n`);
} else if (values['self-check']) {
  await checkSelf();
} else {
  const begin = performance.now();
  const servers = await startServers();
  const rows: Row[] = [];
  try {
    for (const scenario of chosen)
      rows.push(
        await everySeed(scenario.name, async (seed) => {
          const result = await attempt(scenario, seed, () => runRound(scenario, seed, servers));
          await wake(servers);
          return result;
        }),
      );
    if (closing.length + drafts.length + clocks.length > 0) {
      const rig = await startClosingRig(servers);
      try {
        for (const name of closing)
          rows.push(await everySeed(name, (seed) => attempt({ name }, seed, () => runClosingRound(rig, name, seed))));
        for (const point of drafts) {
          const name = ofDrafts(point);
          const round = (seed: number) => runClosingRound(rig, point, seed, { asDrafts: true });
          rows.push(await everySeed(name, (seed) => attempt({ name }, seed, () => round(seed))));
        }
        const clockRig = clocks.length > 0 ? await startClockRig(rig) : undefined;
        for (const name of clocks)
          rows.push(
            await everySeed(name, (seed) =>
              attempt({ name }, seed, () => runClockRound(clockRig as ClockRig, name, seed)),
            ),
          );
      } finally {
        await rig.stop();
      }
    }
  } finally {
    await servers.stop();
  }
  process.stdout.write(`${tableOf(rows)}\n`);
  const failed = rows.filter(({ results }) => results.some((result) => !result?.sound)).map(({ name }) => name);
  const result = failed.length === 0 ? 'all sound' : `failed: ${failed.join(', ')}`;
  print(`${rows.length} scenarios, seeds ${seeds.join(', ')}, ${seconds(performance.now() - begin)} s: ${result}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
