import assert from 'node:assert/strict';
import type { MeterDefinition } from '#schemas/meter.ts';
import { averageFragment } from './average.ts';
import { countFragment } from './count.ts';
import { extremeFragment } from './extreme.ts';
import type { Columns, Fragment } from './fragment.ts';
import { latestFragment } from './latest.ts';
import { percentileFragment } from './percentile.ts';
import { sumFragment } from './sum.ts';
import { uniqueFragment } from './unique.ts';
import { weightedSumFragment } from './weighted-sum.ts';

/** SQL of where the span of a row's group begins and ends, in milliseconds. */
export type SpanSql = { readonly start: string; readonly end: string };

/** The only switch over aggregations. */
export const fragmentOf = (meter: MeterDefinition, columns: Columns, span: SpanSql): Fragment => {
  switch (meter.aggregation) {
    case 'count':
      return countFragment(columns);
    case 'sum':
      return sumFragment(columns);
    case 'max':
    case 'min':
      return extremeFragment(meter.aggregation, columns);
    case 'unique':
      return uniqueFragment(columns);
    case 'latest':
      return latestFragment(columns);
    case 'average':
      return averageFragment(columns);
    case 'weighted_sum':
      return weightedSumFragment(columns, span.start, span.end);
    case 'percentile':
      assert(meter.percentile !== null, 'a percentile has a rank');
      return percentileFragment(meter.percentile, columns);
  }
};
