/** `/v1/customers/{id}/export`. */
import { Readable } from 'node:stream';
import { CustomerExport } from '#schemas/http/customer-export.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import type { Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { type ExportPorts, exportCustomer } from './export-customer.ts';

export const customerExportRoutes = ({ get }: Routes, ports: ExportPorts): void =>
  get(
    {
      url: '/v1/customers/:id/export',
      operation: 'exportCustomer',
      tag: 'Customers',
      summary: 'All that is stored about a customer, in one document',
      scope: 'read:customers',
      params: CustomerId,
      answers: { 200: CustomerExport },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, caller, nowMs, setType }) => {
      const customer = found(await ports.customers.customer(db, params.id), 'CUSTOMER_NOT_FOUND');
      setType('application/json; charset=utf-8');
      return Readable.from(exportCustomer(ports, db, customer, caller, nowMs));
    },
  );
