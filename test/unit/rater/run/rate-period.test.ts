import { describe, expect, it } from 'vitest';
import { prepareRun, type QueuedRun, type RatePorts } from '../../../../rater/run/rate-period.ts';

const queued: QueuedRun = {
  runId: 'run_1',
  organizationId: 'org_1',
  kind: 'billing',
  requestId: undefined,
  watermark: undefined,
  attempt: 1,
};

/** What is done to the one run in the queue, in order. */
const preparing = async (some: {
  readonly run?: QueuedRun;
  readonly last?: () => Promise<bigint>;
  readonly stored?: bigint;
  readonly isChecked?: boolean;
  /** The watermark that another rater set meanwhile. */
  readonly set?: bigint;
}) => {
  const effects: string[] = [];
  const runs = {
    leaseRun: async () => {
      effects.push('lease');
      return some.run ?? queued;
    },
    takeWatermark: async (_: QueuedRun, watermark: bigint) => {
      effects.push(`set ${watermark}`);
      return some.set ?? watermark;
    },
    putBackRun: async () => {
      effects.push('put back');
    },
    giveUpRun: async (_: QueuedRun, error: unknown) => {
      effects.push(`give up: ${(error as Error).message}`);
      return false;
    },
    failRun: async (_: QueuedRun, failure: string) => {
      effects.push(`fail: ${failure}`);
      return true;
    },
    cutRun: async ({ watermark }: QueuedRun) => {
      effects.push(`cut at ${watermark}`);
      return 2;
    },
  };
  const ports = {
    runs,
    lastSequence: async () => {
      effects.push('ask stream');
      return some.last ? some.last() : 7n;
    },
    highestStored: async () => {
      effects.push('ask store');
      return some.stored ?? 5n;
    },
    isChecked: async (sequence: bigint) => {
      effects.push(`checked ${sequence}?`);
      return some.isChecked ?? true;
    },
    late: {
      nextLook: async (_: string, upTo: bigint) => {
        effects.push(`look up to ${upTo}`);
        return undefined;
      },
    },
  } as unknown as RatePorts;
  const moved = await prepareRun(ports, 250).catch((error: Error) => error.message);
  return { effects, moved };
};

describe('a billing run is prepared', () => {
  it('under a lease: the store is asked before the stream, then the run is cut at that watermark', async () => {
    const { effects, moved } = await preparing({});
    expect(effects).toEqual(['lease', 'ask store', 'ask stream', 'set 7', 'checked 7?', 'look up to 7', 'cut at 7']);
    expect(moved).toBe(true);
  });

  it('at the watermark that was set first, whoever set it', async () => {
    expect((await preparing({ set: 6n })).effects.slice(-3)).toEqual(['checked 6?', 'look up to 6', 'cut at 6']);
    const { effects } = await preparing({ run: { ...queued, watermark: 4n } });
    expect(effects).toEqual(['lease', 'checked 4?', 'look up to 4', 'cut at 4']);
  });

  it('later, and behind the others, while the identity check is behind', async () => {
    const { effects, moved } = await preparing({ isChecked: false });
    expect(effects.slice(-2)).toEqual(['checked 7?', 'put back']);
    expect(moved).toBe(100);
  });

  it('later at a watermark that a caller named, and never where the stream is not that far', async () => {
    const asked: QueuedRun = { ...queued, kind: 'dry_rating', watermark: 7n };
    const behind = await preparing({ run: asked, isChecked: false });
    expect(behind.effects).toEqual(['lease', 'checked 7?', 'ask stream', 'put back']);
    const { effects } = await preparing({ run: { ...asked, watermark: 8n }, isChecked: false });
    expect(effects.at(-1)).toBe('fail: the stream ends before the watermark 8');
  });

  it('never where the stream ends below what is stored of it: the run fails and says so', async () => {
    const { effects, moved } = await preparing({ stored: 8n });
    expect(effects.at(-1)).toMatch(/^fail: the store holds usage at sequence 8, but the stream ends at 7/);
    expect(moved).toBe(true);
  });

  it('by somebody else at once, where stream or store do not answer', async () => {
    const { effects, moved } = await preparing({ last: () => Promise.reject(new Error('no answer')) });
    expect(effects).toEqual(['lease', 'ask store', 'ask stream', 'give up: no answer']);
    expect(moved).toBe('no answer');
  });
});
