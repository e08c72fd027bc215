/** So many units of the calendar: a term, or how often something is charged. */
import { type Fault, fieldOf, type JsonObject, ownValue, readObject } from '#schemas/fault.ts';

export const intervalUnits = ['day', 'week', 'month', 'quarter', 'year'] as const;
export type IntervalUnit = (typeof intervalUnits)[number];
export const intervalCountMax = 365;

/** Its own JSON, too. */
export type Interval = { readonly unit: IntervalUnit; readonly count: number };

/** Absent, it is of one unit. */
export const readInterval = (json: unknown, field: string, faults: Fault[]): Interval | undefined => {
  const object = readObject(json, field, ['unit', 'count'], faults);
  if (!object) return undefined;
  const unit = readUnit(object, field, faults);
  const count = readCount(object, field, faults);
  return unit && count ? { unit, count } : undefined;
};

const readUnit = (object: JsonObject, parent: string, faults: Fault[]): IntervalUnit | undefined => {
  const given = ownValue(object, 'unit');
  const unit = intervalUnits.find((one) => one === given);
  if (unit === undefined)
    faults.push({
      field: fieldOf(parent, 'unit'),
      code: given === undefined ? 'missing' : 'not_allowed',
      message: `must be one of ${intervalUnits.join(', ')}`,
    });
  return unit;
};

const readCount = (object: JsonObject, parent: string, faults: Fault[]): number | undefined => {
  const given = ownValue(object, 'count') === undefined ? 1 : ownValue(object, 'count');
  if (typeof given === 'number' && Number.isInteger(given) && given >= 1 && given <= intervalCountMax) return given;
  faults.push({
    field: fieldOf(parent, 'count'),
    code: typeof given === 'number' ? 'out_of_range' : 'wrong_type',
    message: `must be a whole number from 1 to ${intervalCountMax}`,
  });
  return undefined;
};
