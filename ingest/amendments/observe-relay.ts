/** What is measured and logged of amendments on their way into the stream. */
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import type { RelayPorts } from './relay.ts';

export const observeRelay = (metrics: Metrics, log: Log): RelayPorts['report'] => {
  const relayed = metrics.counter(
    'millrace_amendments_total',
    'Amendments that went into the stream, hold in the store, or were lost and sent again',
    ['step'],
  );
  for (const step of ['published', 'applied', 'lost']) relayed.labels(step).inc(0);
  return ({ published, applied, lost }) => {
    relayed.labels('published').inc(published);
    relayed.labels('applied').inc(applied);
    relayed.labels('lost').inc(lost);
    if (lost > 0) log.error({ lost }, 'amendments that the stream had taken are not in the store: they are sent again');
  };
};
