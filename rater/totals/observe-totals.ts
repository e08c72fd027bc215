/** What is measured of keeping totals, apart from the use case. */
import { type Metrics, workSeconds } from '#platform/process/metrics.ts';
import type { KeepPorts } from './keep-totals.ts';

export const observeTotals = (metrics: Metrics): KeepPorts['report'] => {
  const days = metrics.counter('millrace_totals_days_total', 'Days of customers whose totals were made, by meter');
  const events = metrics.counter('millrace_totals_events_total', 'Stored events that totals were made of');
  const making = metrics.histogram('millrace_totals_seconds', 'Time to make the totals of some days', workSeconds);
  const waiting = metrics.gauge('millrace_totals_waiting', 'Meter versions that have days whose totals are due');
  const filling = metrics.gauge(
    'millrace_totals_filling_days',
    'Days of customers that are left of the meter versions whose totals are made for the first time',
  );
  return {
    made: (piece, tookMs) => {
      days.inc(piece.days);
      events.inc(piece.events);
      making.observe(tookMs / 1000);
    },
    waiting: (versions) => waiting.set(versions),
    filling: (days) => filling.set(days),
  };
};
