/** `/v1/credit-units`: units that prices may be in, and what they are worth by time. */
import { linkOf, rateFaults, unitCodeFaults } from '#schemas/credit-unit.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { Fault } from '#schemas/failures.ts';
import {
  CreditUnitId,
  GivenCreditRate,
  GivenCreditUnit,
  NewCreditRate,
  NewCreditUnit,
  CreditRate as RateSchema,
  CreditUnit as UnitSchema,
} from '#schemas/http/credit-units.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatAmount, parseAmount, zeroAmount } from '#schemas/money.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { CreditRate, CreditUnit, CreditUnitStore } from './credit-units.postgres.ts';

export type CreditUnitPorts = { readonly creditUnits: CreditUnitStore };

const unitToJson = (unit: CreditUnit) => ({
  id: unit.id,
  code: unit.code,
  name: unit.name,
  ...headToJson(unit),
});

const rateToJson = (rate: CreditRate) => ({
  id: rate.id,
  credit_unit_id: rate.creditUnitId,
  rate_number: rate.rateNumber,
  unit: rate.unit,
  amount: rate.amount,
  effective_from: formatInstant(rate.effectiveFrom),
  created_at: formatInstant(rate.createdAt),
});

const tag = 'Credit units';
const url = '/v1/credit-units';
const read = { tag, scope: 'read:credit_units' } as const;
const write = { tag, scope: 'write:credit_units', rateClass: 'write', method: 'POST' } as const;

export const creditUnitRoutes = ({ get, list, change }: Routes, { creditUnits }: CreditUnitPorts): void => {
  change(
    {
      ...write,
      url,
      operation: 'createCreditUnit',
      summary: 'Create a credit unit, which is worth nothing yet',
      body: GivenCreditUnit,
      documentedBody: NewCreditUnit,
      answers: { 201: UnitSchema },
      failures: ['CREDIT_UNIT_ALREADY_EXISTS'],
    },
    async ({ db, body: { code, name, metadata = {} }, nowMs }) => {
      refuseFaults(unitCodeFaults(code));
      const unit = await creditUnits.addCreditUnit(db, { code, name, metadata }, new Date(nowMs));
      return created('credit_unit', url, unitToJson(found(unit, 'CREDIT_UNIT_ALREADY_EXISTS')));
    },
  );
  list(
    {
      ...read,
      url,
      operation: 'listCreditUnits',
      summary: 'List credit units',
      list: creditUnits.creditUnitList,
      answers: { 200: listSchema(UnitSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await creditUnits.creditUnits(db, query), unitToJson),
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getCreditUnit',
      summary: 'Read a credit unit by id or code',
      params: CreditUnitId,
      answers: { 200: UnitSchema },
      failures: ['CREDIT_UNIT_NOT_FOUND'],
    },
    async ({ db, params }) => unitToJson(found(await creditUnits.creditUnit(db, params.id), 'CREDIT_UNIT_NOT_FOUND')),
  );
  list(
    {
      ...read,
      url: `${url}/:id/rates`,
      operation: 'listCreditRates',
      summary: 'List what a credit unit was, is and will be worth',
      params: CreditUnitId,
      list: creditUnits.creditRateList,
      answers: { 200: listSchema(RateSchema) },
      failures: ['CREDIT_UNIT_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await creditUnits.creditUnit(db, params.id), 'CREDIT_UNIT_NOT_FOUND');
      return listJson(query, await creditUnits.creditRates(db, id, query), rateToJson);
    },
  );
  change(
    {
      ...write,
      url: `${url}/:id/rates`,
      operation: 'createCreditRate',
      summary: 'Say what a credit unit is worth from an instant on',
      params: CreditUnitId,
      body: GivenCreditRate,
      documentedBody: NewCreditRate,
      answers: { 201: RateSchema },
      failures: ['CREDIT_UNIT_NOT_FOUND'],
    },
    async ({ db, params, body: { effective_from: from, unit, amount: text }, nowMs }) => {
      const faults: Fault[] = [];
      const effectiveFrom = new Date(readInstant(from, 'effective_from', faults) ?? 0);
      const amount = parseAmount(text) ?? zeroAmount;
      if (amount === zeroAmount)
        faults.push({ field: 'amount', code: 'not_positive', message: 'must be more than zero' });
      const links = await creditUnits.lockLinks(db);
      const { id, code } = found(await creditUnits.creditUnit(db, params.id), 'CREDIT_UNIT_NOT_FOUND');
      if (!isCurrency(unit) && !links.has(unit))
        faults.push({ field: 'unit', code: 'not_found', message: `there is no currency and no credit unit ${unit}` });
      else faults.push(...rateFaults(code, linkOf(unit, amount), links));
      refuseFaults(faults);
      const rate = { unit, amount: formatAmount(amount), effectiveFrom };
      const after = rateToJson(await creditUnits.addCreditRate(db, id, rate, new Date(nowMs)));
      return {
        status: 201,
        body: after,
        location: `${url}/${id}/rates`,
        changes: [{ action: 'credit_unit_rate.created', objectType: 'credit_unit_rate', objectId: after.id, after }],
      };
    },
  );
};
