/** Which rows a price was made of, beside what its plan version says. */
import { Type } from 'typebox';
import { closed, idOf } from '#schemas/http/fields.ts';

export const PriceSources = Type.Object(
  {
    price_override_id: Type.Optional(idOf('pov')),
    cost_book_version_id: Type.Optional(idOf('cbv')),
    credit_unit_rate_ids: Type.Optional(
      Type.Array(idOf('crr'), { description: 'In the order of their chain, from the credit unit to the currency.' }),
    ),
  },
  { ...closed, title: 'PriceSources', description: "Where a price came from; nothing for the plan version's own." },
);
