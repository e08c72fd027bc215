/**
 * Shards of an organization, issued one after the other: while PostgreSQL writes the invoices of one, the next one of
 * its run is leased, read and closed in memory, by the head of the chain and the numbers as the one before will leave
 * them. Under its lock it is held against what really stands there, and closed anew where that is something else: of
 * what is closed ahead nothing holds before it is committed.
 *
 * What looks back at earlier invoices is not read before they are committed.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Shard } from '#schemas/billing-run.ts';
import { nothingCredited } from '../corrections/credited-charges.ts';
import {
  type ClosedCount,
  type ClosedShard,
  closeGroups,
  discountedInvoices,
  hourOfShard,
  type IssuePorts,
  looksBack,
  readShard,
  readTaxes,
  type SeriesState,
  type ShardContent,
  type ShardRead,
} from './close-period.ts';
import { nothingCorrected } from './credit-deltas.ts';

/** A shard that is leased and read; closed already, where it was prepared while another one was written. */
type Prepared = {
  readonly shard: Shard;
  readonly read: ShardRead;
  /** Settles when the shard before it is committed, or is not. */
  readonly before: Promise<unknown>;
  readonly closed?: { readonly content: ShardContent; readonly by: SeriesState; readonly result: ClosedShard };
  readonly elapsedMs: () => number;
};

export type ShardIssuer = {
  /** Issues the invoices of one shard, or makes drafts of them. Undefined: there was no shard. */
  readonly issueNext: () => Promise<ClosedCount | undefined>;
  /** Gives back what is leased ahead. */
  readonly close: () => Promise<void>;
};

/** Where chain and numbers stand once a shard is committed, if nothing of the next one is billed by then. */
const stateAfter = ({ head, numbering }: SeriesState, { invoices, numbering: moved }: ClosedShard): SeriesState => {
  const last = invoices.at(-1);
  const stems = new Set(moved.map(({ stem }) => stem));
  return {
    head: last ? { number: last.number, hash: last.hash } : head,
    numbering: [...numbering.filter(({ stem }) => !stems.has(stem)), ...moved],
    alreadyBilled: new Set(),
    draftIds: new Set(),
    draftMinutes: 0,
    // What corrects something or takes it back is not closed ahead.
    byHand: new Map(),
    corrected: nothingCorrected,
    creditedCharges: nothingCredited,
    // Which discounts there are is read under the lock, and where there are any the shard is closed anew by them.
    discounts: undefined,
  };
};

const byStem = ({ numbering, ...state }: SeriesState) => ({
  ...state,
  numbering: new Map(numbering.map((series) => [series.stem, series])),
});

export const createShardIssuer = (ports: IssuePorts): ShardIssuer => {
  /** In the order of their leases; one that can't be read is given up, and rejects. */
  const ahead: Promise<Prepared | undefined>[] = [];

  const prepare = async (
    shard: Shard | undefined,
    before: Promise<unknown>,
    by?: SeriesState,
  ): Promise<Prepared | undefined> => {
    if (!shard) return undefined;
    const elapsedMs = ports.stopwatch();
    try {
      const read = await readShard(ports, shard);
      if (!by || looksBack(shard, read)) return { shard, read, before, elapsedMs };
      const content = await readTaxes(ports, shard, read);
      // An engine is asked about what is not billed yet, which the shard before may still change.
      if (content.taxes?.calculation === 'engine') return { shard, read, before, elapsedMs };
      const result = closeGroups(shard, content, by, hourOfShard(ports, shard), ports.newInvoiceId);
      return { shard, read, before, elapsedMs, closed: { content, by, result } };
    } catch (error) {
      await ports.giveUp(shard, error);
      throw error;
    }
  };

  const issue = async ({ shard, read, before, closed, elapsedMs }: Prepared): Promise<ClosedCount> => {
    const hour = () => hourOfShard(ports, shard);
    const written = Promise.withResolvers<void>();
    let isNextLeased = false;
    try {
      if (!closed) await before;
      const content = closed?.content ?? (await readTaxes(ports, shard, read));
      const close = (state: SeriesState): ClosedShard => {
        const isAsForeseen = closed && isDeepStrictEqual(byStem(closed.by), byStem(state));
        const result = isAsForeseen ? closed.result : closeGroups(shard, content, state, hour(), ports.newInvoiceId);
        const next = ports.leaseNext(shard).then((found) => {
          isNextLeased = found !== undefined;
          return prepare(found, written.promise, stateAfter(state, result));
        });
        next.catch(() => {});
        ahead.push(next);
        return result;
      };
      const discounted = discountedInvoices(shard, read);
      return await ports.commit(shard, close, hour, elapsedMs, () => isNextLeased, discounted);
    } catch (error) {
      await ports.giveUp(shard, error);
      throw error;
    } finally {
      written.resolve();
    }
  };

  return {
    issueNext: async () => {
      const nothing = Promise.resolve();
      const prepared = (await ahead.shift()) ?? (await prepare(await ports.leaseShard(), nothing));
      return prepared && issue(prepared);
    },
    close: async () => {
      for (const next of ahead.splice(0)) {
        const prepared = await next.catch(() => undefined);
        if (prepared) await ports.putBack(prepared.shard);
      }
    },
  };
};
