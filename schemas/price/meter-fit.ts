/** Whether a price can be asked of a meter: what no look at the price alone can tell. */
import { type Fault, fieldOf } from '#schemas/fault.ts';
import type { MeterDefinition } from '#schemas/meter.ts';
import { type Price, usagePartsOf } from '#schemas/price/price.ts';

const addedUp: readonly string[] = ['sum', 'count'];

/** Whether what it measures of two times is together what it measures of both, to the last digit. */
export const addsUp = ({ aggregation, rounding }: Pick<MeterDefinition, 'aggregation' | 'rounding'>): boolean =>
  addedUp.includes(aggregation) && rounding === null;

/** What is wrong with a price at `field` for a meter of that definition. */
export const meterFaults = (
  price: Price,
  meter: Pick<MeterDefinition, 'aggregation' | 'groupBy' | 'rounding'>,
  field: string,
): Fault[] => {
  const { cells, events } = usagePartsOf(price);
  const faults: Fault[] = [];
  for (const [index, dimension] of (cells?.dimensions ?? []).entries())
    if (!meter.groupBy.includes(dimension))
      faults.push({
        field: `${field}.dimensions[${index}]${price.model === 'cost_book' ? '.property' : ''}`,
        code: 'not_allowed',
        message: `the meter is not grouped by ${dimension}: its group_by must name it`,
      });
  // What one event is worth has to be what it adds to the quantity, to the last digit.
  if (events && !addsUp(meter))
    faults.push({
      field: fieldOf(field, 'model'),
      code: 'not_allowed',
      message: addedUp.includes(meter.aggregation)
        ? 'events with a price of their own need a meter without rounding'
        : `events with a price of their own need a meter that sums or counts, not ${meter.aggregation}`,
    });
  return faults;
};
