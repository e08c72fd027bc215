/** Test clocks in requests and answers. */
import { Type } from 'typebox';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  CustomerName,
  closed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';

export const testClockStates = ['ready', 'advancing'] as const;
export type TestClockState = (typeof testClockStates)[number];

export const testClockExample = {
  id: exampleId('clk', 31),
  name: 'A year of Acme',
  now: '2027-01-01T00:00:00.000Z',
  state: 'ready',
  target: null,
  failure: null,
  ...exampleHead,
};

export const TestClockId = idParam(testClockExample.id);

export const NewTestClock = Type.Object(
  {
    name: Type.Optional(Name),
    now: Type.Optional(GivenInstant),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'NewTestClock',
    description: '`now` is the hour at which it begins, past or to come; absent, it is the present one.',
    examples: [{ name: testClockExample.name, now: '2027-01-01T00:00:00Z' }],
  },
);

export const TestClockCustomer = Type.Object(
  { customer_id: CustomerName },
  { ...closed, title: 'TestClockCustomer', examples: [{ customer_id: 'acme-in-a-year' }] },
);

/** The customer, and what it lives by from now on. */
export const AttachedCustomer = Type.Object(
  { id: idOf('cus'), test_clock_id: idOf('clk') },
  { ...closed, title: 'AttachedCustomer', examples: [{ id: customerExample.id, test_clock_id: testClockExample.id }] },
);

export const TestClockAdvance = Type.Object(
  { to: GivenInstant },
  {
    ...closed,
    title: 'TestClockAdvance',
    description: 'An instant after the hour of the clock, at most five years ahead of it.',
    examples: [{ to: '2027-02-01T00:00:00Z' }],
  },
);

export const TestClock = Type.Object(
  {
    id: idOf('clk'),
    name: nullable(Name),
    now: Type.Unsafe<string>({
      ...Instant,
      description: 'The hour of its customers. While it advances, that of what was billed last.',
    }),
    state: Type.Enum([...testClockStates]),
    target: nullable(Instant),
    failure: nullable(Type.String({ description: 'Why it stopped before its target; null where it did not.' })),
    ...resourceFields,
  },
  { ...closed, title: 'TestClock', examples: [testClockExample] },
);
