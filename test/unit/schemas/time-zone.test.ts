import { describe, expect, it } from 'vitest';
import { timeZoneFromText } from '#schemas/time-zone.ts';

describe('a time zone', () => {
  it('is known by its IANA name in any letters, and given as the database writes it', () => {
    expect(['UTC', 'europe/berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'].map(timeZoneFromText)).toEqual([
      'UTC',
      'Europe/Berlin',
      'America/Argentina/Buenos_Aires',
      'Etc/GMT+5',
    ]);
  });

  it.each([
    '',
    '+01:00',
    'Mars/Olympus',
    '../etc/passwd',
    'Europe/Berlin[u-ca=japanese]',
    "UTC'; DROP",
    'x'.repeat(10_000),
    '2026-01-01T00:00Z[UTC]',
    'Zulu\0',
  ])('is not %j', (text) => {
    expect(timeZoneFromText(text)).toBeUndefined();
  });
});
