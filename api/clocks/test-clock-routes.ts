/** `/v1/test-clocks`: the hour of customers in a sandbox. */
import type { Caller } from '#platform/access/authenticate.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import {
  AttachedCustomer,
  NewTestClock,
  TestClockAdvance,
  TestClockCustomer,
  TestClockId,
  TestClock as TestClockSchema,
} from '#schemas/http/test-clocks.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { ParentStore } from '../customers/customer-parents.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import { advanceTestClock } from './advance-test-clock.ts';
import type { TestClock, TestClockStore } from './test-clocks.postgres.ts';

export type TestClockPorts = {
  readonly testClocks: TestClockStore;
  readonly customers: Pick<CustomerStore, 'payer' | 'attachToClock'>;
  readonly parents: Pick<ParentStore, 'lockParents' | 'hasRelatives'>;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

const clockJson = (clock: TestClock) => ({
  id: clock.id,
  name: clock.name,
  now: formatInstant(clock.now),
  state: clock.state,
  target: clock.target === null ? null : formatInstant(clock.target),
  failure: clock.failure,
  ...headToJson(clock),
});

/** No customer of the live world lives by a clock: what it is billed is dated by the hour of all. */
const refuseLiveKeys = ({ world }: Caller): void => {
  if (world !== 'test') throw new FailureError('TEST_CLOCK_NEEDS_SANDBOX');
};

/** What changes with its version: the hour goes on by itself. */
const lasting = ({ id, name, metadata, version }: ReturnType<typeof clockJson>) => ({ id, name, metadata, version });

export const testClockRoutes = (
  { get, list, change }: Routes,
  { testClocks, customers, parents, isServing }: TestClockPorts,
): void => {
  const tag = 'Test clocks';
  const url = '/v1/test-clocks';
  const write = { tag, scope: 'write:test_clocks', rateClass: 'write' } as const;
  const read = { tag, scope: 'read:test_clocks' } as const;

  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createTestClock',
      summary: 'Make a test clock',
      body: NewTestClock,
      answers: { 201: TestClockSchema },
      failures: ['TEST_CLOCK_NEEDS_SANDBOX'],
    },
    async ({ caller, db, body, nowMs }) => {
      refuseLiveKeys(caller);
      const faults: Fault[] = [];
      const now = readInstant(body.now, 'now', faults) ?? nowMs;
      refuseFaults(faults);
      const clock = { name: body.name ?? null, now, metadata: body.metadata ?? {} };
      return created('test_clock', url, clockJson(await testClocks.addClock(db, clock, new Date(nowMs))), { lasting });
    },
  );

  list(
    {
      ...read,
      url,
      operation: 'listTestClocks',
      summary: 'List test clocks',
      list: testClocks.clockList,
      answers: { 200: listSchema(TestClockSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await testClocks.clocks(db, query), clockJson),
  );

  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getTestClock',
      summary: 'Read a test clock, or wait until it is ready',
      params: TestClockId,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      changesByItself: true,
      answers: { 200: TestClockSchema },
      failures: ['TEST_CLOCK_NOT_FOUND'],
    },
    async ({ db, params, query, isCallerThere }) => {
      const state = async () => {
        const clock = await testClocks.clock(db, params.id);
        return clock && (clock.state === 'advancing' ? 'running' : 'completed');
      };
      await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      return clockJson(found(await testClocks.clock(db, params.id), 'TEST_CLOCK_NOT_FOUND'));
    },
  );

  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/customers`,
      operation: 'attachCustomerToTestClock',
      summary: 'Have a customer without subscriptions live by a test clock',
      params: TestClockId,
      body: TestClockCustomer,
      answers: { 200: AttachedCustomer },
      failures: ['TEST_CLOCK_NEEDS_SANDBOX', 'TEST_CLOCK_NOT_FOUND', 'CUSTOMER_NOT_FOUND', 'CUSTOMER_IN_USE'],
    },
    async ({ caller, db, params, body, nowMs, matchVersion }) => {
      refuseLiveKeys(caller);
      const clock = found(await testClocks.clock(db, params.id), 'TEST_CLOCK_NOT_FOUND');
      matchVersion(clock.version);
      const customer = found(await customers.payer(db, body.customer_id, 'lock'), 'CUSTOMER_NOT_FOUND');
      await parents.lockParents(db);
      if (customer.clock?.id !== clock.id && (await parents.hasRelatives(db, customer.id)))
        throw new FailureError(
          'CUSTOMER_IN_USE',
          'It has a parent or children: attach each alone, then set parent_id.',
        );
      if (!(await customers.attachToClock(db, customer.id, clock.id, new Date(nowMs))))
        throw new FailureError('CUSTOMER_IN_USE', 'The customer has subscriptions, which have lived by another hour.');
      return {
        body: { id: customer.id, test_clock_id: clock.id },
        location: `/v1/customers/${customer.id}`,
        changes: [
          {
            action: 'customer.attached_to_clock',
            objectType: 'customer',
            objectId: customer.id,
            after: { id: customer.id, test_clock_id: clock.id },
          },
        ],
      };
    },
  );

  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/:id/advance`,
      operation: 'advanceTestClock',
      summary: 'Set a test clock going',
      params: TestClockId,
      body: TestClockAdvance,
      answers: { 202: TestClockSchema },
      failures: ['TEST_CLOCK_NEEDS_SANDBOX', 'TEST_CLOCK_NOT_FOUND', 'TEST_CLOCK_ADVANCING'],
    },
    async ({ caller, db, params, body, nowMs, matchVersion }) => {
      refuseLiveKeys(caller);
      const clock = found(await testClocks.clock(db, params.id, 'FOR UPDATE'), 'TEST_CLOCK_NOT_FOUND');
      matchVersion(clock.version);
      const after = await advanceTestClock(testClocks, db, clock, body.to, nowMs);
      return {
        status: 202,
        body: clockJson(after),
        location: `${url}/${after.id}`,
        changes: [
          {
            action: 'test_clock.set_going',
            objectType: 'test_clock',
            objectId: after.id,
            before: lasting(clockJson(clock)),
            after: lasting(clockJson(after)),
          },
        ],
      };
    },
  );
};
