/** A rated line as it is stored against the same line rated again: every value that is another. Pure. */
import { creditedBeforeIn, printedOf } from '#schemas/credited-line.ts';
import { formatAmount, formatPreciseAmount } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import type { RatedDelta } from '#schemas/rated-delta.ts';
import { priceStepToJson, type RatedLine, ratedLineToJson } from '#schemas/rated-line.ts';
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { lineHashesOfStored } from '../run/line-hashes.ts';
import { inputAsRated } from '../run/names-as-rated.ts';
import { partsOf, unmeasuredOf } from '../run/rated-rows.ts';

/** A row of `rated_lines`; of whatever type its column is, as text. */
export type StoredLine = {
  readonly id: string;
  readonly billingPeriodId: string;
  readonly chargeCode: string;
  readonly columns: Readonly<Record<LineColumn, string>>;
  /** The very bytes. */
  readonly line: string;
  /** What the line says that it was rounded by. */
  readonly rounding: string;
  /** What was measured in parts, as JSON; undefined where it was not. */
  readonly parts: string | undefined;
  /** The calendar's period, which stands in the columns of a line from before there were billing periods. */
  readonly billing: Period;
  /** Undefined for a line from before lines were hashed. */
  readonly hashes: { readonly version: string; readonly input: string; readonly output: string } | undefined;
};

/** A row of `invoice_lines` that charges for a rated line. */
export type PrintedLine = {
  readonly invoiceId: string;
  readonly position: number;
  readonly billingPeriodId: string;
  readonly chargeCode: string;
  readonly columns: Readonly<Record<PrintedColumn, string>>;
};

type LineColumn =
  | 'subscription_id'
  | 'period_start'
  | 'period_end'
  | 'plan_version_id'
  | 'position'
  | 'unmeasured_events';
type PrintedColumn = 'description' | 'meter' | 'quantity' | 'rounding' | 'precise_amount' | 'amount' | 'steps';

export type Difference = { readonly field: string; readonly stored: string; readonly recomputed: string };

export type RatedAgain = { readonly line: RatedLine; readonly input: RatingInput };

const nothing = 'nothing';

const textOf = (value: unknown): string => (value === undefined ? nothing : JSON.stringify(value));

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Where two JSON values differ, leaf by leaf. */
const jsonDifferences = (field: string, stored: unknown, recomputed: unknown): Difference[] => {
  if (isObject(stored) && isObject(recomputed) && Array.isArray(stored) === Array.isArray(recomputed)) {
    const names = [...new Set([...Object.keys(recomputed), ...Object.keys(stored)])];
    const nameOf = (name: string): string => (Array.isArray(recomputed) ? `${field}[${name}]` : `${field}.${name}`);
    return names.flatMap((name) => jsonDifferences(nameOf(name), stored[name], recomputed[name]));
  }
  const [one, other] = [textOf(stored), textOf(recomputed)];
  return one === other ? [] : [{ field, stored: one, recomputed: other }];
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/** The bytes first; where they are others, the leaves say which. */
const textDifferences = (field: string, stored: string, recomputed: string): Difference[] => {
  if (stored === recomputed) return [];
  const leaves = jsonDifferences(field, parsed(stored), parsed(recomputed));
  return leaves.length > 0 ? leaves : [{ field, stored, recomputed }];
};

const columnDifferences = <C extends string>(
  stored: Readonly<Record<C, string>>,
  recomputed: Readonly<Record<C, string>>,
): Difference[] =>
  (Object.keys(recomputed) as C[]).flatMap((field) =>
    stored[field] === recomputed[field] ? [] : [{ field, stored: stored[field], recomputed: recomputed[field] }],
  );

/** A line from before there were billing periods: it does not name its own, nor the time of it that was measured. */
const isOfMonth = ({ hashes, line }: StoredLine): boolean =>
  hashes === undefined && !line.includes('"billing_period_id"');

const inItsForm = (stored: StoredLine, line: RatedLine): object => {
  const { billing_period_id, span, ...rest } = ratedLineToJson(line);
  return isOfMonth(stored) ? rest : { billing_period_id, span, ...rest };
};

export const lineDifferences = (stored: StoredLine, { line, input: inputNow }: RatedAgain): Difference[] => {
  const input = inputAsRated(inputNow, stored.hashes?.input);
  const period = isOfMonth(stored) ? stored.billing : line.span;
  const recomputed = {
    subscription_id: line.subscriptionId,
    period_start: new Date(period.start).toISOString(),
    period_end: new Date(period.end).toISOString(),
    plan_version_id: line.planVersionId,
    position: `${line.position}`,
    unmeasured_events: `${unmeasuredOf(input)}`,
  };
  const again = lineHashesOfStored(ratingInputToJson(input), ratedLineToJson(line));
  return [
    ...columnDifferences(stored.columns, recomputed),
    ...textDifferences('line', stored.line, JSON.stringify(inItsForm(stored, line))),
    ...textDifferences('parts', stored.parts ?? nothing, partsOf(input) ?? nothing),
    ...(stored.hashes
      ? columnDifferences(
          {
            hash_version: stored.hashes.version,
            input_hash: stored.hashes.input,
            output_hash: stored.hashes.output,
          },
          { hash_version: `${again.version}`, input_hash: again.input, output_hash: again.output },
        )
      : []),
  ];
};

const ofSpans = (spans: unknown): unknown =>
  Array.isArray(spans)
    ? spans.map((one) => ({ quantity: one?.quantity, parts: one?.parts, unmeasured_events: one?.unmeasured_events }))
    : undefined;

/** Of what was measured alone, and not of what it costs. */
export const quantityDifferences = (stored: StoredLine, { line, input }: RatedAgain): Difference[] => {
  const json = parsed(stored.line);
  const { quantity, price_spans: spans } = isObject(json) ? json : {};
  const again = ratedLineToJson(line);
  return [
    ...jsonDifferences('quantity', quantity, again.quantity),
    ...jsonDifferences('price_spans', ofSpans(spans), ofSpans(again.price_spans)),
    ...textDifferences('parts', stored.parts ?? nothing, partsOf(input) ?? nothing),
    ...columnDifferences(
      { unmeasured_events: stored.columns.unmeasured_events },
      { unmeasured_events: `${unmeasuredOf(input)}` },
    ),
  ];
};

const printedLineDifferences = ({ columns: { steps, ...columns } }: PrintedLine, line: RatedLine): Difference[] => [
  ...columnDifferences(columns, {
    description: line.chargeName,
    meter: line.meter ?? nothing,
    quantity: formatQuantity(line.quantity),
    rounding: line.rounding,
    precise_amount: formatPreciseAmount(line.precise),
    amount: formatAmount(line.amount),
  }),
  ...textDifferences('steps', steps, JSON.stringify(line.steps.map(priceStepToJson))),
];

/** A credit is printed without what credit notes gave back before. */
export const printedDifferences = (printed: PrintedLine, line: RatedLine): Difference[] =>
  printedLineDifferences(printed, printedOf(line, creditedBeforeIn(printed.columns.steps)));

/** Of a line of a delta, which has no steps. */
export const deltaDifferences = ({ columns: { steps, ...columns } }: PrintedLine, delta: RatedDelta): Difference[] => [
  ...columnDifferences(columns, {
    description: delta.description,
    meter: delta.line.meter ?? nothing,
    quantity: formatQuantity(delta.quantity),
    rounding: delta.line.rounding,
    precise_amount: formatPreciseAmount(delta.precise),
    amount: formatAmount(delta.amount),
  }),
  ...textDifferences('steps', steps, '[]'),
];
