/**
 * The life of a command that runs all of Millrace on this machine: start, do its work, stay until it is told to stop.
 */
import { ConfigError, settings } from '../config/config.ts';
import { HomeInUseError, type Log, resolveHome } from './home.ts';
import { killChildren } from './processes.ts';
import { onStopSignals } from './signals.ts';
import { type Stack, startStack } from './stack.ts';

export const print = (line: string): void => {
  process.stderr.write(`millrace  ${line}\n`);
};

export const log: Log = { info: print, warn: (line) => print(`warning: ${line}`) };

/**
 * Starts the stack, calls `work` with it, and then stays up, or stops it where `work` resolves with `exit`. SIGINT and
 * SIGTERM drain and stop everything at any point, with exit code 0; a second SIGINT ends it at once (130). A start or
 * work that fails ends with 1.
 */
export const runStack = async (work: (stack: Stack, startedMs: number) => Promise<'stay' | 'exit'>): Promise<void> => {
  const home = resolveHome(process.env.MILLRACE_HOME || settings.home.fallback);
  const stopping = new AbortController();
  let stack: Stack | undefined;
  const end = async (code: number) => {
    await stack?.stop();
    process.exit(code);
  };
  onStopSignals({
    stop: (reason) => {
      print(`${reason}: stopping; what was accepted is finished first (Ctrl-C again ends at once)`);
      stopping.abort();
      if (stack) void end(0);
    },
    force: () => {
      killChildren(home);
      process.exit(130);
    },
  });
  try {
    const started = await startStack({ environment: process.env, home, log, signal: stopping.signal });
    const startedMs = Math.round(performance.now());
    stack = started;
    // Told to stop in the moment between.
    if (stopping.signal.aborted) return await end(0);
    if ((await work(started, startedMs)) === 'exit') await end(0);
  } catch (error) {
    if (stopping.signal.aborted) return stack ? undefined : process.exit(0);
    const isPlain = error instanceof ConfigError || error instanceof HomeInUseError;
    print(isPlain ? error.message : stack ? (error as Error).message : `could not start. ${(error as Error).message}`);
    await end(1);
  }
};
