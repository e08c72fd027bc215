/**
 * An engine outside of Millrace that says which taxes the lines of an invoice have: what it is asked, and how its
 * answer is read. What it answers stands on an invoice for good, so nothing of it is taken that does not add up. Pure.
 */
import { type Currency, isCurrency } from '#schemas/currency.ts';
import { formatInstant } from '#schemas/instant.ts';
import { type Amount, formatMinorUnits, isWholeMinorUnits, parseStoredAmount, sumAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { parsePercentage, type TaxEntry, taxTreatments } from '#schemas/tax-rate.ts';
import type { TaxedCustomer, TaxedSeller } from './resolve-taxes.ts';

export type EngineLine = {
  readonly position: number;
  readonly description: string;
  readonly chargeCode: string | null;
  readonly taxCategory: string | null;
  /** As printed, less its discounts. */
  readonly amount: Amount;
};

export type EngineRequest = {
  /** The same for the same lines, however often it is asked. */
  readonly idempotencyKey: string;
  readonly organizationId: string;
  readonly customerId: string;
  readonly customer: TaxedCustomer;
  readonly seller: TaxedSeller;
  readonly currency: Currency;
  readonly issuedAt: Instant;
  readonly lines: readonly EngineLine[];
};

/** By the position of their line. */
export type EngineAnswer = ReadonlyMap<number, readonly TaxEntry[]>;

/**
 * Throws `UnavailableError` where a later try may succeed, and another error where the engine refuses or answers what
 * can't be.
 */
export type TaxEngine = (request: EngineRequest) => Promise<EngineAnswer>;

export const engineRequestToJson = (request: EngineRequest) => ({
  organization_id: request.organizationId,
  currency: request.currency,
  issued_at: formatInstant(request.issuedAt),
  seller: { country: request.seller.country },
  customer: {
    id: request.customerId,
    country: request.customer.country,
    state: request.customer.state,
    tax_id_countries: request.customer.taxIdCountries,
    treatment: request.customer.treatment,
    exemption_reason: request.customer.exemptionReason,
  },
  lines: request.lines.map((line) => ({
    position: line.position,
    description: line.description,
    charge_code: line.chargeCode,
    tax_category: line.taxCategory,
    amount: formatMinorUnits(line.amount, request.currency),
  })),
});

const refuse = (what: string): never => {
  throw new Error(`the tax engine's answer can't be taken: ${what}`);
};

const memberOf = (json: unknown, name: string): unknown =>
  typeof json === 'object' && json !== null && Object.hasOwn(json, name)
    ? (json as Record<string, unknown>)[name]
    : undefined;

const listOf = (json: unknown, name: string, max: number): readonly unknown[] => {
  const list = memberOf(json, name);
  return Array.isArray(list) && list.length <= max ? list : refuse(`${name} is no list of at most ${max}`);
};

const textOf = (json: unknown, name: string): string => {
  const text = memberOf(json, name);
  return typeof text === 'string' && /^[^\p{Cc}]{1,200}$/u.test(text) ? text : refuse(`${name} is no printable text`);
};

const amountOf = (json: unknown, name: string, currency: Currency): Amount => {
  const amount = parseStoredAmount(textOf(json, name));
  return amount !== undefined && isWholeMinorUnits(amount, currency)
    ? amount
    : refuse(`${name} is no amount of ${currency}`);
};

const entryOf = (json: unknown, currency: Currency): TaxEntry => {
  const inclusive = memberOf(json, 'inclusive');
  const treatment = taxTreatments.find((one) => one === memberOf(json, 'treatment'));
  const amount = amountOf(json, 'amount', currency);
  if (treatment !== 'taxed' && amount !== 0n) refuse('only what is taxed has an amount');
  return {
    taxRateId: null,
    code: textOf(json, 'code'),
    name: textOf(json, 'name'),
    percentage: parsePercentage(textOf(json, 'percentage')) ?? refuse('percentage is none'),
    inclusive: typeof inclusive === 'boolean' ? inclusive : refuse('inclusive is not true or false'),
    treatment: treatment ?? refuse(`treatment is none of ${taxTreatments.join(', ')}`),
    taxableAmount: amountOf(json, 'taxable_amount', currency),
    amount,
  };
};

const taxesPerLineMax = 20;

/** Every line that was asked for, once; of each what is in its amount and the net come to the amount. */
export const engineAnswerFromJson = (json: unknown, { lines, currency }: EngineRequest): EngineAnswer => {
  if (!isCurrency(currency)) return refuse('the currency is none');
  const asked = new Map<unknown, EngineLine>(lines.map((line) => [line.position, line]));
  const answered = new Map<number, readonly TaxEntry[]>();
  for (const item of listOf(json, 'lines', lines.length)) {
    const position = memberOf(item, 'position');
    const line = asked.get(position);
    if (!line || answered.has(line.position)) return refuse(`position ${String(position)} was not asked for, or twice`);
    const entries = listOf(item, 'taxes', taxesPerLineMax).map((tax) => entryOf(tax, currency));
    const within = sumAmounts(entries.flatMap(({ inclusive, amount }) => (inclusive ? [amount] : [])));
    if (entries.some(({ inclusive, taxableAmount }) => inclusive && taxableAmount + within !== line.amount))
      return refuse(`the inclusive taxes of position ${line.position} and what they are of are not its amount`);
    answered.set(line.position, entries);
  }
  return answered.size === lines.length ? answered : refuse('a line is missing');
};
