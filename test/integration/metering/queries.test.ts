/**
 * Queries for usage over a real store, where a random history would hardly come: twins at a bound, hostile names, as
 * many windows as there may be, columns that are read.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readRows } from '#platform/stores/clickhouse.ts';
import { type Meter, meterDefinitionFromJson } from '#schemas/meter.ts';
import { type IntegerMax, integerDigitsMax, measuredNumber, operandDigitsMax } from '#schemas/number-text.ts';
import { isPropertyPath } from '#schemas/property-path.ts';
import { scaledSql } from '../../../rater/aggregate/exact.ts';
import {
  quantitiesFromRows,
  quantityStatements,
  type StatementRow,
  wholeOf,
} from '../../../rater/aggregate/quantity-query.ts';
import { type UsageRow, usageFromRows, usageStatement, windowsMax } from '../../../rater/aggregate/usage-query.ts';
import type { UsageWanted } from '../../../rater/aggregate/usage-wanted.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { numberTexts } from '../../support/number-texts.ts';
import { scaled } from '../../support/scale.ts';
import type { ReferenceEvent } from '../../support/usage-reference.ts';

let clickhouse: MeteringStore['clickhouse'];
let storeHistory: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store: storeHistory } = await openMeteringStore(inject('serverUrls'), 30_000));
});
afterAll(() => clickhouse?.close());

const hourMs = 3_600_000;
const noonMs = Date.UTC(2026, 9, 15, 12);
const day = { start: noonMs - 12 * hourMs, end: noonMs + 12 * hourMs };

type Given = Partial<Omit<ReferenceEvent, 'properties'>> & { readonly properties?: Readonly<Record<string, string>> };
const store = (given: readonly Given[]): Promise<string> => {
  const events = given.map((one, index): ReferenceEvent => {
    const plain = { event: 'e', customer: 'c', key: `key-${index}`, occurredAtMs: noonMs, sequence: index + 1 };
    return { ...plain, ...one, properties: new Map(Object.entries(one.properties ?? {})) };
  });
  return storeHistory({
    events,
    voids: [],
    messages: events.map((event) => ({ sequence: event.sequence, event, amends: null })),
  });
};

const meterOf = (json: Readonly<Record<string, unknown>>): Meter => {
  const parsed = meterDefinitionFromJson({ event: 'e', aggregation: 'count', ...json });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return { ...parsed.value, code: 'm', version: 1 };
};

const asked = (tenant: string, meter: Meter, more: Partial<UsageWanted> = {}): UsageWanted => ({
  tenant,
  meter,
  watermark: 1_000n,
  period: day,
  windowStarts: null,
  customers: null,
  groupBy: [],
  filter: null,
  after: null,
  limit: 20_000,
  ...more,
});
const usage = async (wanted: UsageWanted): Promise<UsageRow[]> =>
  usageFromRows(wanted, await readRows<Record<string, unknown>>(clickhouse, usageStatement(wanted)));

const billed = async (
  tenant: string,
  meter: Meter,
  period: UsageWanted['period'],
  watermark: bigint,
): Promise<string | undefined> => {
  const spans = [{ spanId: 's', customers: ['c'], period }];
  const answers = [];
  for (const statement of quantityStatements({
    tenant,
    watermark,
    spans,
    measures: [wholeOf({ ...meter, versionId: meter.code })],
  })) {
    answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
  }
  return quantitiesFromRows(answers).get('s')?.get('m')?.quantity;
};

describe('[I13] a text', () => {
  const valuesOf = async (texts: readonly string[], integerMax: IntegerMax): Promise<(string | null)[]> => {
    const rows = await readRows<{ value: string | null }>(clickhouse, {
      query: `SELECT toString(${scaledSql('text', integerMax)}) AS value
        FROM (SELECT place, CAST(text, 'Nullable(String)') AS text FROM (SELECT {texts:Array(String)} AS texts)
          ARRAY JOIN texts AS text, arrayEnumerate(texts) AS place)
        ORDER BY place`,
      params: { texts },
    });
    return rows.map(({ value }) => value);
  };

  it.each<IntegerMax>([operandDigitsMax, integerDigitsMax])(
    'is worth the same to the store and to us, with up to %i digits before the point',
    async (integerMax) => {
      for (let round = 0; round < scaled(4); round += 1) {
        const texts = fc.sample(numberTexts, 1_000);
        const values = await valuesOf(texts, integerMax);
        const told = texts.map((text, index) => `${text} is ${values[index]}`);
        expect(told).toEqual(texts.map((text) => `${text} is ${measuredNumber(text, integerMax) ?? null}`));
      }
    },
  );

  it('with an exponent or many decimals is billed, also beside plain ones, in an expression and by a filter', async () => {
    const texts = ['0.30000000000000004', '1e-7', '1E+3', '2', 'many', '1e400'];
    const tenant = await store(texts.map((n, index) => ({ key: `k-${index}`, properties: { n } })));
    const sum = await usage(asked(tenant, meterOf({ aggregation: 'sum', property: 'n' })));
    expect(sum).toMatchObject([{ quantity: '1002.3000001', unmeasuredEvents: '2' }]);
    const twice = await usage(asked(tenant, meterOf({ aggregation: 'sum', expression: 'n * 2' })));
    expect(twice).toMatchObject([{ quantity: '2004.6000002', unmeasuredEvents: '2' }]);
    const large = meterOf({ aggregation: 'count', filter: { property: 'n', operator: 'gte', value: '2' } });
    expect(await usage(asked(tenant, large))).toMatchObject([{ quantity: '2' }]);
  });
});

describe('twins of one day', () => {
  const twins = [
    { key: 'twin', occurredAtMs: noonMs },
    { key: 'between', occurredAtMs: noonMs - 2 * hourMs },
    { key: 'twin', occurredAtMs: noonMs + 2 * hourMs },
  ];
  const after = { start: noonMs + hourMs, end: noonMs + 3 * hourMs };

  it('[I2] a period that begins between them counts neither the first, which is before it, nor the second', async () => {
    const tenant = await store(twins);
    // Not voided yet: FINAL by itself has to see the first, in another part of the table.
    await clickhouse.command({ query: 'TRUNCATE TABLE usage_voids' });
    for (const aggregation of [{}, { aggregation: 'sum', property: 'n' }]) {
      expect(await usage(asked(tenant, meterOf(aggregation), { period: after }))).toEqual([]);
    }
    expect(await billed(tenant, meterOf({}), after, 1_000n)).toBeUndefined();
    expect(await usage(asked(tenant, meterOf({})))).toMatchObject([{ quantity: '2' }]);
  });

  it('[I12] a page that goes on within the day reads the first too', async () => {
    const tenant = await store(twins);
    await clickhouse.command({ query: 'TRUNCATE TABLE usage_voids' });
    const windowStarts = [day.start, noonMs + hourMs, noonMs + 2 * hourMs];
    const page = { windowStarts, after: { windowStart: noonMs + hourMs, group: [] } };
    expect(await usage(asked(tenant, meterOf({}), page))).toEqual([]);
  });
});

describe('hostile names', () => {
  const corpus = [
    ...[
      "'; DROP TABLE usage_events; --",
      "\\'; DROP TABLE usage_events; --",
      '`) FROM usage_events --',
      '"quoted"',
      "it''s",
      '\\',
      '\\\\',
      '\\N',
    ],
    ...[
      '{tenant:String}',
      '{v0:Array(String)}',
      '$1',
      '%s',
      '?',
      '*/ 1 /*',
      '-- ',
      'e.*>',
      '>',
      '漢字',
      '😀',
      '\t\n\r',
      'a\u202eb',
      'null',
      ' ',
    ],
    ...[
      '{p0_path:Identifier}',
      'tenant',
      'properties',
      '__proto__',
      'constructor',
      "unhex('00')",
      '1e400',
      '[1,2]',
      '(1',
      "['x']",
    ],
  ];

  it('[I25] every name is data: as event, customer, key, value, group, condition and path', async () => {
    const paths = corpus.filter(isPropertyPath);
    expect(paths.length).toBeGreaterThan(12);
    const tenant = await store([
      ...corpus.map((text) => ({ event: text, customer: text, key: `k${text}`, properties: { v: text, n: '1.5' } })),
      ...paths.map((path) => ({ event: 'by path', customer: path, properties: { [path]: '2.5' } })),
    ]);
    for (const text of corpus) {
      const filter = {
        and: [
          { property: 'v', operator: 'eq', value: text },
          { property: 'v', operator: 'in', value: [text] },
          { property: 'v', operator: 'prefix', value: text },
        ],
      };
      const meter = meterOf({ event: text, aggregation: 'sum', property: 'n', filter });
      const wanted = asked(tenant, meter, { customers: [text], groupBy: ['customer_id', 'v'] });
      expect(await usage(wanted), text).toMatchObject([{ group: [text, text], quantity: '1.5' }]);
      expect(await usage({ ...wanted, after: { windowStart: null, group: [text, text] } }), text).toEqual([]);
    }
    for (const path of paths) {
      const sum = await usage(
        asked(tenant, meterOf({ event: 'by path', aggregation: 'sum', property: path }), {
          customers: [path],
          groupBy: [path],
        }),
      );
      expect(sum, path).toMatchObject([{ group: ['2.5'], quantity: '2.5' }]);
      const expression = path
        .split('.')
        .map((part) => `"${part}"`)
        .join('.');
      const twice = await usage(
        asked(tenant, meterOf({ event: 'by path', aggregation: 'sum', expression: `2 * ${expression}` }), {
          customers: [path],
        }),
      );
      expect(twice, path).toMatchObject([{ quantity: '5' }]);
    }
  });
});

describe('windows', () => {
  it('as many as there may be are answered at once, and a level is carried through all of them', async () => {
    const tenant = await store([
      { occurredAtMs: day.start + 1, properties: { n: '3' } },
      { occurredAtMs: day.start + 8_640 * windowsMax - 1, properties: { n: '0' } },
    ]);
    const windowStarts = Array.from({ length: windowsMax }, (_, index) => day.start + index * 8_640);
    expect(await usage(asked(tenant, meterOf({}), { windowStarts }))).toMatchObject([
      { windowStart: day.start, quantity: '1' },
      { windowStart: windowStarts.at(-1), quantity: '1' },
    ]);
    const levels = await usage(
      asked(tenant, meterOf({ aggregation: 'weighted_sum', property: 'n' }), { windowStarts }),
    );
    expect(levels.map(({ windowStart }) => windowStart)).toEqual(windowStarts);
    // A level of 3 from the second of 8,640 milliseconds on.
    expect(levels[0]?.quantity).toBe('2.999652777778');
    expect(new Set(levels.slice(1).map(({ quantity }) => quantity))).toEqual(new Set(['3']));
  });
});

describe('what is read', () => {
  /** Columns that the plan takes from the table of usage, told by its own description. */
  const columnsRead = async (wanted: UsageWanted): Promise<string[]> => {
    const { query, params, settings } = usageStatement(wanted);
    const rows = await readRows<{ explain: string }>(clickhouse, {
      query: `EXPLAIN header = 1 ${query}`,
      params,
      settings,
    });
    const lines = rows.map(({ explain }) => explain);
    const from = lines.findIndex((line) => line.includes('ReadFromMergeTree') && line.includes('usage_events'));
    expect(from).toBeGreaterThan(-1);
    const columns = [];
    for (const line of lines.slice(from + 1)) {
      const column = /^\s*(?:Header: )?(\S.*?) [A-Z]\w*(?:\(.*\))?$/.exec(line);
      if (!column) break;
      columns.push(column[1] as string);
    }
    return columns;
  };

  it("of an event's own data a query reads what it needs: nothing to count, one property to sum, and the key for the latest alone", async () => {
    const tenant = await store([{ properties: { n: '1', m: '2', region: 'eu' } }]);
    const ownData = async (json: Readonly<Record<string, unknown>>, more: Partial<UsageWanted> = {}) =>
      (await columnsRead(asked(tenant, meterOf(json), more))).filter((name) => /propert|idempotency/.test(name)).sort();
    expect(await ownData({})).toEqual([]);
    expect(await ownData({ aggregation: 'sum', property: 'n' })).toEqual([expect.stringMatching(/^properties\.`?n`?/)]);
    expect(await ownData({ aggregation: 'latest', property: 'n' })).toEqual([
      'idempotency_key',
      expect.stringMatching(/^properties\.`?n`?/),
    ]);
    const grouped = await ownData({ aggregation: 'sum', expression: 'n * n' }, { groupBy: ['region', 'customer_id'] });
    expect(grouped).toEqual([
      expect.stringMatching(/^properties\.`?n`?/),
      expect.stringMatching(/^properties\.`?region`?/),
    ]);
  });
});
