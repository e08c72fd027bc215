/** `/v1/customers/{id}/balance`. */
import { Balance } from '#schemas/http/balances.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { balanceJson } from './balance-json.ts';
import { createReadBalance } from './balances-together.ts';
import type { ReadBalancePorts } from './read-balance.ts';

export type BalancePorts = ReadBalancePorts & { readonly customers: Pick<CustomerStore, 'payer'> };

export const balanceRoutes = ({ get }: Routes, ports: BalancePorts): void => {
  const readBalance = createReadBalance(ports);
  get(
    {
      url: '/v1/customers/:id/balance',
      operation: 'getCustomerBalance',
      tag: 'Customers',
      summary: 'What a customer owes as of now: its open invoices, and what has begun and is not billed',
      scope: 'read:invoices',
      params: CustomerId,
      answers: { 200: Balance },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, nowMs, readTogether }) => {
      const customer = found(await ports.customers.payer(db, params.id), 'CUSTOMER_NOT_FOUND');
      const balance = await readBalance({ db, readTogether }, customer, nowMs);
      return balanceJson(customer.id, customer.currency, balance);
    },
  );
};
