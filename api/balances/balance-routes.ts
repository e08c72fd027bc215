/** `/v1/customers/{id}/balance`. */
import { Balance } from '#schemas/http/balances.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import type { Routes } from '../route/define-route.ts';
import { balanceJson } from './balance-json.ts';
import { type BalancePorts, createReadBalance } from './balances-together.ts';

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
      const { customer, balance } = await readBalance({ db, readTogether }, params.id, nowMs);
      return balanceJson(customer.id, customer.currency, balance);
    },
  );
};
