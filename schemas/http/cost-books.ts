/**
 * Cost books and their versions in requests and answers. What a version says is read by `readCosts`, which names every
 * fault at its place; what no JSON schema can say, and only the reader refuses: a match that names what is no dimension
 * of the book, or what another entry names, and matches that are too long in all.
 */
import { Type } from 'typebox';
import { entriesMax } from '#schemas/cost-book.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  closed,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  NewCode,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { codePattern, codeRule } from '#schemas/names.ts';
import { dimensionsMax, matchSchema } from '#schemas/price/matrix.ts';

const newCostBookExample = {
  code: 'llm-costs',
  name: 'What models cost',
  dimensions: ['provider', 'model', 'token_kind'],
  currency: 'USD',
};
const newVersionExample = {
  effective_from: '2026-10-01T00:00:00Z',
  entries: [
    { match: { provider: 'openai', model: 'gpt-x', token_kind: 'input' }, unit_cost: '0.0000025' },
    { match: { provider: 'openai', model: 'gpt-x', token_kind: 'output' }, unit_cost: '0.00001' },
    { match: { provider: 'openai' }, unit_cost: '0.000002' },
  ],
  default_cost: '0.000005',
};
const headExample = {
  id: exampleId('cbv', 31),
  version_number: 1,
  effective_from: '2026-10-01T00:00:00.000Z',
};
const costBookExample = {
  id: exampleId('cbk', 30),
  ...newCostBookExample,
  version_in_force: headExample,
  next_version: null,
  ...exampleHead,
};
const versionHeadExample = {
  id: headExample.id,
  cost_book_id: costBookExample.id,
  version_number: 1,
  effective_from: headExample.effective_from,
  entry_count: newVersionExample.entries.length,
  default_cost: newVersionExample.default_cost,
  created_at: exampleCreatedAt,
};

export const CostBookId = idParam(newCostBookExample.code);

const Dimensions = Type.Array(formed(codePattern, codeRule.about), {
  minItems: 1,
  maxItems: dimensionsMax,
  uniqueItems: true,
  description: 'What costs depend on, the more important first: of two entries that name as many, that one counts.',
});

/** `newNameFault` says what is wrong with a code. */
const givenFields = {
  code: Code,
  name: Name,
  dimensions: Dimensions,
  currency: CurrencyCode,
  metadata: Type.Optional(Metadata),
};
export const GivenCostBook = Type.Object(givenFields, closed);

export const NewCostBook = Type.Object(
  {
    ...givenFields,
    code: NewCode,
  },
  { ...closed, title: 'NewCostBook', examples: [newCostBookExample] },
);

const VersionNumber = Type.Integer({ minimum: 1 });

const VersionHead = Type.Object(
  { id: idOf('cbv'), version_number: VersionNumber, effective_from: Instant },
  { ...closed, title: 'CostBookVersionName' },
);

export const CostBook = Type.Object(
  {
    id: idOf('cbk'),
    code: Code,
    name: Name,
    dimensions: Dimensions,
    currency: CurrencyCode,
    version_in_force: nullable(VersionHead),
    next_version: nullable(VersionHead),
    ...resourceFields,
  },
  { ...closed, title: 'CostBook', examples: [costBookExample] },
);

const costPattern = '^[0-9]{1,10}(\\.[0-9]{1,10})?$';
const costAbout = 'a decimal such as "0.0000025", with at most 10 digits before and 10 after the point';
const Cost = formed(costPattern, costAbout, { description: 'Of one unit, in the currency of the book.' });
const Entries = Type.Array(
  Type.Object(
    { match: matchSchema(formed(codePattern, codeRule.about)), unit_cost: Cost },
    { ...closed, title: 'CostEntry' },
  ),
  {
    minItems: 1,
    maxItems: entriesMax,
    description:
      'Of the entries that an event matches the one counts that names most dimensions, and of those the one that names the earlier.',
  },
);

export const NewCostBookVersionDocument = Type.Object(
  {
    effective_from: GivenInstant,
    entries: Entries,
    default_cost: Type.Optional(Type.Unsafe<string>({ ...Cost, description: 'Of what no entry names; 0 if absent.' })),
  },
  { ...closed, title: 'NewCostBookVersion', examples: [newVersionExample] },
);

const headFields = {
  id: idOf('cbv'),
  cost_book_id: idOf('cbk'),
  version_number: VersionNumber,
  effective_from: Instant,
  entry_count: Type.Integer({ minimum: 1 }),
  default_cost: Cost,
  created_at: Instant,
};
/** In lists: of a long book the entries are asked for one version at a time. */
export const CostBookVersionHead = Type.Object(headFields, {
  ...closed,
  title: 'CostBookVersionHead',
  examples: [versionHeadExample],
});

export const CostBookVersion = Type.Object(
  { ...headFields, entries: Entries },
  {
    ...closed,
    title: 'CostBookVersion',
    description: 'What a book says from an instant on. It never changes; a later number of the same instant counts.',
    examples: [{ ...versionHeadExample, entries: newVersionExample.entries }],
  },
);

export const CostBookVersionParams = Type.Object(
  {
    ...CostBookId.properties,
    version_number: formed('^[1-9][0-9]{0,8}$', 'the number of a version, from 1 on', {
      description: 'The number of a version of the cost book, from 1 on.',
      examples: ['1'],
    }),
  },
  closed,
);
