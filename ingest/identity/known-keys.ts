/**
 * Which keys may have been there before: the keys since the last closed generation exactly, those of the window as
 * filters. In memory, made again from the store at a start. The order of effects when a generation is closed:
 *
 *   1. a new, empty table takes what comes from now on; both are asked;
 *   2. the store says how many keys it holds of the range, so that a filter is never built of fewer;
 *   3. the filters are built, one a turn, with checks in between;
 *   4. they are stored, all in one insert;
 *   5. they take the table's place.
 *
 * A crash in between leaves the range open: the next start reads its keys from the store. With nothing to close,
 * neighbours are merged (merge-generations.ts).
 */
import type { Clock } from '#platform/process/clock.ts';
import { isBackfill, type TwinRule } from './find-twins.ts';
import {
  bytesOf,
  chainOf,
  createGenerationBuilder,
  type Generation,
  type GenerationBuilder,
  type KeyHashes,
  keysOf,
  probeOf,
  type Range,
  type StoredGeneration,
} from './key-generation.ts';
import type { KeyRows } from './key-rows.ts';
import { createKeyTable, type KeyTable } from './key-table.ts';
import { createMerge, dueMerge, type Merge, type MergeLimits, tableOf } from './merge-generations.ts';

export type KnownKeysPorts = {
  readonly clock: Clock;
  readonly keys: KeyHashes;
  readonly filters: {
    readonly list: () => Promise<readonly StoredGeneration[]>;
    readonly read: (stored: StoredGeneration) => Promise<Generation>;
    readonly save: (generation: Generation) => Promise<void>;
  };
};

export type KnownKeysLimits = TwinRule &
  MergeLimits & {
    /** A generation is closed once it has so many keys, and in any case when its day is over. */
    readonly generationKeysMax: number;
  };

/** What the check holds in memory. */
export type Holdings = {
  readonly openKeys: number;
  readonly openBytes: number;
  readonly closedKeys: number;
  readonly closedBytes: number;
  readonly generations: number;
};

/** A generation whose filters are being built. */
type Closing = {
  readonly range: Range;
  readonly table: KeyTable;
  readonly receivedUntilMs: number;
  readonly builder: GenerationBuilder;
};

/** What was done; `againFrom`: the check has to begin there anew. */
export type Tended = { readonly worked: boolean; readonly againFrom?: number };

/** After one that failed. */
const [closeAgainMs, mergeAgainMs] = [60_000, 600_000];
const dayMs = 86_400_000;
const dayOf = (ms: number): number => Math.floor(ms / dayMs);

export class KnownKeys {
  readonly #limits: KnownKeysLimits;
  readonly #ports: KnownKeysPorts;
  #open: KeyTable = createKeyTable();
  #openFrom = 0;
  #openedDay: number;
  #closing: Closing | undefined;
  #closed: Generation[] = [];
  #merge: Merge | undefined;
  #closeFromMs = Number.NEGATIVE_INFINITY;
  #mergeFromMs = Number.NEGATIVE_INFINITY;
  /** Of the day on which the last event of what was forgotten came, and before, nothing is known. */
  #forgottenDay = Number.NEGATIVE_INFINITY;
  /** The latest receipt that was seen, and never later than now: a gateway whose clock is ahead makes nobody forget. */
  #receivedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(limits: KnownKeysLimits, ports: KnownKeysPorts) {
    this.#limits = limits;
    this.#ports = ports;
    this.#openedDay = dayOf(ports.clock.nowMs());
  }

  /** Takes up what was known up to the sequence. */
  async load(checked: number): Promise<void> {
    const chain = chainOf(await this.#ports.filters.list());
    this.#saw(chain.at(-1)?.receivedUntilMs ?? Number.NEGATIVE_INFINITY);
    this.#closed = [];
    for (const stored of chain) {
      if (this.#isOutdated(stored)) this.#forget(stored);
      else this.#closed.push(await this.#ports.filters.read(stored));
    }
    this.#closing = undefined;
    this.#merge = undefined;
    await this.#reopen(Math.min(chain.at(-1)?.to ?? 0, checked), checked);
  }

  async #reopen(from: number, upTo: number): Promise<void> {
    this.#open = upTo > from ? await tableOf(this.#ports.keys.hashes({ from, to: upTo })) : createKeyTable();
    this.#openFrom = from;
    this.#openedDay = dayOf(this.#ports.clock.nowMs());
  }

  /** The rows that can't be ruled out, as their numbers, rising. All of them are known from now on. */
  takeSuspects(rows: KeyRows): number[] {
    const isSuspect = new Uint8Array(rows.count);
    let receivedUntilMs = Number.NEGATIVE_INFINITY;
    for (let row = 0; row < rows.count; row += 1) {
      const times = { receivedAtMs: rows.receivedAtMs(row), occurredAtMs: rows.occurredAtMs(row) };
      receivedUntilMs = Math.max(receivedUntilMs, times.receivedAtMs);
      const mayBeForgotten = dayOf(times.receivedAtMs) - this.#limits.windowDays <= this.#forgottenDay;
      // Added in any case, so that the next one is found.
      const isNew = this.#open.add(rows.low(row), rows.high(row));
      if (!isNew || mayBeForgotten || isBackfill(times, this.#limits)) isSuspect[row] = 1;
    }
    // One filter after the other, and not one row after the other: a filter that fits into the processor's cache stays
    // there.
    for (const has of [...(this.#closing ? [this.#closing.table.has] : []), ...this.#closed.map(probeOf)]) {
      for (let row = 0; row < rows.count; row += 1)
        if (isSuspect[row] === 0 && has(rows.low(row), rows.high(row))) isSuspect[row] = 1;
    }
    this.#saw(receivedUntilMs);
    const suspects: number[] = [];
    for (let row = 0; row < rows.count; row += 1) if (isSuspect[row] === 1) suspects.push(row);
    return suspects;
  }

  /** One step of the work on generations, where one is due; `covered` is up to where all is known. */
  async tend(covered: number): Promise<Tended> {
    // A stream that lost its end went back.
    this.#openFrom = Math.min(this.#openFrom, covered);
    if (this.#closing) return this.#build(this.#closing);
    const nowMs = this.#ports.clock.nowMs();
    const isDue = this.#open.size() >= this.#limits.generationKeysMax || dayOf(nowMs) > this.#openedDay;
    return isDue && nowMs >= this.#closeFromMs && this.#open.size() > 0 && covered > this.#openFrom
      ? this.#close({ from: this.#openFrom, to: covered })
      : { worked: await this.#mergeOn() };
  }

  async #close(range: Range): Promise<Tended> {
    // Until the store has answered, the table is asked: the check doesn't depend on its end.
    this.#closeFromMs = this.#ports.clock.nowMs() + closeAgainMs;
    const { hashes, receivedUntilMs } = await this.#ports.keys.facts(range);
    this.#closeFromMs = Number.NEGATIVE_INFINITY;
    if (hashes > this.#open.size()) {
      // The stream lost its end and gave sequences again, which nobody saw: what came under them was never checked.
      await this.#reopen(range.from, range.from);
      return { worked: true, againFrom: range.from };
    }
    this.#closing = { range, receivedUntilMs, table: this.#open, builder: createGenerationBuilder(this.#open) };
    this.#open = createKeyTable();
    this.#openFrom = range.to;
    this.#openedDay = dayOf(this.#ports.clock.nowMs());
    return { worked: true };
  }

  async #build({ range, receivedUntilMs, builder }: Closing): Promise<Tended> {
    const filters = builder.next();
    if (!filters) return { worked: true };
    const generation = { ...range, receivedUntilMs, filters };
    await this.#ports.filters.save(generation);
    this.#closed.push(generation);
    this.#closing = undefined;
    for (const one of this.#closed.filter((closed) => this.#isOutdated(closed))) this.#forget(one);
    this.#closed = this.#closed.filter((closed) => !this.#isOutdated(closed));
    return { worked: true };
  }

  /** One step of a merge. One that fails is given up for a while: the check doesn't depend on it. */
  async #mergeOn(): Promise<boolean> {
    if (!this.#merge) {
      if (this.#ports.clock.nowMs() < this.#mergeFromMs) return false;
      const due = dueMerge(this.#closed, this.#limits);
      if (due.length === 0) return false;
      this.#merge = createMerge(due, this.#ports.keys);
    }
    const { parts, next } = this.#merge;
    try {
      const merged = next();
      if (typeof merged === 'boolean') return merged;
      this.#merge = undefined;
      await this.#ports.filters.save(merged);
      // Some may have been forgotten meanwhile: then it begins too early.
      if (parts.every((part) => this.#closed.includes(part)))
        this.#closed.splice(this.#closed.indexOf(parts[0] as Generation), parts.length, merged);
      return true;
    } catch (error) {
      this.#merge = undefined;
      this.#mergeFromMs = this.#ports.clock.nowMs() + mergeAgainMs;
      throw error;
    }
  }

  #saw(receivedAtMs: number): void {
    this.#receivedUntilMs = Math.max(this.#receivedUntilMs, Math.min(receivedAtMs, this.#ports.clock.nowMs()));
  }

  /** A day more than the window: rows of one day don't come in the order of their receipt. */
  #isOutdated({ receivedUntilMs }: { readonly receivedUntilMs: number }): boolean {
    return dayOf(receivedUntilMs) < dayOf(this.#receivedUntilMs) - this.#limits.windowDays - 1;
  }

  #forget({ receivedUntilMs }: { readonly receivedUntilMs: number }): void {
    this.#forgottenDay = Math.max(this.#forgottenDay, dayOf(receivedUntilMs));
  }

  holdings(): Holdings {
    const sum = (of: (generation: Generation) => number) => this.#closed.reduce((total, one) => total + of(one), 0);
    return {
      openKeys: this.#open.size() + (this.#closing?.table.size() ?? 0),
      openBytes: this.#open.bytes() + (this.#closing?.table.bytes() ?? 0),
      closedKeys: sum(keysOf),
      closedBytes: sum(bytesOf),
      generations: this.#closed.length,
    };
  }
}
