/**
 * What is measured of the line: each case sends events of its own name, and ends when all of them can be queried, so
 * that none disturbs the next.
 */
import type { LoadReport } from '../load/run-load.ts';
import { measureFreshness } from './freshness.ts';
import type { LineUnderTest, LoadShape, Measured } from './line-under-test.ts';
import { watchMemory } from './process-cost.ts';

export type CaseResult = {
  /** Why there are no figures. */
  readonly skipped?: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly cpuMicrosPerEvent: Readonly<Record<string, number>>;
};

type CaseBounds = { readonly seconds: number; readonly floodSeconds: number };

type Case = (line: LineUnderTest, bounds: CaseBounds) => Promise<Readonly<Record<string, CaseResult>>>;

const figuresOf = (load: LoadReport): Record<string, number> => ({
  events_per_second: load.accepted / load.seconds,
  requests_per_second: load.requests / load.seconds,
  p50_ms: load.latencyMs.p50,
  p95_ms: load.latencyMs.p95,
  p99_ms: load.latencyMs.p99,
  max_ms: load.latencyMs.max,
  sent: load.events,
  accepted: load.accepted,
  duplicates: load.duplicates,
  refused_requests: load.statuses['503'] ?? 0,
  ...(load.unsent > 0 && { unsent_requests: load.unsent }),
});

/** Fails where a request was answered by anything but 200 and 503. */
export const checked = (load: LoadReport): LoadReport => {
  const others = Object.keys(load.statuses).filter((status) => status !== '200' && status !== '503');
  if (others.length > 0) throw new Error(`requests were answered ${JSON.stringify(load.statuses)}`);
  return load;
};

const resultOf = (
  { load, cpuMicrosPerEvent, otherCores }: Measured,
  more: Readonly<Record<string, number>> = {},
): CaseResult => ({
  figures: { ...figuresOf(checked(load)), other_cores: otherCores, ...more },
  cpuMicrosPerEvent,
});

/** A short case of its own, without the sink; what it left in the stream is stored before it returns. */
const atTheGateway = async (line: LineUnderTest, shape: LoadShape): Promise<CaseResult> => {
  const measured = await line.withoutSink(() => line.measure(shape));
  await line.untilStored(shape.event, measured.load.accepted);
  return resultOf(measured);
};

/** A short case of its own with everything at work. */
const stored = async (line: LineUnderTest, shape: LoadShape): Promise<CaseResult> => {
  const measured = await line.measure(shape);
  await line.untilStored(shape.event, measured.load.accepted);
  return resultOf(measured);
};

const half = (seconds: number): number => Math.max(1, Math.round(seconds / 2));

/**
 * Everything at once: what is accepted is stored at the same time, and the costs are those until the last event can be
 * queried.
 */
const wholeLine: Case = async (line, { seconds }) => {
  const event = 'llm.line';
  let behindMs = 0;
  const measured = await line.measure({ event, seconds }, async ({ accepted }) => {
    behindMs = await line.untilStored(event, accepted);
  });
  const { accepted, seconds: took } = measured.load;
  const stored = await line.distinctOf(event);
  if (stored !== accepted) throw new Error(`${accepted} events were accepted, and ${stored} are stored`);
  const throughPerSecond = accepted / (took + behindMs / 1000);
  return { line: resultOf(measured, { stored, queryable_after_ms: behindMs, through_per_second: throughPerSecond }) };
};

/** The gateway while the sink stands still, and then the sink on what was left to it. */
const gateway: Case = async (line, { seconds }) => {
  const event = 'llm.gateway';
  const measured = await line.withoutSink(async () => {
    const result = await line.measure({ event, seconds: half(seconds) });
    await line.untilMerged();
    return result;
  });
  const { accepted } = measured.load;
  const drainedMs = await line.untilStored(event, accepted);
  const { ms: uncheckedMs } = await line.untilChecked(accepted, () => {});
  const backlog = { events_per_second: (accepted * 1000) / drainedMs, accepted, checked_after_ms: uncheckedMs };
  return {
    gateway: resultOf(measured),
    'sink, backlog': { figures: backlog, cpuMicrosPerEvent: {} },
  };
};

const singleRequestsPerSecond = 12_000;

const single: Case = async (line, { seconds }) => {
  const shape = { batch: 1, connections: 64, seconds: half(seconds) };
  return {
    'single, flat out': await atTheGateway(line, { ...shape, event: 'llm.single' }),
    'single, pipelined': await atTheGateway(line, { ...shape, event: 'llm.piped', connections: 8, inFlight: 16 }),
    'single, at a rate': await atTheGateway(line, {
      ...shape,
      event: 'llm.rate',
      eventsPerSecond: singleRequestsPerSecond,
    }),
    // As it is used: everything is at work.
    'single, stored meanwhile': await stored(line, {
      ...shape,
      event: 'llm.whole',
      eventsPerSecond: singleRequestsPerSecond,
    }),
  };
};

/** The same batches with a tenth of their events sent before. */
const duplicates: Case = async (line, { seconds }) => ({
  'a tenth duplicates': await atTheGateway(line, { event: 'llm.twins', seconds: half(seconds), duplicateShare: 0.1 }),
});

/** The other forms of a batch, where the gateway reads them. */
const forms: Case = async (line, { seconds }) => {
  const results: Record<string, CaseResult> = {};
  for (const format of ['json', 'ndjson', 'avro', 'cloudevents'] as const) {
    const event = `llm.${format}`;
    const [probe] = Object.keys(
      (await line.measure({ event, format, seconds: 1, eventsPerSecond: 200 })).load.statuses,
    );
    results[`batches, ${format}`] =
      probe === '200'
        ? await atTheGateway(line, { event: `${event}.load`, format, seconds: half(seconds) })
        : { skipped: `the gateway answers ${format} with ${probe}`, figures: {}, cpuMicrosPerEvent: {} };
  }
  return results;
};

/**
 * What was stored while there was no checker, worked off by one that is made anew. The costs are those of catching up
 * alone.
 */
const catchingUp: Case = async (line, { seconds }) => {
  const event = 'llm.behind';
  line.stopChecker();
  const { load } = await line.measure({ event, seconds });
  const { accepted } = checked(load);
  await line.untilStored(event, accepted);
  await line.untilMerged();
  const { ms, cpu } = await line.untilChecked(accepted, line.replaceChecker);
  const figures = { events_per_second: (accepted * 1000) / ms, accepted };
  return { 'checker, catching up': { figures, cpuMicrosPerEvent: cpu } };
};

const freshEventsPerSecond = 20_000;

const freshness: Case = async (line, { seconds }) => {
  const shape = { event: 'llm.fresh', seconds: half(seconds), eventsPerSecond: freshEventsPerSecond };
  const [fresh, measured] = await Promise.all([measureFreshness(line, shape.seconds), line.measure(shape)]);
  return { freshness: resultOf(measured, fresh) };
};

const average = (numbers: readonly number[]): number =>
  numbers.reduce((sum, number) => sum + number, 0) / Math.max(numbers.length, 1);

/** Memory over a long time at full speed: what grows without bound shows in its last third against its first. */
const flood: Case = async (line, { floodSeconds }) => {
  const event = 'llm.flood';
  const { gateway: gatewayPid = 0, sink: sinkPid = 0 } = line.pids();
  const stopWatching = watchMemory({ gateway: gatewayPid, sink: sinkPid });
  const measured = await line.measure({ event, seconds: floodSeconds });
  const figures: Record<string, number> = {};
  for (const [name, samples] of Object.entries(stopWatching())) {
    const third = Math.max(1, Math.floor(samples.length / 3));
    figures[`${name}_first_third_mb`] = average(samples.slice(0, third));
    figures[`${name}_last_third_mb`] = average(samples.slice(-third));
    figures[`${name}_most_mb`] = Math.max(...samples);
  }
  figures.queryable_after_ms = await line.untilStored(event, measured.load.accepted);
  return { flood: resultOf(measured, figures) };
};

export const cases: Readonly<Record<string, Case>> = {
  line: wholeLine,
  gateway,
  single,
  duplicates,
  forms,
  'catching-up': catchingUp,
  freshness,
  flood,
};
