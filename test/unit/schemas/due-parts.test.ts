/** What of a subscription's time falls due: rows of worked examples, and what holds however terms change. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChargeSchedule } from '#schemas/charge-schedule.ts';
import { type BilledPart, type DuePart, dueParts, nextLook, rememberedPeriods } from '#schemas/due-parts.ts';
import { type Amount, type PreciseAmount, parseAmount, RoundingMode, toPrecise } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { prorationOf } from '#schemas/proration.ts';
import { billedItems, type SubscriptionChange, type SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { shareOf } from '../../../rater/price/prorate.ts';

const day = 86_400_000;
const amount = (text: string): Amount => parseAmount(text) as Amount;
const at = (text: string): Instant => Date.parse(text);
const month = { unit: 'month', count: 1 } as const;
const year = { unit: 'year', count: 1 } as const;
const schedule = (over: Partial<ChargeSchedule> = {}): ChargeSchedule => ({
  interval: month,
  timing: 'advance',
  isCounted: false,
  isMetered: false,
  isBounded: false,
  isProrated: true,
  ...over,
});
const usage = schedule({ timing: 'arrears', isMetered: true });
/** All schedules of a version, with the plan that it is of. */
const ofPlan = (planId: string, ...schedules: ChargeSchedule[]) => schedules.map((one) => ({ ...one, planId }));
const setup = schedule({ timing: 'once' });
const setupOfSeats = schedule({ timing: 'once', isCounted: true });

const termsOf = (over: Partial<SubscriptionTerms> = {}): SubscriptionTerms => ({
  startedAt: at('2026-09-11T12:00Z'),
  endedAt: null,
  trialEndsAt: null,
  cycle: { interval: month, anchor: '2000-01-01T00:00:00.000', timeZone: 'UTC' },
  planVersionId: 'basic',
  seats: 1,
  refundsAtEnd: true,
  changes: [],
  ...over,
});

type Versions = Readonly<Record<string, readonly ChargeSchedule[]>>;

/** As runs do it, one after the other: each writes what is due, and the next sees it. */
const cutAt = (terms: (now: Instant) => SubscriptionTerms, versions: Versions, instants: readonly Instant[]) => {
  const written: DuePart[] = [];
  let after: Instant | undefined;
  for (const now of instants) {
    const held = terms(now);
    const start = after ?? held.startedAt - 1;
    if (start >= now) continue;
    const known: BilledPart[] = written.filter(({ billing, timing }) => billing.end > start || timing === 'once');
    const time = { start, end: now };
    written.push(...dueParts(held, (id) => versions[id] ?? [], known, time, rememberedPeriods()));
    after = now;
  }
  return written;
};

const shown = ({ item, planVersionId, timing, span, dueAt, quantities }: DuePart): string => {
  const text = (instant: Instant) => new Date(instant).toISOString().slice(0, 16).replace('T00:00', '');
  const seats = quantities ? ` x${quantities.map(([, quantity]) => quantity).join(',')}` : '';
  const name = item === 'plan' ? planVersionId : `${item}:${planVersionId}`;
  return `${timing} ${name}${seats} ${text(span.start)}..${text(span.end)} due ${text(dueAt)}`;
};

const plan = (effectiveAt: Instant, planVersionId: string, over = {}): SubscriptionChange => ({
  kind: 'plan',
  planVersionId,
  interval: month,
  effectiveAt,
  bills: 'next',
  ...over,
});

describe('what falls due', () => {
  it('in advance when a period begins, in arrears when it ends', () => {
    const parts = cutAt(() => termsOf(), { basic: [schedule(), usage] }, [
      at('2026-09-12T00:00Z'),
      at('2026-11-01T00:00Z'),
    ]);
    expect(parts.map(shown)).toEqual([
      'advance basic 2026-09-11T12:00..2026-10-01 due 2026-09-11T12:00',
      'arrears basic 2026-09-11T12:00..2026-10-01 due 2026-10-01',
      'advance basic 2026-10-01..2026-11-01 due 2026-10-01',
      'arrears basic 2026-10-01..2026-11-01 due 2026-11-01',
      'advance basic 2026-11-01..2026-12-01 due 2026-11-01',
    ]);
  });

  it('a change within a period takes back what is unused and charges the rest, with the next invoice or at once', () => {
    const change = at('2026-10-16T00:00Z');
    const versions = { basic: [schedule(), usage], pro: [schedule(), usage] };
    const cut = (bills: 'now' | 'next') =>
      cutAt(
        (now) =>
          termsOf({
            startedAt: at('2026-10-01T00:00Z'),
            changes: now < change ? [] : [plan(change, 'pro', { bills })],
          }),
        versions,
        [at('2026-10-02T00:00Z'), at('2026-10-20T00:00Z'), at('2026-11-01T00:00Z')],
      ).map(shown);
    const due = (when: string) => [
      'advance basic 2026-10-01..2026-11-01 due 2026-10-01',
      `credit basic 2026-10-16..2026-11-01 due ${when}`,
      `advance pro 2026-10-16..2026-11-01 due ${when}`,
      'arrears basic 2026-10-01..2026-10-16 due 2026-11-01',
      'arrears pro 2026-10-16..2026-11-01 due 2026-11-01',
      'advance pro 2026-11-01..2026-12-01 due 2026-11-01',
    ];
    expect(cut('now').toSorted()).toEqual(due('2026-10-16').toSorted());
    expect(cut('next').toSorted()).toEqual(due('2026-11-01').toSorted());
  });

  it('seats that change correct only what is priced by seats', () => {
    const change = at('2026-10-16T00:00Z');
    const changes: SubscriptionChange[] = [{ kind: 'seats', quantity: 5, effectiveAt: change, bills: 'now' }];
    const parts = cutAt(
      (now) => termsOf({ startedAt: at('2026-10-01T00:00Z'), seats: 3, changes: now < change ? [] : changes }),
      { basic: [schedule(), schedule({ isCounted: true }), schedule({ timing: 'arrears', isCounted: true })] },
      [at('2026-10-02T00:00Z'), at('2026-11-01T00:00Z') - 1, at('2026-11-01T00:00Z')],
    );
    expect(parts.map(shown)).toEqual(
      [
        'advance basic 2026-10-01..2026-11-01 due 2026-10-01',
        'advance basic x3 2026-10-01..2026-11-01 due 2026-10-01',
        'credit basic x3 2026-10-16..2026-11-01 due 2026-10-16',
        'advance basic x5 2026-10-16..2026-11-01 due 2026-10-16',
        'advance basic 2026-11-01..2026-12-01 due 2026-11-01',
        'advance basic x5 2026-11-01..2026-12-01 due 2026-11-01',
        'arrears basic x3,5 2026-10-01..2026-11-01 due 2026-11-01',
      ].toSorted((a, b) => parts.map(shown).indexOf(a) - parts.map(shown).indexOf(b)),
    );
  });

  it('nothing of a trial or a pause; a year in advance beside months in arrears', () => {
    const changes: SubscriptionChange[] = [
      { kind: 'pause', usage: 'unbilled', effectiveAt: at('2026-11-11T00:00Z'), bills: 'now' },
      { kind: 'resume', effectiveAt: at('2026-12-21T00:00Z'), bills: 'now' },
    ];
    const terms = termsOf({ trialEndsAt: at('2026-10-01T00:00Z'), changes });
    const parts = cutAt(() => terms, { basic: [schedule({ interval: year }), usage] }, [
      at('2026-10-01T00:00Z'),
      at('2027-01-01T00:00Z'),
    ]);
    expect(parts.map(shown)).toEqual([
      'advance basic 2026-10-01..2026-11-11 due 2026-10-01',
      'arrears basic 2026-10-01..2026-11-01 due 2026-11-01',
      'arrears basic 2026-11-01..2026-11-11 due 2026-12-01',
      'advance basic 2026-12-21..2027-01-01 due 2026-12-21',
      'arrears basic 2026-12-21..2027-01-01 due 2027-01-01',
      'advance basic 2027-01-01..2028-01-01 due 2027-01-01',
    ]);
  });

  it('a cancellation takes back what is unused, unless it is not refunded', () => {
    const end = at('2026-10-16T00:00Z');
    const cut = (refundsAtEnd: boolean) =>
      cutAt(
        (now) => termsOf({ startedAt: at('2026-10-01T00:00Z'), refundsAtEnd, endedAt: now < end ? null : end }),
        { basic: [schedule(), usage] },
        [at('2026-10-02T00:00Z'), at('2026-12-01T00:00Z')],
      ).map(shown);
    const kept = [
      'advance basic 2026-10-01..2026-11-01 due 2026-10-01',
      'arrears basic 2026-10-01..2026-10-16 due 2026-10-16',
    ];
    expect(cut(false)).toEqual(kept);
    expect(cut(true)).toEqual([...kept, 'credit basic 2026-10-16..2026-11-01 due 2026-10-16']);
  });
});

describe('usage of the billing period in which it ends', () => {
  const cut = (endedAt: Instant, schedules: readonly ChargeSchedule[]) =>
    cutAt(() => termsOf({ endedAt, waivesFinalUsage: true }), { basic: schedules }, [at('2027-01-01T00:00Z')]).map(
      (part) => `${shown(part)} ${part.usageWaived === true}`,
    );
  const before = 'arrears basic 2026-09-11T12:00..2026-10-01 due 2026-10-01 false';

  it('is in no part, and what is flat beside it is in one, where it is waived', () => {
    expect(cut(at('2026-10-16T00:00Z'), [{ ...usage, isUsageAlone: true }])).toEqual([before]);
    expect(cut(at('2026-10-16T00:00Z'), [usage])).toEqual([
      before,
      'arrears basic 2026-10-01..2026-10-16 due 2026-10-16 true',
    ]);
  });

  it('is that of the period which ends with it', () => {
    expect(cut(at('2026-11-01T00:00Z'), [usage])).toEqual([
      before,
      'arrears basic 2026-10-01..2026-11-01 due 2026-11-01 true',
    ]);
    expect(cut(at('2026-10-01T00:00Z') + 1, [{ ...usage, isUsageAlone: true }])).toEqual([before]);
  });
});

describe('what is charged once', () => {
  const versions = {
    basic: ofPlan('Basic', setup, setupOfSeats),
    basic2: ofPlan('Basic', setup),
    pro: ofPlan('Pro', setup, schedule()),
    storage: ofPlan('a', setupOfSeats),
  };
  const start = at('2026-10-05T00:00Z');
  const horizon = at('2027-03-01T00:00Z');
  const once = (terms: SubscriptionTerms, ...instants: Instant[]) =>
    cutAt(() => terms, versions, [...instants, horizon])
      .filter(({ timing }) => timing === 'once')
      .map((part) => shown(part).replace(/\.\.\S+/, ''));

  it('is due when billing begins: behind the trial, by the seats that there are then', () => {
    const changes: SubscriptionChange[] = [
      { kind: 'seats', quantity: 3, effectiveAt: at('2026-10-06T00:00Z'), bills: 'next' },
      { kind: 'seats', quantity: 9, effectiveAt: at('2026-12-06T00:00Z'), bills: 'now' },
    ];
    expect(once(termsOf({ startedAt: start, trialEndsAt: at('2026-10-19T00:00Z'), changes }))).toEqual([
      'once Basic:basic 2026-10-19 due 2026-10-19',
      'once Basic:basic x3 2026-10-19 due 2026-10-19',
    ]);
    expect(
      once(termsOf({ startedAt: start, trialEndsAt: at('2026-10-19T00:00Z'), endedAt: at('2026-10-19T00:00Z') })),
    ).toEqual([]);
  });

  it('is charged once of each plan, whatever was changed between, and by which version', () => {
    const changes = [
      plan(at('2026-10-20T00:00Z'), 'pro'),
      plan(at('2026-11-01T00:00Z'), 'basic2'),
      { kind: 'pause', usage: 'unbilled', effectiveAt: at('2026-11-10T00:00Z'), bills: 'now' },
      { kind: 'resume', effectiveAt: at('2026-11-15T00:00Z'), bills: 'now' },
      plan(at('2026-12-10T00:00Z'), 'pro', { bills: 'now' }),
    ] as SubscriptionChange[];
    const due = [
      'once Basic:basic 2026-10-05 due 2026-10-05',
      'once Basic:basic x1 2026-10-05 due 2026-10-05',
      'once Pro:pro 2026-10-20 due 2026-11-01',
    ];
    const terms = termsOf({ startedAt: start, changes });
    expect(once(terms)).toEqual(due);
    expect(once(terms, start, at('2026-10-25T00:00Z'), at('2026-11-12T00:00Z'), at('2027-01-01T00:00Z'))).toEqual(due);
  });

  it('by an add-on is charged by how many there are first, and not when it is taken again', () => {
    const taken = (when: string, quantity: number): SubscriptionChange => ({
      kind: 'add_on',
      addOnId: 'a',
      planVersionId: 'storage',
      quantity,
      effectiveAt: at(when),
      bills: 'now',
    });
    const changes = [taken('2026-10-08T00:00Z', 2), taken('2026-10-09T00:00Z', 5), taken('2026-10-10T00:00Z', 0)];
    expect(once(termsOf({ startedAt: start, changes: [...changes, taken('2026-11-10T00:00Z', 1)] })).at(-1)).toBe(
      'once a:storage x2 2026-10-08 due 2026-10-08',
    );
  });

  it('with a change for the end of the period is due with it, and with the end where that comes before', () => {
    const changes = [plan(at('2026-11-01T00:00Z'), 'pro')];
    expect(once(termsOf({ startedAt: start, changes })).at(-1)).toBe('once Pro:pro 2026-11-01 due 2026-11-01');
    const ended = termsOf({
      startedAt: start,
      changes: [plan(at('2026-10-20T00:00Z'), 'pro')],
      endedAt: at('2026-10-25T00:00Z'),
    });
    expect(once(ended).at(-1)).toBe('once Pro:pro 2026-10-20 due 2026-10-25');
  });
});

describe('of a plan that charges whole periods alone', () => {
  it('nothing is taken back by a pause or an end, and a change puts one whole in the place of the other', () => {
    const whole = schedule({ isProrated: false });
    const cut = (changes: SubscriptionChange[], endedAt: Instant | null = null) =>
      cutAt(
        (now) =>
          termsOf({
            startedAt: at('2026-10-01T00:00Z'),
            endedAt,
            changes: now < at('2026-10-05T00:00Z') ? [] : changes,
          }),
        { basic: [whole], pro: [whole] },
        [at('2026-10-02T00:00Z'), at('2026-10-20T00:00Z')],
      ).map(shown);
    const kept = 'advance basic 2026-10-01..2026-11-01 due 2026-10-01';
    const pause = { kind: 'pause', usage: 'unbilled', effectiveAt: at('2026-10-10T00:00Z'), bills: 'now' } as const;
    const resume = { kind: 'resume', effectiveAt: at('2026-10-15T00:00Z'), bills: 'now' } as const;
    expect(cut([pause, resume])).toEqual([kept]);
    expect(cut([plan(at('2026-10-10T00:00Z'), 'pro', { bills: 'now' })])).toEqual([
      kept,
      'credit basic 2026-10-10..2026-11-01 due 2026-10-10',
      'advance pro 2026-10-10..2026-11-01 due 2026-10-10',
    ]);
  });
});

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
  const instants = fc.integer({ min: start + 1, max: horizon - 1 });
  const changes: fc.Arbitrary<SubscriptionChange> = fc.oneof(
    fc
      .record({ effectiveAt: instants, version: fc.constantFrom('basic', 'pro', 'team') })
      .map((one) => plan(one.effectiveAt, one.version)),
    fc.record({
      kind: fc.constant('seats' as const),
      effectiveAt: instants,
      quantity: fc.integer({ min: 1, max: 9 }),
      bills: fc.constantFrom('now' as const, 'next' as const),
    }),
    fc
      .record({ effectiveAt: instants, quantity: fc.integer({ min: 0, max: 3 }) })
      .map(
        (one): SubscriptionChange => ({ kind: 'add_on', addOnId: 'a', planVersionId: 'storage', bills: 'now', ...one }),
      ),
    fc.record({
      kind: fc.constant('pause' as const),
      effectiveAt: instants,
      usage: fc.constant('unbilled' as const),
      bills: fc.constant('now' as const),
    }),
    fc.record({ kind: fc.constant('resume' as const), effectiveAt: instants, bills: fc.constant('now' as const) }),
  );
  const histories = fc.record({
    changes: fc.uniqueArray(changes, { maxLength: 12, selector: ({ effectiveAt }) => effectiveAt }),
    runs: fc.uniqueArray(fc.integer({ min: start, max: horizon }), { maxLength: 12 }),
    end: fc.option(fc.integer({ min: start + 1, max: horizon - 1 })),
    /** How long before it takes effect each is known. */
    notice: fc.constantFrom(0, 3 * day, 90 * day),
  });
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
      [...history.runs, horizon].toSorted((a, b) => a - b),
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
