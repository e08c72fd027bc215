/** A filter as a condition that is 0 or 1 and never NULL. Properties and values come as parameters. */
import { scaled, valueScale } from '#schemas/expression-digits.ts';
import type { Comparison, Condition, Filter } from '#schemas/filter.ts';
import type { Bindings } from './bindings.ts';
import { scaledSql } from './exact.ts';

const signs = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const satisfies Record<Comparison, string>;

const conditionSql = (condition: Condition, { property, bind }: Bindings): string => {
  const text = property(condition.property);
  switch (condition.operator) {
    case 'eq':
      return `ifNull(${text} = ${bind(condition.value, 'String')}, 0)`;
    case 'ne':
      return `ifNull(${text} != ${bind(condition.value, 'String')}, 1)`;
    case 'prefix':
      return `ifNull(startsWith(${text}, ${bind(condition.value, 'String')}), 0)`;
    case 'in':
      return `ifNull(has(${bind(condition.value, 'Array(String)')}, ${text}), 0)`;
    case 'not_in':
      return `NOT ifNull(has(${bind(condition.value, 'Array(String)')}, ${text}), 0)`;
    case 'exists':
      return condition.value ? `isNotNull(${text})` : `isNull(${text})`;
    default:
      return `ifNull(${scaledSql(text)} ${signs[condition.operator]} ${bind(scaled(condition.value, valueScale).toString(), 'Int256')}, 0)`;
  }
};

export const filterSql = (filter: Filter, bindings: Bindings): string => {
  const [filters, joint] = 'and' in filter ? [filter.and, ' AND '] : 'or' in filter ? [filter.or, ' OR '] : [null, ''];
  return filters === null
    ? conditionSql(filter as Condition, bindings)
    : `(${filters.map((one) => filterSql(one, bindings)).join(joint)})`;
};
