import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { within } from './clock.ts';

/** What a gauge shows at a scrape: a number, or one for each value of its label. */
type Reading = number | Readonly<Record<string, number>>;

/** All values of one process at one moment. */
export type Readings = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** One answer for all gauges of a scrape: who asks while `read` is under way gets what it gives. */
export const sharedRead = <T>(read: () => Promise<T>): (() => Promise<T>) => {
  let reading: Promise<T> | undefined;
  return () => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
};

/** The metrics of one process, in Prometheus' text format. One registry per process start; nothing is global. */
export type Metrics = {
  readonly counter: (name: string, help: string, labels?: readonly string[]) => Counter;
  readonly gauge: (name: string, help: string, labels?: readonly string[]) => Gauge;
  /**
   * Read when it is scraped, and left out of the answer where that fails: a scrape works while a store is away.
   * `across` is what several processes on one port show together (worker-metrics.ts).
   */
  readonly gaugeOf: (
    name: string,
    help: string,
    read: () => Reading | Promise<Reading>,
    label?: string,
    across?: 'sum' | 'min',
  ) => void;
  /** Buckets are upper bounds in the unit that the name ends with. */
  readonly histogram: (name: string, help: string, buckets: readonly number[], labels?: readonly string[]) => Histogram;
  readonly text: () => Promise<string>;
  /** The same as values, for another process to add up. */
  readonly readings: () => Promise<Readings>;
  readonly contentType: string;
};

export const latencySeconds = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** Work on many at a time, which may take minutes. */
export const workSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300] as const;
export const powersOfTen = [1, 10, 100, 1_000, 10_000, 100_000] as const;
export const sizeBytes = [1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864] as const;

/** Under the ten seconds that Prometheus waits for a scrape. */
const readMsMax = 3_000;

export const createMetrics = (): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: [...labels], registers }),
    gauge: (name, help, labels = []) => new Gauge({ name, help, labelNames: [...labels], registers }),
    gaugeOf: (name, help, read, label, across = 'sum') => {
      const gauge = new Gauge({
        name,
        help,
        labelNames: label === undefined ? [] : [label],
        registers,
        aggregator: across,
        collect: async () => {
          const reading = await within(readMsMax, (async () => read())()).catch(() => undefined);
          // `reset` alone would leave a 0 behind, which says something else than nothing.
          gauge.reset();
          if (label === undefined) gauge.remove();
          if (typeof reading === 'number') gauge.set(reading);
          else for (const [value, number] of Object.entries(reading ?? {})) gauge.set({ [label ?? '']: value }, number);
        },
      });
    },
    histogram: (name, help, buckets, labels = []) =>
      new Histogram({ name, help, buckets: [...buckets], labelNames: [...labels], registers }),
    text: () => registry.metrics(),
    readings: () => registry.getMetricsAsJSON(),
    contentType: registry.contentType,
  };
};

/** The connections of a pool to PostgreSQL. Whoever waits for one is a request that stands still. */
export const observePool = (
  metrics: Metrics,
  counts: () => { readonly total: number; readonly idle: number; readonly waiting: number },
): void => {
  metrics.gaugeOf(
    'millrace_postgres_pool',
    'Connections to PostgreSQL that are busy or idle, and callers that wait for one',
    () => {
      const { total, idle, waiting } = counts();
      return { busy: total - idle, idle, waiting };
    },
    'state',
  );
};
