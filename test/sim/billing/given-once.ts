/** [I32] What was charged in advance is given back once, by credits and by credit notes together. */
import assert from 'node:assert/strict';
import type { Amount } from '#schemas/money.ts';
import { chargeOf, issuedLines } from './charges-ahead.ts';
import { periodsIn } from './cut-store.ts';
import type { PeriodRecord, Tables } from './tables.ts';

const sumOf = (amounts: readonly Amount[]): bigint => amounts.reduce((sum, one) => sum + one, 0n);

const creditedOf = ({ creditNotes }: Tables, invoiceId: string | undefined, position: number): bigint =>
  sumOf(
    creditNotes
      .filter(({ invoice }) => invoice.id === invoiceId)
      .flatMap(({ lines }) => lines.filter(({ invoiceLine }) => invoiceLine === position))
      .map(({ amount }) => amount),
  );

const expectOnce = (tables: Tables, charge: PeriodRecord): void => {
  const credits = periodsIn(tables).filter((one) => one.timing === 'credit' && chargeOf(tables, one)?.id === charge.id);
  for (const line of issuedLines(tables, charge)) {
    const byNotes = creditedOf(tables, charge.invoiceId, line.position);
    let byCredits = 0n;
    for (const credit of credits)
      for (const back of issuedLines(tables, credit))
        if (back.chargeCode === line.chargeCode)
          byCredits += creditedOf(tables, credit.invoiceId, back.position) - back.amount;
    const isOnce = byNotes + byCredits <= line.amount;
    assert(isOnce, `[I32] of ${line.amount} of ${charge.id} ${byNotes} are credited, and ${byCredits} given back`);
  }
};

export const expectGivenOnce = (tables: Tables): void => {
  for (const charge of periodsIn(tables))
    if (charge.timing === 'advance' && charge.invoiceId !== undefined) expectOnce(tables, charge);
};
