/** `/v1/prices`: what a price comes to, before any plan has it. */
import { PricedPreview, PricePreview, PricePreviewDocument } from '#schemas/http/price-preview.ts';
import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson, type RatedCharge } from '#schemas/rated-line.ts';
import type { Routes } from '../route/define-route.ts';
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

export const priceRoutes = ({ ask }: Routes): void => {
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
    async ({ body }) => previewJson(previewPrice(body)),
  );
};
