import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Sink, type SinkPorts, startSink, UnreadableError } from '../../../../ingest/sink/sink.ts';
import type { StreamMessage } from '../../../../ingest/stream/usage-stream.nats.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import { createDelivery } from '../../../support/ingest-fakes.ts';
import { messageOf as bodyOf } from '../../../support/usage-rows.ts';

const limits = { rowsMax: 4, bytesMax: 1_000_000, ageMsMax: 20, insertsMax: 1 };
const down = new Error('connect ECONNREFUSED');

const running: Sink[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const sink of running.splice(0)) await sink.stop().catch(() => {});
});

/** A sink over fakes. `insert` is the store of the test; what it took without an exception is in `stored`. */
const start = async (
  insert: (sequences: number[]) => Promise<void>,
  deadLetter: SinkPorts['deadLetter'] = async () => {},
  given = limits,
) => {
  const delivery = createDelivery();
  const stored: number[] = [];
  const dead: { sequence: number; reason: string }[] = [];
  /** What was acknowledged when each insert was announced. */
  const announced: number[][] = [];
  const reports = { rows: 0, messages: 0, waits: 0, deadLettered: [] as number[] };
  const sink = await startSink(given, {
    subscribe: delivery.subscribe,
    insert: async (messages) => {
      const sequences = messages.map(({ sequence }) => sequence);
      await insert(sequences);
      stored.push(...sequences);
    },
    deadLetter: async (message, reason) => {
      await deadLetter(message, reason);
      dead.push({ sequence: message.sequence, reason });
    },
    announce: () => void announced.push([...delivery.acked]),
    clock: systemClock,
    report: {
      stored: ({ rows, messages }) => {
        reports.rows += rows;
        reports.messages += messages.length;
      },
      waiting: () => {
        reports.waits += 1;
      },
      deadLettered: ({ sequence }) => reports.deadLettered.push(sequence),
    },
  });
  sink.done.catch(() => {});
  running.push(sink);
  return { ...delivery, sink, stored, dead, reports, announced };
};

const works = async () => {};
const sequencesTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const bodies = (count: number) => Array.from({ length: count }, () => bodyOf());

describe('what the sink acknowledges', () => {
  it('is what it stored, in order, each message once', async () => {
    const { deliver, stored, acked, reports } = await start(works);
    deliver(...bodies(10));
    await vi.waitFor(() => expect(acked).toEqual(sequencesTo(10)));
    expect(stored).toEqual(sequencesTo(10));
    expect(reports).toMatchObject({ rows: 10, messages: 10 });
  });

  it('is announced after its acknowledgement, and nothing else is', async () => {
    let failures = 1;
    const { deliver, acked, announced } = await start(async () => {
      failures -= 1;
      if (failures === 0) throw down;
    });
    deliver(...bodies(8));
    await vi.waitFor(() => expect(acked).toEqual(sequencesTo(8)), { timeout: 10_000 });
    expect(announced).toEqual([sequencesTo(4), sequencesTo(8)]);
  });

  it('[I2] is nothing before its insert has succeeded, however often that fails', async () => {
    const ackedAtFailure: number[] = [];
    let failures = 4;
    const { deliver, stored, acked, reports } = await start(async () => {
      if (failures === 0) return;
      failures -= 1;
      ackedAtFailure.push(acked.length);
      throw down;
    });
    deliver(...bodies(4));
    await vi.waitFor(() => expect(acked).toEqual([1, 2, 3, 4]), { timeout: 10_000 });
    expect(ackedAtFailure).toEqual([0, 0, 0, 0]);
    expect(stored).toEqual([1, 2, 3, 4]);
    expect(reports.waits).toBe(4);
  });

  it('[I2] is nothing while its insert is still under way', async () => {
    let finish = () => {};
    const { deliver, acked, pulled, sink } = await start(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    expect(sink.waitingMs()).toBe(0);
    deliver(...bodies(6));
    await vi.waitFor(() => expect(pulled).toEqual(sequencesTo(6)));
    expect(acked).toEqual([]);
    // Since it was published, by the stream.
    expect(sink.waitingMs()).toBeGreaterThan(systemClock.nowMs() - 60_000);
    finish();
    await vi.waitFor(() => expect(acked).toEqual([1, 2, 3, 4]));
    await vi.waitFor(() => {
      finish();
      expect(acked).toEqual(sequencesTo(6));
    });
    expect(sink.waitingMs()).toBe(0);
  });

  it('is, where a later batch fails, still every batch before it and nothing of that one', async () => {
    const { deliver, acked, reports } = await start(async (sequences) => {
      if (sequences.includes(5)) throw down;
    });
    deliver(...bodies(8));
    await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(0));
    expect(acked).toEqual([1, 2, 3, 4]);
  });
});

describe('an insert', () => {
  it('is waited for by no timer while there is nothing to insert', async () => {
    vi.useFakeTimers();
    const { deliver, acked } = await start(works);
    const idle = vi.getTimerCount();
    deliver(bodyOf());
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(idle + 1);
    await vi.advanceTimersByTimeAsync(limits.ageMsMax);
    expect(acked).toEqual([1]);
    expect(vi.getTimerCount()).toBe(idle);
  });

  it('of a lone message does not wait for more messages, but for its age', async () => {
    const { deliver, acked } = await start(works);
    deliver(bodyOf());
    await vi.waitFor(() => expect(acked).toEqual([1]));
  });

  it('holds as many rows as the limit says, counted in events and not in messages', async () => {
    const inserts: number[][] = [];
    const { deliver, acked, reports } = await start(async (sequences) => void inserts.push(sequences));
    deliver(bodyOf(3), bodyOf(1), bodyOf(2), bodyOf(3), bodyOf(9));
    await vi.waitFor(() => expect(acked).toHaveLength(5));
    expect(inserts).toEqual([[1, 2], [3], [4], [5]]);
    expect(reports.rows).toBe(18);
  });

  it.each([1, 2, 3])(
    'never runs beside more than it may (%i), also when one batch is due by its age and the next by its rows',
    async (insertsMax) => {
      vi.useFakeTimers();
      const underway: (() => void)[] = [];
      let most = 0;
      const { deliver, acked, stored } = await start(
        () =>
          new Promise((resolve) => {
            underway.push(resolve);
            most = Math.max(most, underway.length);
          }),
        undefined,
        { ...limits, insertsMax },
      );
      deliver(...bodies(4));
      await vi.advanceTimersByTimeAsync(1);
      deliver(bodyOf());
      await vi.advanceTimersByTimeAsync(10 * limits.ageMsMax);
      deliver(...bodies(8));
      while (acked.length < 13) {
        await vi.advanceTimersByTimeAsync(10 * limits.ageMsMax);
        underway.shift()?.();
        await vi.advanceTimersByTimeAsync(1);
      }
      expect(most).toBe(insertsMax);
      expect(stored.toSorted((a, b) => a - b)).toEqual(sequencesTo(13));
    },
  );

  it('that fails does not keep the one beside it from being stored and acknowledged', async () => {
    let away = true;
    const works = async (sequences: number[]) => {
      if (away && sequences.includes(1)) throw down;
    };
    const { deliver, acked, reports } = await start(works, undefined, { ...limits, insertsMax: 2 });
    deliver(...bodies(12));
    await vi.waitFor(() => expect(acked).toEqual([5, 6, 7, 8, 9, 10, 11, 12]));
    await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(0));
    away = false;
    await vi.waitFor(() => expect(acked.toSorted((a, b) => a - b)).toEqual(sequencesTo(12)), { timeout: 10_000 });
  });

  it('that takes long keeps the stream from delivering its messages again', async () => {
    vi.useFakeTimers();
    let finish = () => {};
    const { deliver, worked, acked } = await start(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    deliver(...bodies(4));
    // The consumer waits 15 s for an acknowledgement or a sign of work; one sign may get lost.
    await vi.advanceTimersByTimeAsync(14_000);
    for (const sequence of [1, 2, 3, 4])
      expect(worked.filter((one) => one === sequence).length).toBeGreaterThanOrEqual(2);
    expect(acked).toEqual([]);
    finish();
  });

  it('keeps the stream also from delivering again what waits for its turn or fills the next batch, and says nothing of what was just received', async () => {
    vi.useFakeTimers();
    const underway: (() => void)[] = [];
    const { deliver, pulled, worked, acked } = await start(() => new Promise((resolve) => underway.push(resolve)));
    const finish = async () => {
      underway.shift()?.();
      await vi.advanceTimersByTimeAsync(10 * limits.ageMsMax);
    };
    try {
      // One batch is being inserted, and the next one fills.
      deliver(...bodies(6));
      await vi.advanceTimersByTimeAsync(900);
      expect([pulled, worked]).toEqual([sequencesTo(6), []]);
      await vi.advanceTimersByTimeAsync(4_100);
      for (const sequence of pulled) expect(worked.filter((one) => one === sequence).length).toBeGreaterThanOrEqual(3);
      // With one more it is found due, and waits for its turn.
      deliver(...bodies(4));
      await vi.advanceTimersByTimeAsync(4_000);
      expect(pulled).toEqual(sequencesTo(7));
      for (const sequence of pulled) expect(worked.filter((one) => one === sequence).length).toBeGreaterThanOrEqual(2);
      await finish();
      expect(acked).toEqual([1, 2, 3, 4]);
      const said = worked.length;
      await vi.advanceTimersByTimeAsync(3_000);
      expect(new Set(worked.slice(said))).toEqual(new Set([5, 6, 7, 8, 9, 10]));
    } finally {
      for (let rest = 0; rest < 4; rest += 1) await finish();
    }
    expect(acked).toEqual(sequencesTo(10));
  });
});

describe('an unreadable message', () => {
  const unreadable =
    (...bad: number[]) =>
    async (sequences: number[]) => {
      if (sequences.some((sequence) => bad.includes(sequence)))
        throw new UnreadableError(new Error('Cannot parse input'));
    };

  it.each([
    ['the first', [1]],
    ['one in the middle', [6]],
    ['the last', [8]],
    ['two side by side', [3, 4]],
    ['all', [1, 2, 3, 4, 5, 6, 7, 8]],
  ])('is put aside alone, and the rest of its batch is stored: %s', async (_which, bad) => {
    const { deliver, stored, acked, dead, reports } = await start(unreadable(...bad), undefined, {
      ...limits,
      rowsMax: 8,
    });
    deliver(...bodies(8));
    await vi.waitFor(() => expect(acked).toHaveLength(8));
    expect(dead.map(({ sequence }) => sequence)).toEqual(bad);
    expect(reports.deadLettered).toEqual(bad);
    expect(dead[0]?.reason).toContain('Cannot parse input');
    expect(stored).toEqual(sequencesTo(8).filter((sequence) => !bad.includes(sequence)));
    expect(reports.rows).toBe(8 - bad.length);
  });

  it.each([
    ['empty', Buffer.alloc(0)],
    ['no message of events', Buffer.from('{"not":"a message"}')],
    ['a count without end', Buffer.alloc(16, 0xff)],
  ])('whose body is %s never reaches the store', async (_what, body) => {
    const { deliver, stored, acked, dead } = await start(works);
    deliver(bodyOf(), body, bodyOf());
    await vi.waitFor(() => expect([...acked].sort()).toEqual([1, 2, 3]));
    expect(dead.map(({ sequence }) => sequence)).toEqual([2]);
    expect(stored).toEqual([1, 3]);
  });

  it('[I2] is acknowledged only once it is durable elsewhere, and the sink goes on trying', async () => {
    const ackedAtFailure: number[][] = [];
    let failures = 3;
    const { deliver, acked, dead } = await start(unreadable(2), async () => {
      if (failures === 0) return;
      failures -= 1;
      ackedAtFailure.push([...acked]);
      throw new Error('no responders');
    });
    deliver(...bodies(4));
    await vi.waitFor(() => expect([...acked].sort()).toEqual([1, 2, 3, 4]), { timeout: 10_000 });
    expect(ackedAtFailure).toEqual([[1], [1], [1]]);
    expect(dead).toHaveLength(1);
  });

  it('does not make a store that is away look like unreadable data', async () => {
    let away = true;
    const { deliver, acked, dead, reports } = await start(async () => {
      if (away) throw down;
    });
    deliver(...bodies(4));
    await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(1));
    away = false;
    await vi.waitFor(() => expect(acked).toHaveLength(4), { timeout: 10_000 });
    expect(dead).toEqual([]);
  });
});

describe('[I10] while the store is down', () => {
  it.each([1, 2])(
    'the sink stops taking messages after %i batches and one, and stores all of them once it is back',
    async (insertsMax) => {
      let away = true;
      const store = async () => {
        if (away) throw down;
      };
      const { deliver, pulled, acked, stored, reports } = await start(store, undefined, { ...limits, insertsMax });
      deliver(...bodies(1_000));
      await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(2), { timeout: 10_000 });
      // The batches that are being inserted, the one that waits, and the message that showed that it was full.
      expect(pulled.length).toBeLessThanOrEqual((insertsMax + 1) * limits.rowsMax + 1);
      expect(acked).toEqual([]);
      away = false;
      await vi.waitFor(() => expect(acked.toSorted((a, b) => a - b)).toEqual(sequencesTo(1_000)), { timeout: 20_000 });
      expect(stored.toSorted((a, b) => a - b)).toEqual(sequencesTo(1_000));
    },
  );

  it('stop resolves and leaves everything unacknowledged', async () => {
    const { deliver, sink, acked, reports } = await start(async () => {
      throw down;
    });
    deliver(...bodies(50));
    await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(0));
    await sink.stop();
    expect(acked).toEqual([]);
  });

  it('stop also resolves while an unreadable message can not be put aside, and leaves it unacknowledged', async () => {
    const { deliver, sink, acked, reports } = await start(
      async () => {
        throw new UnreadableError(new Error('Cannot parse input'));
      },
      async () => {
        throw new Error('no responders');
      },
    );
    deliver(...bodies(4));
    await vi.waitFor(() => expect(reports.waits).toBeGreaterThan(0));
    await sink.stop();
    expect(acked).toEqual([]);
  });
});

describe('the end', () => {
  it('stop stores what was taken before it resolves', async () => {
    const { deliver, sink, stored, acked, pulled } = await start(works, undefined, {
      ...limits,
      rowsMax: 100,
      ageMsMax: 60_000,
    });
    deliver(...bodies(7));
    await vi.waitFor(() => expect(pulled).toHaveLength(7));
    expect(stored).toEqual([]);
    await sink.stop();
    expect(stored).toEqual(sequencesTo(7));
    expect(acked).toEqual(sequencesTo(7));
  });

  it('stop waits for the insert that is under way', async () => {
    let finish = () => {};
    const { deliver, sink, acked, pulled } = await start(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    deliver(...bodies(4));
    await vi.waitFor(() => expect(pulled).toHaveLength(4));
    const order: string[] = [];
    const stopped = sink.stop().then(() => order.push('stopped'));
    setTimeout(() => {
      order.push('inserted');
      finish();
    }, 20);
    await stopped;
    expect(order).toEqual(['inserted', 'stopped']);
    expect(acked).toEqual([1, 2, 3, 4]);
  });

  it('a subscription that ends by itself is a fault: a sink that stores nothing must not look healthy', async () => {
    const { deliver, sink, end, acked } = await start(works);
    deliver(bodyOf());
    await vi.waitFor(() => expect(acked).toEqual([1]));
    end();
    await expect(sink.done).rejects.toThrow('ended by itself');
  });

  it('a fault in reading the stream ends the sink with that fault', async () => {
    const sink = await startSink(limits, {
      subscribe: async () => ({
        messages: (async function* (): AsyncGenerator<StreamMessage> {
          yield* [];
          throw new Error('consumer not found');
        })(),
        stop: works,
      }),
      insert: works,
      deadLetter: works,
      announce: () => {},
      clock: systemClock,
      report: { stored: () => {}, waiting: () => {}, deadLettered: () => {} },
    });
    await expect(sink.done).rejects.toThrow('consumer not found');
  });
});
