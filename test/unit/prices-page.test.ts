/** `docs/prices.md` can't say what is not so: its prices are read, its tables are rated, its faults are found. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Currency } from '#schemas/currency.ts';
import { formatMinorUnits, type PreciseAmount, parsePreciseAmount, roundToMinorUnits } from '#schemas/money.ts';
import { priceModels } from '#schemas/price/price.ts';
import { defaultRatingPolicy } from '#schemas/rated-line.ts';
import { partsOfCells, partsOfValues } from '../support/priced-events.ts';
import { costOf, faultsOf } from '../support/prices.ts';
import { Exact } from '../support/rating-arbitraries.ts';

const page = readFileSync(new URL('../../docs/prices.md', import.meta.url), 'utf8');

type Json = Readonly<Record<string, unknown>>;
/** What was used, in the words of `head`, and what it costs. */
type Table = { readonly head: string; readonly columns: readonly (readonly [used: string, amount: string])[] };
type Example = { readonly section: string; readonly json: Json; readonly table: Table | undefined };

const cellsOf = (line: string): string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim());

const tableOf = (lines: readonly string[]): Table => {
  const [[head = '', ...used] = [], , [name, ...amounts] = [], ...others] = lines.map(cellsOf);
  if (name !== 'amount' || others.length > 0) throw new Error(`a table has a row of amounts, not ${lines.join('\n')}`);
  return { head, columns: used.map((one, index) => [one, amounts[index] ?? '']) };
};

/** Each block of JSON with the table that follows it, before any other block or table. */
const examplesOf = (text: string): Example[] =>
  text.split(/^## /m).flatMap((section) =>
    section
      .split('```json\n')
      .slice(1)
      .map((piece) => {
        const [json = '', after = ''] = piece.split('```\n');
        const lines = /^(?:\|.*\|\n)+/m.exec(after)?.[0].trim().split('\n');
        return {
          section: section.split('\n')[0] ?? '',
          json: JSON.parse(json) as Json,
          table: lines && tableOf(lines),
        };
      }),
  );

const examples = examplesOf(page);

/** What the first cell of a row says that was used, by the head of its column. */
const costsOf = (json: Json, head: string, used: string): string => {
  const list = used.split(/[,;] /);
  switch (head) {
    case 'quantity':
      return costOf(json, used);
    case 'values of the events':
      return costOf(json, undefined, partsOfValues(json, list));
    case 'amounts in the events':
      return costOf(json, '0', {
        amounts: [list.reduce((sum, one) => sum.add(one), new Exact(0)).toFixed(), 0],
      });
    case 'model kind quantity': {
      const events = list.map((event) => event.split(' '));
      return costOf(
        json,
        undefined,
        partsOfCells(
          json,
          events.map((words) => ({ values: words.slice(0, -1), value: words.at(-1) ?? '' })),
        ),
      );
    }
    default:
      throw new Error(`no column is called ${head}`);
  }
};

it('docs/cost-books.md shows a price that is one', () => {
  const other = readFileSync(new URL('../../docs/cost-books.md', import.meta.url), 'utf8');
  const shown = [...other.matchAll(/^```json\n([\s\S]*?)^```/gm)].map(([, json = '']) => JSON.parse(json) as Json);
  expect(shown.map(({ model }) => model)).toEqual(['cost_book']);
  for (const json of shown) expect(faultsOf(json)).toEqual([]);
});

describe('docs/prices.md', () => {
  it('is at most 200 lines', () => {
    expect(page.trimEnd().split('\n').length).toBeLessThanOrEqual(200);
  });

  it('has a section and a price of every model', () => {
    // What a cost book comes to is a matrix, and has a page of its own.
    for (const { name } of priceModels.filter((model) => model.name !== 'cost_book')) {
      expect(page).toMatch(new RegExp(`^## .*\`${name}\``, 'm'));
      const own = examples.filter(({ json, section }) => json.model === name && section.includes(`\`${name}\``));
      expect(own.length, name).toBeGreaterThan(0);
      if (name !== 'flat') expect(own.every(({ table }) => table !== undefined)).toBe(true);
    }
  });

  it.each(examples.map((example) => [JSON.stringify(example.json), example] as const))('%s', (_, { json, table }) => {
    expect(faultsOf(json)).toEqual([]);
    for (const [used, amount] of table?.columns ?? [])
      expect(costsOf(json, table?.head ?? '', used), used).toBe(amount);
  });

  it('rounds as it says', () => {
    const [, exact = '', list = ''] = /So (\S+) is (.+)\.$/m.exec(page) ?? [];
    const told = [...list.matchAll(/(\S+) ([A-Z]{3})/g)];
    expect(told.length).toBe(3);
    for (const [, amount, currency] of told) {
      const precise = parsePreciseAmount(exact) as PreciseAmount;
      const rounded = roundToMinorUnits(precise, currency as Currency, defaultRatingPolicy.rounding);
      expect(formatMinorUnits(rounded, currency as Currency)).toBe(amount);
    }
  });

  it('names faults that are found, at their places', () => {
    const refused = [...page.matchAll(/^- `(\{.*\})`:\s+`([^`]+)`/gm)];
    expect(refused.length).toBe(page.split('what is refused\n')[1]?.match(/^- /gm)?.length);
    for (const [, json = '', fault = ''] of refused)
      expect(faultsOf(JSON.parse(json)), json).toEqual([`price.${fault}`]);
  });

  it('is read: a wrong amount in a table would be found', () => {
    const [example] = examplesOf(
      '## x\n```json\n{"model":"per_unit","unit_amount":"2"}\n```\n\n| quantity | 3 |\n| - | - |\n| amount | 7 |\n',
    );
    expect(example?.table).toEqual({ head: 'quantity', columns: [['3', '7']] });
    expect(costsOf(example?.json ?? {}, 'quantity', '3')).toBe('6');
  });
});
