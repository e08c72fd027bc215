/**
 * The verdict over a round: what the client was told against what is stored and what stands on the invoices. Pure, so
 * that it can be given lies to find.
 */

import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy } from '#schemas/rated-line.ts';
import { ratePlan } from '../../rater/price/rate.ts';
import { llmPro, parties, usageByMeter } from '../support/invoice-examples.ts';
import type { Book } from './client.ts';
import type { SentEvent } from './workload.ts';

/** A key as billing reads it. `rows` over 1 means that it counts more than once. */
export type StoredKey = {
  readonly key: string;
  readonly rows: number;
  readonly customers: readonly string[];
  readonly input: number;
  readonly output: number;
};

export type PrintedLine = {
  readonly charge_code: string;
  readonly quantity: string;
  readonly precise_amount: string;
  readonly amount: string;
};
/** Customer -> lines of its invoice. */
export type PrintedInvoices = ReadonlyMap<string, readonly PrintedLine[]>;

export type Evidence = {
  readonly book: Book;
  readonly stored: readonly StoredKey[];
  readonly invoices: PrintedInvoices;
};

export type Verdict = {
  readonly accepted: number;
  readonly stored: number;
  /** Events on the invoices of the closed month, and accepted ones that belong to the open month. */
  readonly billed: number;
  readonly open: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  /** Everything else that must not be, in words. */
  readonly faults: readonly string[];
};

const inWords = (what: string, keys: readonly string[]): string[] =>
  keys.length === 0 ? [] : [`${keys.length} ${what}: ${keys.slice(0, 3).join(', ')}`];

/** Lines that the plan gives for what the client was told; by the pure functions of rating. */
export const impliedInvoice = (events: readonly SentEvent[]): PrintedLine[] => {
  const sum = (of: (event: SentEvent) => number) => String(events.reduce((total, event) => total + of(event), 0));
  const usage = usageByMeter(llmPro.charges, {
    requests: String(events.length),
    input_tokens: sum(({ input }) => input),
    output_tokens: sum(({ output }) => output),
  });
  return ratePlan({ ...parties, charges: llmPro.charges, usage }, defaultRatingPolicy).map((line) => ({
    charge_code: line.chargeCode,
    quantity: formatQuantity(line.quantity),
    precise_amount: formatPreciseAmount(line.precise),
    amount: formatMinorUnits(line.amount, line.currency),
  }));
};

const text = ({ charge_code, quantity, precise_amount, amount }: PrintedLine): string =>
  [charge_code, quantity, precise_amount, amount].join(' ');

const invoiceFaults = (taken: readonly SentEvent[], invoices: PrintedInvoices): string[] =>
  [...invoices].flatMap(([customer, lines]) => {
    const implied = impliedInvoice(
      taken.filter((event) => event.customer === customer && event.atMs !== undefined),
    ).map(text);
    const printed = lines.map(text);
    return printed.join('\n') === implied.join('\n')
      ? []
      : [
          `the invoice of ${customer} is not what its events imply: ${printed.join('; ')} instead of ${implied.join('; ')}`,
        ];
  });

const isAsSent = (row: StoredKey, event: SentEvent): boolean =>
  row.customers.length === 1 &&
  row.customers[0] === event.customer &&
  row.input === event.input * row.rows &&
  row.output === event.output * row.rows;

/**
 * Redis was lost, a variant took the key there, and then a repeat of the event, which had been accepted and stands, met
 * it.
 */
const isOvertaken = ({ taken, variantsTaken }: Book, key: string, status: string): boolean =>
  status === 'conflict' && taken.has(key) && variantsTaken.includes(key);

/**
 * `mayForget`: Redis was lost in this round, so nobody could know of the first event: a variant of it may be taken, and
 * the event itself be accepted again. Its payload must stand all the same, once.
 */
export const judge = ({ book, stored, invoices }: Evidence, mayForget: boolean): Verdict => {
  const taken = [...book.taken].flatMap((key) => book.sent.get(key) ?? []);
  const byKey = new Map(stored.map((row) => [row.key, row]));
  const total = (of: (row: { input: number }) => number, rows: readonly { input: number }[]) =>
    rows.reduce((sum, row) => sum + of(row), 0);
  const [told, held] = [total(({ input }) => input, taken), total(({ input }) => input, stored)];
  const changed = stored.filter((row) => {
    const event = book.sent.get(row.key);
    return event !== undefined && !isAsSent(row, event);
  });
  const requests = [...invoices.values()].flat().filter(({ charge_code }) => charge_code === 'requests');
  return {
    accepted: taken.length,
    stored: stored.reduce((sum, { rows }) => sum + rows, 0),
    billed: requests.reduce((sum, { quantity }) => sum + Number(quantity), 0),
    open: taken.filter(({ atMs }) => atMs === undefined).length,
    lost: taken.map(({ key }) => key).filter((key) => !byKey.has(key)),
    doubled: stored.filter(({ rows }) => rows > 1).map(({ key }) => key),
    faults: [
      ...inWords(
        'stored without having been sent',
        stored.filter(({ key }) => !book.sent.has(key)).map(({ key }) => key),
      ),
      ...inWords(
        'stored otherwise than sent',
        changed.map(({ key }) => key),
      ),
      ...inWords(
        'sent and never taken',
        [...book.sent.keys()].filter((key) => !book.taken.has(key)),
      ),
      ...inWords(
        'told that they are no good',
        [...book.refused]
          .filter(([key, status]) => !(mayForget && isOvertaken(book, key, status)))
          .map(([key, status]) => `${key} (${status})`),
      ),
      ...(mayForget ? [] : inWords('with another payload taken beside the first', book.variantsTaken)),
      ...(mayForget ? [] : inWords('accepted a second time', [...book.acceptedAgain])),
      ...(told === held ? [] : [`${held} input tokens are stored, ${told} were accepted`]),
      ...invoiceFaults(taken, invoices),
    ],
  };
};

export const isSound = ({ lost, doubled, faults }: Verdict): boolean =>
  lost.length === 0 && doubled.length === 0 && faults.length === 0;

export type Lie = 'loss' | 'double';

/**
 * Evidence in which one accepted event is missing, and one in which it counts twice: a check that passes these sees
 * nothing.
 */
export const plantedLies = (evidence: Evidence): Readonly<Record<Lie, Evidence>> => {
  const victim = evidence.stored.find(({ rows }) => rows === 1);
  if (!victim) throw new Error('there is nothing stored to lie about');
  const others = evidence.stored.filter((row) => row !== victim);
  return {
    loss: { ...evidence, stored: others },
    double: {
      ...evidence,
      stored: [{ ...victim, rows: 2, input: victim.input * 2, output: victim.output * 2 }, ...others],
    },
  };
};

/** Whether the check finds both lies, each as what it is, beside whatever else is wrong. */
export const findsPlantedLies = (evidence: Evidence, mayForget: boolean): boolean => {
  const { loss, double } = plantedLies(evidence);
  const [truth, lost, doubled] = [evidence, loss, double].map((one) => judge(one, mayForget)) as [
    Verdict,
    Verdict,
    Verdict,
  ];
  return lost.lost.length === truth.lost.length + 1 && doubled.doubled.length === truth.doubled.length + 1;
};
