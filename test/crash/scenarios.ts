/** Every way in which a round may go wrong. */
import { type FailPointName, failPointNames } from '#platform/fail-point.ts';
import type { ServerName } from '#platform/local/servers.ts';
import { type NetworkFault, networkFaults } from '../support/tcp-proxy.ts';

/** Which process talks to which server over the proxy. */
export const routes = [
  { from: 'gateway', to: 'nats', variable: 'NATS_URL' },
  { from: 'gateway', to: 'redis', variable: 'REDIS_URL' },
  { from: 'sink', to: 'nats', variable: 'NATS_URL' },
  { from: 'sink', to: 'clickhouse', variable: 'CLICKHOUSE_URL' },
] as const;
export type Route = (typeof routes)[number];

export type Fault =
  /** A process of ours ends itself at a named place. `passesMin` to `passesMax`: at which pass of it. */
  | { readonly kind: 'fail_point'; readonly point: FailPointName; readonly passesMin: number; readonly passesMax: number }
  | { readonly kind: 'kill_process'; readonly process: 'gateway' | 'sink' }
  | { readonly kind: 'kill_server'; readonly server: ServerName }
  | { readonly kind: 'empty_redis' }
  | { readonly kind: 'restore_redis' }
  | { readonly kind: 'network'; readonly route: Route; readonly fault: NetworkFault };

export type Scenario = {
  readonly name: string;
  readonly fault: Fault;
  /**
   * Redis is away for a while, or has forgotten: then only the store tells twins apart, by key, name, customer and day. A variant may be taken then, and is
   * never billed; one with the time of another day would be, so none is sent (see the limits in `ingest/README.md`).
   */
  readonly losesClaims: boolean;
  readonly inCi: boolean;
};

/** A sink passes by once for each insert, which are fewer than requests. */
const passesOf = (point: FailPointName) =>
  /^sink\..*insert$/.test(point) ? { passesMin: 3, passesMax: 12 } : { passesMin: 5, passesMax: 40 };

const scenario = (name: string, fault: Fault, losesClaims = false): Scenario => ({
  name,
  fault,
  losesClaims,
  inCi: ['gateway.after_pub_ack', 'sink.after_insert', 'kill nats', 'empty redis'].includes(name),
});

export const scenarios: readonly Scenario[] = [
  ...failPointNames.map((point) => scenario(point, { kind: 'fail_point', point, ...passesOf(point) })),
  ...(['gateway', 'sink'] as const).map((process) => scenario(`kill ${process}`, { kind: 'kill_process', process })),
  ...(['nats', 'redis', 'clickhouse', 'postgres'] as const).map((server) =>
    scenario(`kill ${server}`, { kind: 'kill_server', server }, server === 'redis'),
  ),
  scenario('empty redis', { kind: 'empty_redis' }, true),
  scenario('restore old redis', { kind: 'restore_redis' }, true),
  ...routes.flatMap((route) =>
    networkFaults.map((fault) => scenario(`${route.from}-${route.to} ${fault}`, { kind: 'network', route, fault }, route.to === 'redis')),
  ),
];
