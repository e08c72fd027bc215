import { expect, it } from 'vitest';
import { createMetrics, type Metrics } from '#platform/process/metrics.ts';
import { lastingOf, sumOf, textOfSum } from '#platform/start/worker-metrics.ts';

/** A process that counted `count`, took as many seconds for it, holds as many bytes, and sees the part up or down. */
const processWith = (count: number, up: number): Metrics => {
  const metrics = createMetrics();
  metrics.counter('millrace_events_total', 'Events', ['outcome']).labels('accepted').inc(count);
  metrics.histogram('millrace_seconds', 'Seconds', [1, 10]).observe(count);
  metrics.gauge('millrace_bytes', 'Bytes').set(count);
  metrics.gaugeOf('millrace_up', 'Up', () => ({ nats: up }), 'dependency', 'min');
  return metrics;
};

const readings = () => Promise.all([processWith(2, 1).readings(), processWith(5, 0).readings()]);
const own = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('millrace_'));

it('counters, histograms and gauges of two processes are added up, and a part is up if both see it up', async () => {
  expect(own(await textOfSum(await readings()))).toEqual([
    'millrace_events_total{outcome="accepted"} 7',
    'millrace_seconds_bucket{le="1"} 0',
    'millrace_seconds_bucket{le="10"} 2',
    'millrace_seconds_bucket{le="+Inf"} 2',
    'millrace_seconds_sum 7',
    'millrace_seconds_count 2',
    'millrace_bytes 7',
    'millrace_up{dependency="nats"} 0',
  ]);
});

it('of a process that is gone there stays what it counted, and not what it held', async () => {
  const [living, gone] = await readings();
  // Twice: one more died, which had counted nothing.
  const ofTheDead = await sumOf([await sumOf([[], lastingOf(gone)]), lastingOf(await createMetrics().readings())]);
  const lines = own(await textOfSum([ofTheDead, living]));
  expect(lines).toContain('millrace_events_total{outcome="accepted"} 7');
  expect(lines).toContain('millrace_seconds_count 2');
  expect(lines).toContain('millrace_bytes 2');
  expect(lines).toContain('millrace_up{dependency="nats"} 1');
});
