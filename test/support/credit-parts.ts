/** What stories of credit notes are told with: issued invoices of given lines, and what was credited of them. */
import { expect } from 'vitest';
import type { ApiAnswer } from './pipeline.ts';
import { type Call, unique } from './tenants.ts';

export type Body = ApiAnswer['body'];

export const post = async (api: Call, path: string, body: object | undefined): Promise<Body> => {
  const answer = await api('POST', path, body);
  expect(answer.status, `${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer.body;
};

export const read = async (api: Call, path: string): Promise<Body> => {
  const answer = await api('GET', path);
  expect(answer.status, `${path}: ${JSON.stringify(answer.body)}`).toBe(200);
  return answer.body;
};

/** A customer that has these taxes, by their codes. */
export const customerWith = async (api: Call, rates: readonly string[] = [], more: object = {}): Promise<string> => {
  const external_id = `c-${unique()}`;
  const tax = rates.length > 0 ? { tax: { treatment: 'taxable', rates } } : {};
  await post(api, '/v1/customers', { external_id, name: 'A customer', ...tax, ...more });
  return external_id;
};

/** Issued at once, of items with these amounts. */
export const issue = async (
  api: Call,
  customer_id: string,
  currency: string,
  amounts: readonly string[],
): Promise<Body> => {
  const lines = amounts.map((amount, index) => ({ description: `Item ${index + 1}`, amount }));
  const { id } = await post(api, '/v1/invoices', { customer_id, currency, lines, finalize: true });
  const invoice = await read(api, `/v1/invoices/${id}?wait_seconds=25`);
  expect(invoice.state).toBe('issued');
  return invoice;
};

export const credit = (api: Call, invoice_id: string, more: object = {}): Promise<Body> =>
  post(api, '/v1/credit-notes', { invoice_id, reason: 'other', ...more });

type Line = { invoice_line: number; amount: string; taxes: { code: string; amount: string }[] };

/** "1: 50.00, city 2.57": of each line its amount and its taxes. */
export const linesOf = ({ lines }: Body): string[] =>
  lines.map(({ invoice_line, amount, taxes }: Line) =>
    [`${invoice_line}: ${amount}`, ...taxes.map((tax) => `${tax.code} ${tax.amount}`)].join(', '),
  );

/** State, what was credited, what is due. */
export const standing = async (api: Call, id: string): Promise<string> => {
  const { state, amount_credited, amount_due } = await read(api, `/v1/invoices/${id}`);
  return `${state} ${amount_credited} ${amount_due}`;
};
