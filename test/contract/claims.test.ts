/**
 * One suite for the claims of ingest, run against the memory fake and against the scripts in a real Redis: what is
 * claimed, and what becomes of it.
 */
import { describe, expect, it } from 'vitest';
import { claimBytes } from '../../ingest/parse/event-block.ts';
import {
  answerTo,
  ask,
  type Claims,
  neighbour,
  newClaim,
  newClaims,
  otherPayload,
  statusesOf,
} from '../support/claim-records.ts';
import { type ClaimsSubject, holdClaims } from '../support/claims-subject.ts';
import type { ClaimsOptions } from '../support/memory-claims.ts';

const long: ClaimsOptions = { leaseSeconds: 15, windowSeconds: 3600 };
const short: ClaimsOptions = { leaseSeconds: 1, windowSeconds: 3600 };

const claiming = ({ open }: ClaimsSubject): void => {
  it('a key that nobody claimed is won: only what is not won is named', async () => {
    const claims = await open(long);
    const answer = await answerTo(claims, newClaims(3));
    expect(answer.exceptions).toEqual([]);
    expect(answer.batch).toBeGreaterThan(0);
  });

  it('each call has a batch of its own, also one that wins nothing', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const batches = [];
    for (let call = 0; call < 5; call += 1) batches.push((await answerTo(claims, [claim])).batch);
    expect(new Set(batches).size).toBe(5);
  });

  it('a pending key is in flight, of the batch that has it: another payload of a key that is being worked on waits until that is decided', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const { batch } = await answerTo(claims, [newClaim(), claim]);
    const other = otherPayload(claim);
    for (const asked of [claim, other])
      expect((await answerTo(claims, [asked])).exceptions).toEqual([
        { position: 0, status: 'in_flight', batch, assignedMs: 0 },
      ]);
    expect(await ask(claims, claim)).toEqual(['in_flight']);
    await claims.confirm(batch, 1);
    expect(await ask(claims, other, claim)).toEqual(['conflict', 'duplicate']);
  });

  it('[I4] a confirmed key is a duplicate for the same payload, and a conflict for another, which changes nothing', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const { batch } = await answerTo(claims, [claim]);
    await claims.confirm(batch, 1);
    expect((await answerTo(claims, [claim])).exceptions).toEqual([
      { position: 0, status: 'duplicate', batch: 0, assignedMs: 0 },
    ]);
    expect(await ask(claims, otherPayload(claim))).toEqual(['conflict']);
    expect(await ask(claims, claim)).toEqual(['duplicate']);
  });

  it('twins in one call are told apart: the first wins, its like is in flight of its own batch, another payload is a conflict', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const answer = await answerTo(claims, [newClaim(), claim, claim, otherPayload(claim)]);
    expect(statusesOf(answer, 4)).toEqual(['won', 'won', 'in_flight', 'conflict']);
    expect(answer.exceptions[0]?.batch).toBe(answer.batch);
  });

  it('keys that share a bucket are keys of their own', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const near = neighbour(claim);
    expect(await ask(claims, claim, near, claim, near)).toEqual(['won', 'won', 'in_flight', 'in_flight']);
  });

  it('what was not won is named by its position, in order, among as many as a message has', async () => {
    const claims = await open(long);
    const known = newClaims(1_300);
    const { batch } = await answerTo(claims, known);
    await claims.confirm(batch, 77);
    const { exceptions } = await answerTo(
      claims,
      known.flatMap((claim) => [claim, newClaim()]),
    );
    expect(exceptions.map(({ position }) => position)).toEqual(known.map((_, index) => 2 * index));
    expect(new Set(exceptions.map(({ status }) => status))).toEqual(new Set(['duplicate']));
  });

  it('keys, fingerprints and times are bytes, whatever they spell', async () => {
    const claims = await open(short);
    for (const text of ['\0', '\r\n', '{', '}', ':', 'P', 'C', 'R', '\xff', '%s', '"']) {
      const claim = Buffer.concat([
        Buffer.alloc(8, text, 'latin1'),
        newClaim().subarray(0, 2),
        Buffer.alloc(claimBytes - 10, text, 'latin1'),
      ]);
      const { batch, exceptions } = await answerTo(claims, [claim], 0x0d0a0d0a0d0a);
      expect(exceptions).toEqual([]);
      expect(await ask(claims, claim)).toEqual(['in_flight']);
      await claims.confirm(batch, 0x0a0d0a0d);
      expect(await ask(claims, claim)).toEqual(['duplicate']);
    }
  });

  it('of two clients that claim the same 1,000 keys at the same moment, each key is won by exactly one', async () => {
    const [one, two] = await Promise.all([open(long), open(long)]);
    const asked = newClaims(1_000);
    const pieces = (of: readonly Buffer[], size: number) =>
      Array.from({ length: Math.ceil(of.length / size) }, (_, piece) => of.slice(piece * size, (piece + 1) * size));
    const all = async (claims: Claims, of: readonly Buffer[], size: number) =>
      (await Promise.all(pieces(of, size).map((piece) => ask(claims, ...piece)))).flat();
    const [ofOne, ofTwo] = await Promise.all([all(one, asked, 40), all(two, asked.toReversed(), 70)]);
    const pairs = asked.map((_, index) => [ofOne[index], ofTwo[999 - index]].sort().join());
    expect(new Set(pairs)).toEqual(new Set(['in_flight,won']));
  });
};

const settling = ({ open }: ClaimsSubject): void => {
  it('a confirmation stands for all keys of its batch, can be repeated, and is not undone by a later release', async () => {
    const claims = await open(long);
    const asked = newClaims(300);
    const { batch } = await answerTo(claims, asked);
    await claims.confirm(batch, 1);
    await claims.confirm(batch, 2);
    await claims.release(batch);
    expect(new Set(await ask(claims, ...asked))).toEqual(new Set(['duplicate']));
  });

  it('a confirmation says nothing of the keys that another batch has', async () => {
    const claims = await open(long);
    const [claim, beside] = newClaims(2) as [Buffer, Buffer];
    await answerTo(claims, [claim]);
    const { batch } = await answerTo(claims, [claim, beside]);
    await claims.confirm(batch, 1);
    expect(await ask(claims, claim, beside)).toEqual(['in_flight', 'duplicate']);
  });

  it('a release frees the keys of its batch, and they are won as if nobody had claimed them, by any payload', async () => {
    const claims = await open(long);
    const [claim, other, still] = newClaims(3) as [Buffer, Buffer, Buffer];
    await answerTo(claims, [still]);
    const { batch } = await answerTo(claims, [claim, other, still], 5);
    await claims.release(batch);
    expect(await ask(claims, otherPayload(claim), other, still)).toEqual(['won', 'won', 'in_flight']);
    expect(await ask(claims, claim, other)).toEqual(['in_flight', 'in_flight']);
  });

  it('a key that was released and won again belongs to its new batch only', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const first = await answerTo(claims, [claim]);
    await claims.release(first.batch);
    const second = await answerTo(claims, [claim]);
    await claims.release(first.batch);
    await claims.confirm(first.batch, 1);
    expect((await answerTo(claims, [claim])).exceptions).toMatchObject([{ status: 'in_flight', batch: second.batch }]);
  });

  it('[I5] a release never frees a confirmed key', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const { batch } = await answerTo(claims, [claim]);
    await claims.confirm(batch, 1);
    await claims.release(batch);
    expect(await ask(claims, claim)).toEqual(['duplicate']);
  });

  it('a confirmation or a release of a batch that nobody knows harms nothing', async () => {
    const claims = await open(long);
    const claim = newClaim();
    const { batch } = await answerTo(claims, [claim]);
    await claims.release(batch + 1_000_000);
    await claims.confirm(batch + 1_000_000, 5);
    expect(await ask(claims, claim)).toEqual(['in_flight']);
  });
};

const emptied = ({ open, empty }: ClaimsSubject): void => {
  it('[I5] takes a confirmation from before for none of its own batches', async () => {
    const claims = await open(long);
    await empty();
    const before = await answerTo(claims, newClaims(1));
    await empty();
    const asked = newClaims(3);
    for (const claim of asked) expect((await answerTo(claims, [claim])).exceptions).toEqual([]);
    await claims.confirm(before.batch, 1);
    expect(await ask(claims, ...asked)).toEqual(['in_flight', 'in_flight', 'in_flight']);
  });
};

/** What is confirmed behind the end of the stream, after it lost some. */
const losses = ({ open, knowledge, empty }: ClaimsSubject): void => {
  const streamId = 'made_one';
  /** Keys that are confirmed at these sequences, each of a batch of its own, in a store that is empty besides. */
  const confirmedAt = async (claims: Claims, ...sequences: readonly number[]): Promise<Buffer[]> => {
    const asked = newClaims(sequences.length);
    for (const [index, claim] of asked.entries()) {
      const { batch } = await answerTo(claims, [claim], 500 + index);
      await claims.confirm(batch, sequences[index] as number);
    }
    return asked;
  };
  const begin = async () => {
    await empty();
    const known = await knowledge();
    await known.voidBehind({ lastSequence: 0, streamId }, undefined);
    return { claims: await open(long), ...known };
  };

  it('a confirmed claim behind the end is taken over, with the time of its first try; one in front of it stays', async () => {
    const { claims, voidBehind } = await begin();
    const asked = await confirmedAt(claims, 10, 11, 12);
    expect(await voidBehind({ lastSequence: 10, streamId }, undefined)).toEqual({ from: 11, to: 12 });
    const answer = await answerTo(claims, asked, 9_999);
    expect(statusesOf(answer, 3)).toEqual(['duplicate', 'taken_over', 'taken_over']);
    expect(answer.exceptions.map(({ assignedMs }) => assignedMs)).toEqual([0, 501, 502]);
  });

  it('and of another payload it is a conflict still', async () => {
    const { claims, voidBehind } = await begin();
    const [claim] = (await confirmedAt(claims, 7)) as [Buffer];
    await voidBehind({ lastSequence: 6, streamId }, undefined);
    expect(await ask(claims, otherPayload(claim))).toEqual(['conflict']);
  });

  it('only batches up to the loss are void: what is confirmed later at the same sequences is in the stream', async () => {
    const { claims, voidBehind } = await begin();
    const [lost] = (await confirmedAt(claims, 5)) as [Buffer];
    await voidBehind({ lastSequence: 4, streamId }, undefined);
    const [later] = (await confirmedAt(claims, 5)) as [Buffer];
    const { batch, exceptions } = await answerTo(claims, [lost, later]);
    expect(exceptions.map(({ status }) => status)).toEqual(['taken_over', 'duplicate']);
    await claims.confirm(batch, 6);
    expect(await ask(claims, lost, later)).toEqual(['duplicate', 'duplicate']);
  });

  it('a stream that ends where it was confirmed last, or behind that, lost nothing', async () => {
    const { claims, voidBehind } = await begin();
    const asked = await confirmedAt(claims, 5);
    expect(await voidBehind({ lastSequence: 5, streamId }, undefined)).toBeUndefined();
    expect(await voidBehind({ lastSequence: 9, streamId }, undefined)).toBeUndefined();
    expect(await ask(claims, ...asked)).toEqual(['duplicate']);
  });

  it('of a stream that was made in place of another, everything that the other confirmed is void, however far the new one is', async () => {
    const { claims, voidBehind } = await begin();
    const asked = await confirmedAt(claims, 5, 600);
    expect(await voidBehind({ lastSequence: 1_000, streamId: 'made_another' }, undefined)).toEqual({
      from: 0,
      to: 600,
    });
    expect(await ask(claims, ...asked)).toEqual(['taken_over', 'taken_over']);
    expect(await voidBehind({ lastSequence: 1_000, streamId: 'made_another' }, undefined)).toBeUndefined();
  });

  it.each([
    ['stays known once it has an id', 'adopted_2026-11-27T12:00:00Z', undefined, ['duplicate']],
    ['is another one than a stream that was made with an id', 'made_two', { from: 0, to: 5 }, ['taken_over']],
  ])('a stream that was known by the time of its making %s', async (_what, streamId, loss, statuses) => {
    await empty();
    const { voidBehind, readKnown } = await knowledge();
    await voidBehind({ lastSequence: 0, streamId: '2026-11-20T12:00:00.123456789Z' }, undefined);
    const asked = await confirmedAt(await open(long), 5);
    expect(await voidBehind({ lastSequence: 9, streamId }, await readKnown())).toEqual(loss);
    expect(await ask(await open(long), ...asked)).toEqual(statuses);
    expect(await readKnown()).toMatchObject({ stream: streamId });
    // From here on the id counts.
    expect(await voidBehind({ lastSequence: 9, streamId }, await readKnown())).toBeUndefined();
  });

  it('what was confirmed since the stream was asked for its end stays; what it had lost by then is void', async () => {
    const { claims, voidBehind, readKnown } = await begin();
    const [lost] = (await confirmedAt(claims, 5)) as [Buffer];
    const known = await readKnown();
    const [since] = (await confirmedAt(claims, 6)) as [Buffer];
    expect(await voidBehind({ lastSequence: 4, streamId }, known)).toEqual({ from: 5, to: 5 });
    expect(await ask(claims, lost, since)).toEqual(['taken_over', 'duplicate']);
    // A later loss is still seen against all that was confirmed.
    expect(await voidBehind({ lastSequence: 5, streamId }, await readKnown())).toEqual({ from: 6, to: 6 });
  });

  it.each([
    ['a loss', { lastSequence: 4, streamId }, { from: 5, to: 6 }],
    ['another stream', { lastSequence: 4, streamId: 'made_another' }, { from: 0, to: 6 }],
  ])('two gateways that find %s at the same time void and report it once', async (_what, end, loss) => {
    const { claims, voidBehind, readKnown } = await begin();
    await confirmedAt(claims, 5, 6);
    const [one, two] = [await readKnown(), await readKnown()];
    expect([await voidBehind(end, one), await voidBehind(end, two)]).toEqual([loss, undefined]);
  });
};

await holdClaims((subject) => {
  describe('a claim', () => claiming(subject));
  describe('what becomes of a batch', () => settling(subject));
  describe('a store that was emptied', () => emptied(subject));
  describe('after the stream lost its end', () => losses(subject));
});
