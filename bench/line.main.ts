/**
 * `npm run bench`: what the way of an event costs and carries, on servers of its own, all on this machine: the whole
 * line, the gateway alone, single events, forms of a batch, freshness, memory, and parts of the line by themselves.
 */
import { parseArgs } from 'node:util';
import { loadConfig } from '#platform/config/config.ts';
import type { Stack } from '#platform/local/stack.ts';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { type CaseResult, cases, checked } from './line/cases.ts';
import { createLineUnderTest, type LineUnderTest, pause } from './line/line-under-test.ts';
import { limitOf, machineOf, type Report, ratiosText, textOf, todayAndCommit, writeReport } from './line/report.ts';
import { measureClaimsMemory } from './stages/claims-memory.ts';
import { measureIdentity } from './stages/identity.ts';
import type { Stage, StageResult } from './stages/stage.ts';
import { rejectedStagesOf, stagesOf } from './stages/stages.ts';
import { checkAll, checkerOf, keysPerMessage, storeWindow, windowDays } from './stages/stored-keys.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    'flood-seconds': { type: 'string', default: '30' },
    keys: { type: 'string', default: '5000000' },
    'window-keys': { type: 'string', default: '0' },
    only: { type: 'string' },
    name: { type: 'string', default: 'line' },
  },
});

const fail = (message: string): never => {
  process.stderr.write(`millrace  ${message}\n`);
  process.exit(2);
};

const wholeOf = (name: 'seconds' | 'flood-seconds' | 'keys' | 'window-keys', least = 1): number => {
  const number = Number(values[name]);
  return Number.isSafeInteger(number) && number >= least
    ? number
    : fail(`--${name} must be a whole number from ${least} on, not "${values[name]}"`);
};
const bounds = {
  seconds: wholeOf('seconds'),
  floodSeconds: wholeOf('flood-seconds'),
  keys: wholeOf('keys'),
  windowKeys: wholeOf('window-keys', 0),
};
const stagesName = 'stages';
const memoryName = 'claims-memory';
const identityName = 'identity';
const known = [...Object.keys(cases), stagesName, memoryName, identityName];
/**
 * The second is a sixteenth of 200 million: buckets and the table that they stand in double, so at each doubling a key
 * takes the same again.
 */
const claimedKeys = [5_000_000, 12_500_000, 50_000_000];
const wanted = values.only?.split(',') ?? known;
const strange = wanted.find((name) => !known.includes(name));
if (strange !== undefined) fail(`--only knows ${known.join(', ')}, not "${strange}"`);
if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(values.name)) fail('--name must be of small letters, digits and dashes');

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

/** Keys that the checker knows before anything is measured: as if they had come over the days of its window. */
const fillWindow = async (stack: Stack, line: LineUnderTest): Promise<void> => {
  const { windowKeys } = bounds;
  if (windowKeys === 0) return;
  say(`a window of ${windowKeys} keys`);
  // The checker of an empty store has passed by the sequences of the window: else it would check all of them itself.
  while (Number(await line.checkedSequence()) <= windowKeys / keysPerMessage) await pause(100);
  const clickhouse = connectClickHouse(stack.urls.clickhouse, { requestTimeoutMs: 300_000, connectionsMax: 4 });
  await storeWindow(clickhouse, windowKeys);
  const range = { from: 0, to: windowKeys / keysPerMessage, generationKeysMax: Math.ceil(windowKeys / windowDays) };
  await checkAll(checkerOf(clickhouse, loadConfig({}, []).streamName, range));
  await clickhouse.close();
  await line.replaceChecker();
  await line.untilMerged();
};

const runCases = async (line: LineUnderTest): Promise<Record<string, CaseResult>> => {
  // What runs for the first time is slow for a while, and does not count.
  say('warming up');
  const { load } = await line.measure({ event: 'llm.warm', seconds: 4 });
  await line.untilStored('llm.warm', checked(load).accepted);
  const results: Record<string, CaseResult> = {};
  for (const [name, run] of Object.entries(cases)) {
    if (!wanted.includes(name)) continue;
    await line.untilMerged();
    say(name);
    Object.assign(results, await run(line, bounds));
  }
  return results;
};

const runStages = async (stages: readonly Stage[]): Promise<Record<string, StageResult>> => {
  const results: Record<string, StageResult> = {};
  if (!wanted.includes(stagesName)) return results;
  for (const { name, run } of stages) {
    say(`stage ${name}`);
    results[name] = await run(Math.max(1, Math.round(bounds.seconds / 6)));
  }
  return results;
};

const claimsMemory = async (stack: Stack): Promise<Report['claims_memory']> => {
  if (!wanted.includes(memoryName)) return undefined;
  say(memoryName);
  return measureClaimsMemory(stack, claimedKeys);
};

const identity = async (stack: Stack): Promise<Report['identity']> => {
  if (!wanted.includes(identityName)) return undefined;
  say(identityName);
  return measureIdentity(stack, bounds.keys);
};

let resume = (): void => {};
// The stream has to take a flood of minutes.
const settings = {
  MILLRACE_STREAM_BYTES_MAX: String(64 * 2 ** 30),
  // A checker that has been running for longer is what is measured.
  MILLRACE_STREAM_DOUBT_SECONDS: '0',
};

const report = await withTemporaryStack({ settings, beforeStop: () => resume() }, async (stack): Promise<Report> => {
  const line = createLineUnderTest(stack);
  resume = line.resume;
  const machine = machineOf(stack.natsSyncAlways);
  await fillWindow(stack, line);
  const results = await runCases(line);
  const stages = await runStages(stagesOf(stack));
  const rejected = await runStages(rejectedStagesOf(stack));
  const memory = await claimsMemory(stack);
  const identityCheck = await identity(stack);
  await line.close();
  const limit = limitOf(stages, machine.cores, results.line?.figures.events_per_second);
  return {
    ...todayAndCommit(),
    machine,
    seconds: bounds.seconds,
    window_keys: bounds.windowKeys,
    flood_seconds: bounds.floodSeconds,
    cases: results,
    stages,
    rejected,
    ...(memory && { claims_memory: memory }),
    ...(identityCheck && { identity: identityCheck }),
    ...(limit && { limit }),
  };
});
const ratios = ratiosText(report, values.name);
process.stdout.write(`${textOf(report)}${ratios}\n\nwritten to ${writeReport(report, values.name)}\n`);
process.exit(0);
