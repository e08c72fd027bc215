/**
 * `npm run test:model -- [--commands N] [--seed N] [--lanes N]`: subscriptions against their model, in as many lives as
 * it takes, on real processes and servers. It ends with 1 at the first life that is not as the model has it, and prints
 * the shortest one that fails in the same way; the same seed makes the same life again, with `--commands 1`.
 */
import { parseArgs } from 'node:util';
import { onStopSignals } from '#platform/local/signals.ts';
import { parts } from '../support/parts.ts';
import { startPipeline, startTestServers } from '../support/pipeline.ts';
import { sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';
import { runModel, sellPlans } from './run-model.ts';

const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);

const { values } = parseArgs({
  options: {
    commands: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '2' },
  },
});

const numberOf = (name: 'commands' | 'seed' | 'lanes'): number => {
  const text = values[name];
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} is a whole number from 1 on, not ${text}`);
  return Number(text);
};

const wanted = numberOf('commands');
const firstSeed = numberOf('seed');
const lanes = Math.min(numberOf('lanes'), wanted);

const servers = await startTestServers();
const leave = () => process.exit(130);
onStopSignals({ stop: () => void servers.stop().finally(leave), force: leave });
try {
  const pipeline = await startPipeline(servers.urls, {}, { services: parts.billedUsage });
  const sandbox = await sandboxOf(pipeline);
  await sellPlans(sandbox);
  const begin = performance.now();
  const counts = new Map<string, number>();
  let commands = 0;
  let lives = 0;
  let seed = firstSeed;
  let isSound = true;
  const onCommand = (name: string): void => {
    commands += 1;
    const [kind = ''] = name.split(' ');
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  };
  const speed = (): string => `${(commands / ((performance.now() - begin) / 1000)).toFixed(1)} commands a second`;
  const lane = async (): Promise<void> => {
    while (isSound && commands < wanted) {
      const own = seed;
      seed += 1;
      try {
        await runModel(sandbox, { lives: 1, commandsMax: 200, seed: own, onCommand });
        lives += 1;
        if (lives % 10 === 0) print(`${lives} lives, ${commands} commands, ${speed()}`);
      } catch (error) {
        isSound = false;
        print(`seed ${own}: ${(error as Error).message}\n${((error as Error).cause as Error | undefined)?.stack}`);
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const { faults } = await verify(pipeline.databaseUrl);
  for (const fault of faults) print(fault);
  const kinds = [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
  print(`${lives} lives, ${commands} commands (${kinds}), ${speed()}: ${isSound ? 'as the model has it' : 'NOT so'}`);
  process.exitCode = isSound && faults.length === 0 ? 0 : 1;
  await pipeline.stop();
} finally {
  await servers.stop();
}
