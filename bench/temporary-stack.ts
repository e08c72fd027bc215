/**
 * A whole Millrace in a folder of its own, for as long as a bench takes. Whatever ends the bench ends it, and the
 * folder goes with it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onStopSignals } from '#platform/local/signals.ts';
import { type Stack, startStack } from '#platform/local/stack.ts';

const warn = (line: string): void => {
  process.stderr.write(`millrace  warning: ${line}\n`);
};

/** Servers of its own in any case: what is measured is not to be mixed with the load of others. */
const ownEnvironment = (settings: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const {
    NATS_URL: _nats,
    CLICKHOUSE_URL: _clickhouse,
    REDIS_URL: _redis,
    DATABASE_URL: _database,
    ...rest
  } = process.env;
  return { ...rest, MILLRACE_API_PORT: '0', MILLRACE_INGEST_PORT: '0', MILLRACE_LOG_LEVEL: 'warn', ...settings };
};

/** Throws what `work` throws. A signal ends the process with 130, and `beforeStop` runs before the stack is stopped. */
export const withTemporaryStack = async <T>(
  options: { readonly settings?: NodeJS.ProcessEnv; readonly beforeStop?: () => void },
  work: (stack: Stack) => Promise<T>,
): Promise<T> => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const stopping = new AbortController();
  let stack: Stack | undefined;
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ending ??= (async () => {
      options.beforeStop?.();
      await stack?.stop();
      rmSync(home, { recursive: true, force: true });
    })();
    return ending;
  };
  const leave = () => void end().finally(() => process.exit(130));
  onStopSignals({
    stop: () => {
      stopping.abort();
      if (stack) leave();
    },
    force: () => process.exit(130),
  });
  try {
    const log = { info: () => {}, warn };
    stack = await startStack({
      home,
      log,
      environment: ownEnvironment(options.settings ?? {}),
      signal: stopping.signal,
    });
    return await work(stack);
  } finally {
    await end();
  }
};
