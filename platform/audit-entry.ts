/**
 * The audit log: one entry per change, chained by hash within an organization: hash(n) = SHA-256 of hash(n-1) in lower-case hex, a line feed, and the entry's
 * RFC 8785 canonical form. Whoever changes, removes, inserts or reorders an entry breaks the chain at that row; rows cut off at the end differ from the head.
 */
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import canonicalize from 'canonicalize';

/** What the writer of a change knows of it. The digests are of what callers see of the object; absent where it did not exist yet, or ceased to. */
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
  readonly sequence: number;
  readonly occurredAtMs: number;
  /** The id of an API key, or the name of the process that acts by itself. */
  readonly actor: string;
  readonly requestId: string | undefined;
  /** The status of the answer, or `done`. */
  readonly result: string;
};

export type ChainedEntry = AuditEntry & { readonly previousHash: string; readonly hash: string };

export const auditGenesisHash = '0'.repeat(64);

/** Another set of fields must be another number, or old entries would stop verifying. */
const canonicalVersion = 1;

const canonicalEntry = (entry: AuditEntry): string =>
  canonicalize({
    canonical_version: canonicalVersion,
    id: entry.id,
    organization_id: entry.organizationId,
    sequence: entry.sequence,
    occurred_at: new Date(entry.occurredAtMs).toISOString(),
    actor: entry.actor,
    action: entry.action,
    object_type: entry.objectType,
    object_id: entry.objectId,
    before_digest: entry.beforeDigest ?? null,
    after_digest: entry.afterDigest ?? null,
    request_id: entry.requestId ?? null,
    result: entry.result,
  }) as string;

export const auditHash = (previousHash: string, entry: AuditEntry): string =>
  createHash('sha256').update(`${previousHash}\n${canonicalEntry(entry)}`, 'utf8').digest('hex');

export type AuditHead = { readonly sequence: number; readonly hash: string };

/** One step of a verification: why this entry is not the one that was written after `last`; undefined where it is. */
export const auditFault = (entry: ChainedEntry, last: AuditHead): string | undefined => {
  if (entry.sequence !== last.sequence + 1) return 'sequence_has_gap';
  if (entry.previousHash !== last.hash) return 'previous_hash_differs';
  return auditHash(last.hash, entry) === entry.hash ? undefined : 'hash_differs';
};

export type DigestOf = (json: unknown) => string;

/** A keyed digest: without the key, a reader of the log can't find out by trying which name or address an object had. */
export const createDigest = (secret: string): DigestOf => {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'millrace audit digest', 32));
  return (json) => createHmac('sha256', key).update(canonicalize(json) as string).digest('hex');
};
