/** `npm start`: all of Millrace on this machine, until it is told to stop. `--json` reports in one line of JSON on stdout. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError, settings } from '../config.ts';
import { HomeInUseError, type Log, resolveHome } from './home.ts';
import { killChildren } from './processes.ts';
import { onStopSignals } from './signals.ts';
import { type Stack, startStack, withoutPassword } from './stack.ts';

const print = (line: string) => process.stderr.write(`millrace  ${line}\n`);
const log: Log = { info: print, warn: (line) => print(`warning: ${line}`) };

/** The line that `--json` promises, with the names that the outside uses. */
const jsonOf = (stack: Stack, elapsedMs: number): string =>
  JSON.stringify({
    ready: true,
    api: stack.apiUrl,
    ingest: stack.ingestUrl,
    api_key: stack.apiKey,
    home: stack.home,
    processes: stack.processes.map(({ name, pid, url, origin, startedMs }) => ({ name, pid, url, origin, started_ms: startedMs })),
    servers: Object.fromEntries(Object.entries(stack.urls).map(([name, url]) => [name, withoutPassword(url)])),
    nats_sync_always: stack.natsSyncAlways,
    elapsed_ms: elapsedMs,
  });

const textOf = (stack: Stack, elapsedMs: number, keyIsGiven: boolean): string => {
  const kept = keyIsGiven ? 'as given in MILLRACE_BOOTSTRAP_KEY' : `kept in ${join(stack.home, 'bootstrap-key')}`;
  return [
    `Millrace is ready (${(elapsedMs / 1000).toFixed(1)} s).`,
    `  API      ${stack.apiUrl}     documentation at ${stack.apiUrl}/docs`,
    `  ingest   ${stack.ingestUrl}`,
    // A log that stdout is redirected to is no place for a key.
    `  API key  ${process.stdout.isTTY ? `${stack.apiKey}  (${kept})` : kept}`,
    `  logs     ${join(stack.home, 'log')}`,
    '  stop     Ctrl-C, or SIGTERM',
  ].join('\n');
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
  const home = resolveHome(process.env.MILLRACE_HOME || settings.home.fallback);
  const stopping = new AbortController();
  let stack: Stack | undefined;
  onStopSignals({
    stop: (reason) => {
      print(`${reason}: stopping; what was accepted is finished first (Ctrl-C again ends at once)`);
      stopping.abort();
      void stack?.stop().then(() => process.exit(0));
    },
    force: () => {
      killChildren(home);
      process.exit(130);
    },
  });
  try {
    const started = await startStack({ environment: process.env, home, log, signal: stopping.signal });
    const elapsedMs = Math.round(performance.now());
    process.stdout.write(
      `${values.json ? jsonOf(started, elapsedMs) : textOf(started, elapsedMs, Boolean(process.env.MILLRACE_BOOTSTRAP_KEY))}\n`,
    );
    stack = started;
    // Told to stop in the moment between.
    if (stopping.signal.aborted) await stack.stop().then(() => process.exit(0));
  } catch (error) {
    if (stopping.signal.aborted) process.exit(0);
    const isPlain = error instanceof ConfigError || error instanceof HomeInUseError;
    print(isPlain ? error.message : `could not start. ${(error as Error).message}`);
    process.exit(1);
  }
};

await main();
