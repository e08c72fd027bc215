/**
 * One suite for the claims of ingest, run against the memory fake and against the scripts in a real Redis: leases and
 * windows.
 */
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../platform/process/clock.ts';
import { answerTo, ask, type Claims, newClaim, newClaims, otherPayload, statusesOf } from '../support/claim-records.ts';
import { type ClaimsSubject, holdClaims } from '../support/claims-subject.ts';
import type { ClaimsOptions } from '../support/memory-claims.ts';

const short: ClaimsOptions = { leaseSeconds: 1, windowSeconds: 3600 };

/** Claims until the lease of the first try is over, and gives the answer that took over. */
const takeOver = (claims: Claims, claim: Buffer, assignedMs = 0) =>
  vi.waitFor(
    async () => {
      const answer = await answerTo(claims, [claim], assignedMs);
      expect(answer.exceptions[0]?.status).toBe('taken_over');
      return answer;
    },
    { timeout: 60_000, interval: 20 },
  );

const leases = ({ open }: ClaimsSubject): void => {
  it('is taken over, not before its lease is over, and keeps the time that its first try was given', async () => {
    const claims = await open(short);
    const claim = newClaim();
    const begin = performance.now();
    await answerTo(claims, [claim], 1_795_000_000_000);
    const { exceptions } = await takeOver(claims, claim, 1_795_999_999_999);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(1_000);
    expect(exceptions).toEqual([{ position: 0, status: 'taken_over', batch: 0, assignedMs: 1_795_000_000_000 }]);
    expect(await ask(claims, claim)).toEqual(['in_flight']);
    // The third owner is told the time of the first, not of the second.
    expect((await takeOver(claims, claim, 1_796_000_000_000)).exceptions).toEqual(exceptions);
  });

  it('keeps its first time also beside others, taken over and new, in one call', async () => {
    const claims = await open(short);
    const [one, two, fresh] = newClaims(3) as [Buffer, Buffer, Buffer];
    await answerTo(claims, [one], 111);
    await answerTo(claims, [two], 222);
    await takeOver(claims, two, 999);
    // Claimed last, so when its lease is over the others' are, too.
    const last = newClaim();
    await answerTo(claims, [last], 888);
    await takeOver(claims, last, 777);
    const answer = await answerTo(claims, [fresh, two, one], 333);
    expect(answer.exceptions.map(({ status }) => status)).toEqual(['taken_over', 'taken_over']);
    expect(answer.exceptions.map(({ position, assignedMs }) => [position, assignedMs])).toEqual([
      [1, 222],
      [2, 111],
    ]);
  });

  it('[I4] is still a conflict for another payload', async () => {
    const claims = await open(short);
    const [claim, beside] = newClaims(2) as [Buffer, Buffer];
    await answerTo(claims, [claim, beside]);
    await takeOver(claims, beside);
    expect(await ask(claims, otherPayload(claim))).toEqual(['conflict']);
    expect(await ask(claims, claim)).toEqual(['taken_over']);
  });

  it('is not freed by a late release of its first owner, and not confirmed by its confirmation', async () => {
    const claims = await open(short);
    const claim = newClaim();
    const first = await answerTo(claims, [claim]);
    const second = await takeOver(claims, claim);
    await claims.release(first.batch);
    expect((await answerTo(claims, [claim])).exceptions).toMatchObject([{ status: 'in_flight', batch: second.batch }]);
    await claims.confirm(second.batch, 3);
    expect(await ask(claims, claim)).toEqual(['duplicate']);
  });

  it('is confirmed by its owner all the same, as long as nobody took it over: what that published is in the stream', async () => {
    const claims = await open(short);
    const [claim, beside] = newClaims(2) as [Buffer, Buffer];
    const { batch } = await answerTo(claims, [claim, beside]);
    await takeOver(claims, beside);
    await claims.confirm(batch, 3);
    expect(await ask(claims, claim)).toEqual(['duplicate']);
  });
};

const windowsOf = ({ open }: ClaimsSubject): void => {
  const options: ClaimsOptions = { leaseSeconds: 1, windowSeconds: 2 };
  /**
   * How long a key is remembered from now on, by somebody who asks all the time with another payload and so changes
   * nothing.
   */
  const forgotten = async (claims: Claims, claim: Buffer) => {
    const begin = performance.now();
    await vi.waitFor(async () => expect(await ask(claims, otherPayload(claim))).not.toEqual(['conflict']), {
      timeout: 60_000,
      interval: 10,
    });
    return performance.now() - begin;
  };
  /** Waits for a moment of the next window, by the clock that Redis has, too. */
  const nextWindow = (atMs = 0) => {
    const window = () => Math.floor((systemClock.nowMs() - atMs) / 1000 / options.windowSeconds);
    const begin = window();
    return vi.waitFor(() => expect(window()).toBeGreaterThan(begin), { timeout: 60_000, interval: 10 });
  };

  it('[I7] a confirmed key is remembered for a whole window, over its end, and forgotten after two', async () => {
    const claims = await open(options);
    const claim = newClaim();
    const { batch } = await answerTo(claims, [claim]);
    await claims.confirm(batch, 1);
    const elapsedMs = await forgotten(claims, claim);
    expect(elapsedMs).toBeGreaterThanOrEqual(2_000 - 50);
    expect(elapsedMs).toBeLessThanOrEqual(4_000 + 5_000);
  });

  it('a key of the older window is in flight, a duplicate or a conflict as before', async () => {
    const claims = await open({ ...options, leaseSeconds: 300 });
    const [pending, confirmed] = newClaims(2) as [Buffer, Buffer];
    const { batch } = await answerTo(claims, [pending]);
    await claims.confirm((await answerTo(claims, [confirmed])).batch, 1);
    await nextWindow();
    const answer = await answerTo(claims, [pending, confirmed, otherPayload(pending), otherPayload(confirmed)]);
    expect(statusesOf(answer, 4)).toEqual(['in_flight', 'duplicate', 'in_flight', 'conflict']);
    for (const position of [0, 2]) expect(answer.exceptions[position]?.batch).toBe(batch);
  });

  it.each([
    ['taken over', async (_claims: Claims, _batch: number) => {}],
    ['released and won again', async (claims: Claims, batch: number) => claims.release(batch)],
  ])(
    '[I7] a key of the older window that is %s is remembered for a whole window from then on',
    async (_how, settle) => {
      const claims = await open(options);
      const claim = newClaim();
      await nextWindow();
      await settle(claims, (await answerTo(claims, [claim])).batch);
      // Late in the next one, after the lease.
      await nextWindow(1_500);
      await nextWindow(1_500);
      const answer = await answerTo(claims, [claim]);
      expect(statusesOf(answer, 1)[0]).toMatch(/won|taken_over/);
      await claims.confirm(answer.batch, 1);
      expect(await ask(claims, claim)).toEqual(['duplicate']);
      expect(await forgotten(claims, claim)).toBeGreaterThanOrEqual(2_000 - 50);
    },
  );
};

await holdClaims(
  (subject) => {
    describe('a claim whose lease ran out', () => leases(subject));
    describe('the window', () => windowsOf(subject));
  },
  { concurrent: true },
);
