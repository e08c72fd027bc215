/** What a list makes of a query, and what a cursor is bound to. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { createCursors, cursorCharsMax } from '../../../../api/route/cursors.ts';
import { defineList, type ListDefinition, type ListQuery, listJson, listSchema } from '../../../../api/route/lists.ts';
import { readTimeFilter } from '../../../../api/route/time-filter.ts';
import { FailureError } from '../../../../schemas/failures.ts';
import { scaled } from '../../../support/scale.ts';

const definition: ListDefinition = {
  name: 'things',
  columns: 'id',
  from: 'things',
  organization: 'organization_id',
  id: 'id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' }, label: { column: 'label', type: 'text' } },
  filters: { label: { column: 'label' }, state: { column: 'state', choices: ['active', 'ended'] } },
  times: { created_at: 'created_at' },
};
const things = defineList(definition);
const cursors = createCursors('p'.repeat(32));
const last = { value: '2026-11-20T12:00:00.123456Z', id: 'thg_1' };

const read = (query: ListQuery, organizationId = 'org_1', path: Record<string, string> = {}) =>
  things.read(query, organizationId, cursors, path);

/** The faults, as "field code". */
const faultsOf = (query: ListQuery, ...more: [string?, Record<string, string>?]): string[] => {
  try {
    read(query, ...more);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(FailureError);
    expect((error as FailureError).code).toBe('BAD_REQUEST');
    return (error as FailureError).faults?.map(({ field, code }) => `${field} ${code}`) ?? [];
  }
};

describe('a query', () => {
  it('without anything is the first 100, newest first', () => {
    expect(read({})).toMatchObject({
      limit: 100,
      after: undefined,
      conditions: [],
      sort: { column: 'created_at', descending: true },
    });
  });

  it.each([
    ['1', 1],
    ['1000', 1000],
  ])('may ask for %s items', (limit, expected) => {
    expect(read({ limit }).limit).toBe(expected);
  });

  it.each(['', '0', '-1', '1001', '01', '1.0', '1e2', ' 5', '5 ', '٥', 'ten', '99999999999999999999'])(
    'with limit "%s" is refused',
    (limit) => {
      expect(faultsOf({ limit })).toEqual(['limit out_of_range']);
    },
  );

  it('sorts by listed fields only, in both directions', () => {
    expect(read({ sort: 'label' }).sort).toEqual({ column: 'label', type: 'text', descending: false });
    expect(read({ sort: '-label' }).sort).toEqual({ column: 'label', type: 'text', descending: true });
    for (const sort of [
      '',
      '-',
      '--label',
      '+label',
      'id',
      'Label',
      'label,created_at',
      'constructor',
      '__proto__',
      'label; DROP TABLE things',
    ])
      expect(faultsOf({ sort }), sort).toEqual(['sort not_allowed']);
  });

  it('is told all of its faults at once', () => {
    const query = {
      limit: '0',
      sort: 'colour',
      state: 'gone',
      label: '',
      created_at_after: 'yesterday',
      colour: 'red',
    };
    expect(faultsOf(query).sort()).toEqual([
      'colour unknown_field',
      'created_at_after wrong_format',
      'label wrong_format',
      'limit out_of_range',
      'sort not_allowed',
      'state not_allowed',
    ]);
  });

  it('may say each thing once', () => {
    for (const name of ['limit', 'cursor', 'sort', 'label', 'state', 'created_at_after'])
      expect(faultsOf({ [name]: ['1', '2'] }), name).toEqual([`${name} duplicate`]);
  });

  it('knows no name but its own, whatever a prototype has', () => {
    const names = ['constructor', 'toString', 'created_at', 'organization_id', '$1', 'label_after'];
    for (const name of names) expect(faultsOf({ [name]: '1' }), name).toEqual([`${name} unknown_field`]);
    expect(faultsOf(JSON.parse('{"__proto__":"1"}'))).toEqual(['__proto__ unknown_field']);
  });

  it('of many unknown names is not answered with as many words', () => {
    const query = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`${index}${'x'.repeat(2_000)}`, '']));
    try {
      read(query);
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify((error as FailureError).faults).length).toBeLessThan(20_000);
    }
  });

  it('filters by texts that can be stored, and by nothing else', () => {
    for (const label of ["'; DROP TABLE things; --", '%', '\\', '$1', '💶'.repeat(255), 'x'.repeat(255), '‮', ' '])
      expect(read({ label }).conditions.map(({ value }) => value)).toEqual([label]);
    for (const label of ['', 'x'.repeat(256), '💶'.repeat(256), 'a\u0000b', 'a\nb', '\ud800'])
      expect(faultsOf({ label }), label).toEqual(['label wrong_format']);
  });

  it('is taken exactly where the documented schema takes it', () => {
    const limit = fc.oneof(fc.integer({ min: -5, max: 1_100 }).map(String), fc.constantFrom('1', '1000', '1001', '0'));
    const time = fc.oneof(
      fc
        .date({ min: new Date('1960-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
        .map((date) => date.toISOString()),
      fc.stringMatching(
        /^(19|20|99)\d\d-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-5]\d:[0-6]\d(\.\d{1,14})?([Zz]|[+-][0-2]\d:[0-6]\d)$/,
      ),
      fc.constantFrom('9999-12-31T23:59:59-23:59', '1970-01-01T00:00:00+23:59', '2026-11-20', ''),
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ minLength: 250, maxLength: 260 }),
      fc.constantFrom('', 'active', 'ended', '\n'),
    );
    const sort = fc.constantFrom('label', '-label', 'created_at', 'id');
    const parameters = { limit, created_at_after: time, created_at_before: time, label: text, state: text, sort };
    type Given = { [K in keyof typeof parameters]?: string };
    // One at a time, since of several one is nearly always refused; and some together.
    const alone = Object.entries(parameters).map(([name, value]) => value.map((given): Given => ({ [name]: given })));
    const query: fc.Arbitrary<Given> = fc.oneof(...alone, fc.record(parameters, { requiredKeys: [] }));
    const seen = { taken: 0, refused: 0 };
    fc.assert(
      fc.property(query, (given) => {
        const { limit: limitText, ...rest } = given;
        const asDocumented = Value.Check(
          things.querySchema,
          limitText === undefined ? rest : { ...rest, limit: Number(limitText) },
        );
        expect(faultsOf(given).length === 0).toBe(asDocumented);
        seen[asDocumented ? 'taken' : 'refused'] += 1;
      }),
      { numRuns: scaled(5_000) },
    );
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(1_000);
    expect(Value.Check(things.querySchema, { colour: 'red' })).toBe(false);
  });
});

describe('a filter on a time', () => {
  it.each([
    ['2026-11-20T12:00:00Z', '2026-11-20T12:00:00.000000Z', '2026-11-20T12:00:00.000000Z'],
    ['2026-11-20t14:00:00.5+02:00', '2026-11-20T12:00:00.500000Z', '2026-11-20T12:00:00.500000Z'],
    ['2026-11-20T12:00:00.123456Z', '2026-11-20T12:00:00.123456Z', '2026-11-20T12:00:00.123456Z'],
    ['2026-11-20T12:00:00.123456001Z', '2026-11-20T12:00:00.123456Z', '2026-11-20T12:00:00.123457Z'],
    ['2026-11-20T12:00:00.999999999999Z', '2026-11-20T12:00:00.999999Z', '2026-11-20T12:00:01.000000Z'],
    ['1970-01-01T00:00:00.0005+00:01', '1969-12-31T23:59:00.000500Z', '1969-12-31T23:59:00.000500Z'],
    ['9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
    ['9999-12-31T23:59:59-23:59', '9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
  ])('%s is after %s and before %s in microseconds', (text, after, before) => {
    expect(readTimeFilter(text, 'after')).toBe(after);
    expect(readTimeFilter(text, 'before')).toBe(before);
  });

  it.each([
    ['1969-12-31T23:59:59Z', 'out_of_range'],
    ['0000-01-01T00:00:00Z', 'out_of_range'],
    ['2026-02-30T00:00:00Z', 'wrong_format'],
    ['2026-11-20T12:00:00 02:00', 'wrong_format'],
    ['12026-11-20T12:00:00Z', 'wrong_format'],
    ['infinity', 'wrong_format'],
    ['now', 'wrong_format'],
  ])('%s is refused', (text, code) => {
    expect(readTimeFilter(text, 'after')).toMatchObject({ code });
  });
});

describe('a cursor', () => {
  const cursor = read({}).cursorBehind(last);

  it('leads to the row that it was made of', () => {
    expect(read({ cursor }).after).toEqual(last);
    expect(read({ cursor, limit: '7' }).after).toEqual(last);
  });

  it('keeps any value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 255 }), fc.string({ maxLength: 40 }), (value, id) => {
        expect(cursors.read('scope', cursors.sign('scope', { value, id }))).toEqual({ value, id });
      }),
    );
    const longest = { value: '\u{1f4b6}'.repeat(255), id: `cus_${'f'.repeat(32)}` };
    expect(cursors.read('', cursors.sign('', longest))).toEqual(longest);
  });

  it('is of no use for another organization, list, path, sort or filter, nor under another secret', () => {
    const wrong = ['cursor wrong_format'];
    expect(faultsOf({ cursor }, 'org_2')).toEqual(wrong);
    expect(faultsOf({ cursor }, 'org_1', { id: 'cus_1' })).toEqual(wrong);
    for (const more of [
      { sort: 'created_at' },
      { sort: '-label' },
      { label: 'a' },
      { state: 'active' },
      { created_at_after: '2026-11-20T12:00:00Z' },
    ])
      expect(faultsOf({ cursor, ...more })).toEqual(wrong);
    expect(() => defineList({ ...definition, name: 'others' }).read({ cursor }, 'org_1', cursors)).toThrow(
      FailureError,
    );
    expect(() => things.read({ cursor }, 'org_1', createCursors('q'.repeat(32)))).toThrow(FailureError);
    const filtered = read({ label: 'a', created_at_after: '2026-11-20T12:00:00Z' }).cursorBehind(last);
    expect(faultsOf({ cursor: filtered, label: 'b', created_at_after: '2026-11-20T12:00:00Z' })).toEqual(wrong);
    expect(faultsOf({ cursor: filtered, label: 'a', created_at_before: '2026-11-20T12:00:00Z' })).toEqual(wrong);
    // The same filters, written in another way.
    expect(faultsOf({ created_at_after: '2026-11-20T13:00:00.0+01:00', cursor: filtered, label: 'a' })).toEqual([]);
    expect(faultsOf({ cursor, sort: '-created_at' })).toEqual([]);
  });

  // Of three lengths in a row, two leave bits in their last character that no byte takes.
  it.each(['thg_1', 'thg_12', 'thg_123'])(
    'behind %s is refused with any bit flipped, any character changed, any length cut off',
    (id) => {
      const cursor = read({}).cursorBehind({ ...last, id });
      const bytes = Buffer.from(cursor, 'base64url');
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        expect(faultsOf({ cursor: flipped.toString('base64url') })).toEqual(['cursor wrong_format']);
      }
      for (let at = 0; at < cursor.length; at += 1) {
        for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=+/. ') {
          if (other !== cursor[at])
            expect(faultsOf({ cursor: cursor.slice(0, at) + other + cursor.slice(at + 1) })).toEqual([
              'cursor wrong_format',
            ]);
        }
        expect(faultsOf({ cursor: cursor.slice(0, at) })).toEqual(['cursor wrong_format']);
        expect(faultsOf({ cursor: cursor + cursor.slice(0, at + 1) })).toEqual(['cursor wrong_format']);
      }
    },
  );

  it('that is garbage is refused and breaks nothing', () => {
    const garbage = [
      '',
      '=',
      '[]',
      'null',
      '../..',
      'x'.repeat(10_240),
      'A'.repeat(cursorCharsMax),
      cursor.repeat(200),
      `${cursor}=`,
      ` ${cursor}`,
    ];
    for (const text of garbage) expect(faultsOf({ cursor: text }), text.slice(0, 40)).toEqual(['cursor wrong_format']);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => cursors.read('scope', text) === undefined),
    );
  });

  it('can not be made with the secret itself, which hashes keys', () => {
    const payload = Buffer.from(JSON.stringify(['2000-01-01T00:00:00.000000Z', '']));
    const code = createHmac('sha256', 'p'.repeat(32)).update('[1,"scope"]\n').update(payload).digest().subarray(0, 16);
    expect(cursors.read('scope', Buffer.concat([code, payload]).toString('base64url'))).toBeUndefined();
  });

  it('beside a wrong filter is not called wrong as well', () => {
    expect(faultsOf({ cursor, state: 'gone' })).toEqual(['state not_allowed']);
    expect(faultsOf({ cursor, colour: 'red' })).toEqual(['colour unknown_field']);
    expect(faultsOf({ cursor: 'x', colour: 'red', limit: '0' }).sort()).toEqual([
      'colour unknown_field',
      'cursor wrong_format',
      'limit out_of_range',
    ]);
  });
});

describe('an answer', () => {
  it('has a cursor where there is more, and only there', () => {
    const page = read({ limit: '2' });
    const more = listJson(page, { rows: [1, 2], total: { count: 3, relation: 'at_least' }, last }, String);
    expect(more).toEqual({
      items: ['1', '2'],
      pagination: {
        total: 3,
        total_relation: 'at_least',
        page_size: 2,
        has_more: true,
        next_cursor: page.cursorBehind(last),
      },
    });
    const end = listJson(page, { rows: [3], total: { count: 3, relation: 'exact' }, last: undefined }, String);
    expect(end.pagination).toEqual({
      total: 3,
      total_relation: 'exact',
      page_size: 1,
      has_more: false,
      next_cursor: null,
    });
    expect(Value.Check(listSchema({ type: 'string' }), more)).toBe(true);
    expect(Value.Check(listSchema({ type: 'string' }), end)).toBe(true);
  });
});

describe('a definition', () => {
  it('that contradicts itself is refused', () => {
    expect(() => defineList({ ...definition, filters: { limit: { column: 'label' } } })).toThrow(
      'a parameter is named twice',
    );
    expect(() => defineList({ ...definition, filters: { created_at_after: { column: 'label' } } })).toThrow(
      'a parameter is named twice',
    );
    expect(() => defineList({ ...definition, sorts: { label: { column: 'label', type: 'text' } } })).toThrow(
      "can't be sorted by -created_at",
    );
    expect(
      defineList({ ...definition, sorts: { label: { column: 'label', type: 'text' } }, defaultSort: 'label' })
        .defaultSort,
    ).toBe('label');
  });
});
