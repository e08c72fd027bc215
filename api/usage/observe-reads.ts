/** What is measured and logged of reading usage: which way its answers go, and what is kept of it. */
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import type { LivePorts } from '../../rater/live/live-usage.ts';
import type { ReadPorts } from '../../rater/totals/read-usage.ts';

export const observeReads = (metrics: Metrics, log: Log): ReadPorts['report'] => {
  const reads = metrics.counter(
    'millrace_usage_reads_total',
    'Reads of usage, by what answered them: totals, totals and events of some days, or events and why',
    ['from'],
  );
  return {
    way: (way) => {
      if (way.from === 'events') reads.labels(`events_${way.reason}`).inc();
      else reads.labels(way.daysOfEvents.length === 0 ? 'totals' : 'both').inc();
    },
    fault: (error) => log.warn({ err: error }, 'totals could not be read, and events are read in their place'),
  };
};

export const observeLiveUsage = (metrics: Metrics): LivePorts['report'] => {
  const asked = metrics.counter(
    'millrace_live_usage_spans_total',
    'Spans of usage that balances and entitlements asked for: kept and brought up, or measured from events',
    ['from'],
  );
  let spans = 0;
  metrics.gaugeOf(
    'millrace_live_usage_spans',
    'Spans of usage that are kept for balances and entitlements',
    () => spans,
  );
  return {
    asked: ({ known, measured }) => {
      asked.labels('kept').inc(known);
      asked.labels('events').inc(measured);
    },
    kept: (kept) => {
      spans = kept;
    },
  };
};
