/** What a meter asks of a single event, as SQL over the columns `event`, `customer` and those of the properties. */
import assert from 'node:assert/strict';
import { parseExpression } from '#schemas/expression.ts';
import type { Meter, MeterDefinition } from '#schemas/meter.ts';
import type { Bindings } from './bindings.ts';
import { expressionSql, scaledSql } from './exact.ts';
import { filterSql } from './filter-sql.ts';

export type MeterColumns = {
  /** Whether the event counts: 0 or 1. */
  readonly counted: string;
  /** Its value, NULL where it has no usable one: an Int256 at 10^-12, for `unique` a text, for `count` one. */
  readonly value: string;
};

export const valueSql = (meter: MeterDefinition, { property }: Bindings): string => {
  if (meter.aggregation === 'count') return 'toInt256(1000000000000)';
  if (meter.expression !== null) {
    const parsed = parseExpression(meter.expression);
    assert(parsed.ok, 'a meter that is kept has an expression that can be read');
    return expressionSql(parsed.value, property);
  }
  assert(meter.property !== null, `${meter.aggregation} measures something`);
  const text = property(meter.property);
  return meter.aggregation === 'unique' ? text : scaledSql(text);
};

export const countedSql = (meter: MeterDefinition, bindings: Bindings): string => {
  const isEvent = `event = ${bindings.bind(meter.event, 'String')}`;
  return meter.filter ? `(${isEvent} AND ${filterSql(meter.filter, bindings)})` : `(${isEvent})`;
};

export const meterColumns = (meter: Meter, bindings: Bindings): MeterColumns => ({
  counted: countedSql(meter, bindings),
  value: valueSql(meter, bindings),
});
