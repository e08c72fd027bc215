/** `/v1/price-overrides`. */
import {
  NewPriceOverride,
  NewPriceOverrideDocument,
  PriceOverrideId,
  PriceOverridePatch,
  PriceOverride as PriceOverrideSchema,
} from '#schemas/http/price-overrides.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, updated } from '../route/resource-fields.ts';
import { addOverride, changeOverride, type OverridePorts } from './override-price.ts';
import type { PriceOverride } from './price-overrides.postgres.ts';

export const overrideJson = (override: PriceOverride) => ({
  id: override.id,
  plan_id: override.planId,
  charge: override.chargeCode,
  customer_id: override.customerId,
  currency: override.currency,
  price: override.price,
  tiers: override.tiers,
  effective_from: formatInstant(override.effectiveFrom),
  effective_until: override.effectiveUntil === null ? null : formatInstant(override.effectiveUntil),
  ...headToJson(override),
});

const tag = 'Price overrides';
const url = '/v1/price-overrides';

export const priceOverrideRoutes = ({ get, list, change }: Routes, ports: OverridePorts): void => {
  const { priceOverrides } = ports;
  change(
    {
      method: 'POST',
      url,
      operation: 'createPriceOverride',
      tag,
      summary: 'Give a charge another price for a while, for one customer or for all who have the plan',
      scope: 'write:price_overrides',
      rateClass: 'write',
      body: NewPriceOverride,
      documentedBody: NewPriceOverrideDocument,
      answers: { 201: PriceOverrideSchema },
      failures: ['PLAN_NOT_FOUND', 'CUSTOMER_NOT_FOUND', 'PRICE_OVERRIDE_BILLED'],
    },
    async ({ db, body, nowMs }) =>
      created('price_override', url, overrideJson(await addOverride(ports, db, body, nowMs))),
  );
  list(
    {
      url,
      operation: 'listPriceOverrides',
      tag,
      summary: 'List price overrides',
      scope: 'read:price_overrides',
      list: priceOverrides.overrideList,
      answers: { 200: listSchema(PriceOverrideSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await priceOverrides.overrides(db, query), overrideJson),
  );
  get(
    {
      url: `${url}/:id`,
      operation: 'getPriceOverride',
      tag,
      summary: 'Read a price override',
      scope: 'read:price_overrides',
      params: PriceOverrideId,
      answers: { 200: PriceOverrideSchema },
      failures: ['PRICE_OVERRIDE_NOT_FOUND'],
    },
    async ({ db, params }) =>
      overrideJson(found(await priceOverrides.override(db, params.id), 'PRICE_OVERRIDE_NOT_FOUND')),
  );
  change(
    {
      method: 'PATCH',
      url: `${url}/:id`,
      operation: 'updatePriceOverride',
      tag,
      summary: 'End a price override, or give it another end',
      scope: 'write:price_overrides',
      rateClass: 'write',
      params: PriceOverrideId,
      body: PriceOverridePatch,
      answers: { 200: PriceOverrideSchema },
      failures: ['PRICE_OVERRIDE_NOT_FOUND', 'PRICE_OVERRIDE_BILLED'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const before = found(await priceOverrides.override(db, params.id, 'lock'), 'PRICE_OVERRIDE_NOT_FOUND');
      matchVersion(before.version);
      return updated(
        'price_override',
        overrideJson(before),
        overrideJson(await changeOverride(ports, db, before, body, nowMs)),
      );
    },
  );
};
