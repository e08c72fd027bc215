/**
 * The lanes of an organization's audit log: how many there are, how a transaction comes by the head of one, and how one
 * more is opened. A head is locked until the transaction ends, so a lane's entries become visible in the order of their
 * sequence, and there is no gap whatever is rolled back.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '../stores/postgres.ts';
import type { AuditEntry } from './audit-entry.ts';
import { auditGenesisHash } from './audit-entry.ts';

/** As many changes of one organization go on at once; more than that wait. */
export const auditLanesMax = 32;

export type LaneHead = { readonly lane: number; readonly sequence: number; readonly hash: string };

/** `opens`: the lane that is to be opened with the next entries, which lie in lane 0. */
export type LockedHead = LaneHead & { readonly opens?: number };

export type HeadRow = { lane: number; last_sequence: bigint; head_hash: string };

export const headFromRow = (row: HeadRow): LaneHead => ({
  lane: row.lane,
  sequence: Number(row.last_sequence),
  hash: row.head_hash,
});

/**
 * One that nobody holds; a transaction that holds one already finds that one free. PostgreSQL gives what is locked as
 * it was committed last, though the statement began before that commit.
 */
export const selectFreeHead = `SELECT lane, last_sequence, head_hash FROM audit_heads
  WHERE organization_id = $1 ORDER BY lane LIMIT 1 FOR UPDATE SKIP LOCKED`;

const selectHead =
  'SELECT lane, last_sequence, head_hash FROM audit_heads WHERE organization_id = $1 AND lane = $2 FOR UPDATE';
const selectLanes = `SELECT count(*)::integer AS lanes, hashint8(pg_current_xact_id()::text::bigint) AS hash
  FROM audit_heads WHERE organization_id = $1`;

/**
 * In lane 0, with the organization's first change. Undefined where there is one; waits for whoever is just making it.
 */
const makeFirstLane = async (db: Queryable, organizationId: string): Promise<LockedHead | undefined> => {
  const { rowCount } = await db.query(
    `INSERT INTO audit_heads (organization_id, lane, last_sequence, head_hash) VALUES ($1, 0, 0, $2)
     ON CONFLICT DO NOTHING`,
    [organizationId, auditGenesisHash],
  );
  return rowCount ? { lane: 0, sequence: 0, hash: auditGenesisHash } : undefined;
};

const countLanes = async (db: Queryable, organizationId: string): Promise<{ lanes: number; hash: number }> =>
  (await db.query<{ lanes: number; hash: number }>(selectLanes, [organizationId])).rows[0] ?? { lanes: 0, hash: 0 };

/**
 * Where all heads are held. As long as there may be more lanes, whoever waits here opens the next one with its change,
 * so that there are soon as many as changes at once; it waits for lane 0, whose entries tell of the lanes, and which
 * makes that one opens after the other. A transaction that comes here holds no head of this organization, so it is no
 * part of a ring of those who wait for each other's heads.
 */
export const waitForHead = async (db: Queryable, organizationId: string): Promise<LockedHead> => {
  const first = await makeFirstLane(db, organizationId);
  if (first) return first;
  const { lanes, hash } = await countLanes(db, organizationId);
  const lane = lanes < auditLanesMax ? 0 : Math.abs(hash) % auditLanesMax;
  const { rows } = await db.query<HeadRow>(selectHead, [organizationId, lane]);
  assert(rows[0], `lane ${lane} of ${organizationId} has no head`);
  const head = headFromRow(rows[0]);
  if (lane !== 0) return head;
  // Others may have opened some meanwhile; with the lock of lane 0 the number stays.
  const { lanes: opened } = await countLanes(db, organizationId);
  return opened < auditLanesMax ? { ...head, opens: opened } : head;
};

/** The object of the entry that opens a lane. */
export const laneId = (lane: number): string => `lane_${lane}`;
export const laneOpened = 'audit_lane.opened';
const laneIdShape = /^lane_([1-9]\d?)$/;

/** The lane that an entry opened; undefined for any other. */
export const openedLane = ({ action, objectId }: Pick<AuditEntry, 'action' | 'objectId'>): number | undefined => {
  const lane = action === laneOpened ? laneIdShape.exec(objectId)?.[1] : undefined;
  return lane === undefined ? undefined : Number(lane);
};

/** The lane begins at the hash of the entry that opens it. */
export const openLane = async (db: Queryable, organizationId: string, lane: number, hash: string): Promise<void> => {
  await db.query('INSERT INTO audit_heads (organization_id, lane, last_sequence, head_hash) VALUES ($1, $2, 0, $3)', [
    organizationId,
    lane,
    hash,
  ]);
};
