/** What of a subscription's time falls due, however its terms change and whenever runs look. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DuePart, nextLook } from '#schemas/due-parts.ts';
import { type PreciseAmount, RoundingMode, toPrecise } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { prorationOf } from '#schemas/proration.ts';
import { billedItems, type SubscriptionChange } from '#schemas/subscription-terms.ts';
import { shareOf } from '../../../rater/price/prorate.ts';
import {
  amount,
  at,
  cutAt,
  day,
  month,
  ofPlan,
  plan,
  schedule,
  setup,
  setupOfSeats,
  shown,
  termsOf,
  usage,
  type Versions,
  year,
} from '../../support/cut-parts.ts';

describe('however terms change', () => {
  const start = at('2026-01-15T10:00Z');
  const horizon = start + 400 * day;
  const versions: Versions = {
    basic: ofPlan('Basic', schedule(), schedule({ isCounted: true }), usage, setup),
    pro: ofPlan('Basic', schedule(), usage, schedule({ interval: year, isCounted: true }), setup),
    team: ofPlan(
      'Team',
      schedule({ interval: year }),
      schedule({ timing: 'arrears', isCounted: true }),
      usage,
      setup,
      setupOfSeats,
    ),
    storage: ofPlan('a', schedule({ isCounted: true }), setupOfSeats),
  };
  /** Of few days, so that several changes lie within one billing period; and of many. */
  const changesWithin = (instants: fc.Arbitrary<Instant>): fc.Arbitrary<SubscriptionChange> =>
    fc.oneof(
      fc
        .record({
          effectiveAt: instants,
          version: fc.constantFrom('basic', 'pro', 'team'),
          bills: fc.constantFrom('now' as const, 'next' as const),
        })
        .map(({ effectiveAt, version, bills }) => plan(effectiveAt, version, { bills })),
      fc.record({
        kind: fc.constant('seats' as const),
        effectiveAt: instants,
        quantity: fc.integer({ min: 1, max: 9 }),
        bills: fc.constantFrom('now' as const, 'next' as const),
      }),
      fc.record({ effectiveAt: instants, quantity: fc.integer({ min: 0, max: 3 }) }).map(
        (one): SubscriptionChange => ({
          kind: 'add_on',
          addOnId: 'a',
          planVersionId: 'storage',
          bills: 'now',
          ...one,
        }),
      ),
      fc.record({
        kind: fc.constant('pause' as const),
        effectiveAt: instants,
        usage: fc.constant('unbilled' as const),
        bills: fc.constant('now' as const),
      }),
      fc.record({ kind: fc.constant('resume' as const), effectiveAt: instants, bills: fc.constant('now' as const) }),
    );
  const historiesOf = (days: number) => {
    const instants = fc.integer({ min: start, max: start + days * day - 1 });
    return fc.record({
      changes: fc.uniqueArray(changesWithin(instants), { maxLength: 12, selector: ({ effectiveAt }) => effectiveAt }),
      runs: fc.uniqueArray(fc.integer({ min: start, max: start + days * day }), { maxLength: 12 }),
      /** A run at each instant at which something changes, as the scheduler has it. */
      isScheduled: fc.boolean(),
      end: fc.option(instants.filter((one) => one > start)),
      /** How long before it takes effect each is known. */
      notice: fc.constantFrom(0, 3 * day, 90 * day),
    });
  };
  const histories = fc.oneof(historiesOf(45), historiesOf(399));
  type History = typeof histories extends fc.Arbitrary<infer T> ? T : never;
  const termsAt = ({ changes: all, end, notice }: History) => {
    const ordered = all.toSorted((a, b) => a.effectiveAt - b.effectiveAt);
    return (now: Instant) =>
      termsOf({
        startedAt: start,
        endedAt: end !== null && end - notice <= now ? end : null,
        cycle: { interval: month, anchor: '2026-01-15T10:00:00.000', timeZone: 'UTC' },
        changes: ordered.filter(({ effectiveAt }) => effectiveAt - notice <= now),
      });
  };
  const cut = (history: History): DuePart[] =>
    cutAt(
      termsAt(history),
      versions,
      [
        ...history.runs,
        ...(history.isScheduled ? history.changes.map(({ effectiveAt }) => effectiveAt) : []),
        ...(history.isScheduled && history.end !== null ? [history.end] : []),
        horizon,
      ].toSorted((a, b) => a - b),
    );

  it('each thing to bill has a place of its own, whenever runs look', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const names = cut(history).map(
          ({ item, timing, interval, isCounted, billing, span }) =>
            `${item} ${timing} ${interval.unit} ${isCounted} ${billing.start} ${span.start}`,
        );
        expect(new Set(names).size).toBe(names.length);
      }),
      { numRuns: 500 },
    );
  });

  it('what is charged in advance, less what is taken back, is what was had, to the last cent', () => {
    const price = (version: string, quantity: number) =>
      toPrecise(amount({ basic: '9.99', pro: '31.01', team: '365.33', storage: '2.77' }[version] ?? '0')) *
      BigInt(quantity);
    const share = (
      version: string,
      quantity: number,
      billing: { start: number; end: number },
      span: typeof billing,
    ) => {
      const proration = prorationOf('time', billing, span, 'UTC') ?? { by: 'time', from: 0, to: 1, of: 1 };
      const whole = price(version, quantity) as PreciseAmount;
      return shareOf(whole, proration, 'USD', RoundingMode.halfUp);
    };
    fc.assert(
      fc.property(histories, (history) => {
        const parts = cut(history).filter(({ timing }) => timing === 'advance' || timing === 'credit');
        const items = billedItems(termsAt(history)(horizon));
        const windows = new Map(
          parts.map((part) => [`${part.item} ${part.interval.unit} ${part.isCounted} ${part.billing.start}`, part]),
        );
        for (const [name, { item, interval, isCounted, billing, timing: _ }] of windows) {
          if (billing.end > horizon) continue;
          const of = parts.filter(
            (part) => `${part.item} ${part.interval.unit} ${part.isCounted} ${part.billing.start}` === name,
          );
          const charged = of.reduce((sum, { timing, planVersionId, quantities, span }) => {
            const one = share(planVersionId, quantities?.[0]?.[1] ?? 1, billing, span);
            return timing === 'credit' ? sum - one : sum + one;
          }, 0n);
          const had = items
            .filter((one) => one.item === item)
            .filter(({ planVersionId }) =>
              versions[planVersionId]?.some(
                (s) => s.timing === 'advance' && s.interval.unit === interval.unit && s.isCounted === isCounted,
              ),
            )
            .flatMap(({ planVersionId, span, quantities }) => {
              const levels = isCounted ? quantities : [[span.start, 1] as const];
              return levels.map(([from, quantity], index) => ({
                planVersionId,
                quantity,
                start: Math.max(from, billing.start),
                end: Math.min(levels[index + 1]?.[0] ?? span.end, billing.end),
              }));
            })
            .filter(({ start: from, end }) => from < end)
            .reduce(
              (sum, { planVersionId, quantity, ...span }) => sum + share(planVersionId, quantity, billing, span),
              0n,
            );
          expect(charged).toBe(had);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('what is charged once is due exactly once of each plan that was billed, when that began', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const parts = cut(history).filter(({ timing }) => timing === 'once');
        const firsts = new Map<string, { start: number; version: string; quantity: number }>();
        for (const { planVersionId: version, span, quantities } of billedItems(termsAt(history)(horizon))) {
          const planId = versions[version]?.[0]?.planId ?? '';
          if (!firsts.has(planId))
            firsts.set(planId, { start: span.start, version, quantity: quantities[0]?.[1] ?? 0 });
        }
        const wanted = [...firsts].flatMap(([planId, { start: from, version, quantity }]) =>
          (versions[version] ?? [])
            .filter(({ timing }) => timing === 'once')
            .map(({ isCounted }) => `${planId} ${version} ${from} ${isCounted ? quantity : 'flat'}`),
        );
        const isDue = (name: string) => wanted.includes(name);
        const found = parts.map(
          ({ item, planVersionId, span, quantities }) =>
            `${item} ${planVersionId} ${span.start} ${quantities?.[0]?.[1] ?? 'flat'}`,
        );
        expect(found.filter((name) => !isDue(name))).toEqual([]);
        // What begins within the last period may wait for its end.
        const missing = wanted.filter((name) => !found.includes(name));
        for (const name of missing) expect(Number(name.split(' ')[2])).toBeGreaterThan(horizon - 32 * day);
        expect(new Set(found).size).toBe(found.length);
      }),
      { numRuns: 1_000 },
    );
  });

  it('what is in arrears tiles the time that is billed, each instant once', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const parts = cut(history).filter(({ timing, isMetered }) => timing === 'arrears' && isMetered);
        const items = billedItems(termsAt(history)(horizon)).filter(({ item }) => item === 'plan');
        const before = Math.max(...parts.map(({ billing }) => billing.end), start);
        const covered = parts.reduce((sum, { span }) => sum + span.end - span.start, 0);
        const had = items.reduce((sum, { span }) => sum + Math.max(0, Math.min(span.end, before) - span.start), 0);
        expect(covered).toBe(had);
        const ordered = parts.toSorted((a, b) => a.span.start - b.span.start);
        for (const [index, part] of ordered.entries())
          expect(part.span.start).toBeGreaterThanOrEqual(ordered[index - 1]?.span.end ?? start);
      }),
      { numRuns: 500 },
    );
  });

  it('a run at each instant that is to be looked at misses nothing', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const terms = termsAt({ ...history, notice: 10_000 * day })(start);
        const looks: Instant[] = [];
        for (let now: Instant | undefined = start; now !== undefined && now <= horizon; ) {
          looks.push(now);
          now = nextLook(terms, (id) => versions[id] ?? [], now);
        }
        const once = cutAt(() => terms, versions, [horizon]);
        const often = cutAt(() => terms, versions, looks);
        const last = looks.at(-1) ?? start;
        expect(often.map(shown).toSorted()).toEqual(
          once
            .filter(({ dueAt }) => dueAt <= last)
            .map(shown)
            .toSorted(),
        );
        expect(once.every(({ dueAt }) => looks.includes(dueAt))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
