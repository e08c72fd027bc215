/** Features in requests and answers. */
import { Type } from 'typebox';
import { featureTypes } from '#schemas/entitlement.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  closed,
  idOf,
  idParam,
  Metadata,
  Name,
  NewCode,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';

const newFeatureExample = { code: 'sso', name: 'Single sign-on', type: 'switch' };
export const featureExample = {
  id: exampleId('fea', 21),
  ...newFeatureExample,
  meter: null,
  ...exampleHead,
};

export const FeatureId = idParam(featureExample.code);

const FeatureTypeName = Type.Enum([...featureTypes], {
  title: 'FeatureType',
  description: 'A switch is on or off, a limit is a number that the caller holds, a metered one is used up. For good.',
});

const givenFields = {
  code: Code,
  name: Name,
  type: FeatureTypeName,
  meter: Type.Optional(
    Type.Unsafe<string>({
      ...Code,
      description: 'Of a metered feature alone: the meter that measures its use. For good.',
    }),
  ),
  metadata: Type.Optional(Metadata),
};

/** That a code must not look like an id is refused by `newNameFault`, which says so in words. */
export const GivenFeature = Type.Object(givenFields, closed);

export const NewFeature = Type.Object(
  { ...givenFields, code: NewCode },
  { ...closed, title: 'NewFeature', examples: [newFeatureExample] },
);

export const FeaturePatch = Type.Object(
  { name: Type.Optional(Name), metadata: Type.Optional(Metadata) },
  { ...closed, minProperties: 1, title: 'FeaturePatch', examples: [{ name: 'SSO' }] },
);

export const Feature = Type.Object(
  {
    id: idOf('fea'),
    code: Code,
    name: Name,
    type: FeatureTypeName,
    meter: nullable(Code),
    ...resourceFields,
  },
  { ...closed, title: 'Feature', examples: [featureExample] },
);
