/**
 * Billing periods: the one place that says which time of which subscription is billed by which invoice, and up to which
 * watermark. Shared by rater, invoicer and api.
 */
import { hash } from 'node:crypto';
import type { DuePart } from '#schemas/due-parts.ts';
import type { Period } from '#schemas/period.ts';

/**
 * The id of a part of a subscription's time: the same whoever cuts it, so that a dry run gives the very lines that are
 * billed later. It begins with the time as a UUIDv7 does, so that periods of one month stand together. Periods from
 * before have ids of their own.
 */
export const periodIdOf = (
  subscriptionId: string,
  { item, timing, interval, isCounted, billing, span }: DuePart,
): `bpd_${string}` => {
  const time = Math.max(0, billing.start).toString(16).padStart(12, '0');
  const { unit, count } = interval;
  const named = `${subscriptionId} ${item} ${timing} ${unit} ${count} ${isCounted} ${billing.start} ${span.start}`;
  return `bpd_${time}${hash('sha256', named, 'hex').slice(0, 20)}`;
};

/** The id of a delta: the same whoever cuts it. It stands beside the period that it corrects. */
export const deltaIdOf = (correctsId: string, correction: number): `bpd_${string}` =>
  `bpd_${correctsId.slice(4, 16)}${hash('sha256', `${correctsId} ${correction}`, 'hex').slice(0, 20)}`;

/** A billing period that an invoice bills. */
export type BilledPeriod = {
  /** The very time that was measured. */
  readonly span: Period;
  /** Up to which sequence the invoice counts. */
  readonly watermark: bigint;
};
