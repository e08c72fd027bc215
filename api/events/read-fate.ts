/** The use case of one event's fate: gathers what the stores know of its key. */

import { type EventPlace, keyDigest, replacementKey } from '#schemas/amendment.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Db } from '../route/define-route.ts';
import type { Amendment, AmendmentStore } from './amendments.postgres.ts';
import type { BillingFactsOf } from './event-billing.postgres.ts';
import {
  type Billing,
  billingOf,
  type EventVersion,
  measurementsOf,
  sortRows,
  type Twin,
  versionsOf,
} from './event-fate.ts';
import type { KeyRow, StoredEvents } from './events.clickhouse.ts';

export type FatePorts = {
  readonly amendments: Pick<AmendmentStore, 'amendmentsOf'>;
  readonly storedEvents: Pick<StoredEvents, 'keyRows' | 'voids' | 'rowsAt' | 'message'>;
  readonly readWatermark: (db: Db) => Promise<bigint>;
  readonly billingFactsOf: BillingFactsOf;
  /** All meters of the organization, in their newest versions. */
  readonly metersOf: (db: Db) => Promise<readonly Meter[]>;
};

export type Fate = {
  readonly state: 'counted' | 'void' | 'unchecked';
  readonly watermark: bigint;
  readonly first: KeyRow;
  readonly message: { readonly storedAtMs: number; readonly isBackfill: boolean } | undefined;
  readonly versions: readonly (EventVersion & {
    readonly measurements: readonly { readonly meter: Meter; readonly value: string | null }[];
    readonly billing: readonly Billing[];
  })[];
  readonly twins: readonly Twin[];
  readonly amendments: readonly Amendment[];
};

const spanOf = (times: readonly number[]) => ({ start: Math.min(...times), end: Math.max(...times) });

/** Undefined where no event is stored under the key. */
export const readFate = async (db: Db, key: string, ports: FatePorts): Promise<Fate | undefined> => {
  const { organizationId: tenant } = db;
  const { storedEvents } = ports;
  const digest = keyDigest(tenant, key);
  // First the watermark: all that it covers is stored by then.
  const watermark = await ports.readWatermark(db);
  const [rows, amendments] = await Promise.all([
    storedEvents.keyRows(tenant, [digest.toString('hex')]),
    ports.amendments.amendmentsOf(db, key),
  ]);
  const [first] = rows;
  if (!first) return undefined;
  const applied = amendments.flatMap(({ id, streamSequence: sequence, added }) =>
    added && sequence !== null && sequence <= watermark ? [{ id, sequence, added }] : [],
  );
  const times = [...rows, ...applied.map(({ added }) => added)].map(({ occurredAtMs }) => occurredAtMs);
  const digests = [digest, ...applied.map(({ id }) => keyDigest(tenant, replacementKey(key, id)))].map((one) =>
    one.toString('hex'),
  );
  const voids = await storedEvents.voids(tenant, digests, spanOf(times), watermark);
  const { originals, twins } = sortRows(rows, voids, watermark);
  const places: EventPlace[] = originals.map((row) => ({ ...row, digest }));
  const [stored, message, meters] = await Promise.all([
    storedEvents.rowsAt(tenant, places),
    storedEvents.message(tenant, first.receivedAtMs, first.sequence),
    ports.metersOf(db),
  ]);
  const propertiesOf = (row: KeyRow) =>
    stored.find(({ sequence }) => sequence === row.sequence)?.event.properties ?? [];
  const versions = versionsOf(
    ...([tenant, key] as const),
    originals.map((row) => ({ ...row, properties: propertiesOf(row) })),
    ...([applied, voids] as const),
  );
  const facts = await ports.billingFactsOf(db, [...new Set(versions.map(({ customer }) => customer))], spanOf(times));
  const isStanding = versions.some(({ until }) => until === undefined);
  return {
    state: first.sequence > watermark ? 'unchecked' : isStanding ? 'counted' : 'void',
    watermark,
    first,
    message,
    twins,
    amendments,
    versions: versions.map((version) => ({
      ...version,
      measurements: measurementsOf(version, meters),
      billing: billingOf(version, facts),
    })),
  };
};
