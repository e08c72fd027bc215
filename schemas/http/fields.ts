/** Fields that several resources share, as they stand in requests and answers. */

import type { TSchema } from 'typebox';
import { Type } from 'typebox';
import { currencies } from '#schemas/currency.ts';
import { RoundingMode } from '#schemas/money.ts';

/** No field beyond those that are named. */
export const closed = { additionalProperties: false } as const;

export const Metadata = Type.Record(
  Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,64}$' }),
  Type.String({ pattern: '^[^\\u0000]{0,512}$' }),
  {
    title: 'Metadata',
    maxProperties: 50,
    additionalProperties: false,
    description: "The caller's own notes: up to 50 texts by name.",
  },
);

/** Printable text. */
export const Name = Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,200}$' });
export const Code = Type.String({
  pattern: '^[a-z0-9][a-z0-9_.-]{0,63}$',
  description: "The caller's own name of it, unique in its kind.",
});
export const ExternalId = Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,255}$' });

export const idPatternOf = (prefix: string): string => `^${prefix}_[0-9a-f]{32}$`;
export const idOf = (prefix: string) => Type.String({ pattern: idPatternOf(prefix) });
/** In answers. */
export const Instant = Type.String({ format: 'date-time', description: 'RFC 3339, in UTC.' });
/** In requests: what `readInstant` takes. */
export const GivenInstant = Type.String({
  format: 'date-time',
  pattern:
    '^[2-9][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$',
  description: 'RFC 3339 with a zone, from the year 2000 on.',
});
export const Decimal = Type.String({ pattern: '^-?[0-9]+(\\.[0-9]+)?$', description: 'An exact decimal.' });
export const CurrencyCode = Type.Enum([...currencies], {
  title: 'Currency',
  description: 'An active ISO 4217 code that has a minor unit.',
});
export const Period = Type.Object(
  { start: Instant, end: Instant },
  { ...closed, title: 'Period', description: 'Half-open: from start, before end.' },
);

export const RoundingModeName = Type.Enum(Object.values(RoundingMode), { title: 'RoundingMode' });

export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/**
 * Null where a sibling has a text. Of the type null alone Go's generator makes an `interface{}`, and the types of openapi-fetch lose the field; what is not a
 * text and yet text or null is the same, and they read it well.
 */
export const NullInsteadOfText = Type.Unsafe<null>({ type: ['string', 'null'], not: { type: 'string' }, description: 'Null here.' });

export const IdParam = Type.Object(
  {
    id: Type.Unsafe<string>({
      ...ExternalId,
      description:
        'Its id. A customer is also found by its `external_id`, a meter or a plan by its `code`; an event by its `idempotency_key`.',
    }),
  },
  closed,
);

/** The answer of 204. */
export const NoContent = Type.Null();

/** What each resource ends with. */
export const resourceFields = {
  metadata: Metadata,
  version: Type.Integer({ minimum: 1, description: 'Counts the changes; the ETag.' }),
  created_at: Instant,
  updated_at: Instant,
};
