/** The ports of credit notes over the tables in memory: one transaction under two locks. */
import assert from 'node:assert/strict';
import type { CreditNote } from '#schemas/credit-note.ts';
import { addAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { CreditedLines, CreditedParts } from '../../../invoicer/corrections/credit-lines.ts';
import type { CreditDb, IssueCreditPorts, LockedInvoice } from '../../../invoicer/credits/issue-credit.ts';
import type { Process } from '../scheduler.ts';
import { givenBackBy } from './charges-ahead.ts';
import { periodsIn } from './cut-store.ts';
import { invoiceOf, organizationId, type Tables } from './tables.ts';
import { begin, commit, type Locks, underLock, type World } from './world.ts';

const sumParts = (a: CreditedParts, b: CreditedParts): CreditedParts => ({
  amount: addAmounts(a.amount, b.amount),
  discounts: a.discounts.map((one, index) => addAmounts(one, b.discounts[index] ?? zeroAmount)),
  taxes: a.taxes.map((one, index) => ({
    amount: addAmounts(one.amount, b.taxes[index]?.amount ?? zeroAmount),
    taxableAmount: addAmounts(one.taxableAmount, b.taxes[index]?.taxableAmount ?? zeroAmount),
  })),
});

const partsOf = ({ amount, discounts, taxes }: CreditNote['lines'][number]): CreditedParts => ({
  amount,
  discounts: discounts.map((discount) => discount.amount),
  taxes,
});

/** What was credited of each line so far. */
export const creditedOf = ({ creditNotes }: Tables, invoiceId: string): CreditedLines => {
  const lines = creditNotes.filter(({ invoice }) => invoice.id === invoiceId).flatMap((note) => note.lines);
  const byLine = Map.groupBy(lines, ({ invoiceLine }) => invoiceLine);
  return new Map([...byLine].map(([position, own]) => [position, own.map(partsOf).reduce(sumParts)]));
};

/** Whether a later invoice takes back some of what it bills. */
const isTakenBack = (tables: Tables, invoiceId: string): boolean =>
  periodsIn(tables)
    .filter((period) => period.invoiceId === invoiceId)
    .some((period) =>
      periodsIn(tables).some(
        (delta) =>
          delta.correctsId === (period.correctsId ?? period.id) &&
          delta.correction > period.correction &&
          delta.state === 'billed' &&
          invoiceOf(tables, delta.invoiceId)?.lines.some(
            ({ billingPeriodId, amount, discounts }) =>
              billingPeriodId === delta.id && amount < sumAmounts(discounts.map((one) => one.amount)),
          ),
      ),
    );

export const lockedOf = (tables: Tables, invoiceId: string): LockedInvoice => {
  const invoice = invoiceOf(tables, invoiceId);
  const state = tables.states.get(invoiceId);
  assert(invoice && state, `the invoice ${invoiceId} is issued`);
  const customer = tables.customers.get(invoice.customerId);
  const credited = creditedOf(tables, invoiceId);
  return {
    invoice,
    state,
    credited,
    givenBack: givenBackBy(tables, invoiceId, credited),
    isTakenBack: isTakenBack(tables, invoiceId),
    clockNow: tables.clocks.get(customer?.clockId ?? '')?.now ?? null,
    language: null,
    timeZone: customer?.timeZone ?? 'UTC',
  };
};

type Transaction = ReturnType<typeof begin>;

/** What is issued in a transaction is behind what it issued before. */
export const creditsIn = (
  world: World,
  transaction: Transaction,
  locks: Locks,
): Pick<IssueCreditPorts, 'issuingEntity' | 'lockSeries' | 'newCreditNoteId' | 'writeCreditNote'> => {
  const { tables } = world;
  let own: Tables['creditSeries'] | undefined;
  return {
    lockSeries: () =>
      underLock(world, locks, transaction, 'credit series', 'lock the series of credit notes', () => {
        const { lastNumber: number, headHash: hash, numbering } = own ?? tables.creditSeries;
        return { head: { number, hash }, numbering };
      }),
    issuingEntity: async () => undefined,
    writeCreditNote: async (_db, { note, numbering, state, beside }) => {
      const stems = new Set(numbering.map(({ stem }) => stem));
      const others = (own ?? tables.creditSeries).numbering.filter(({ stem }) => !stems.has(stem));
      own = { lastNumber: note.number, headHash: note.hash, numbering: [...others, ...numbering] };
      const series = own;
      transaction.writes.push(() => {
        tables.creditNotes.push(note);
        if (beside.deltaId !== null) tables.creditedDeltas.set(note.id, beside.deltaId);
        tables.states.set(note.invoice.id, state);
        Object.assign(tables.creditSeries, series);
      });
    },
    newCreditNoteId: () => world.nextId('crn'),
  };
};

export type CreditTransaction = {
  readonly ports: IssueCreditPorts;
  readonly db: CreditDb;
  readonly commit: () => Promise<void>;
  readonly rollBack: () => void;
};

export const beginCredit = (world: World, process: Process, locks: Locks): CreditTransaction => {
  const { tables, bug } = world;
  const transaction = begin(process);
  const underOwn = <T>(name: string, what: string, step: () => T): Promise<T> =>
    underLock(world, locks, transaction, name, what, step);
  const lock = bug.creditsWithoutLock ? world.nextId('nothing') : undefined;
  const ports: IssueCreditPorts = {
    lockInvoice: (_db, id) => underOwn(lock ?? `state ${id}`, `lock ${id}`, () => lockedOf(tables, id)),
    lookAtInvoice: () => assert.fail('nobody only looks'),
    ...creditsIn(world, transaction, locks),
  };
  const rollBack = (): void => {
    transaction.isOver = true;
  };
  const db: CreditDb = { organizationId, query: () => assert.fail('no statement is asked') };
  return { ports, db, commit: () => commit(world, transaction, 'the credit note'), rollBack };
};
