import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { newId } from '#platform/process/ids.ts';
import type { Fault } from '#schemas/fault.ts';
import { type IdPrefix, idPrefixes } from '#schemas/ids.ts';
import {
  hasIdForm,
  idFormPattern,
  lookUpColumn,
  newNameFault,
  readNewCode,
  splitNames,
  usageNames,
} from '#schemas/names.ts';
import { planVersionFromJson } from '#schemas/plan.ts';
import { llmProPlan } from '../../support/llm-pro.ts';

const prefixes = Object.keys(idPrefixes) as IdPrefix[];
const hex = '0123456789abcdef0123456789abcdef';

describe('[I34] the form of an id', () => {
  it.each(prefixes)('is that of every id with %s, in whatever case', (prefix) => {
    const id = newId(prefix);
    for (const text of [id, id.toUpperCase(), `${prefix.toUpperCase()}${id.slice(3)}`])
      expect(hasIdForm(text), text).toBe(true);
  });

  it('is that of ids to come: a prefix is three letters', () => {
    for (const prefix of prefixes) expect(prefix).toMatch(/^[a-z]{3}$/);
    expect(hasIdForm(`new_${hex}`)).toBe(true);
  });

  it.each([
    'pro',
    'cus_1',
    `cus_${hex}0`,
    `cus_${hex.slice(1)}`,
    `user_${hex}`,
    `cu_${hex}`,
    hex,
    `cus-${hex}`,
    ` cus_${hex}`,
    `c_s_${hex}`,
    '',
  ])('%s has not', (text) => {
    expect(hasIdForm(text)).toBe(false);
  });

  it('is the same in the database', () => {
    const folder = new URL('../../../schemas/postgres/', import.meta.url);
    const name = readdirSync(folder).find((one) => one.startsWith('0012_')) as string;
    const patterns = [...readFileSync(new URL(name, folder), 'utf8').matchAll(/'(\^\[A-Z[^']+)'/g)].map(
      (match) => match[1],
    );
    expect(patterns.length).toBeGreaterThanOrEqual(4);
    expect(new Set(patterns)).toEqual(new Set([idFormPattern]));
  });
});

describe('[I34] a name that is given now', () => {
  it.each([`pln_${hex}`, `PLN_${hex}`, `mtr_${hex}`, `xyz_${hex.toUpperCase()}`, '.', '..'])(
    'is not %s; the fault says the cure',
    (name) => {
      expect(newNameFault(name, 'external_id')).toEqual({
        field: 'external_id',
        code: 'not_allowed',
        message: expect.stringMatching(/three letters|dots/),
      });
    },
  );

  it.each(['...', 'Acme', ' acme ', 'run', 'versions', 'a/b', '%2F', `user_${hex}`, 'Å', 'Å'])('may be %j', (name) => {
    expect(newNameFault(name, 'external_id')).toBeUndefined();
  });

  it('a code of a meter, a plan and a charge has not the form of an id, of whatever kind', () => {
    const faults: Fault[] = [];
    expect(readNewCode({ code: `mtr_${hex}` }, '', faults)).toBeUndefined();
    expect(faults).toMatchObject([{ field: 'code', code: 'not_allowed' }]);
    const [charge, ...others] = llmProPlan.charges;
    const parsed = planVersionFromJson({
      ...llmProPlan,
      code: `pln_${hex}`,
      charges: [{ ...charge, code: `aud_${hex}` }, ...others],
    });
    expect(parsed).toMatchObject({
      ok: false,
      faults: [
        { field: 'code', code: 'not_allowed' },
        { field: 'charges[0].code', code: 'not_allowed' },
      ],
    });
  });
});

describe('[I34] a text that stands for an object', () => {
  it('is looked up as an id or as a name, by its form alone', () => {
    expect(lookUpColumn('pln', `pln_${hex}`, 'code')).toBe('id');
    for (const text of ['pro', `plv_${hex}`, `PLN_${hex}`, `pln_${hex}0`])
      expect(lookUpColumn('pln', text, 'code'), text).toBe('code');
  });

  it('of several, each is one of both', () => {
    expect(splitNames([`cus_${hex}`, 'acme', `sub_${hex}`])).toEqual({
      ids: [`cus_${hex}`],
      externalIds: ['acme', `sub_${hex}`],
    });
  });

  it('names no two customers of an event: an external id that is an id is that id', () => {
    expect(usageNames(`cus_${hex}`, ['acme'])).toEqual([`cus_${hex}`, 'acme']);
    const other = newId('cus');
    expect(usageNames(`cus_${hex}`, [other])).toEqual([`cus_${hex}`]);
    expect(usageNames(`cus_${hex}`, [`sub_${hex}`])).toEqual([`cus_${hex}`, `sub_${hex}`]);
    expect(usageNames(`cus_${hex}`, ['old', other, 'new'])).toEqual([`cus_${hex}`, 'old', 'new']);
  });
});
