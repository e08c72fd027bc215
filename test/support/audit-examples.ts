/**
 * Entries of the audit log as earlier versions wrote them, with the hashes that those computed: two from before there
 * were stored digests (form 1), two from before there were lanes (form 2). Together one chain. Hashes are for good: a
 * test that these fail has found a change that makes stored entries stop verifying.
 */
import type { ChainedEntry } from '#platform/audit/audit-entry.ts';

const organizationId = 'org_019ad20f5b7c7d0e9f1a2b3c4d5e6f70';
const keyId = 'key_019ad20f5b7c7d0e9f1a2b3c4d5e6f73';
const customerId = 'cus_019ad20f5b7c7d0e9f1a2b3c4d5e6f74';
const hashes = [
  '0'.repeat(64),
  '3bf35e946a66427a906fe01dd54dbab6e87c495f61f9b25f4f6b7748dcd5bf05',
  '19fe4335aa57c0cf8f370aa8ac28a26d46578ce99f6db8380547ac864d8f86b7',
  '32848fccc10d153bab21bb2fdc032c7bbf765186410f99ccc40e3260f13862a4',
  '3b0affd13874db5d9d2ab4a977d5774365768ff9798bb8f01a76c7b55a381375',
] as const;

const none = { beforeDigest: undefined, afterDigest: undefined, requestId: undefined, storedDigest: undefined };
const placed = (sequence: 1 | 2 | 3 | 4) => ({
  organizationId,
  lane: 0,
  sequence,
  previousHash: hashes[sequence - 1] as string,
  hash: hashes[sequence] as string,
});

export const auditExamples: readonly ChainedEntry[] = [
  {
    ...none,
    ...placed(1),
    canonicalVersion: 1,
    objectSequence: 1,
    id: 'aud_019ad20f5b7c7d0e9f1a2b3c4d5e6f71',
    occurredAtMs: Date.UTC(2026, 10, 21, 8, 0, 0, 0),
    actor: 'bootstrap',
    action: 'organization.created',
    objectType: 'organization',
    objectId: organizationId,
    result: 'done',
  },
  {
    ...none,
    ...placed(2),
    canonicalVersion: 1,
    objectSequence: 1,
    id: 'aud_019ad20f5b7c7d0e9f1a2b3c4d5e6f72',
    occurredAtMs: Date.UTC(2026, 10, 21, 8, 0, 1, 25),
    actor: keyId,
    action: 'customer.created',
    objectType: 'customer',
    objectId: customerId,
    afterDigest: 'ab'.repeat(32),
    requestId: 'req_"\u2028é',
    result: '201',
  },
  {
    ...placed(3),
    canonicalVersion: 2,
    objectSequence: 2,
    id: 'aud_019ad20f5b7c7d0e9f1a2b3c4d5e6f75',
    occurredAtMs: Date.UTC(2026, 10, 28, 9, 30, 0, 999),
    actor: keyId,
    action: 'customer.updated',
    objectType: 'customer',
    objectId: customerId,
    beforeDigest: 'ab'.repeat(32),
    afterDigest: 'cd'.repeat(32),
    requestId: 'req_2',
    result: '200',
    storedDigest: `1:${'ef'.repeat(32)}`,
  },
  {
    ...none,
    ...placed(4),
    canonicalVersion: 2,
    objectSequence: 3,
    id: 'aud_019ad20f5b7c7d0e9f1a2b3c4d5e6f76',
    occurredAtMs: Date.UTC(2026, 10, 28, 9, 31, 0, 0),
    actor: 'rotate-keys',
    action: 'customer.resealed',
    objectType: 'customer',
    objectId: customerId,
    result: 'done',
    storedDigest: `1:${'01'.repeat(32)}`,
  },
];
