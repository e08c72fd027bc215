import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainInstant } from '../../../../ingest/parse/plain-instant.ts';
import { instantFromText } from '../../../../schemas/instant.ts';
import { scaled } from '../../../support/scale.ts';

/** Read out of the middle of a body, as it stands there. */
const read = (text: string): number => {
  const body = Buffer.from(`"timestamp":"${text}","1":"2"`);
  return plainInstant(body, 13, body.length - 9);
};

describe('an instant in a body', () => {
  it.each([
    ['with seconds', '2026-11-20T11:59:59Z', Date.UTC(2026, 10, 20, 11, 59, 59)],
    ['with tenths', '2026-11-20T11:59:59.2Z', Date.UTC(2026, 10, 20, 11, 59, 59, 200)],
    ['with milliseconds', '2026-11-20T11:59:59.250Z', Date.UTC(2026, 10, 20, 11, 59, 59, 250)],
    ['with twelve digits, cut off', '2026-11-20T11:59:59.999999999999Z', Date.UTC(2026, 10, 20, 11, 59, 59, 999)],
    [
      'with 24 digits, cut off',
      '2026-11-20T11:59:59.999999999999999999999999Z',
      Date.UTC(2026, 10, 20, 11, 59, 59, 999),
    ],
    ['in a zone to the east', '2026-11-20T13:00:00+02:00', Date.UTC(2026, 10, 20, 11)],
    ['in a zone to the west', '2026-11-20T00:00:00.5-23:59', Date.UTC(2026, 10, 20, 23, 59, 0, 500)],
    ['on a leap day', '2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['on a leap day of a century', '2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
    ['before 1970', '1969-12-31T23:59:59.999Z', -1],
    ['in the year 0', '0000-01-01T00:00:00Z', -62_167_219_200_000],
    ['in the year 9999', '9999-12-31T23:59:59Z', 253_402_300_799_000],
  ])('%s', (_what, text, expected) => {
    expect(read(text)).toBe(expected);
    expect(instantFromText(text)).toBe(expected);
  });

  it.each([
    '2023-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-13-10T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-32T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-06-29T23:59:60Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00.1234567890123456789012345Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+00:60',
    '2026-01-01T00:00:00+0000',
    '2026-01-01T00:00:00ZZ',
    '2026-01-01 00:00:00Z',
    '2026/01/01T00:00:00Z',
    '2026-01-01T00.00.00Z',
    '-026-01-01T00:00:00Z',
    '2026-01-01T0:00:00Z',
    '',
    'Z',
  ])('%s is none, here as for the general reader', (text) => {
    expect(read(text)).toBeNaN();
    expect(instantFromText(text)).toBeUndefined();
  });

  it.each(['2026-11-20t11:59:59Z', '2026-11-20T11:59:59z'])('%s is left to the general reader', (text) => {
    expect(read(text)).toBeNaN();
    expect(instantFromText(text)).toBe(Date.UTC(2026, 10, 20, 11, 59, 59));
  });

  it('that is a leap second is left to the general reader', () => {
    expect(read('2026-06-30T23:59:60Z')).toBeNaN();
    expect(instantFromText('2026-06-30T23:59:60Z')).toBe(Date.UTC(2026, 5, 30, 23, 59, 59));
  });

  it('of every day of 800 years is the one that the general reader finds', () => {
    for (let day = Date.UTC(1600, 0, 1); day < Date.UTC(2400, 0, 1); day += 86_400_000) {
      if (read(`${new Date(day).toISOString().slice(0, 10)}T00:00:00Z`) !== day)
        expect.fail(new Date(day).toISOString());
    }
  });

  it('that is damaged is never read in another way than by the general reader', () => {
    const valid = fc.constantFrom(
      '2026-11-20T11:59:59.250Z',
      '2024-02-29T00:00:00+05:30',
      '1999-12-31T23:59:59-00:00',
      '2026-01-31T07:00:00Z',
    );
    const pieces = fc.constantFrom(...'0123456789-+:.TZtz '.split(''), '٣', '00', '.5');
    let taken = 0;
    fc.assert(
      fc.property(valid, fc.nat({ max: 30 }), fc.nat({ max: 2 }), pieces, (text, at, remove, piece) => {
        const damaged = text.slice(0, at) + piece + text.slice(at + remove);
        const plain = read(damaged);
        if (Number.isNaN(plain)) return;
        taken += 1;
        expect(instantFromText(damaged)).toBe(plain);
      }),
      { numRuns: scaled(20_000) },
    );
    expect(taken).toBeGreaterThan(1_000);
  });
});
