/**
 * The two hashes of a rated line: SHA-256 over the RFC 8785 canonical form of what went in and of what came out, each
 * with the version of the hashes as `hash_version`, as invoices are hashed with theirs.
 *
 * Both are texts under a few known names, so what was rated just now is written in canonical order here: of texts and
 * whole numbers JSON.stringify gives that form. A test holds it against the library, which takes five times as long.
 */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { PriceStepJson, RatedLineJson } from '#schemas/rated-line.ts';
import { type RatingInputJson, ratingHashVersion } from '#schemas/rating-input.ts';

export type LineHashes = { readonly version: number; readonly input: string; readonly output: string };

/** By the very object: a shard has many lines of few charges. */
const canonicalCharges = new WeakMap<object, string>();
const canonicalCharge = (charge: RatingInputJson['charge']): string => {
  const text = canonicalCharges.get(charge) ?? (canonicalize(charge) as string);
  canonicalCharges.set(charge, text);
  return text;
};

const canonical = (content: object): string => canonicalize({ hash_version: ratingHashVersion, ...content }) as string;

const canonicalInput = (input: RatingInputJson): string => {
  // Its prices are JSON of any form; and what few lines have is not written twice.
  const { price_spans, proration, charged, timing, levels } = input;
  if (price_spans || proration || charged !== undefined || timing || levels) return canonical(input);
  const before = JSON.stringify({ billing_period_id: input.billing_period_id });
  const behind = JSON.stringify({
    currency: input.currency,
    customer_id: input.customer_id,
    hash_version: ratingHashVersion,
    measured: input.measured.map(({ customers, meter, meter_version_id, parts, quantity, unmeasured_events }) => ({
      customers,
      meter,
      meter_version_id,
      parts: parts?.map(({ events, part, quantity: ofPart }) => ({ events, part, quantity: ofPart })),
      quantity,
      unmeasured_events,
    })),
    plan_version_id: input.plan_version_id,
    position: input.position,
    rounding_policy: { rounding: input.rounding_policy.rounding },
    span: { end: input.span.end, start: input.span.start },
    subscription_id: input.subscription_id,
    watermark: input.watermark,
  });
  return `${before.slice(0, -1)},"charge":${canonicalCharge(input.charge)},${behind.slice(1)}`;
};

const canonicalStep = (step: PriceStepJson): object => ({
  amount: step.amount,
  flat_amount: step.flat_amount,
  from: step.from,
  kind: step.kind,
  priced: step.priced,
  to: step.to,
  unit_amount: step.unit_amount,
  units: step.units,
});

const canonicalOutput = (output: RatedLineJson): string => {
  // A cell has members of any name, and an object gives those that look like numbers in an order of its own.
  const { price_spans, timing, steps } = output;
  if (price_spans || timing || steps.some(({ cell, proration }) => cell || proration)) return canonical(output);
  return JSON.stringify({
    amount: output.amount,
    billable_quantity: output.billable_quantity,
    billing_period_id: output.billing_period_id,
    charge_code: output.charge_code,
    charge_name: output.charge_name,
    currency: output.currency,
    customer_id: output.customer_id,
    hash_version: ratingHashVersion,
    meter: output.meter,
    model: output.model,
    plan_version_id: output.plan_version_id,
    position: output.position,
    precise_amount: output.precise_amount,
    quantity: output.quantity,
    rounding: output.rounding,
    span: { end: output.span.end, start: output.span.start },
    steps: steps.map(canonicalStep),
    subscription_id: output.subscription_id,
  });
};

/** Of a line that was rated just now, which has the members that such a line has. */
export const lineHashes = (input: RatingInputJson, output: RatedLineJson): LineHashes => ({
  version: ratingHashVersion,
  input: hash('sha256', canonicalInput(input), 'hex'),
  output: hash('sha256', canonicalOutput(output), 'hex'),
});

/** Of a line as it is stored: whatever has come into it is a part of its hash. */
export const lineHashesOfStored = (input: object, output: object): LineHashes => ({
  version: ratingHashVersion,
  input: hash('sha256', canonical(input), 'hex'),
  output: hash('sha256', canonical(output), 'hex'),
});
