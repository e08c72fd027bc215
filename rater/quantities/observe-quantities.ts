/** What is measured and logged of reading quantities, apart from the use case. */
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import type { QuantityPorts } from './read-quantities.ts';

export const observeQuantities = (metrics: Metrics, log: Log): QuantityPorts['report'] => {
  const statements = metrics.counter(
    'millrace_rater_quantity_reads_total',
    'Reads of quantities, by what answered them: totals, events, or both',
    ['from'],
  );
  return {
    way: (way) => statements.labels(way).inc(),
    fault: (error) => log.error({ err: error }, 'totals could not be read, and quantities are read from events'),
  };
};
