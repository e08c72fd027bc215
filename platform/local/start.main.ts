/**
 * `npm start`: all of Millrace on this machine, until it is told to stop. `--json` reports in one line of JSON on
 * stdout.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { print, runStack } from './run-stack.ts';
import { type Stack, withoutPassword } from './stack.ts';

/** The line that `--json` promises, with the names that the outside uses. */
const jsonOf = (stack: Stack, elapsedMs: number): string =>
  JSON.stringify({
    ready: true,
    api: stack.apiUrl,
    ingest: stack.ingestUrl,
    api_key: stack.apiKey,
    home: stack.home,
    processes: stack.processes.map(({ name, pid, url, origin, startedMs }) => ({
      name,
      pid,
      url,
      origin,
      started_ms: startedMs,
    })),
    servers: Object.fromEntries(Object.entries(stack.urls).map(([name, url]) => [name, withoutPassword(url)])),
    nats_sync_always: stack.natsSyncAlways,
    elapsed_ms: elapsedMs,
  });

const textOf = (stack: Stack, elapsedMs: number): string => {
  const keyIsGiven = Boolean(process.env.MILLRACE_BOOTSTRAP_KEY || process.env.MILLRACE_BOOTSTRAP_KEY_FILE);
  const kept = keyIsGiven ? 'as given in the environment' : `kept in ${join(stack.home, 'bootstrap-key')}`;
  return [
    `Millrace is ready (${(elapsedMs / 1000).toFixed(1)} s).`,
    `  API      ${stack.apiUrl}`,
    `  ingest   ${stack.ingestUrl}`,
    // A log that stdout is redirected to is no place for a key.
    `  API key  ${process.stdout.isTTY ? `${stack.apiKey}  (${kept})` : kept}`,
    `  logs     ${join(stack.home, 'log')}`,
    '  stop     Ctrl-C, or SIGTERM',
  ].join('\n');
};

const readArguments = (): { json: boolean } => {
  try {
    return parseArgs({ options: { json: { type: 'boolean', default: false } } }).values;
  } catch (error) {
    print(`${(error as Error).message}\nusage: npm start [-- --json]`);
    process.exit(1);
  }
};

const { json } = readArguments();
await runStack(async (stack, startedMs) => {
  process.stdout.write(`${json ? jsonOf(stack, startedMs) : textOf(stack, startedMs)}\n`);
  return 'stay';
});
