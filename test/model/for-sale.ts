/** What is for sale in the model: plans and an add-on, as the API takes them and as the model counts them. */

export type Unit = 'week' | 'month' | 'quarter';

export type ChargeOfModel = {
  readonly code: string;
  /** The plan or add-on that has it. */
  readonly item: string;
  readonly timing: 'advance' | 'arrears';
  readonly unit: Unit;
  /** Whether it is multiplied: by seats, and of the add-on by how often it is taken. */
  readonly isCounted: boolean;
  readonly cents: bigint;
  readonly proration: 'time' | 'day';
};

type PlanOfModel = {
  readonly code: string;
  readonly proration: 'time' | 'day';
  readonly isAddOn?: true;
  readonly charges: readonly Omit<ChargeOfModel, 'item' | 'proration'>[];
};

const charge = (
  code: string,
  timing: 'advance' | 'arrears',
  unit: Unit,
  cents: bigint,
  isCounted = false,
): Omit<ChargeOfModel, 'item' | 'proration'> => ({ code, timing, unit, cents, isCounted });

// Prices that no number of parts divides without a remainder.
const sold: readonly PlanOfModel[] = [
  {
    code: 'basic',
    proration: 'time',
    charges: [
      charge('basic-fee', 'advance', 'month', 3_107n),
      charge('basic-seats', 'advance', 'month', 1_009n, true),
      charge('basic-after', 'arrears', 'month', 503n),
    ],
  },
  {
    code: 'pro',
    proration: 'day',
    charges: [
      charge('pro-fee', 'advance', 'month', 6_211n),
      charge('pro-seats', 'advance', 'month', 701n, true),
      charge('pro-after', 'arrears', 'quarter', 9_001n),
    ],
  },
  {
    code: 'lite',
    proration: 'time',
    charges: [charge('lite-fee', 'advance', 'week', 709n), charge('lite-year', 'advance', 'quarter', 1_301n)],
  },
  {
    code: 'extra',
    proration: 'time',
    isAddOn: true,
    charges: [charge('extra-fee', 'advance', 'month', 407n, true)],
  },
];

export const planCodes = sold.filter(({ isAddOn }) => !isAddOn).map(({ code }) => code);
export const addOnCode = 'extra';

export const chargesOfModel: readonly ChargeOfModel[] = sold.flatMap(({ code: item, proration, charges }) =>
  charges.map((one) => ({ ...one, item, proration })),
);

const amount = (cents: bigint): string => `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`;

/** Bodies of `POST /v1/plans`. */
export const plansOfModel: readonly object[] = sold.map(({ code, proration, isAddOn, charges }) => ({
  code,
  name: code,
  currency: 'USD',
  proration,
  ...(isAddOn && { kind: 'add_on' }),
  charges: charges.map((one) => ({
    code: one.code,
    name: one.code,
    timing: one.timing,
    billing_interval: { unit: one.unit },
    ...(one.isCounted && !isAddOn
      ? { seats: true, price: { model: 'per_unit', unit_amount: amount(one.cents) } }
      : { price: { model: 'flat', amount: amount(one.cents) } }),
  })),
}));

/** Of the periods of a plan, by which `period_end` goes: the shortest of its charges. */
export const unitOfPlan = (plan: string): Unit => (plan === 'lite' ? 'week' : 'month');

const dayMs = 86_400_000;

/** The billing period of the calendar in UTC that holds an instant. */
export const periodOf = (unit: Unit, at: number): { start: number; end: number } => {
  const date = new Date(at);
  if (unit === 'week') {
    const day = Math.floor(at / dayMs);
    // The first day of 1970 was a Thursday.
    const start = (day - ((day + 3) % 7)) * dayMs;
    return { start, end: start + 7 * dayMs };
  }
  const months = unit === 'month' ? 1 : 3;
  const month = Math.floor(date.getUTCMonth() / months) * months;
  const year = date.getUTCFullYear();
  return { start: Date.UTC(year, month, 1), end: Date.UTC(year, month + months, 1) };
};
