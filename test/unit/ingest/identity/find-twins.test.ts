import { describe, expect, it } from 'vitest';
import {
  findTwins,
  isBackfill,
  type KeyDay,
  type Said,
  type TwinRule,
} from '../../../../ingest/identity/find-twins.ts';
import type { KeyRow } from '../../../../ingest/identity/key-rows.ts';

const dayMs = 86_400_000;
const rule: TwinRule = { windowDays: 35, horizonMs: 35 * dayMs };
const day = 20_000;

const row = (change: Partial<KeyRow> = {}): KeyRow => ({
  tenant: 'org_1',
  digest: 'aa',
  sequence: 50,
  receivedAtMs: day * dayMs + 5,
  occurredAtMs: day * dayMs,
  ...change,
});
const said: Said = { sequence: 50, event: 'e', customer: 'c', payload: 7n };
const first = (change: Partial<Said & Pick<KeyDay, 'tenant' | 'digest' | 'receivedDay'>> = {}): KeyDay => {
  const { tenant = 'org_1', digest = 'aa', receivedDay = day, ...of } = change;
  const one = { ...said, ...of };
  return { tenant, digest, receivedDay, first: one, asked: [one] };
};
const twinsOf = (one: KeyRow, ...days: KeyDay[]) =>
  findTwins([one], days, rule).map(({ firstSequence, reason }) => [firstSequence, reason]);

describe('a later twin', () => {
  it.each<[string, Partial<Said & Pick<KeyDay, 'tenant' | 'digest' | 'receivedDay'>>, unknown[]]>([
    ['no other', {}, []],
    ['one with a higher sequence', { sequence: 51 }, []],
    ['one with a lower sequence', { sequence: 49 }, [[49, 'twin']]],
    ['one on the last day of the window', { sequence: 1, receivedDay: day - 35 }, [[1, 'twin']]],
    ['one on the day before it', { sequence: 1, receivedDay: day - 36 }, []],
    ['one that was received later and stored earlier', { sequence: 1, receivedDay: day + 1 }, [[1, 'twin']]],
    ['another event', { sequence: 1, event: 'f' }, [[1, 'conflict']]],
    ['another customer', { sequence: 1, customer: 'd' }, [[1, 'conflict']]],
    ['another payload', { sequence: 1, payload: 8n }, [[1, 'conflict']]],
    ['another key', { sequence: 1, digest: 'bb' }, []],
    ['another organization', { sequence: 1, tenant: 'org_2' }, []],
  ])('beside %s', (_, change, expected) => expect(twinsOf(row(), first(), first(change))).toEqual(expected));

  it('is named with the very first of those in the window', () => {
    const days = [0, 10, 35, 36].map((back) => first({ receivedDay: day - back, sequence: 40 - back }));
    expect(twinsOf(row(), ...days.toReversed(), first())).toEqual([[5, 'twin']]);
    expect(twinsOf(row(), first(), ...days)).toEqual([[5, 'twin']]);
  });

  it('of a backfill is one however long ago the first came', () => {
    const backfill = row({ occurredAtMs: day * dayMs + 5 - rule.horizonMs - 1 });
    expect(isBackfill(backfill, rule)).toBe(true);
    expect(twinsOf(backfill, first(), first({ receivedDay: 1, sequence: 1 }))).toEqual([[1, 'twin']]);
    const atTheEdge = row({ occurredAtMs: day * dayMs + 5 - rule.horizonMs });
    expect(isBackfill(atTheEdge, rule)).toBe(false);
    expect(twinsOf(atTheEdge, first({ receivedDay: 1, sequence: 1 }))).toEqual([]);
  });

  it('is told from the first by what the store has of itself, and is none where it is not stored', () => {
    const own = (change: Partial<Said>): KeyDay => ({
      ...first({ sequence: 49 }),
      asked: [
        { ...said, sequence: 60, event: 'g' },
        { ...said, ...change },
      ],
    });
    expect(findTwins([row()], [own({ customer: 'd' })], rule)).toEqual([
      { row: row(), said: { ...said, customer: 'd' }, firstSequence: 49, reason: 'conflict' },
    ]);
    expect(twinsOf(row(), own({}))).toEqual([[49, 'twin']]);
    expect(twinsOf(row(), own({ sequence: 61 }))).toEqual([]);
  });
});
