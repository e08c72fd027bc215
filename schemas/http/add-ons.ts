/** What a plan is of the kind add-on, in requests and answers; read by `add-on.ts`. */
import { Type } from 'typebox';
import { addOnPlansMax, addOnQuantityMax, planKinds } from '#schemas/add-on.ts';
import { closed, nullable } from '#schemas/http/fields.ts';
import { codePattern } from '#schemas/names.ts';

export const PlanKindName = Type.Enum([...planKinds], {
  title: 'PlanKind',
  description: 'A plan is subscribed to; an add-on is taken beside one. For good.',
});

const maxQuantity = nullable(
  Type.Integer({
    minimum: 1,
    maximum: addOnQuantityMax,
    description: 'How many of it a subscription may have; null is as many as are wanted.',
  }),
);
const plans = nullable(
  Type.Array(Type.String({ pattern: codePattern }), {
    minItems: 1,
    maxItems: addOnPlansMax,
    uniqueItems: true,
    description: 'Codes of the plans that it goes with; null is all.',
  }),
);

export const NewAddOn = nullable(
  Type.Object(
    { max_quantity: Type.Optional(maxQuantity), plans: Type.Optional(plans) },
    { ...closed, title: 'NewAddOn', description: 'Of a plan of the kind add_on alone.' },
  ),
);
export const AddOn = nullable(
  Type.Object(
    { max_quantity: maxQuantity, plans },
    { ...closed, title: 'AddOn', description: 'Of a plan of the kind add_on alone.' },
  ),
);
