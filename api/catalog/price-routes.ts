/** `/v1/prices`: what a price comes to, before any plan has it. */

import type { Fault } from '#schemas/fault.ts';
import { PricedPreview, PricePreview, PricePreviewDocument } from '#schemas/http/price-preview.ts';
import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import { priceSourcesToJson } from '#schemas/price-span.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson, type RatingPolicy } from '#schemas/rated-line.ts';
import { sourceNamesOf } from '../../rater/price/source-rows.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import { chargeAsked, type Previewed, previewPrice } from './preview-price.ts';
import type { SourceRowStore } from './source-rows.postgres.ts';

export type PricePorts = {
  readonly sourceRows: SourceRowStore;
  readonly organizations: { readonly organization: (db: Db) => Promise<RatingPolicy> };
};

const previewJson = ({ rated, sources }: Previewed) => ({
  model: rated.model,
  currency: rated.currency,
  rounding: rated.rounding,
  quantity: formatQuantity(rated.quantity),
  billable_quantity: formatQuantity(rated.billableQuantity),
  precise_amount: formatPreciseAmount(rated.precise),
  amount: formatMinorUnits(rated.amount, rated.currency),
  steps: rated.steps.map(priceStepToJson),
  sources: priceSourcesToJson(sources),
});

export const priceRoutes = ({ ask }: Routes, { sourceRows, organizations }: PricePorts): void => {
  ask(
    {
      url: '/v1/prices/preview',
      operation: 'previewPrice',
      tag: 'Plans',
      summary: 'Rate a quantity, or some events, at a price',
      scope: 'read:plans',
      body: PricePreview,
      documentedBody: PricePreviewDocument,
      answers: { 200: PricedPreview },
      failures: [],
    },
    async ({ caller, db, body, nowMs }) => {
      const charge = chargeAsked(body, caller.kind);
      const faults: Fault[] = [];
      const at = readInstant(body.at, 'at', faults) ?? nowMs;
      refuseFaults(faults);
      const sources = await sourceRows.at(db, sourceNamesOf([charge]), at);
      const own = await organizations.organization(db);
      return previewJson(previewPrice(body, charge, sources, at, own));
    },
  );
};
