/** What meters and plans look like in the OpenAPI documents: those that `examples.ts` bills by. */
import { createdAt, id, page, resource } from '#schemas/http/example-parts.ts';

export const newMeter = {
  code: 'tokens',
  name: 'Tokens',
  event: 'llm.request',
  aggregation: 'sum',
  property: 'tokens',
  group_by: ['model'],
};
export const definition = {
  event: newMeter.event,
  aggregation: newMeter.aggregation,
  property: newMeter.property,
  expression: null,
  filter: null,
  group_by: newMeter.group_by,
  rounding: null,
  percentile: null,
};
export const meter = {
  id: id('mtr', 1),
  code: newMeter.code,
  name: newMeter.name,
  version_number: 1,
  ...definition,
  ...resource,
};
export const meterVersion = {
  id: id('mtv', 2),
  meter_id: meter.id,
  version_number: 1,
  ...definition,
  created_at: createdAt,
};

export const flatCharge = {
  code: 'base',
  name: 'Base fee',
  price: { model: 'flat', amount: '9.00' },
  currency_options: {},
};
const tokenPrice = { model: 'per_unit', unit_amount: '0.00002', free_units: '1000' };
export const meteredCharge = {
  code: 'tokens',
  name: 'Tokens',
  meter: meter.code,
  price: tokenPrice,
  currency_options: {},
};
export const newPlan = { code: 'starter', name: 'Starter', currency: 'USD', charges: [flatCharge, meteredCharge] };
export const plan = {
  id: id('pln', 3),
  code: newPlan.code,
  name: newPlan.name,
  currency: newPlan.currency,
  interval: 'month',
  plan_version_id: id('plv', 4),
  version_number: 1,
  state: 'active',
  charges: [{ ...flatCharge, meter: null }, meteredCharge],
  ...resource,
};
/** As it is rated: with the one price. */
const { currency_options: _options, ...ratedCharge } = meteredCharge;

export { ratedCharge };

const dearerCharge = { ...flatCharge, price: { model: 'flat', amount: '12.00' } };
const { code: _code, name: _name, plan_version_id: _active, metadata: _metadata, ...terms } = plan;
const planVersion = {
  ...terms,
  id: id('plv', 20),
  plan_id: plan.id,
  version_number: 2,
  state: 'draft',
  charges: [{ ...dearerCharge, meter: null }],
  activated_at: null,
  archived_at: null,
};

export const catalogExamples = {
  NewMeter: newMeter,
  Meter: meter,
  MeterPage: page(meter),
  MeterPatch: { name: 'Tokens of all models' },
  MeterVersionPage: page(meterVersion),
  '/v1/meters/:id': meter.code,
  NewPlan: newPlan,
  Plan: plan,
  WrittenPlan: plan,
  PlanPage: page(plan),
  PlanPatch: { name: 'Starter 2026' },
  '/v1/plans/:id': plan.code,
  NewPlanVersion: { charges: [dearerCharge] },
  PlanVersion: planVersion,
  PlanVersionPage: page(planVersion),
  PlanVersionPatch: { charges: [dearerCharge] },
  '/v1/plans/:id/versions/:version_number': String(planVersion.version_number),
};
