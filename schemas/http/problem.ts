/** Problem details in answers (RFC 9457), and the entries of the error reference. */
import { Type } from 'typebox';
import { type FailureCode, failures } from '#schemas/failures.ts';
import { closed } from '#schemas/http/fields.ts';

const ErrorCode = Type.Enum(Object.keys(failures) as FailureCode[], {
  title: 'ErrorCode',
  description: 'Stable: what a program decides by. New ones may come.',
});

export const Fault = Type.Object(
  {
    field: Type.String({ description: 'A path from the root of what is at fault: charges[2].price.tiers[0].up_to.' }),
    code: Type.String({ pattern: '^[a-z][a-z0-9_]*$', description: 'Stable.' }),
    message: Type.String({ description: 'For people; may change.' }),
  },
  { ...closed, title: 'Fault' },
);

export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri-reference', description: 'The page of the error reference.' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String({ description: 'For people; may change.' }),
    error_code: ErrorCode,
    request_id: Type.String({ description: 'As in the header X-Request-Id.' }),
    errors: Type.Array(Fault, { description: 'All faults of the request.' }),
  },
  { ...closed, title: 'Problem' },
);

/** One code, as the error reference tells it. */
export const ErrorPage = Type.Object(
  {
    error_code: ErrorCode,
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    title: Type.String({ minLength: 1 }),
    cause: Type.String({ minLength: 1 }),
    cure: Type.String({ minLength: 1 }),
    example: Problem,
  },
  { ...closed, title: 'ErrorPage' },
);

export const ErrorIndex = Type.Object({ items: Type.Array(ErrorPage) }, { ...closed, title: 'ErrorIndex' });
