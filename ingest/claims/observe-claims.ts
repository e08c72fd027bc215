import { type Metrics, sharedRead } from '#platform/process/metrics.ts';
import type { ClaimsHeld } from './claims-layout.ts';

/** Asked at each scrape: what the claims of all gateways take together, as each of them sees it. */
export const observeClaims = (metrics: Metrics, read: () => Promise<ClaimsHeld>): void => {
  const held = sharedRead(read);
  const gauge = (name: string, help: string, of: (held: ClaimsHeld) => number) =>
    metrics.gaugeOf(name, help, async () => of(await held()), undefined, 'min');
  gauge('millrace_ingest_claimed_keys', 'Idempotency keys that Redis holds', ({ keys }) => keys);
  gauge('millrace_ingest_claimed_bytes', 'Bytes of Redis that they take, estimated', ({ bytes }) => bytes);
  gauge(
    'millrace_ingest_claimed_reach_seconds',
    'How far back the receipt of the oldest of them lies',
    ({ reachSeconds }) => reachSeconds,
  );
};
