/**
 * What the routes of several resources share: reading times, the end of every resource, and how a change is answered.
 */
import { type FailureCode, FailureError, type Fault } from '#schemas/failures.ts';
import { formatInstant, instantFromText } from '#schemas/instant.ts';
import { newNameFault } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import type { Done } from './define-route.ts';

/** Nothing was billed before it: a period or a start from before is a slip of the pen. */
const earliest = Date.UTC(2000);

/** The last instant that RFC 3339 can write, in UTC: years have four digits. */
const latest = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

export const isTooLate = (instant: number): boolean => instant > latest;

export const isTooEarly = (instant: number): boolean => instant < earliest;

/** RFC 3339 text -> a time; adds a fault where it is not one, or where it lies before the year 2000. */
export const readInstant = (value: unknown, field: string, faults: Fault[]): number | undefined => {
  if (value === undefined) return undefined;
  const instant = typeof value === 'string' ? instantFromText(value) : undefined;
  // By the year as it is written, as the schema says it: an offset does not make it another one.
  if (instant !== undefined && Number(String(value).slice(0, 4)) < 2000) {
    faults.push({ field, code: 'out_of_range', message: 'must not be before the year 2000' });
    return undefined;
  }
  // An offset leads out of the last year that can be written.
  if (instant !== undefined && isTooLate(instant)) {
    faults.push({ field, code: 'out_of_range', message: 'must not be after the year 9999' });
    return undefined;
  }
  if (instant !== undefined) return instant;
  faults.push({
    field,
    code: 'wrong_format',
    message: 'must be an RFC 3339 date-time with a zone, such as 2026-11-20T12:00:00Z',
  });
  return undefined;
};

export const refuseFaults = (faults: readonly Fault[]): void => {
  if (faults.length > 0) throw new FailureError('VALIDATION_FAILED', undefined, faults);
};

/** A name of the caller's own that has the form of an id is refused. */
export const refuseIdForm = (name: string, field: string): void =>
  refuseFaults([newNameFault(name, field)].filter((fault) => fault !== undefined));

/** What the row of each resource has. */
export type ResourceRow = {
  readonly metadata: Record<string, string>;
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
};

/** The same of the resource itself. */
export type ResourceHead = {
  readonly metadata: Record<string, string>;
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
};

export const headFromRow = ({ metadata, version, created_at, updated_at }: ResourceRow): ResourceHead => ({
  metadata,
  version,
  createdAt: created_at.getTime(),
  updatedAt: updated_at.getTime(),
});

/** What each resource ends with. */
export const headToJson = ({ metadata, version, createdAt, updatedAt }: ResourceHead) => ({
  metadata,
  version,
  created_at: formatInstant(createdAt),
  updated_at: formatInstant(updatedAt),
});

/** The row, or the refusal that there is none. */
export const found = <R>(row: R | undefined, code: FailureCode): R => {
  if (row === undefined) throw new FailureError(code);
  return row;
};

type Shown = { readonly id: string };

/**
 * The answer to the making of an object, with its audit entry; `url` is that of its kind. `lasting` is what of an
 * object changes with its version: an entry's digest must not be of what changes by itself.
 */
export const created = <S extends Shown>(
  objectType: string,
  url: string,
  shown: S,
  { status = 201, lasting = (of: S): unknown => of } = {},
): Done => ({
  status,
  body: shown,
  location: `${url}/${shown.id}`,
  changes: [{ action: `${objectType}.created`, objectType, objectId: shown.id, after: lasting(shown) }],
});

/** The answer to the change of an object, with its audit entry. */
export const updated = <S extends Shown>(
  objectType: string,
  before: S,
  after: S,
  { lasting = (of: S): unknown => of, action = `${objectType}.updated` } = {},
): Done => ({
  body: after,
  changes: [{ action, objectType, objectId: after.id, before: lasting(before), after: lasting(after) }],
});
