import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultNumberFormat, type NumberFormat, prefixPattern } from '#schemas/number-format.ts';
import { type NumberingSeries, numberingFrom } from '../../../../invoicer/invoices/number-documents.ts';
import { dueAtOf } from '../../../../invoicer/invoices/payment-terms.ts';
import { scaled } from '../../../support/scale.ts';

const yearly = defaultNumberFormat;
const running: NumberFormat = { prefix: 'A/', includesYear: true, padding: 3, reset: 'never' };

const takeAll = (takes: readonly (readonly [NumberFormat, number])[], stored: readonly NumberingSeries[] = []) => {
  const numbering = numberingFrom(stored);
  return { taken: takes.map(([format, year]) => numbering.next(null, format, year)), moved: numbering.moved() };
};

describe('document numbers', () => {
  it('begin at 1 with each year where the series begins again', () => {
    expect(
      takeAll([
        [yearly, 2026],
        [yearly, 2026],
        [yearly, 2027],
        [yearly, 2026],
      ]).taken,
    ).toEqual(['INV-2026-000001', 'INV-2026-000002', 'INV-2027-000001', 'INV-2026-000003']);
  });

  it('go on over the years where the series never begins again', () => {
    expect(
      takeAll([
        [running, 2026],
        [running, 2027],
        [{ ...running, includesYear: false }, 2028],
      ]).taken,
    ).toEqual(['A/2026-001', 'A/2027-002', 'A/003']);
  });

  it('go on where the series stopped that is stored, and give back only what moved', () => {
    const stored = [
      { stem: 'INV-2026-', prefix: 'INV-', issuingEntityId: null, last: 41 },
      { stem: 'B-', prefix: 'B-', issuingEntityId: 'ent_1', last: 7 },
    ];
    expect(takeAll([[yearly, 2026]], stored)).toEqual({
      taken: ['INV-2026-000042'],
      moved: [{ stem: 'INV-2026-', prefix: 'INV-', issuingEntityId: null, last: 42 }],
    });
  });

  it('[I18] whatever formats follow each other, no number is given twice, and none is left out of a series', () => {
    const formats = fc.record({
      prefix: fc.stringMatching(new RegExp(prefixPattern.replace('{0,19}', '{0,2}'))),
      includesYear: fc.boolean(),
      padding: fc.integer({ min: 1, max: 7 }),
      reset: fc.constantFrom('yearly', 'never'),
    });
    const takes = fc.array(
      fc.tuple(
        formats.map((format) => (format.includesYear ? format : { ...format, reset: 'never' as const })),
        fc.integer({ min: 2026, max: 2028 }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(takes, (all) => {
        const { taken, moved } = takeAll(all);
        expect(new Set(taken).size).toBe(taken.length);
        // What is stored between two runs changes nothing.
        const half = takeAll(all.slice(0, all.length / 2));
        expect([...half.taken, ...takeAll(all.slice(all.length / 2), half.moved).taken]).toEqual(taken);
        expect(moved.every(({ last }) => last > 0 && last <= taken.length)).toBe(true);
      }),
      { numRuns: scaled(500) },
    );
  });
});

describe('due dates', () => {
  const at = (text: string) => Date.parse(text);
  it.each([
    ['is the instant of issue without any day', '2026-11-01T08:00:00Z', 0, 'UTC', '2026-11-01T08:00:00Z'],
    ['counts days of the calendar', '2026-11-01T08:00:00Z', 30, 'UTC', '2026-12-01T08:00:00Z'],
    [
      'keeps the local time when clocks are put forward',
      '2026-03-20T23:30:00Z',
      14,
      'Europe/Berlin',
      '2026-04-03T22:30:00Z',
    ],
    [
      'keeps the local time when clocks are put back',
      '2026-10-20T22:30:00Z',
      14,
      'Europe/Berlin',
      '2026-11-03T23:30:00Z',
    ],
    ['goes over the end of a leap February', '2028-02-28T12:00:00Z', 2, 'UTC', '2028-03-01T12:00:00Z'],
    ['may be a year away', '2026-01-01T00:00:00Z', 365, 'Asia/Kolkata', '2027-01-01T00:00:00Z'],
  ])('%s', (_, issued, days, zone, due) => {
    expect(dueAtOf(at(issued), days, zone)).toBe(at(due));
  });

  it('is none where nothing was agreed', () => {
    expect(dueAtOf(at('2026-11-01T08:00:00Z'), null, 'UTC')).toBeNull();
  });
});
