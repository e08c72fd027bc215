import canonicalize from 'canonicalize';
import { describe, expect, it } from 'vitest';
import {
  type AuditEntry,
  auditFault,
  auditGenesisHash,
  auditHash,
  type ChainedEntry,
  canonicalEntry,
  createDigest,
} from '#platform/audit/audit-entry.ts';
import { auditExamples } from '../../../support/audit-examples.ts';

const entry = (sequence: number): AuditEntry => ({
  id: `aud_${sequence}`,
  organizationId: 'org_1',
  canonicalVersion: 3,
  lane: 2,
  sequence,
  objectSequence: 4,
  occurredAtMs: 1_800_000_000_000 + sequence,
  actor: 'key_1',
  action: 'customer.created',
  objectType: 'customer',
  objectId: 'cus_"\u2028é\\',
  beforeDigest: undefined,
  afterDigest: 'ab',
  requestId: undefined,
  result: '201',
  storedDigest: '1:ef',
});

const chainOf = (length: number): ChainedEntry[] => {
  const chain: ChainedEntry[] = [];
  for (let sequence = 1; sequence <= length; sequence += 1) {
    const previousHash = chain.at(-1)?.hash ?? auditGenesisHash;
    chain.push({ ...entry(sequence), previousHash, hash: auditHash(previousHash, entry(sequence)) });
  }
  return chain;
};

const firstFault = (chain: readonly ChainedEntry[]): [number, string] | undefined => {
  let last = { sequence: 0, hash: auditGenesisHash };
  for (const one of chain) {
    const fault = auditFault(one, last);
    if (fault) return [one.sequence, fault];
    last = one;
  }
  return undefined;
};

describe('the chain of the audit log', () => {
  it.each([
    ['with all fields', { ...entry(7), beforeDigest: 'cd', requestId: 'req_1' }],
    ['with what may be absent', entry(7)],
    ['without a stored digest', { ...entry(7), storedDigest: undefined }],
    ['from before there were lanes', { ...entry(7), canonicalVersion: 2, lane: 0 }],
    ['from before there were stored digests', { ...entry(7), canonicalVersion: 1, lane: 0, storedDigest: undefined }],
  ])('hashes the RFC 8785 form of an entry %s', (_, one) => {
    const canonical = canonicalEntry(one);
    expect(canonical).toBe(canonicalize(JSON.parse(canonical)));
    expect(Object.keys(JSON.parse(canonical))).toHaveLength([13, 14, 16][one.canonicalVersion - 1] as number);
    expect(JSON.parse(canonical).canonical_version).toBe(one.canonicalVersion);
  });

  it('has one hash that anyone can compute', () => {
    // printf '%064d\n{"action":...}' 0 | sha256sum
    const before = { ...entry(1), canonicalVersion: 1, objectId: 'cus_1', storedDigest: undefined };
    expect(auditHash(auditGenesisHash, before)).toBe(
      '345ee3abb9777e2a10ce2e3bb7c7d2acae9b47d6667e128c4d207a90adcf726a',
    );
    expect(auditHash(auditGenesisHash, { ...before, canonicalVersion: 2, storedDigest: '1:ef' })).toBe(
      '08f984fe0250153cf0c2f8f5a8158da02d4cc91ea5eb59c6a148aafa6a509b87',
    );
    expect(auditHash(auditGenesisHash, { ...before, canonicalVersion: 3, storedDigest: '1:ef' })).toBe(
      '3be829b6d2508a041fbc0c9b379d7aee18ac6fc0eece9a590131688b4105c7a4',
    );
  });

  it('holds for entries of forms 1 and 2 as they were stored', () => {
    expect(firstFault(auditExamples)).toBeUndefined();
    for (const [index, one] of auditExamples.entries())
      expect(auditHash(auditExamples[index - 1]?.hash ?? auditGenesisHash, one)).toBe(one.hash);
  });

  it.each([
    ['a form that there is none of', 3, { canonicalVersion: 4 }],
    ['form 0', 1, { canonicalVersion: 0 }],
    ['the form before', 3, { canonicalVersion: 1 }],
    ['the form behind', 2, { canonicalVersion: 2 }],
    ['a lane, which its form does not know', 2, { lane: 1 }],
    ['a stored digest, which its form does not know', 2, { storedDigest: '1:ef' }],
  ])('is broken by a row that says %s', (_, sequence, change) => {
    const chain = auditExamples.map((one) => (one.sequence === sequence ? { ...one, ...change } : one));
    expect(firstFault(chain)).toEqual([sequence, 'hash_differs']);
  });

  it('holds as it was written', () => {
    expect(firstFault(chainOf(5))).toBeUndefined();
  });

  it.each(Object.keys(entry(1)).map((field) => [field]))('is broken by a change of %s, at that row', (field) => {
    const chain = chainOf(5);
    const row = chain[2] as ChainedEntry;
    const value = row[field as keyof AuditEntry];
    chain[2] = { ...row, [field]: typeof value === 'number' ? value + 1 : `${value ?? ''}x` };
    expect(firstFault(chain)).toEqual([
      field === 'sequence' ? 4 : 3,
      field === 'sequence' ? 'sequence_has_gap' : 'hash_differs',
    ]);
  });

  it.each([
    ['removed', (chain: ChainedEntry[]) => chain.splice(1, 1), [3, 'sequence_has_gap']],
    ['reordered', (chain: ChainedEntry[]) => chain.reverse(), [5, 'sequence_has_gap']],
    [
      'renumbered after a removal',
      (chain: ChainedEntry[]) =>
        chain.splice(1, 4, ...chain.slice(2).map((row) => ({ ...row, sequence: row.sequence - 1 }))),
      [2, 'previous_hash_differs'],
    ],
  ] as const)('is broken where a row was %s', (_, tamper, expected) => {
    const chain = chainOf(5);
    tamper(chain);
    expect(firstFault(chain)).toEqual(expected);
  });
});

describe('the digest of an object', () => {
  it('is that of its canonical form, and can be computed under the key alone', () => {
    const digest = createDigest('a secret of this installation');
    expect(digest({ a: 1, b: 'x' })).toBe(digest({ b: 'x', a: 1 }));
    expect(digest({ a: 1 })).not.toBe(digest({ a: 2 }));
    expect(digest({ a: 1 })).not.toBe(createDigest('another secret')({ a: 1 }));
  });
});
