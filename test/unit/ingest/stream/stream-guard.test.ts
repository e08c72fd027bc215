import { describe, expect, it, vi } from 'vitest';
import type { DetectedLoss } from '../../../../ingest/gateway/report-counts.ts';
import {
  createStreamGuard,
  type GuardPorts,
  type Loss,
  type StreamEnd,
} from '../../../../ingest/stream/stream-guard.ts';
import { answerTo, ask, newClaim, newClaims } from '../../../support/claim-records.ts';
import { createSetClock } from '../../../support/ingest-fakes.ts';
import { createClaimsStore } from '../../../support/memory-claims.ts';

const streamId = 'made_one';

/** A guard over claims in memory, before a stream whose end the test sets. */
const setUp = (replaced: Partial<GuardPorts> = {}) => {
  const clock = createSetClock(Date.UTC(2026, 10, 20, 12));
  const store = createClaimsStore(clock);
  const claims = store.open({ leaseSeconds: 15, windowSeconds: 86_400 });
  const stream: { end: StreamEnd | undefined } = { end: { lastSequence: 0, streamId } };
  const seen = { losses: [] as Loss[], faults: 0, calls: [] as string[] };
  const guard = createStreamGuard({
    readKnown: async () => {
      seen.calls.push('known');
      return store.knowledge.readKnown();
    },
    readEnd: async () => {
      seen.calls.push('end');
      if (!stream.end) throw new Error('the stream is away');
      return stream.end;
    },
    voidBehind: (end, known) => {
      seen.calls.push(`void behind ${end.lastSequence}`);
      return store.knowledge.voidBehind(end, known);
    },
    onLoss: ({ from, to }) => seen.losses.push({ from, to }),
    onFault: () => {
      seen.faults += 1;
    },
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    clock,
    ...replaced,
  });
  /** Keys that are confirmed at these sequences. */
  const confirmedAt = async (...sequences: readonly number[]) => {
    const asked = newClaims(sequences.length);
    for (const [index, claim] of asked.entries())
      await claims.confirm((await answerTo(claims, [claim])).batch, sequences[index] as number);
    return asked;
  };
  return { clock, store, claims, guarded: guard.guarded(claims), guard, stream, seen, confirmedAt };
};

describe('a gateway that meets its stream', () => {
  it('publishes nothing before the stream has said where it ends', async () => {
    const { guard, stream, seen } = setUp();
    expect(guard.mayPublish()).toBe(false);
    stream.end = undefined;
    const meeting = guard.meet();
    await vi.waitFor(() => expect(seen.faults).toBeGreaterThan(2));
    expect(guard.mayPublish()).toBe(false);
    stream.end = { lastSequence: 0, streamId };
    await meeting;
    expect(guard.mayPublish()).toBe(true);
  });

  it('[I5] answers no claim while the stream is away, nor before it was met again and compared', async () => {
    const { guard, guarded, stream, seen, confirmedAt } = setUp();
    await guard.meet();
    const [kept, lost] = (await confirmedAt(10, 11)) as [Buffer, Buffer];
    guard.leave();
    expect(guard.mayPublish()).toBe(false);
    const calls = seen.calls.length;
    const refusal = { name: 'PublishError', mayBeStored: false };
    for (const claim of [kept, lost]) await expect(guarded.claim(claim, 0)).rejects.toMatchObject(refusal);
    expect(seen.calls).toHaveLength(calls);
    stream.end = { lastSequence: 10, streamId };
    const meeting = guard.meet();
    await expect(guarded.claim(lost, 0)).rejects.toMatchObject(refusal);
    await meeting;
    expect(await ask(guarded, kept, lost)).toEqual(['duplicate', 'taken_over']);
  });

  it('nor, when it meets it again, on the word from before', async () => {
    const { guard, stream } = setUp();
    await guard.meet();
    stream.end = undefined;
    const [first, second] = [guard.meet(), guard.meet()];
    expect(guard.mayPublish()).toBe(false);
    stream.end = { lastSequence: 5, streamId };
    await Promise.all([first, second]);
    expect(guard.mayPublish()).toBe(true);
  });

  it('reads what the claims know before it asks for the end: what is confirmed in between proves nothing', async () => {
    const { guard, seen } = setUp();
    await guard.meet();
    expect(seen.calls).toEqual(['known', 'end', 'void behind 0']);
  });

  it('[I5] voids what is confirmed behind the end, says so once, and then costs no claim anything', async () => {
    const { guard, guarded, stream, seen, confirmedAt } = setUp();
    await guard.meet();
    const asked = await confirmedAt(10, 11, 12);
    stream.end = { lastSequence: 10, streamId };
    await guard.meet();
    expect(seen.losses).toEqual([{ from: 11, to: 12 }]);
    const calls = seen.calls.length;
    expect(await ask(guarded, ...asked)).toEqual(['duplicate', 'taken_over', 'taken_over']);
    expect(seen.calls).toHaveLength(calls);
    await guard.meet();
    expect(seen.losses).toHaveLength(1);
  });

  it('dates a loss by when it asked for the end: what is sent again while that is compared was received later', async () => {
    const losses: DetectedLoss[] = [];
    const scene = setUp({ onLoss: (loss) => losses.push(loss) });
    const { clock, guard, guarded, store, stream, confirmedAt } = scene;
    await guard.meet();
    const [lost] = (await confirmedAt(11)) as [Buffer];
    stream.end = { lastSequence: 10, streamId };
    const askedAtMs = clock.nowMs();
    store.setDown(true);
    await guard.meet();
    clock.advance(40);
    store.setDown(false);
    expect(await ask(guarded, lost)).toEqual(['taken_over']);
    expect(losses).toEqual([{ from: 11, to: 11, detectedAtMs: askedAtMs }]);
  });

  it('[I5] answers no claim while that is not done, and lets the store tell twins apart where Redis can not', async () => {
    const { guard, guarded, store, stream, seen, confirmedAt } = setUp();
    await guard.meet();
    const asked = await confirmedAt(10, 11);
    stream.end = { lastSequence: 10, streamId };
    store.setDown(true);
    await guard.meet();
    expect(guard.mayPublish()).toBe(true);
    expect(await guarded.claim(newClaim(), 0)).toBeUndefined();
    store.setDown(false);
    expect(await ask(guarded, ...asked)).toEqual(['duplicate', 'taken_over']);
    expect(seen.losses).toEqual([{ from: 11, to: 11 }]);
  });

  it('[I5] compares with the end as it was, also when more was published over the gap before Redis came back', async () => {
    const { guard, guarded, store, stream, confirmedAt } = setUp();
    await guard.meet();
    const asked = await confirmedAt(10, 11);
    stream.end = { lastSequence: 10, streamId };
    store.setDown(true);
    await guard.meet();
    stream.end = { lastSequence: 40, streamId };
    await guard.meet();
    store.setDown(false);
    expect(await ask(guarded, ...asked)).toEqual(['duplicate', 'taken_over']);
  });

  it('[I5] voids everything that another stream held, however far the new one is', async () => {
    const { guard, guarded, stream, confirmedAt } = setUp();
    await guard.meet();
    const asked = await confirmedAt(10, 11);
    stream.end = { lastSequence: 5_000, streamId: 'made_another' };
    await guard.meet();
    expect(await ask(guarded, ...asked)).toEqual(['taken_over', 'taken_over']);
  });

  it('[I5] voids what was lost also where others published over the gap meanwhile, and nothing of theirs', async () => {
    const scene = setUp();
    const { store, claims, stream } = scene;
    const late = newClaim();
    let moves = 1;
    const guard = createStreamGuard({
      ...store.knowledge,
      readEnd: async () => {
        const end = stream.end as StreamEnd;
        if (moves > 0) {
          moves -= 1;
          // Another gateway publishes and confirms behind the end that was read.
          await claims.confirm((await answerTo(claims, [late])).batch, 13);
          stream.end = { lastSequence: 13, streamId };
        }
        return end;
      },
      onLoss: ({ from, to }) => scene.seen.losses.push({ from, to }),
      onFault: () => {},
      pause: async () => {},
      clock: scene.clock,
    });
    await store.knowledge.voidBehind({ lastSequence: 0, streamId }, undefined);
    const [before] = (await scene.confirmedAt(12)) as [Buffer];
    stream.end = { lastSequence: 11, streamId };
    await guard.meet();
    expect(await ask(guard.guarded(claims), before, late)).toEqual(['taken_over', 'duplicate']);
    expect(scene.seen.losses).toEqual([{ from: 12, to: 12 }]);
  });

  it('[I5] voids again what was lost where Redis comes back as a copy from before: what the copy knows of another stream, or behind the end', async () => {
    const { guard, guarded, store, stream, seen, confirmedAt } = setUp();
    await guard.meet();
    stream.end = { lastSequence: 5_000, streamId: 'made_another' };
    await guard.meet();
    // The copy: it knows the former stream, and nothing void.
    store.empty();
    await store.knowledge.voidBehind({ lastSequence: 0, streamId }, undefined);
    const [before] = (await confirmedAt(11)) as [Buffer];
    guard.leaveClaims();
    const calls = seen.calls.length;
    await guard.meetClaims();
    expect(seen.calls.slice(calls)).toEqual(['known', 'end', 'void behind 5000']);
    expect(await ask(guarded, before)).toEqual(['taken_over']);
    expect(seen.losses).toEqual([{ from: 0, to: 11 }]);
    const [behind] = (await confirmedAt(5_001)) as [Buffer];
    await guard.meetClaims();
    expect(await ask(guarded, behind)).toEqual(['taken_over']);
    await guard.meetClaims();
    expect(seen.losses).toHaveLength(2);
  });

  it('goes on publishing while Redis is away and compared; claims alone wait for that', async () => {
    const gate: { wait?: Promise<void> } = {};
    const { guard, guarded, store, stream, confirmedAt } = setUp({
      readEnd: async () => {
        await gate.wait;
        return stream.end as StreamEnd;
      },
    });
    await guard.meet();
    const [lost] = (await confirmedAt(11)) as [Buffer];
    stream.end = { lastSequence: 10, streamId };
    store.setDown(true);
    guard.leaveClaims();
    expect(await guarded.claim(newClaim(), 0)).toBeUndefined();
    expect(guard.mayPublish()).toBe(true);
    store.setDown(false);
    let open = () => {};
    gate.wait = new Promise((resolve) => {
      open = resolve;
    });
    const meeting = guard.meetClaims();
    let answered = false;
    const asked = ask(guarded, lost).finally(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([answered, guard.mayPublish()]).toEqual([false, true]);
    open();
    expect(await asked).toEqual(['taken_over']);
    await meeting;
    expect(guard.mayPublish()).toBe(true);
  });

  it('answers no claim of a Redis that is back while the stream can not be asked, and asks again with the next', async () => {
    const { guard, guarded, stream, confirmedAt } = setUp();
    await guard.meet();
    const [lost] = (await confirmedAt(11)) as [Buffer];
    stream.end = undefined;
    await guard.meetClaims();
    expect(await guarded.claim(lost, 0)).toBeUndefined();
    stream.end = { lastSequence: 10, streamId };
    expect(await ask(guarded, lost)).toEqual(['taken_over']);
  });

  it('takes nothing for lost that others confirmed while Redis was away for it alone', async () => {
    const { guard, guarded, stream, seen, confirmedAt } = setUp();
    await guard.meet();
    guard.leaveClaims();
    const asked = await confirmedAt(10, 11);
    stream.end = { lastSequence: 11, streamId };
    await guard.meetClaims();
    expect(await ask(guarded, ...asked)).toEqual(['duplicate', 'duplicate']);
    expect(seen.losses).toEqual([]);
  });

  it('hands confirmations and releases through as they are', async () => {
    const { guard, guarded } = setUp();
    await guard.meet();
    const [one, two] = newClaims(2) as [Buffer, Buffer];
    await guarded.confirm((await answerTo(guarded, [one])).batch, 1);
    await guarded.release((await answerTo(guarded, [two])).batch);
    expect(await ask(guarded, one, two)).toEqual(['duplicate', 'won']);
  });
});
