import { describe, expect, it } from 'vitest';
import { usageCsv } from '../../../../api/usage/usage-csv.ts';

const row = (text: string | null, quantity: string | null = '-1.5') => ({
  window_start: '2026-01-01T00:00:00Z',
  window_end: '2026-02-01T00:00:00Z',
  group: { model: text },
  quantity,
  events: '2',
  unmeasured_events: '0',
});
const cellOf = (text: string | null): string =>
  usageCsv(['model'], [row(text)])
    .replace(/^.*?\r\n[^,]*,[^,]*,/s, '')
    .replace(/,-1\.5,2,0\r\n$/, '');

describe('usage as CSV', () => {
  it.each([
    ['plain', 'plain'],
    ['with, comma', '"with, comma"'],
    ['with "quotes"', '"with ""quotes"""'],
    ['two\r\nlines', '"two\r\nlines"'],
    ['', '""'],
    [null, ''],
    ['=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"],
    ['\r=1', '"\'\r=1"'],
    ['a=1', 'a=1'],
  ])('shows the text %j so that no spreadsheet runs it', (text, shown) => {
    expect(cellOf(text)).toBe(shown);
  });

  it('leaves our own numbers as they are, and what has no quantity empty', () => {
    expect(usageCsv([], [row('x'), row('x', null)])).toBe(
      'window_start,window_end,quantity,events,unmeasured_events\r\n2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,-1.5,2,0\r\n2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,,2,0\r\n',
    );
  });

  it('tells in the last columns which customer a group is', () => {
    const customer = { id: 'cus_1', external_id: '=acme' };
    expect(
      usageCsv(
        ['customer_id'],
        [
          { ...row(null), customer },
          { ...row(null), customer: null },
        ],
      ),
    ).toBe(
      'window_start,window_end,customer_id,quantity,events,unmeasured_events,customer.id,customer.external_id\r\n' +
        "2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,,-1.5,2,0,cus_1,'=acme\r\n" +
        '2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,,-1.5,2,0,,\r\n',
    );
  });

  it('guards the names of columns too', () => {
    expect(usageCsv(['=1', 'a,b'], [])).toBe(
      'window_start,window_end,\'=1,"a,b",quantity,events,unmeasured_events\r\n',
    );
  });
});
