/**
 * Which amendments change what an issued invoice counted. Pure. It goes by sequences alone: an invoice counts
 * everything at or under its watermark, so an amendment behind it is a change of the billed period, whoever wrote what
 * when. A delta between two watermarks is exact in the same way: it holds the amendments behind the one and at or under
 * the other, and quantities at both are read by the rater's own query.
 */
import { contains, type Period } from '#schemas/period.ts';

/**
 * Whose usage of which time an amendment changes: the events that it takes away, and the one that it puts in their
 * place.
 */
export type AmendedEvent = {
  readonly effect: 'removed' | 'added';
  readonly customer: string;
  readonly occurredAt: number;
};

export type AmendmentInStream = {
  readonly id: string;
  /** Undefined while it is on its way: then it is behind every watermark that has been read. */
  readonly sequence: bigint | undefined;
  readonly events: readonly AmendedEvent[];
};

/** A billing period with the invoice that bills it. */
export type InvoicedPeriod = {
  readonly invoiceId: string;
  readonly subscriptionId: string;
  /** The names that events of its customer bear: id and external id. */
  readonly customers: readonly string[];
  /** The very time that was measured. */
  readonly period: Period;
  readonly watermark: bigint;
};

export type BilledChange = {
  readonly invoiceId: string;
  readonly amendmentId: string;
  readonly sequence: bigint | undefined;
  /** The events of it that lie in the billed period. */
  readonly events: readonly AmendedEvent[];
};

/**
 * The changes of billed periods up to a watermark, in the order of the stream; those on their way stand last. Who draws
 * a delta at `upTo` draws it once none is on its way any more, as one may turn out to be under it.
 */
export const billedChanges = (
  periods: readonly InvoicedPeriod[],
  amendments: readonly AmendmentInStream[],
  upTo: bigint,
): BilledChange[] =>
  periods
    .flatMap(({ invoiceId, customers, period, watermark }) =>
      amendments.flatMap(({ id: amendmentId, sequence, events }) => {
        const isBehind = sequence === undefined || (sequence > watermark && sequence <= upTo);
        const touched = events.filter(
          ({ customer, occurredAt }) => customers.includes(customer) && contains(period, occurredAt),
        );
        return isBehind && touched.length > 0 ? [{ invoiceId, amendmentId, sequence, events: touched }] : [];
      }),
    )
    .sort(inStreamOrder);

const inStreamOrder = (a: BilledChange, b: BilledChange): number => {
  if (a.sequence === b.sequence) {
    const [one, other] = [a, b].map(({ amendmentId, invoiceId }) => `${amendmentId} ${invoiceId}`) as [string, string];
    return one < other ? -1 : 1;
  }
  if (a.sequence === undefined || b.sequence === undefined) return a.sequence === undefined ? 1 : -1;
  return a.sequence < b.sequence ? -1 : 1;
};
