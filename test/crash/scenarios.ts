/** Every way in which a round may go wrong. */

import type { ServerName } from '#platform/local/servers.ts';
import { type FailPointName, failPointNames } from '#platform/process/fail-point.ts';
import { type NetworkFault, networkFaults } from '../support/tcp-proxy.ts';

/** Which process talks to which server over the proxy. */
const routes = [
  { from: 'gateway', to: 'nats', variable: 'NATS_URL' },
  { from: 'gateway', to: 'redis', variable: 'REDIS_URL' },
  { from: 'sink', to: 'nats', variable: 'NATS_URL' },
  { from: 'sink', to: 'clickhouse', variable: 'CLICKHOUSE_URL' },
  { from: 'checker', to: 'nats', variable: 'NATS_URL' },
  { from: 'checker', to: 'clickhouse', variable: 'CLICKHOUSE_URL' },
  { from: 'checker', to: 'postgres', variable: 'DATABASE_URL' },
] as const;
type Route = (typeof routes)[number];

export type Fault =
  /** A process of ours ends itself at a named place. `passesMin` to `passesMax`: at which pass of it. */
  | {
      readonly kind: 'fail_point';
      readonly point: FailPointName;
      readonly passesMin: number;
      readonly passesMax: number;
    }
  | { readonly kind: 'kill_process'; readonly process: 'gateway' | 'sink' | 'checker' }
  | { readonly kind: 'kill_server'; readonly server: ServerName }
  /**
   * Again and again, killed and stopped in turn; all of them are away at the same time, and a new event is taken in
   * between.
   */
  | { readonly kind: 'restart_servers'; readonly servers: readonly ServerName[] }
  | { readonly kind: 'empty_redis' }
  | { readonly kind: 'restore_redis' }
  | { readonly kind: 'network'; readonly route: Route; readonly fault: NetworkFault };

export type Scenario = {
  readonly name: string;
  readonly fault: Fault;
  /**
   * Redis is away for a while, or has forgotten: then only the store and the identity check tell twins apart. A variant
   * may be taken then, and is never billed, whatever its time and its customer; and an event that was accepted may be
   * accepted again, where it is told as a duplicate otherwise.
   */
  readonly losesClaims: boolean;
  readonly inCi: boolean;
};

/** A sink passes by once for each insert, and a checker for each of its reads, which are fewer than requests. */
const passesOf = (point: FailPointName) => {
  if (point.startsWith('checker.')) return { passesMin: 2, passesMax: 6 };
  return /^sink\..*insert$/.test(point) ? { passesMin: 3, passesMax: 12 } : { passesMin: 5, passesMax: 40 };
};

/** Of a checker that is killed with nothing to find, nothing is learned. */
export const emptiesRedis = (fault: Fault): boolean =>
  fault.kind === 'empty_redis' ||
  (fault.kind === 'fail_point' && fault.point.startsWith('checker.')) ||
  (fault.kind === 'kill_process' && fault.process === 'checker');

const scenario = (name: string, fault: Fault, losesClaims = emptiesRedis(fault)): Scenario => ({
  name,
  fault,
  losesClaims,
  inCi: [
    'gateway.after_pub_ack',
    'sink.after_insert',
    'checker.after_voids',
    'kill nats',
    'restart nats',
    'empty redis',
  ].includes(name),
});

/**
 * Those of the relay have a test of their own (`test/integration/amendments.delivery.test.ts`), as the load amends
 * nothing, those of migrations of plans too (`plan-migrations.kills.test.ts`), and those of a close rounds of their own
 * (`closing.ts`).
 */
const ofTheLoad = failPointNames.filter((point) => /^(?:gateway|sink|checker)\./.test(point));

export const scenarios: readonly Scenario[] = [
  ...ofTheLoad.map((point) => scenario(point, { kind: 'fail_point', point, ...passesOf(point) })),
  ...(['gateway', 'sink', 'checker'] as const).map((process) =>
    scenario(`kill ${process}`, { kind: 'kill_process', process }),
  ),
  ...(['nats', 'redis', 'clickhouse', 'postgres'] as const).map((server) =>
    scenario(`kill ${server}`, { kind: 'kill_server', server }, server === 'redis'),
  ),
  scenario('restart nats', { kind: 'restart_servers', servers: ['nats'] }),
  scenario('restart all', { kind: 'restart_servers', servers: ['nats', 'redis', 'clickhouse', 'postgres'] }, true),
  scenario('empty redis', { kind: 'empty_redis' }, true),
  scenario('restore old redis', { kind: 'restore_redis' }, true),
  ...routes.flatMap((route) =>
    networkFaults.map((fault) =>
      scenario(`${route.from}-${route.to} ${fault}`, { kind: 'network', route, fault }, route.to === 'redis'),
    ),
  ),
];
