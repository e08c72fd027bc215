/** Subscriptions against a model of them, in lives that are made up; `npm run test:model` runs many more. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { runModel, sellPlans } from '../model/run-model.ts';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  await sellPlans(sandbox);
});
afterAll(() => pipeline?.stop());

it('whatever is done with subscriptions while time goes on, they are and are billed as the model has it', async () => {
  let count = 0;
  await runModel(sandbox, {
    lives: 4,
    commandsMax: 60,
    seed: 3,
    onCommand: () => {
      count += 1;
    },
  });
  expect(count).toBeGreaterThan(40);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});
