import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatInstant, instantFromText, instantPattern } from '#schemas/instant.ts';
import { scaled } from '../../support/scale.ts';

describe('an RFC 3339 date-time', () => {
  it.each([
    ['2026-11-20T12:00:00Z', Date.UTC(2026, 10, 20, 12)],
    ['2026-11-20t12:00:00z', Date.UTC(2026, 10, 20, 12)],
    ['1970-01-01T00:00:00Z', 0],
    ['1969-12-31T23:59:59.999Z', -1],
    ['2026-11-20T12:00:00.1Z', Date.UTC(2026, 10, 20, 12, 0, 0, 100)],
    ['2026-11-20T12:00:00.05Z', Date.UTC(2026, 10, 20, 12, 0, 0, 50)],
    ['2026-11-20T00:00:00Z', Date.UTC(2026, 10, 20)],
    ['2026-11-20T23:59:59Z', Date.UTC(2026, 10, 20, 23, 59, 59)],
    ['2028-02-29T00:00:00Z', Date.UTC(2028, 1, 29)],
    ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
    ['2026-11-20T12:00:00+02:00', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20T12:00:00-02:00', Date.UTC(2026, 10, 20, 14)],
    ['2026-11-20T00:30:00+05:45', Date.UTC(2026, 10, 19, 18, 45)],
    ['2026-12-31T23:59:59-23:59', Date.UTC(2027, 0, 1, 23, 58, 59)],
    ['2026-11-20T12:00:00+00:00', Date.UTC(2026, 10, 20, 12)],
    ['2026-11-20T12:00:00-00:00', Date.UTC(2026, 10, 20, 12)],
  ])('%s is %i ms after 1970', (text, expected) => {
    expect(instantFromText(text)).toBe(expected);
  });

  it.each([
    ['2026-10-31T23:59:59.9999999Z', '2026-10-31T23:59:59.999Z'],
    ['2026-10-31T23:59:59.999999999999Z', '2026-10-31T23:59:59.999Z'],
    ['2026-10-31T23:59:59.999999999999999999999999Z', '2026-10-31T23:59:59.999Z'],
    ['1969-12-31T23:59:59.9999Z', '1969-12-31T23:59:59.999Z'],
  ])('[I14] digits beyond milliseconds are cut off, so that %s stays in its period', (text, cut) => {
    expect(instantFromText(text)).toBe(Date.parse(cut));
  });

  it.each([
    ['2026-12-31T23:59:60Z', '2026-12-31T23:59:59.000Z'],
    ['2016-12-31T23:59:60.9999Z', '2016-12-31T23:59:59.999Z'],
    ['2026-06-30t23:59:60.5z', '2026-06-30T23:59:59.500Z'],
    ['2026-02-28T23:59:60Z', '2026-02-28T23:59:59.000Z'],
    ['2028-02-29T23:59:60Z', '2028-02-29T23:59:59.000Z'],
    ['2027-01-01T01:59:60+02:00', '2026-12-31T23:59:59.000Z'],
    ['2026-12-31T18:14:60.25-05:45', '2026-12-31T23:59:59.250Z'],
    ['1969-12-31T23:59:60Z', '1969-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:60Z', '9999-12-31T23:59:59.000Z'],
  ])('[I14] the leap second %s is the second before, and stays in its month', (text, before) => {
    expect(instantFromText(text)).toBe(Date.parse(before));
  });

  it.each([
    ['no zone', '2026-11-20T12:00:00'],
    ['no time', '2026-11-20'],
    ['no seconds', '2026-11-20T12:00Z'],
    ['a space for the T', '2026-11-20 12:00:00Z'],
    ['a leap second that ends no month', '2026-12-30T23:59:60Z'],
    ['a leap second that ends the month of its zone alone', '2026-12-31T23:59:60+02:00'],
    ['a leap second in the middle of a day', '2026-12-31T12:59:60Z'],
    ['a leap second that ends an hour', '2027-01-01T00:59:60Z'],
    ['second 61', '2026-12-31T23:59:61Z'],
    ['minute 60 with a leap second', '2026-12-31T23:60:60Z'],
    ['29 February of a common year', '2026-02-29T00:00:00Z'],
    ['29 February of a century', '2100-02-29T00:00:00Z'],
    ['31 April', '2026-04-31T00:00:00Z'],
    ['day 0', '2026-04-00T00:00:00Z'],
    ['month 0', '2026-00-01T00:00:00Z'],
    ['month 13', '2026-13-01T00:00:00Z'],
    ['hour 24', '2026-11-20T24:00:00Z'],
    ['minute 60', '2026-11-20T12:60:00Z'],
    ['an offset hour of 24', '2026-11-20T12:00:00+24:00'],
    ['an offset minute of 60', '2026-11-20T12:00:00+01:60'],
    ['an offset without colon', '2026-11-20T12:00:00+0100'],
    ['a point without digits', '2026-11-20T12:00:00.Z'],
    ['25 digits of a second', '2026-11-20T12:00:00.1234567890123456789012345Z'],
    ['a comma for the point', '2026-11-20T12:00:00,5Z'],
    ['five digits of a year', '12026-11-20T12:00:00Z'],
    ['a year before the first', '-0001-11-20T12:00:00Z'],
    ['a zone name', '2026-11-20T12:00:00[UTC]'],
    ['a newline behind it', '2026-11-20T12:00:00Z\n'],
    ['a blank before it', ' 2026-11-20T12:00:00Z'],
    ['digits of another script', '٢٠٢٦-11-20T12:00:00Z'],
    ['Unix seconds', '1795176000'],
    ['nothing', ''],
  ])('%s is refused', (_what, text) => {
    expect(instantFromText(text)).toBeUndefined();
  });

  it('is the instant that Temporal reads, for any date, fraction and offset', () => {
    const two = (value: number) => String(value).padStart(2, '0');
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true }),
        fc.option(fc.stringMatching(/^\d{1,9}$/), { nil: undefined }),
        fc.constantFrom('Z', '+', '-'),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        (date, fraction, zone, hours, minutes) => {
          const offset = zone === 'Z' ? 'Z' : `${zone}${two(hours)}:${two(minutes)}`;
          const text = `${date.toISOString().slice(0, 19)}${fraction === undefined ? '' : `.${fraction}`}${offset}`;
          expect(instantFromText(text)).toBe(Temporal.Instant.from(text).epochMilliseconds);
        },
      ),
      { numRuns: scaled(5_000) },
    );
  });
});

describe('an instant in an answer', () => {
  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [Date.UTC(2026, 9, 5, 1, 2, 3, 40), '2026-10-05T01:02:03.040Z'],
    [Date.UTC(9999, 11, 31, 23, 59, 59, 999), '9999-12-31T23:59:59.999Z'],
  ])('%i is written with milliseconds, also where they are zero', (ms, text) => {
    expect(formatInstant(ms)).toBe(text);
    expect(formatInstant(new Date(ms))).toBe(text);
    expect(text).toMatch(new RegExp(instantPattern));
  });

  it.each([
    '2026-10-05T01:02:03Z',
    '2026-10-05T01:02:03.04Z',
    '2026-10-05T01:02:03.040000Z',
    '2026-10-05T01:02:03.040+00:00',
  ])('%s is not how it is written', (text) => {
    expect(text).not.toMatch(new RegExp(instantPattern));
  });
});
