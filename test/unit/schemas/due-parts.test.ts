/** What of a subscription's time falls due: rows of worked examples. */
import { describe, expect, it } from 'vitest';
import type { ChargeSchedule } from '#schemas/charge-schedule.ts';
import { nextLook } from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import type { SubscriptionChange, SubscriptionTerms } from '#schemas/subscription-terms.ts';
import {
  at,
  cutAt,
  ofPlan,
  plan,
  schedule,
  setup,
  setupOfSeats,
  shown,
  termsOf,
  usage,
  year,
} from '../../support/cut-parts.ts';

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

  it('at the end of a period a plan of another interval begins, and is charged, with that end', () => {
    const change = at('2026-11-01T00:00Z');
    const versions = { basic: [schedule()], pro: [schedule({ interval: year })] };
    const changes = [plan(change, 'pro', { interval: year })];
    const terms = termsOf({ startedAt: at('2026-10-01T00:00Z'), changes });
    const parts = cutAt(() => terms, versions, [at('2026-10-02T00:00Z'), at('2026-11-01T00:00Z')]);
    expect(parts.map(shown)).toEqual([
      'advance basic 2026-10-01..2026-11-01 due 2026-10-01',
      'advance pro 2026-11-01..2027-01-01 due 2026-11-01',
    ]);
  });

  it('is looked for when a change is put right, and where one that is no more would have begun', () => {
    const versions: Record<string, ChargeSchedule[]> = { basic: [schedule({ interval: year })] };
    const schedulesOf = (id: string) => versions[id] ?? [];
    const change = at('2026-10-10T00:00Z');
    const terms = termsOf({ startedAt: at('2026-01-01T00:00Z'), changes: [plan(change, 'basic')] });
    expect(nextLook(terms, schedulesOf, change)).toBe(at('2026-11-01T00:00Z'));
    const written = [{ timing: 'advance' as const, span: { start: terms.startedAt, end: at('2026-10-20T00:00Z') } }];
    expect(nextLook(terms, schedulesOf, change, written)).toBe(at('2026-10-20T00:00Z'));
  });

  it('a change at once behind one that waits takes back what was charged until then, and an end what it charged', () => {
    const seats = (text: string, quantity: number, bills: 'now' | 'next') =>
      ({ kind: 'seats', effectiveAt: at(text), quantity, bills }) as const;
    const [first, second] = [seats('2027-03-06T00:00Z', 2, 'next'), seats('2027-03-11T00:00Z', 3, 'now')];
    const end = at('2027-03-21T00:00Z');
    const cut = (refundsAtEnd: boolean) =>
      cutAt(
        (now) =>
          termsOf({
            startedAt: at('2027-03-01T00:00Z'),
            endedAt: now < at('2027-03-16T00:00Z') ? null : end,
            refundsAtEnd,
            changes: [first, second].filter(({ effectiveAt }) => effectiveAt <= now),
          }),
        { basic: [schedule({ isCounted: true })] },
        ['2027-03-01', '2027-03-06', '2027-03-11', '2027-03-16', '2027-03-21', '2027-04-01'].map((one) => at(one)),
      ).map(shown);
    const parts = [
      'advance basic x1 2027-03-01..2027-04-01 due 2027-03-01',
      'credit basic x1 2027-03-11..2027-04-01 due 2027-03-11',
      'advance basic x3 2027-03-11..2027-04-01 due 2027-03-11',
      'credit basic x1 2027-03-06..2027-03-11 due 2027-03-21',
      'advance basic x2 2027-03-06..2027-03-11 due 2027-03-21',
    ];
    expect(cut(true)).toEqual([...parts, 'credit basic x3 2027-03-21..2027-04-01 due 2027-03-21']);
    expect(cut(false)).toEqual(parts);
  });

  it('what it begins with is due when it begins, also beside changes of the same instant that wait', () => {
    const start = at('2026-10-10T00:00Z');
    const terms = termsOf({
      startedAt: start,
      changes: [
        { kind: 'add_on', addOnId: 'a', planVersionId: 'storage', quantity: 1, effectiveAt: start, bills: 'next' },
        { kind: 'seats', quantity: 4, effectiveAt: start, bills: 'next' },
      ],
    });
    const versions = {
      basic: ofPlan('Basic', schedule(), schedule({ isCounted: true }), setup),
      storage: ofPlan('a', schedule({ interval: year })),
    };
    expect(
      cutAt(() => terms, versions, [start])
        .map(shown)
        .toSorted(),
    ).toEqual(
      [
        'once Basic:basic 2026-10-10..2026-10-10 due 2026-10-10',
        'advance a:storage 2026-10-10..2027-01-01 due 2026-10-10',
        'advance basic 2026-10-10..2026-11-01 due 2026-10-10',
        'advance basic x4 2026-10-10..2026-11-01 due 2026-10-10',
      ].toSorted(),
    );
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
    const last = 'arrears basic 2026-10-01..2026-10-16 due 2026-10-16 true';
    expect(cut(at('2026-10-16T00:00Z'), [usage])).toEqual([before, last]);
  });

  it('is that of the period which ends with it', () => {
    const last = 'arrears basic 2026-10-01..2026-11-01 due 2026-11-01 true';
    expect(cut(at('2026-11-01T00:00Z'), [usage])).toEqual([before, last]);
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
