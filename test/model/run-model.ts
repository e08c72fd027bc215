/** Lives of customers that are made up from a seed, each on a test clock of its own, against the model. */
import fc from 'fast-check';
import type { Sandbox } from '../support/test-clock.ts';
import { type Command, commands, type Real } from './commands.ts';
import { plansOfModel } from './for-sale.ts';
import type { Model } from './subscription-model.ts';

export type ModelRun = {
  readonly lives: number;
  /** At the most in one life. */
  readonly commandsMax: number;
  readonly seed: number;
  /** Where a life of that seed failed: as the report of it says. */
  readonly path?: string;
  /** Told after each command. */
  readonly onCommand?: (name: string) => void;
};

/** Once for a sandbox. */
export const sellPlans = async ({ made }: Sandbox): Promise<void> => {
  for (const plan of plansOfModel) await made('/v1/plans', plan);
};

/** A Wednesday. */
const begin = '2027-03-10T12:00:00.000Z';

let customers = 0;

const newLife = async ({ api, made }: Sandbox): Promise<{ model: Model; real: Real }> => {
  const { id: clock } = await made('/v1/test-clocks', { now: begin });
  customers += 1;
  const invoicing = customers % 2 === 0 ? 'consolidated' : 'per_subscription';
  const body = { external_id: `model-${process.pid}-${customers}`, name: 'A customer', invoicing };
  const { id: customer } = await made('/v1/customers', body);
  await made(`/v1/test-clocks/${clock}/customers`, { customer_id: customer });
  const bills = { lastNumber: 0, periods: new Set<string>(), lines: [] };
  return { model: { now: Date.parse(begin), subscriptions: [] }, real: { sandbox: { api }, customer, clock, bills } };
};

const told = (command: Command, onCommand: ModelRun['onCommand']): Command => ({
  check: (model) => command.check(model),
  run: async (model, real) => {
    await command.run(model, real);
    onCommand?.(command.toString());
  },
  toString: () => command.toString(),
});

/** As long lives as short ones. Fails with the shortest life that fast-check finds to fail in the same way. */
export const runModel = async (sandbox: Sandbox, { lives, commandsMax, seed, path, onCommand }: ModelRun) => {
  const asked = commands.map((one) => one.map((command) => told(command, onCommand)));
  const life = fc.commands(asked, { maxCommands: commandsMax, size: 'max' });
  const property = fc.asyncProperty(life, (made) => fc.asyncModelRun(() => newLife(sandbox), made));
  await fc.assert(property, { numRuns: lives, seed, unbiased: true, ...(path && { path }) });
};
