/**
 * The use case of amendments, in two steps. First, with no transaction open, what was stored under each key is looked
 * for, which may take a while. Then, in the transaction of the answer, what is to take its place is written down; the
 * way into the stream is ingest/amendments/relay.ts. All of a request, or none. Between the two another amendment of
 * the same key may be committed: the second step sees it, and what was stored under the key does not change by it.
 */
import { sleep, stopwatch } from '#platform/process/clock.ts';
import { type AmendmentRequest, type EventPlace, keyDigest } from '#schemas/amendment.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { Db } from '../route/define-route.ts';
import type { Amendment, AmendmentStore, NewAmendment } from './amendments.postgres.ts';
import type { StoredEvents } from './events.clickhouse.ts';

export type FindPorts = {
  readonly storedEvents: Pick<StoredEvents, 'keyRows' | 'voids'>;
  readonly readWatermark: (db: Db) => Promise<bigint>;
  /** Where the stream ends; undefined where it does not say. */
  readonly lastSequence: () => Promise<bigint | undefined>;
};

export type AmendPorts = {
  readonly amendments: Pick<AmendmentStore, 'lockLast' | 'addAmendments'>;
};

/** The rows that stand under each key, amendments aside; a key that nobody knows has no entry. */
export type Originals = ReadonlyMap<string, readonly EventPlace[]>;

/**
 * What was accepted a moment ago is stored and checked within this time; nobody waits longer for a key that may not be
 * there at all.
 */
const waitMsMax = 2_000;
const askEveryMs = 50;

/**
 * The stored rows of each key that no twin of another is: one, or several where a key came again after the window of
 * the identity check.
 */
const readOriginals = async (db: Db, keys: readonly string[], ports: FindPorts): Promise<Map<string, EventPlace[]>> => {
  const watermark = await ports.readWatermark(db);
  const keyOf = new Map(keys.map((key) => [keyDigest(db.organizationId, key).toString('hex'), key]));
  const rows = (await ports.storedEvents.keyRows(db.organizationId, [...keyOf.keys()])).filter(
    ({ sequence }) => sequence <= watermark,
  );
  const originals = new Map<string, EventPlace[]>();
  if (rows.length === 0) return originals;
  const counts = new Map<string, number>();
  for (const { digest } of rows) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  // A key with one row has no twin: most requests ask for no void at all.
  const twins = rows.filter(({ digest }) => (counts.get(digest) ?? 0) > 1);
  const times = twins.map(({ occurredAtMs }) => occurredAtMs);
  const span = { start: Math.min(...times), end: Math.max(...times) };
  const digests = [...new Set(twins.map(({ digest }) => digest))];
  const voids = twins.length === 0 ? [] : await ports.storedEvents.voids(db.organizationId, digests, span, watermark);
  const isVoid = new Set(voids.map(({ digest, rowSequence }) => `${digest} ${rowSequence}`));
  for (const { digest, sequence, event, customer, occurredAtMs } of rows) {
    if (isVoid.has(`${digest} ${sequence}`)) continue;
    const key = keyOf.get(digest) as string;
    originals.set(key, [
      ...(originals.get(key) ?? []),
      { event, customer, occurredAtMs, digest: Buffer.from(digest, 'hex') },
    ]);
  }
  return originals;
};

/**
 * Waits for keys that are not there while events of before may still be on their way. Must not run in a transaction: it
 * would hold a connection and its locks for as long.
 */
export const findOriginals = async (
  db: Db,
  requests: readonly AmendmentRequest[],
  ports: FindPorts,
  isCallerThere: () => boolean,
): Promise<Originals> => {
  const keys = requests.map(({ idempotencyKey }) => idempotencyKey);
  const elapsedMs = stopwatch();
  let originals = await readOriginals(db, keys, ports);
  if (originals.size === keys.length) return originals;
  const end = await ports.lastSequence();
  while (originals.size < keys.length && elapsedMs() < waitMsMax && isCallerThere()) {
    const settled = end !== undefined && (await ports.readWatermark(db)) >= end;
    originals = new Map([
      ...originals,
      ...(await readOriginals(
        db,
        keys.filter((key) => !originals.has(key)),
        ports,
      )),
    ]);
    if (settled) break;
    await sleep(askEveryMs);
  }
  return originals;
};

/** What stands now under a key: nothing where it is void, undefined where nobody knows it. */
const standing = (
  originals: readonly EventPlace[] | undefined,
  last: Amendment | undefined,
): readonly EventPlace[] | undefined => {
  if (!last) return originals;
  return last.added ? [last.added] : [];
};

const toNew = (
  request: AmendmentRequest,
  stands: readonly EventPlace[],
  last: Amendment | undefined,
): NewAmendment => ({
  idempotencyKey: request.idempotencyKey,
  number: (last?.number ?? 0) + 1,
  action: request.action,
  reason: request.reason,
  // Where nothing stands, the row that was void before is made void once more, which changes nothing: a message begins
  // with what it takes away.
  removed: stands.length > 0 ? stands : (last?.removed ?? []),
  added: request.replacement,
});

/** Throws `EVENT_NOT_FOUND` or `EVENT_ALREADY_VOID`, with all faults. Runs in the transaction of the answer. */
export const amendEvents = async (
  db: Db,
  requests: readonly AmendmentRequest[],
  originals: Originals,
  ports: AmendPorts,
  nowMs: number,
): Promise<Amendment[]> => {
  const keys = requests.map(({ idempotencyKey }) => idempotencyKey);
  const lasts = await ports.amendments.lockLast(db, keys);
  const faults: Fault[] = [];
  const added: NewAmendment[] = [];
  for (const [index, request] of requests.entries()) {
    const last = lasts.get(request.idempotencyKey);
    const stands = standing(originals.get(request.idempotencyKey), last);
    const field = `amendments[${index}].idempotency_key`;
    if (stands === undefined) faults.push({ field, code: 'event_not_found', message: 'names no event that is stored' });
    else if (stands.length === 0 && request.action === 'void')
      faults.push({ field, code: 'already_void', message: `is void already, by ${last?.id}; it can be replaced` });
    else added.push(toNew(request, stands, last));
  }
  if (faults.some(({ code }) => code === 'event_not_found'))
    throw new FailureError('EVENT_NOT_FOUND', undefined, faults);
  if (faults.length > 0) throw new FailureError('EVENT_ALREADY_VOID', undefined, faults);
  return ports.amendments.addAmendments(db, added, new Date(nowMs));
};
