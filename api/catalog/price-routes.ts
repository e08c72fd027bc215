/** `/v1/prices`: what a price comes to, before any plan has it. */
import { PricedPreview, PricePreview, PricePreviewDocument } from '#schemas/http/price-preview.ts';
import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson, type RatedCharge, type RatingPolicy } from '#schemas/rated-line.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { previewPrice } from './preview-price.ts';

const previewJson = (rated: RatedCharge) => ({
  model: rated.model,
  currency: rated.currency,
  rounding: rated.rounding,
  quantity: formatQuantity(rated.quantity),
  billable_quantity: formatQuantity(rated.billableQuantity),
  precise_amount: formatPreciseAmount(rated.precise),
  amount: formatMinorUnits(rated.amount, rated.currency),
  steps: rated.steps.map(priceStepToJson),
});

export type PricePorts = {
  readonly organizations: { readonly organization: (db: Db) => Promise<RatingPolicy> };
};

export const priceRoutes = ({ ask }: Routes, { organizations }: PricePorts): void => {
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
    async ({ db, body }) => previewJson(previewPrice(body, await organizations.organization(db))),
  );
};
