import { describe, expect, it } from 'vitest';
import { createCursors } from '../../../../api/route/cursors.ts';
import { readUsageCursor, scopeOf, type UsagePosition, usageCursor } from '../../../../api/usage/usage-cursor.ts';

const cursors = createCursors('p'.repeat(32));
const texts = (...entries: [string, string][]) => new Map(entries);
const position: UsagePosition = {
  moment: { period: { start: 1, end: 2 }, watermark: 2n ** 62n, meterVersion: 3, renames: 4 },
  after: { windowStart: 1, group: ['a', null, '', '"\\\u{1f600}'] },
};
const scope = scopeOf('org_1', 'mtr_1', texts(['window', 'day'], ['group_by', 'a,b']));

describe('a cursor of usage', () => {
  it('carries the moment of its first page and the place of its last row', () => {
    const cursor = usageCursor(cursors, scope, position) as string;
    expect(readUsageCursor(cursors, scope, cursor)).toEqual(position);
  });

  it('is of one organization, meter and query, and of any page size and form', () => {
    const cursor = usageCursor(cursors, scope, position) as string;
    const same = scopeOf(
      'org_1',
      'mtr_1',
      texts(['group_by', 'a,b'], ['window', 'day'], ['limit', '7'], ['format', 'csv'], ['cursor', cursor]),
    );
    expect(readUsageCursor(cursors, same, cursor)).toEqual(position);
    for (const other of [
      scopeOf('org_2', 'mtr_1', texts(['window', 'day'], ['group_by', 'a,b'])),
      scopeOf('org_1', 'mtr_2', texts(['window', 'day'], ['group_by', 'a,b'])),
      scopeOf('org_1', 'mtr_1', texts(['window', 'day'])),
      scopeOf('org_1', 'mtr_1', texts(['window', 'day'], ['group_by', 'a,b'], ['watermark', '1'])),
    ])
      expect(readUsageCursor(cursors, other, cursor)).toBeUndefined();
    expect(readUsageCursor(cursors, scope, `${cursor.slice(0, -4)}AAAA`)).toBeUndefined();
  });

  it('is not given behind a text that it could not hold, and never fails', () => {
    const behind = (text: string) =>
      usageCursor(cursors, scope, { ...position, after: { windowStart: null, group: [text] } });
    for (let length = 1_500; length <= 2_500; length += 1)
      for (const text of ['x'.repeat(length), '"'.repeat(length), '\u{1f600}'.repeat(Math.floor(length / 4))]) {
        const cursor = behind(text);
        if (cursor !== undefined) expect(readUsageCursor(cursors, scope, cursor)?.after.group).toEqual([text]);
      }
    expect(behind('x'.repeat(1_500))).toBeDefined();
    expect(behind('x'.repeat(2_500))).toBeUndefined();
  });
});
