/**
 * The bill of a real trace (Azure LLM inference 2023), whose amounts an independent program computed in exact decimals.
 * The data lies beside the checkout and is not part of it; where it is absent the test is skipped and says so.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addAmounts, formatMinorUnits, zeroAmount } from '#schemas/money.ts';
import { draftInvoice } from '../../../invoicer/invoices/draft-invoice.ts';
import { llmPro, parties, ratedLlmPro, ratedPeriod } from '../../support/invoice-examples.ts';

const expectedBill = new URL('../../../../shared/data/azure-llm-2023/expected-llm-pro.csv', import.meta.url);
const present = existsSync(expectedBill);
if (!present)
  console.warn(
    'SKIPPED: the expected bill of the Azure trace is not beside the checkout (../shared/data/azure-llm-2023)',
  );

const rows = present
  ? readFileSync(expectedBill, 'utf8')
      .trim()
      .split(/\r?\n/)
      .map((row) => row.split(','))
  : [];
const [header = [], ...customers] = rows;

const billOf = (row: readonly string[]) => {
  const column = (name: string): string => row[header.indexOf(name)] ?? '';
  const quantities = {
    requests: column('requests'),
    input_tokens: column('input_tokens'),
    output_tokens: column('output_tokens'),
  };
  const draft = draftInvoice(parties, [ratedPeriod(ratedLlmPro(quantities))]);
  const printed = Object.fromEntries(
    draft.lines.map((line) => [line.chargeCode, formatMinorUnits(line.amount, llmPro.currency)]),
  );
  const expected = {
    base: column('base_amount'),
    requests: column('requests_amount'),
    input: column('input_amount'),
    output: column('output_amount'),
  };
  return { draft, printed, expected, expectedTotal: column('total') };
};

describe.skipIf(!present)('the bill of the Azure trace', () => {
  it('[I13] every amount and every total of the 40 customers is right to the cent', () => {
    expect(customers).toHaveLength(40);
    for (const row of customers) {
      const { draft, printed, expected, expectedTotal } = billOf(row);
      expect({ customer: row[0], ...printed }).toEqual({ customer: row[0], ...expected });
      expect(formatMinorUnits(draft.total, 'USD')).toBe(expectedTotal);
    }
  });

  it('[I19] all invoices together come to 1009.34', () => {
    const grandTotal = customers.reduce((sum, row) => addAmounts(sum, billOf(row).draft.total), zeroAmount);
    expect(formatMinorUnits(grandTotal, 'USD')).toBe('1009.34');
  });
});
