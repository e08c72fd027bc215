/** When a charge is due: after its interval or before it, and how long that is; or once, without one. */

import { daysAtLeast } from '#schemas/billing-cycle.ts';
import { type Fault, fieldOf, type JsonObject, ownValue } from '#schemas/fault.ts';
import { type Interval, readInterval } from '#schemas/interval.ts';

export const chargeTimings = ['arrears', 'advance', 'once'] as const;
export type ChargeTiming = (typeof chargeTimings)[number];

/** What is charged once has the default interval, which nothing of it follows. */
export type ChargeTimes = { readonly timing: ChargeTiming; readonly billingInterval: Interval };
/** What is the default is left out, as charges were written before there was a choice: they are hashed as they are. */
export type ChargeTimesJson = { readonly timing?: ChargeTiming; readonly billing_interval?: Interval };

export const chargeTimeNames = ['timing', 'billing_interval'] as const;
export const defaultTimes: Required<ChargeTimesJson> = {
  timing: 'arrears',
  billing_interval: { unit: 'month', count: 1 },
};

const isMonthly = ({ unit, count }: Interval): boolean => unit === 'month' && count === 1;

/** `isMetered` is of the charge's price, where that could be read. */
export const readChargeTimes = (
  charge: JsonObject,
  parent: string,
  isMetered: boolean | undefined,
  faults: Fault[],
): ChargeTimes | undefined => {
  const timing = readTiming(charge, parent, isMetered, faults);
  const given = ownValue(charge, 'billing_interval');
  if (timing === 'once' && given !== undefined) {
    const message = 'must be absent: what is charged once has no interval';
    faults.push({ field: fieldOf(parent, 'billing_interval'), code: 'not_allowed', message });
    return undefined;
  }
  const billingInterval =
    given === undefined
      ? defaultTimes.billing_interval
      : readInterval(given, fieldOf(parent, 'billing_interval'), faults);
  return timing && billingInterval && { timing, billingInterval };
};

const readTiming = (
  charge: JsonObject,
  parent: string,
  isMetered: boolean | undefined,
  faults: Fault[],
): ChargeTiming | undefined => {
  const given = ownValue(charge, 'timing');
  const timing = given === undefined ? defaultTimes.timing : chargeTimings.find((one) => one === given);
  const refuse = (message: string) => {
    faults.push({ field: fieldOf(parent, 'timing'), code: 'not_allowed', message });
    return undefined;
  };
  if (timing === undefined) return refuse(`must be one of ${chargeTimings.join(', ')}`);
  if (timing !== defaultTimes.timing && isMetered)
    return refuse('must be arrears: what a meter measures is known only when it was used');
  return timing;
};

export const chargeTimesToJson = ({ timing, billingInterval }: ChargeTimes): ChargeTimesJson => ({
  ...(timing !== defaultTimes.timing && { timing }),
  ...(!isMonthly(billingInterval) && { billing_interval: billingInterval }),
});

/** Longer ones are a slip of the hand; and nothing that is measured is kept for ever. */
const billedMonthsMax = 36;

/** What is longer stays in a draft. `field` is that of the charges. */
export const unbilledTimeFaults = (charges: readonly ChargeTimesJson[], field: string): Fault[] =>
  charges.flatMap(({ billing_interval: own = defaultTimes.billing_interval }, index) =>
    daysAtLeast(own) > billedMonthsMax * 28
      ? [
          {
            field: `${field}[${index}].billing_interval`,
            code: 'not_billed',
            message: 'must be at most three years, which is the longest that is billed',
          },
        ]
      : [],
  );
