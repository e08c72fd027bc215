/**
 * The metrics of several processes that are scraped as one: counters and histograms added up, gauges each in its own
 * way.
 */
import { AggregatorRegistry } from 'prom-client';
import type { Readings } from '../process/metrics.ts';

/** As text of Prometheus. prom-client adds up, or goes by the `aggregator` of a metric. */
export const textOfSum = (all: readonly Readings[]): Promise<string> =>
  AggregatorRegistry.aggregate([...all]).metrics();

export const sumOf = (all: readonly Readings[]): Promise<Readings> =>
  AggregatorRegistry.aggregate([...all]).getMetricsAsJSON();

const lasting: readonly string[] = ['counter', 'histogram', 'summary'];

/**
 * What stays in the sum when a process is gone: what it has counted, and not what it held at the moment. A sum that
 * fell would look to Prometheus as if everything had begun again, and all that was ever counted would be an increase.
 */
export const lastingOf = (readings: Readings): Readings =>
  readings.filter(({ type }) => lasting.includes(String(type)));
