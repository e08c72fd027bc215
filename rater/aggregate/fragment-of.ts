import assert from 'node:assert/strict';
import type { Meter } from '#schemas/meter.ts';
import { countFragment } from './count.ts';
import type { Fragment } from './fragment.ts';
import { sumFragment } from './sum.ts';

/** The only switch over aggregations. */
export const fragmentOf = (name: string, meter: Meter): Fragment => {
  switch (meter.aggregation) {
    case 'count':
      return countFragment(name, meter);
    case 'sum':
      assert(meter.property !== null, `the meter ${meter.code} sums nothing`);
      return sumFragment(name, { event: meter.event, property: meter.property });
  }
};
