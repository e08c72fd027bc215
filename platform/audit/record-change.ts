/**
 * The one way in which routes, workers and commands write down what they changed: an entry of the audit log and a row
 * of the outbox for each change, in the transaction of the change, as its last step. The order of effects:
 *
 *   1. in one statement, lock the head of a lane that nobody holds (audit-lanes.ts) and read of each object what is
 *      stored of it now, and how many entries it has. The caller's transaction holds the rows of these objects locked,
 *      so that neither moves until it ends;
 *   2. where no head was free, wait for one;
 *   3. in one statement, write entries, outbox and head. It goes with what the caller's transaction does next, which is
 *      its COMMIT as a rule.
 *
 * The outbox says that there is something to tell of an object; what is told, and to whom, is read when it is
 * delivered. A lane's rows become visible in the order of their sequence, as its head is locked until the commit. So a
 * reader with one cursor per lane misses nothing. Between lanes there is no order: of two changes of an object the
 * object_sequence of their entries says which came first.
 */

import { idOfAudited } from '#schemas/audited-object.ts';
import { type AuditedObject, type AuditedType, auditedObjects } from '#schemas/audited-objects.ts';
import { newId } from '../process/ids.ts';
import { bigintArray, textArray } from '../stores/array-parameters.ts';
import type { Queryable, Transaction } from '../stores/postgres.ts';
import { type Actor, auditColumns } from './audit.ts';
import { auditHash, type ChainedEntry, type Change, canonicalVersion } from './audit-entry.ts';
import {
  type HeadRow,
  headFromRow,
  type LockedHead,
  laneId,
  laneOpened,
  openLane,
  selectFreeHead,
  waitForHead,
} from './audit-lanes.ts';
import { storedDigest } from './stored-digest.ts';

/** The transaction of a change, and whose audit log it goes into. What it can defer is sent with its COMMIT. */
type ChangeTransaction = Queryable & Partial<Pick<Transaction, 'defer'>> & { readonly organizationId: string };

export type ChangedObject = Pick<Change, 'objectType' | 'objectId'>;

/** What the first step gave for this object, and for no other. */
export type LookedAhead = ChangedObject & { readonly locked: Promise<Locked> };

/**
 * The first step by itself, for who has just asked for the last statement that writes the object, and does not wait for
 * it: so both go to PostgreSQL together.
 */
export type LookAhead = (transaction: ChangeTransaction, object: ChangedObject) => LookedAhead;

export const lookAhead: LookAhead = (transaction, object) => {
  const locked = lockHead(transaction, [object]);
  // Where the statement before it refuses, nobody asks what came of this one.
  locked.catch(() => {});
  return { ...object, locked };
};

export type RecordChange = (
  transaction: ChangeTransaction,
  actor: Actor,
  changes: readonly Change[],
  nowMs: number,
  ahead?: LookedAhead,
) => Promise<void>;

type ObjectState = { readonly entries: number; readonly digest: string | undefined };
type StateRow = { id: string; entries: bigint | null; digest: string | null } & (
  | HeadRow
  | { [K in keyof HeadRow]: null }
);

/** One text per set of types, which a connection prepares once. */
const statements = new Map<string, string>();

const lockStatement = (types: readonly string[]): string => {
  const known = statements.get(types.join());
  if (known !== undefined) return known;
  const stored = types.map((type) => {
    const object: AuditedObject | undefined = auditedObjects[type as AuditedType];
    if (object === undefined) throw new Error(`no columns are named for the audited type ${type}`);
    return `SELECT ${storedDigest(object)} AS digest FROM ${object.table} t WHERE t.${idOfAudited(object)} = o.id`;
  });
  const statement = `WITH head AS MATERIALIZED (${selectFreeHead})
    SELECT o.id, s.digest, h.lane, h.last_sequence, h.head_hash, (
      SELECT max(a.object_sequence) FROM audit_log a WHERE a.organization_id = $1 AND a.object_id = o.id
    ) AS entries
    FROM unnest($2::text[]) AS o (id) LEFT JOIN LATERAL (${stored.join(' UNION ALL ')} OFFSET 0) s ON true
      LEFT JOIN head h ON true`;
  statements.set(types.join(), statement);
  return statement;
};

/** The head is undefined where all are held. */
type Locked = { readonly head: LockedHead | undefined; readonly states: ReadonlyMap<string, ObjectState> };

const lockHead = async (
  { query, organizationId }: ChangeTransaction,
  changes: readonly ChangedObject[],
): Promise<Locked> => {
  const types = [...new Set(changes.map(({ objectType }) => objectType))].sort();
  const ids = [...new Set(changes.map(({ objectId }) => objectId))];
  const { rows } = await query<StateRow>(lockStatement(types), [organizationId, ids]);
  const [row] = rows;
  const states = new Map(
    rows.map(({ id, entries, digest }) => [id, { entries: Number(entries ?? 0n), digest: digest ?? undefined }]),
  );
  return { head: row && row.lane !== null ? headFromRow(row) : undefined, states };
};

type Unchained = Omit<ChainedEntry, 'lane' | 'sequence' | 'previousHash' | 'hash'>;

const chain = (head: LockedHead, entries: readonly Unchained[]): ChainedEntry[] => {
  let last = head as { readonly sequence: number; readonly hash: string };
  return entries.map((unchained) => {
    const entry = { ...unchained, lane: head.lane, sequence: last.sequence + 1 };
    const chained = { ...entry, previousHash: last.hash, hash: auditHash(last.hash, entry) };
    last = chained;
    return chained;
  });
};

const insertEntries = `WITH written AS (
    INSERT INTO audit_log (${auditColumns})
    SELECT $1, ${canonicalVersion}, $2, e.sequence, e.id, $3, e.actor, e.action, e.object_type, e.object_id,
      e.object_sequence, e.before_digest, e.after_digest, e.request_id, e.result, e.stored_digest, e.previous_hash,
      e.hash
    FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[],
      $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
      AS e (sequence, id, actor, action, object_type, object_id, object_sequence, before_digest, after_digest,
        request_id, result, stored_digest, previous_hash, hash)
  ), told AS (
    INSERT INTO outbox (organization_id, lane, sequence, id, type, object_type, object_id, occurred_at)
    SELECT $1, $2, o.sequence, o.id, o.type, o.object_type, o.object_id, $3
    FROM unnest($4::bigint[], $18::text[], $7::text[], $8::text[], $9::text[])
      AS o (sequence, id, type, object_type, object_id)
    WHERE o.id IS NOT NULL
  )
  UPDATE audit_heads SET last_sequence = $19, head_hash = $20 WHERE organization_id = $1 AND lane = $2`;

const writeEntries = async (
  { query, defer, organizationId }: ChangeTransaction,
  { lane }: LockedHead,
  entries: readonly ChainedEntry[],
  nowMs: number,
): Promise<void> => {
  const texts = (of: (entry: ChainedEntry) => string | null): Buffer => textArray(entries.map(of));
  const numbers = (of: (entry: ChainedEntry) => number): Buffer => bigintArray(entries.map(of));
  const last = entries.at(-1);
  const values = [
    organizationId,
    lane,
    new Date(nowMs),
    numbers(({ sequence }) => sequence),
    texts(({ id }) => id),
    texts(({ actor }) => actor),
    texts(({ action }) => action),
    texts(({ objectType }) => objectType),
    texts(({ objectId }) => objectId),
    numbers(({ objectSequence }) => objectSequence),
    texts(({ beforeDigest }) => beforeDigest ?? null),
    texts(({ afterDigest }) => afterDigest ?? null),
    texts(({ requestId }) => requestId ?? null),
    texts(({ result }) => result),
    texts(({ storedDigest: digest }) => digest ?? null),
    texts(({ previousHash }) => previousHash),
    texts(({ hash }) => hash),
    // That a lane was opened is no change of anything that a caller knows.
    texts(({ action }) => (action === laneOpened ? null : newId('evt'))),
    last?.sequence,
    last?.hash,
  ];
  if (defer) defer(insertEntries, values);
  else await query(insertEntries, values);
};

const opening = (organizationId: string, lane: number, nowMs: number): Omit<Unchained, 'id'> => ({
  organizationId,
  canonicalVersion,
  action: laneOpened,
  objectType: 'audit_lane',
  objectId: laneId(lane),
  objectSequence: 1,
  occurredAtMs: nowMs,
  actor: 'audit-log',
  requestId: undefined,
  result: 'done',
  storedDigest: undefined,
});

const isOf = (ahead: LookedAhead, changes: readonly Change[]): boolean =>
  changes.every(({ objectType, objectId }) => objectType === ahead.objectType && objectId === ahead.objectId);

/** In order. The changes of one call may be of several objects, and several of one object. */
export const recordChange: RecordChange = async (transaction, actor, changes, nowMs, ahead) => {
  if (changes.length === 0) return;
  const { organizationId } = transaction;
  const isKnown = ahead !== undefined && isOf(ahead, changes);
  const { head: free, states } = await (isKnown ? ahead.locked : lockHead(transaction, changes));
  const head = free ?? (await waitForHead(transaction, organizationId));
  const numbers = new Map<string, number>();
  const entries = changes.map((change): Omit<Unchained, 'id'> => {
    const { entries: before = 0, digest } = states.get(change.objectId) ?? {};
    const objectSequence = (numbers.get(change.objectId) ?? before) + 1;
    numbers.set(change.objectId, objectSequence);
    return {
      ...change,
      organizationId,
      canonicalVersion,
      objectSequence,
      occurredAtMs: nowMs,
      actor: actor.actor,
      requestId: actor.requestId,
      result: actor.result,
      storedDigest: digest,
    };
  });
  if (head.opens !== undefined) entries.push(opening(organizationId, head.opens, nowMs));
  // A clock may be set back between two ids, and lists break ties by them.
  const ids = entries.map(() => newId('aud')).sort();
  const chained = chain(
    head,
    entries.map((entry, index) => ({ ...entry, id: ids[index] as string })),
  );
  await writeEntries(transaction, head, chained, nowMs);
  if (head.opens !== undefined) await openLane(transaction, organizationId, head.opens, chained.at(-1)?.hash as string);
};

/**
 * Removes rows of the outbox that are older than 30 days by the clock of the database too, up to 5,000 of them;
 * resolves with how many. Callable from a job loop (job-loop.ts), which asks again at once where there were some.
 */
export const removeOldOutboxRows = async (postgres: Queryable, nowMs: number): Promise<number> => {
  const { rows } = await postgres.query<{ gone: bigint }>('SELECT remove_old_outbox_rows($1) AS gone', [
    new Date(nowMs),
  ]);
  return Number(rows[0]?.gone ?? 0n);
};
