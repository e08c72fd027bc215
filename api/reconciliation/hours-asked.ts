/** Which hours a query for the reconciliation asks for. Pure. */
import type { Static } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { ReconciliationSpan } from '#schemas/http/reconciliation.ts';
import { readInstant } from '../route/resource-fields.ts';
import type { Hours } from './ingest-counts.postgres.ts';

const hourMs = 3_600_000;
const spanMsDefault = 24 * hourMs;
const spanMsMax = 31 * 24 * hourMs;

/** The whole hours that hold the span; throws `BAD_REQUEST`. */
export const readHours = (query: Static<typeof ReconciliationSpan>, nowMs: number): Hours => {
  const faults: Fault[] = [];
  const to = readInstant(query.to, 'to', faults) ?? nowMs + 1;
  const from = readInstant(query.from, 'from', faults) ?? to - spanMsDefault;
  if (faults.length === 0 && from >= to)
    faults.push({ field: 'from', code: 'not_increasing', message: 'must be before to' });
  if (to - from > spanMsMax)
    faults.push({ field: 'to', code: 'out_of_range', message: 'must be at most 31 days after from' });
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
  return { from: new Date(Math.floor(from / hourMs) * hourMs), to: new Date(Math.ceil(to / hourMs) * hourMs) };
};
