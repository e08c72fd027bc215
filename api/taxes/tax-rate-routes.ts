/** `/v1/tax-rates`: what is charged of taxes, where, of what and from when on. */
import type { Static } from 'typebox';
import { isCountry } from '#schemas/country.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import {
  GivenTaxRate,
  NewTaxRate,
  TaxRateId,
  TaxRatePatch,
  TaxRate as TaxRateSchema,
} from '#schemas/http/tax-rates.ts';
import { formatInstant } from '#schemas/instant.ts';
import { newNameFault } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import { formatPercentage, normalState, type Percentage, parsePercentage } from '#schemas/tax-rate.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, readInstant, refuseFaults, updated } from '../route/resource-fields.ts';
import type { TaxRate, NewTaxRate as TaxRateContent, TaxRateStore } from './tax-rates.postgres.ts';

export type TaxRatePorts = { readonly taxRates: TaxRateStore };

const instantJson = (instant: Instant | null | undefined) =>
  instant === null || instant === undefined ? null : formatInstant(instant);

const taxRateJson = (rate: TaxRate) => ({
  id: rate.id,
  code: rate.code,
  name: rate.name,
  percentage: formatPercentage(rate.percentage),
  inclusive: rate.inclusive,
  country: rate.country,
  state: rate.state,
  tax_category: rate.taxCategory,
  valid_from: instantJson(rate.validFrom),
  valid_until: instantJson(rate.validUntil),
  archived_at: instantJson(rate.archivedAt),
  ...headToJson(rate),
});

const orderFault = (from: Instant | null, until: Instant | null): Fault[] =>
  from !== null && until !== null && until <= from
    ? [{ field: 'valid_until', code: 'out_of_range', message: `must be after valid_from, ${formatInstant(from)}` }]
    : [];

const countryFault = (country: string | undefined): Fault[] =>
  country === undefined || isCountry(country)
    ? []
    : [{ field: 'country', code: 'not_allowed', message: `${country} is no country of ISO 3166-1` }];

const readState = (country: string | undefined, text: string | undefined, faults: Fault[]): string | null => {
  if (text === undefined) return null;
  if (country === undefined) {
    faults.push({ field: 'state', code: 'not_allowed', message: 'must be left out: a state is one of a country' });
    return null;
  }
  const state = normalState(country, text);
  if (state === '') faults.push({ field: 'state', code: 'wrong_format', message: `must be a state of ${country}` });
  return state;
};

/** Throws `VALIDATION_FAILED` with all faults. */
const readTaxRate = (body: Static<typeof GivenTaxRate>): TaxRateContent => {
  const faults = [newNameFault(body.code, 'code')].filter((fault) => fault !== undefined);
  const validFrom = readInstant(body.valid_from, 'valid_from', faults) ?? null;
  const validUntil = readInstant(body.valid_until, 'valid_until', faults) ?? null;
  const state = readState(body.country, body.state, faults);
  refuseFaults([...faults, ...countryFault(body.country), ...orderFault(validFrom, validUntil)]);
  return {
    code: body.code,
    name: body.name,
    percentage: parsePercentage(body.percentage) as Percentage,
    inclusive: body.inclusive ?? false,
    country: body.country ?? null,
    state,
    taxCategory: body.tax_category ?? null,
    validFrom,
    validUntil,
    metadata: body.metadata ?? {},
  };
};

/** Undefined where it is left out. */
const readEnd = (given: string | null | undefined, { validFrom }: TaxRate): Instant | null | undefined => {
  if (given === undefined || given === null) return given;
  const faults: Fault[] = [];
  const validUntil = readInstant(given, 'valid_until', faults) ?? null;
  refuseFaults([...faults, ...orderFault(validFrom, validUntil)]);
  return validUntil;
};

const tag = 'Tax rates';
const url = '/v1/tax-rates';
const read = { tag, scope: 'read:tax_rates' } as const;
const write = { tag, scope: 'write:tax_rates', rateClass: 'write' } as const;

const readingRoutes = ({ get, list }: Routes, { taxRates }: TaxRatePorts): void => {
  list(
    {
      ...read,
      url,
      operation: 'listTaxRates',
      summary: 'List tax rates',
      list: taxRates.taxRateList,
      answers: { 200: listSchema(TaxRateSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await taxRates.taxRates(db, query), taxRateJson),
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getTaxRate',
      summary: 'Read a tax rate by id or code',
      params: TaxRateId,
      answers: { 200: TaxRateSchema },
      failures: ['TAX_RATE_NOT_FOUND'],
    },
    async ({ db, params }) => taxRateJson(found(await taxRates.taxRate(db, params.id), 'TAX_RATE_NOT_FOUND')),
  );
};

export const taxRateRoutes = (routes: Routes, ports: TaxRatePorts): void => {
  const { change } = routes;
  const { taxRates } = ports;
  const lockRate = async (db: Db, id: string): Promise<TaxRate> =>
    found(await taxRates.lockTaxRate(db, id), 'TAX_RATE_NOT_FOUND');
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createTaxRate',
      summary: 'Create a tax rate, which invoices have from then on where it applies',
      body: GivenTaxRate,
      documentedBody: NewTaxRate,
      answers: { 201: TaxRateSchema },
      failures: ['TAX_RATE_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const added = await taxRates.addTaxRate(db, readTaxRate(body), new Date(nowMs));
      return created('tax_rate', url, taxRateJson(found(added, 'TAX_RATE_ALREADY_EXISTS')));
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      ...write,
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updateTaxRate',
      summary: 'Change the name, the end or the metadata of a tax rate',
      params: TaxRateId,
      body: TaxRatePatch,
      answers: { 200: TaxRateSchema },
      failures: ['TAX_RATE_NOT_FOUND', 'TAX_RATE_ARCHIVED'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const rate = await lockRate(db, params.id);
      matchVersion(rate.version);
      if (rate.archivedAt !== undefined) throw new FailureError('TAX_RATE_ARCHIVED');
      const { name = rate.name, metadata = rate.metadata } = body;
      const given = readEnd(body.valid_until, rate);
      const validUntil = given === undefined ? rate.validUntil : given;
      const next = { name, metadata, validUntil, archivedAt: rate.archivedAt };
      const after = await taxRates.changeTaxRate(db, rate.id, next, new Date(nowMs));
      return updated('tax_rate', taxRateJson(rate), taxRateJson(after));
    },
  );
  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/archive`,
      operation: 'archiveTaxRate',
      summary: 'Archive a tax rate that no customer names: no invoice has it any more',
      params: TaxRateId,
      answers: { 200: TaxRateSchema },
      failures: ['TAX_RATE_NOT_FOUND', 'TAX_RATE_ARCHIVED', 'TAX_RATE_IN_USE'],
    },
    async ({ db, params, nowMs }) => {
      const rate = await lockRate(db, params.id);
      if (rate.archivedAt !== undefined) throw new FailureError('TAX_RATE_ARCHIVED');
      if (await taxRates.isTaxRateNamed(db, rate.id)) throw new FailureError('TAX_RATE_IN_USE');
      const after = await taxRates.changeTaxRate(db, rate.id, { ...rate, archivedAt: nowMs }, new Date(nowMs));
      return {
        ...updated('tax_rate', taxRateJson(rate), taxRateJson(after), { action: 'tax_rate.archived' }),
        location: `${url}/${rate.id}`,
      };
    },
  );
};
