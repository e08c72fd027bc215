/** Fields that several resources share, as they stand in requests and answers. */

import type { TSchema } from 'typebox';
import { Type } from 'typebox';
import { currencies } from '#schemas/currency.ts';
import { instantPattern } from '#schemas/instant.ts';
import { RoundingMode } from '#schemas/money.ts';
import { codePattern, codeRule, idFormAbout, idFormPattern } from '#schemas/names.ts';

/** No field beyond those that are named. */
export const closed = { additionalProperties: false } as const;

/**
 * A text of a certain form. `expected` says in words what the pattern says: a fault tells it instead of the pattern.
 */
export const formed = (pattern: string, expected: string, more: object = {}) =>
  Type.String({ pattern, 'x-expected': expected, ...more });

/** Read by `timeZoneFromText`, which knows the names. */
export const TimeZone = Type.String({
  maxLength: 98,
  description: 'An IANA name such as Europe/Berlin.',
  examples: ['Europe/Berlin'],
});

export const Metadata = Type.Record(
  Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,64}$' }),
  formed('^[^\\u0000]{0,512}$', 'at most 512 characters, none of them zero'),
  {
    'x-expected-names': 'of 1 to 64 characters, none of them a control character',
    title: 'Metadata',
    maxProperties: 50,
    additionalProperties: false,
    description: "The caller's own notes: up to 50 texts by name.",
  },
);

/** Printable text. */
export const Name = formed(
  '^[^\\u0000-\\u001f\\u007f]{1,200}$',
  '1 to 200 characters, none of them a control character',
);
export const Code = formed(codePattern, codeRule.about, {
  description: "The caller's own name of it, unique in its kind.",
});
export const ExternalId = formed(
  '^[^\\u0000-\\u001f\\u007f]{1,255}$',
  '1 to 255 characters, none of them a control character',
);
/** A name that is given now. Stored ones from before C1 was refused have `ExternalId`, and are still found. */
export const GivenId = formed(
  '^[^\\u0000-\\u001f\\u007f-\\u009f]{1,255}$',
  '1 to 255 characters, none of them a control character',
);
/** For what is made now; answers may hold a name from before this was refused. */
export const NewCode = Type.Unsafe<string>({
  ...Code,
  not: { pattern: idFormPattern },
  description: `The caller's own name of it, unique in its kind. It must not have ${idFormAbout}.`,
});
/** `customer_id` where a customer is named: by id or by external id, whichever form the text has. */
export const CustomerName = Type.Unsafe<string>({ ...ExternalId, description: 'Id or external id of a customer.' });

const idPatternOf = (prefix: string): string => `^${prefix}_[0-9a-f]{32}$`;
export const idOf = (prefix: string) => formed(idPatternOf(prefix), `an id: "${prefix}_" and 32 of 0-9 and a-f`);
/** In answers: as `formatInstant` writes it. */
export const Instant = formed(instantPattern, 'RFC 3339 in UTC, with milliseconds', {
  format: 'date-time',
  description: 'RFC 3339 in UTC, always with milliseconds.',
});
/** In requests: what `readInstant` takes. */
export const GivenInstant = formed(
  '^[2-9][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]{1,24})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$',
  'an RFC 3339 date-time with a zone, from the year 2000 on, such as 2026-11-20T12:00:00Z',
  {
    format: 'date-time',
    description:
      'RFC 3339 with a zone, from the year 2000 on. Digits behind the milliseconds are cut off; a leap second at the end of a month of UTC is the second before.',
  },
);
export const Decimal = formed('^-?[0-9]+(\\.[0-9]+)?$', 'a decimal such as "0.5"', {
  description: 'An exact decimal.',
});
export const CurrencyCode = Type.Enum([...currencies], {
  title: 'Currency',
  description: 'An active ISO 4217 code that has a minor unit.',
  'x-expected': 'an active ISO 4217 code that has a minor unit, such as USD',
});
/** A sequence of the stream, in answers and requests alike: a JSON number loses digits of it in some readers. */
export const Sequence = formed('^[0-9]{1,19}$', 'a sequence of the stream, in 1 to 19 digits', {
  description: 'A sequence of the stream.',
});
export const Period = Type.Object(
  { start: Instant, end: Instant },
  { ...closed, title: 'Period', description: 'Half-open: from start, before end.' },
);

export const RoundingModeName = Type.Enum(Object.values(RoundingMode), { title: 'RoundingMode' });

export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/**
 * Null where a sibling has a text. Of the type null alone Go's generator makes an `interface{}`, and the types of
 * openapi-fetch lose the field; what is not a text and yet text or null is the same, and they read it well.
 */
export const NullInsteadOfText = Type.Unsafe<null>({
  type: ['string', 'null'],
  not: { type: 'string' },
  description: 'Null here.',
});

const idParamLike = (more: object) =>
  Type.Object(
    {
      id: Type.Unsafe<string>({
        ...ExternalId,
        description:
          'Its id. A customer is also found by its `external_id`, a meter or a plan by its `code`; an event by its `idempotency_key`.',
        ...more,
      }),
    },
    closed,
  );
export const IdParam = idParamLike({});
/** The same for a resource that documents show by this id or name. */
export const idParam = (example: string) => idParamLike({ examples: [example] });

/** The answer of 204. */
export const NoContent = Type.Null();

/** What each resource ends with. */
export const resourceFields = {
  metadata: Metadata,
  version: Type.Integer({ minimum: 1, description: 'Counts the changes; the ETag.' }),
  created_at: Instant,
  updated_at: Instant,
};
