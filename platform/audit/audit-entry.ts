/**
 * The audit log: one entry per change. The entries of an organization stand in some lanes, so that changes at once
 * don't wait for each other; each lane is a chain by hash of its own, without a gap: hash(n) = SHA-256 of hash(n-1) in
 * lower-case hex, a line feed, and the entry's canonical form.
 *
 * What holds the lanes together: lane 0 begins at the genesis hash, and has an entry of the opening of each other lane,
 * which begins at the hash of that entry. And the entries of an object are numbered without a gap, whichever lanes they
 * stand in.
 *
 * Whoever changes, removes, inserts or reorders an entry breaks its lane at that row; rows cut off at the end differ
 * from the head of the lane, and a lane that is gone as a whole is missed where lane 0 opened it. An entry that was
 * taken away with its head set back to before it is missed where its object has a later entry, has a version that
 * counts its entries, or was digested as the entry left it (api/verify/verify-changes.postgres.ts). Not missed is what
 * was done so to all of these at once, or a lane that was written anew from some entry on with its head: that takes an
 * anchor from before (api/verify/anchors.ts).
 */
import assert from 'node:assert/strict';
import { createHmac, hash, hkdfSync } from 'node:crypto';
import canonicalize from 'canonicalize';

/**
 * What the writer of a change knows of it. The digests are of what callers see of the object; absent where it did not
 * exist yet, or ceased to.
 */
export type Change = {
  /** `customer.created` */
  readonly action: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly beforeDigest?: string | undefined;
  readonly afterDigest?: string | undefined;
};

export type AuditEntry = Change & {
  readonly id: string;
  readonly organizationId: string;
  /** Which set of fields is hashed, and how. */
  readonly canonicalVersion: number;
  readonly lane: number;
  /** In the lane, without a gap from 1 on. */
  readonly sequence: number;
  /** Of the entries of this object within the organization, without a gap from 1 on. Lanes have no order; this has. */
  readonly objectSequence: number;
  readonly occurredAtMs: number;
  /** The id of an API key, or the name of the process that acts by itself. */
  readonly actor: string;
  readonly requestId: string | undefined;
  /** The status of the answer, or `done`. */
  readonly result: string;
  /** Of the rows of the object after the change (stored-digest.ts). Entries from before there was one have none. */
  readonly storedDigest: string | undefined;
};

export type ChainedEntry = AuditEntry & { readonly previousHash: string; readonly hash: string };

export const auditGenesisHash = '0'.repeat(64);

/*
 * The canonical forms are RFC 8785. It wants the keys in this order; with that JSON.stringify is all there is to it, at
 * a third of the time of a library that sorts them anew. A function that entries were written by never changes: another
 * set of fields is another function and another number, or old entries would stop verifying.
 */

/** From before there were stored digests. */
const canonicalEntryV1 = (entry: AuditEntry): string =>
  JSON.stringify({
    action: entry.action,
    actor: entry.actor,
    after_digest: entry.afterDigest ?? null,
    before_digest: entry.beforeDigest ?? null,
    canonical_version: 1,
    id: entry.id,
    object_id: entry.objectId,
    object_type: entry.objectType,
    occurred_at: new Date(entry.occurredAtMs).toISOString(),
    organization_id: entry.organizationId,
    request_id: entry.requestId ?? null,
    result: entry.result,
    sequence: entry.sequence,
  });

/** From before there were lanes. */
const canonicalEntryV2 = (entry: AuditEntry): string =>
  JSON.stringify({
    action: entry.action,
    actor: entry.actor,
    after_digest: entry.afterDigest ?? null,
    before_digest: entry.beforeDigest ?? null,
    canonical_version: 2,
    id: entry.id,
    object_id: entry.objectId,
    object_type: entry.objectType,
    occurred_at: new Date(entry.occurredAtMs).toISOString(),
    organization_id: entry.organizationId,
    request_id: entry.requestId ?? null,
    result: entry.result,
    sequence: entry.sequence,
    stored_digest: entry.storedDigest ?? null,
  });

const canonicalEntryV3 = (entry: AuditEntry): string =>
  JSON.stringify({
    action: entry.action,
    actor: entry.actor,
    after_digest: entry.afterDigest ?? null,
    before_digest: entry.beforeDigest ?? null,
    canonical_version: 3,
    id: entry.id,
    lane: entry.lane,
    object_id: entry.objectId,
    object_sequence: entry.objectSequence,
    object_type: entry.objectType,
    occurred_at: new Date(entry.occurredAtMs).toISOString(),
    organization_id: entry.organizationId,
    request_id: entry.requestId ?? null,
    result: entry.result,
    sequence: entry.sequence,
    stored_digest: entry.storedDigest ?? null,
  });

/** Of entries that are written now. */
export const canonicalVersion = 3;

const canonicalForms: ReadonlyMap<number, (entry: AuditEntry) => string> = new Map([
  [1, canonicalEntryV1],
  [2, canonicalEntryV2],
  [canonicalVersion, canonicalEntryV3],
]);

/** The first one says nothing of a digest that the row has, and neither says which lane it stands in. */
const isOfItsVersion = ({ canonicalVersion: version, lane, storedDigest }: AuditEntry): boolean =>
  canonicalForms.has(version) && (version > 2 || lane === 0) && (version !== 1 || storedDigest === undefined);

/** The entry must be of a version that there is. */
export const canonicalEntry = (entry: AuditEntry): string => {
  const form = canonicalForms.get(entry.canonicalVersion);
  assert(form, `there is no canonical form ${entry.canonicalVersion}`);
  return form(entry);
};

export const auditHash = (previousHash: string, entry: AuditEntry): string =>
  hash('sha256', `${previousHash}\n${canonicalEntry(entry)}`, 'hex');

export type AuditHead = { readonly sequence: number; readonly hash: string };

/** One step of a verification: why this entry is not the one that was written after `last`; undefined where it is. */
export const auditFault = (entry: ChainedEntry, last: AuditHead): string | undefined => {
  if (entry.sequence !== last.sequence + 1) return 'sequence_has_gap';
  if (entry.previousHash !== last.hash) return 'previous_hash_differs';
  if (!isOfItsVersion(entry)) return 'hash_differs';
  return auditHash(last.hash, entry) === entry.hash ? undefined : 'hash_differs';
};

export type DigestOf = (json: unknown) => string;

/**
 * A keyed digest: without the key, a reader of the log can't find out by trying which name or address an object had.
 */
export const createDigest = (secret: string): DigestOf => {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'millrace audit digest', 32));
  return (json) =>
    createHmac('sha256', key)
      .update(canonicalize(json) as string)
      .digest('hex');
};
