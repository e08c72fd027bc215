/** One suite for the claims of ingest, run against the memory fake and against the script in a real Redis. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { AcceptPorts, Claim, ClaimAnswer } from '../../ingest/accept-events.ts';
import { createClaims } from '../../ingest/claims.redis.ts';
import { systemClock } from '../../platform/clock.ts';
import { startRedis } from '../../platform/local/redis.ts';
import { createLog } from '../../platform/log.ts';
import { connectRedis } from '../../platform/redis.ts';
import { createClaimsStore } from '../support/ingest-fakes.ts';

type Claims = AcceptPorts['claims'];
type Options = { readonly leaseSeconds: number; readonly windowSeconds: number; readonly claimsPerCallMax?: number };

const long: Options = { leaseSeconds: 15, windowSeconds: 3600 };

const claimOf = (replaced: Partial<Claim> = {}): Claim => ({
  digest: randomBytes(16),
  fingerprint: randomBytes(6),
  assignedMs: 0,
  ...replaced,
});
const otherPayload = (claim: Claim): Claim => ({ ...claim, fingerprint: randomBytes(6) });
const token = (): Buffer => randomBytes(4);

const contract = (open: (options: Options) => Promise<Claims>): void => {
  /** The one answer to the claim of one key. */
  const claimOne = async (claims: Claims, claim: Claim, by = token()): Promise<ClaimAnswer | undefined> =>
    (await claims.claim([claim], by))?.[0];

  it('a key that nobody claimed is won, with the time that was asked for', async () => {
    const claims = await open(long);
    for (const assignedMs of [0, 1, Date.UTC(2026, 10, 20), 2 ** 48 - 1]) {
      expect(await claimOne(claims, claimOf({ assignedMs }))).toEqual({ status: 'won', assignedMs, mayBeStored: false });
    }
  });

  it('a pending key is in flight for the same payload, and a conflict for another', async () => {
    const claims = await open(long);
    const claim = claimOf();
    await claimOne(claims, claim);
    expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
    expect(await claimOne(claims, otherPayload(claim))).toEqual({ status: 'conflict' });
    expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
  });

  it('[I4] a confirmed key is a duplicate for the same payload, and a conflict for another, which changes nothing', async () => {
    const claims = await open(long);
    const claim = claimOf();
    await claimOne(claims, claim);
    await claims.confirm([claim], 1);
    expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
    expect(await claimOne(claims, otherPayload(claim))).toEqual({ status: 'conflict' });
    expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
  });

  it('the answers come in the order of the claims', async () => {
    const claims = await open(long);
    const [fresh, pending, confirmed] = [claimOf({ assignedMs: 5 }), claimOf(), claimOf()];
    await claims.claim([pending, confirmed], token());
    await claims.confirm([confirmed], 9);
    const asked = [confirmed, fresh, otherPayload(confirmed), pending, otherPayload(pending), confirmed];
    expect((await claims.claim(asked, token()))?.map(({ status }) => status)).toEqual([
      'duplicate',
      'won',
      'conflict',
      'in_flight',
      'conflict',
      'duplicate',
    ]);
    expect(await claims.claim([], token())).toEqual([]);
  });

  it('a request of many keys gets all of its answers, in order', async () => {
    const claims = await open(long);
    const known = Array.from({ length: 1_300 }, () => claimOf());
    await claims.claim(known, token());
    await claims.confirm(known, 77);
    const asked = known.flatMap((claim) => [claim, claimOf()]);
    const answers = await claims.claim(asked, token());
    expect(answers).toHaveLength(2_600);
    expect(answers?.every(({ status }, index) => status === (index % 2 === 0 ? 'duplicate' : 'won'))).toBe(true);
  });

  it('keys, fingerprints and tokens are bytes, whatever they spell', async () => {
    const claims = await open(long);
    const bytes = ['\0', '\r\n', '{', '}', ':', 'P', 'C', '\xff', '%s', '"'];
    for (const text of bytes) {
      const fill = (length: number) => Buffer.alloc(length, text, 'latin1');
      const claim = claimOf({ digest: Buffer.concat([fill(8), randomBytes(8)]), fingerprint: fill(6), assignedMs: 0x0d0a0d0a0d0a });
      expect(await claimOne(claims, claim, fill(4))).toEqual({ status: 'won', assignedMs: 0x0d0a0d0a0d0a, mayBeStored: false });
      expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
      await claims.release([claim], fill(4));
      expect(await claimOne(claims, claim)).toMatchObject({ status: 'won' });
      await claims.confirm([claim], 0x0a0d0a0d);
      expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
    }
  });

  it('a confirmation can be repeated, and also stands for a key whose claim was lost', async () => {
    const claims = await open(long);
    const [claim, lost] = [claimOf(), claimOf()];
    await claimOne(claims, claim);
    await claims.confirm([claim, lost], 1);
    await claims.confirm([claim, lost], 2);
    expect(await claims.claim([claim, lost], token())).toEqual([{ status: 'duplicate' }, { status: 'duplicate' }]);
  });

  it('a confirmed key keeps its payload, whatever is confirmed later', async () => {
    const claims = await open(long);
    const claim = claimOf();
    await claims.confirm([claim], 1);
    await claims.confirm([otherPayload(claim)], 2);
    expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
  });

  it('a release frees the keys of its own token, and they are won as if nobody had claimed them', async () => {
    const claims = await open(long);
    const claim = claimOf({ assignedMs: 5 });
    const own = token();
    await claimOne(claims, claim, own);
    await claims.release([claim], token());
    expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
    await claims.release([claim], own);
    expect(await claimOne(claims, { ...otherPayload(claim), assignedMs: 6 })).toEqual({ status: 'won', assignedMs: 6, mayBeStored: false });
  });

  it('[I5] a release never frees a confirmed key', async () => {
    const claims = await open(long);
    const claim = claimOf();
    const own = token();
    await claimOne(claims, claim, own);
    await claims.confirm([claim], 1);
    await claims.release([claim], own);
    expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
  });

  it('of two clients that claim the same 1,000 keys at the same moment, each key is won by exactly one', async () => {
    const [one, two] = await Promise.all([open({ ...long, claimsPerCallMax: 40 }), open({ ...long, claimsPerCallMax: 70 })]);
    const asked = Array.from({ length: 1_000 }, () => claimOf());
    const backwards = asked.toReversed();
    const [ofOne, ofTwo] = await Promise.all([one.claim(asked, token()), two.claim(backwards, token())]);
    const pairs = asked.map((_, index) => [ofOne?.[index]?.status, ofTwo?.[999 - index]?.status].sort().join());
    expect(new Set(pairs)).toEqual(new Set(['in_flight,won']));
  });

  describe.concurrent('a claim whose lease ran out', () => {
    const short: Options = { leaseSeconds: 1, windowSeconds: 3600 };

    /** Claims until it is won, and says how long that took from the given moment. */
    const winAgain = async (claims: Claims, claim: Claim, by: Buffer): Promise<ClaimAnswer | undefined> =>
      vi.waitFor(
        async () => {
          const answer = await claimOne(claims, claim, by);
          expect(answer?.status).toBe('won');
          return answer;
        },
        { timeout: 5_000, interval: 20 },
      );

    it('is won again, not before its lease is over, with its first time and the word that it may be stored', async () => {
      const claims = await open(short);
      const claim = claimOf({ assignedMs: 1_795_000_000_000 });
      const begin = performance.now();
      await claimOne(claims, claim);
      const again = await winAgain(claims, { ...claim, assignedMs: 1_795_999_999_999 }, token());
      expect(performance.now() - begin).toBeGreaterThanOrEqual(1_000);
      expect(again).toEqual({ status: 'won', assignedMs: 1_795_000_000_000, mayBeStored: true });
      expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
      // The third owner is told the time of the first, not of the second.
      expect(await winAgain(claims, { ...claim, assignedMs: 1_796_000_000_000 }, token())).toEqual(again);
    });

    it('[I4] is still a conflict for another payload', async () => {
      const claims = await open(short);
      const [claim, beside] = [claimOf(), claimOf()];
      await claims.claim([claim, beside], token());
      await winAgain(claims, beside, token());
      expect(await claimOne(claims, otherPayload(claim))).toEqual({ status: 'conflict' });
      expect(await claimOne(claims, claim)).toMatchObject({ status: 'won', mayBeStored: true });
    });

    it('and was won again is not freed by a late release of its first owner', async () => {
      const claims = await open(short);
      const claim = claimOf();
      const [first, second] = [token(), token()];
      await claimOne(claims, claim, first);
      await winAgain(claims, claim, second);
      await claims.release([claim], first);
      expect(await claimOne(claims, claim)).toEqual({ status: 'in_flight' });
    });

    it('is confirmed by its first owner all the same: what that published is in the stream', async () => {
      const claims = await open(short);
      const claim = claimOf();
      const second = token();
      await claimOne(claims, claim);
      await winAgain(claims, claim, second);
      await claims.confirm([claim], 3);
      await claims.release([claim], second);
      expect(await claimOne(claims, claim)).toEqual({ status: 'duplicate' });
    });
  });

  it.concurrent('[I7] a confirmed key is remembered for a whole window, over its end, and forgotten after two', async () => {
    const windowMs = 2_000;
    const claims = await open({ leaseSeconds: 1, windowSeconds: 2 });
    const claim = claimOf();
    const begin = performance.now();
    await claimOne(claims, claim);
    await claims.confirm([claim], 1);
    let duplicates = 0;
    const elapsedMs = await vi.waitFor(
      async () => {
        const answer = await claimOne(claims, claim);
        if (answer?.status === 'duplicate') duplicates += 1;
        expect(answer).toEqual({ status: 'won', assignedMs: 0, mayBeStored: false });
        return performance.now() - begin;
      },
      { timeout: 10_000, interval: 10 },
    );
    expect(elapsedMs).toBeGreaterThanOrEqual(windowMs);
    expect(elapsedMs).toBeLessThanOrEqual(2 * windowMs + 1_500);
    expect(duplicates).toBeGreaterThan(10);
  });
};

describe('claims in memory', () => {
  const store = createClaimsStore(systemClock);
  contract(async (options) => store.open(options));
});

// Started before the tests are named, so that a machine without Redis shows them as skipped, with the reason above them.
const home = mkdtempSync(join(tmpdir(), 'millrace-claims-'));
const server = await startRedis({ home, log: { info: () => {}, warn: () => {} } }).catch((error: Error) => {
  console.warn(`claims in Redis are not tested: ${error.message}`);
  return undefined;
});

afterAll(async () => {
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

describe.skipIf(!server)('claims in Redis', () => {
  const connections: Redis[] = [];
  const commandTimeoutMs = 400;

  const connect = async (): Promise<Redis> => {
    const redis = connectRedis(server?.url ?? '', commandTimeoutMs, createLog('test', 'silent'));
    connections.push(redis);
    await redis.connect();
    return redis;
  };
  const open = async (options: Options, onFault: (error: unknown) => void = () => {}): Promise<Claims> =>
    createClaims(await connect(), { claimsPerCallMax: 1_000, ...options, onFault });

  afterAll(() => {
    for (const redis of connections) redis.disconnect();
  });

  contract((options) => open(options));

  it('[I10] every key that they leave in Redis expires, and is kept in the compact form', async () => {
    const redis = await connect();
    await redis.flushall();
    const claims = await open(long);
    const asked = Array.from({ length: 2_000 }, () => claimOf());
    await claims.claim(asked, token());
    await claims.confirm(asked.slice(0, 1_000), 1);
    await claims.confirm([claimOf()], 2);
    const keys = await redis.keysBuffer('*');
    expect(keys.length).toBeGreaterThan(1_000);
    for (const key of keys) {
      const ttl = await redis.ttl(key);
      expect(ttl).toBeGreaterThan(long.windowSeconds);
      expect(ttl).toBeLessThanOrEqual(2 * long.windowSeconds + long.leaseSeconds);
      expect(await redis.object('ENCODING', key)).toBe('listpack');
    }
  });

  it('a Redis that hangs answers undefined within the time of a command, and says why', async () => {
    const faults: unknown[] = [];
    const claims = await open(long, (error) => faults.push(error));
    await claims.claim([claimOf()], token());
    process.kill(server?.pid ?? 0, 'SIGSTOP');
    try {
      const begin = performance.now();
      expect(await claims.claim([claimOf(), claimOf()], token())).toBeUndefined();
      expect(performance.now() - begin).toBeLessThan(commandTimeoutMs + 600);
      await claims.confirm([claimOf()], 1);
      await claims.release([claimOf()], token());
      expect(faults).toHaveLength(3);
    } finally {
      process.kill(server?.pid ?? 0, 'SIGCONT');
    }
  });

  it('a Redis that is down answers undefined at once; back with nothing in memory, not even the scripts, it claims again', async () => {
    const faults: unknown[] = [];
    const claims = await open({ ...long, claimsPerCallMax: 2 }, (error) => faults.push(error));
    const asked = Array.from({ length: 5 }, () => claimOf());
    expect((await claims.claim(asked, token()))?.length).toBe(5);
    await server?.stop();
    const begin = performance.now();
    expect(await claims.claim(asked, token())).toBeUndefined();
    await claims.confirm(asked, 1);
    await claims.release(asked, token());
    expect(performance.now() - begin).toBeLessThan(500);
    expect(faults.length).toBeGreaterThanOrEqual(3);
    await server?.restart();
    const answers = await vi.waitFor(
      async () => {
        const found = await claims.claim(
          Array.from({ length: 5 }, () => claimOf()),
          token(),
        );
        expect(found).toBeDefined();
        return found;
      },
      { timeout: 10_000, interval: 20 },
    );
    expect(answers?.map(({ status }) => status)).toEqual(['won', 'won', 'won', 'won', 'won']);
  });
});
