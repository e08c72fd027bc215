import { ConfigError } from '../config/config.ts';
import type { Log } from '../process/log.ts';

/**
 * What a running process owns. `close` ends in the order: stop taking work, finish what was taken, let go of
 * connections.
 */
export type Running = { readonly url: string; readonly close: () => Promise<void> };

/**
 * The life of one process: start, tell the supervisor (over IPC where there is one) and the log, drain once on SIGTERM,
 * SIGINT or the loss of the supervisor, and end. A drain that takes longer than `shutdownMsMax` ends with code 1. A bug
 * ends the process with code 70: whoever supervises starts a fresh one, and every effect that counts is safe to repeat.
 */
export const runProcess = async (log: Log, shutdownMsMax: number, start: () => Promise<Running>): Promise<void> => {
  let running: Running | undefined;
  let stopping = false;
  const stop = async (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    setTimeout(() => {
      log.error({ shutdownMsMax }, 'the drain took too long');
      process.exit(1);
    }, shutdownMsMax).unref();
    try {
      await running?.close();
      process.exit(0);
    } catch (error) {
      log.error({ err: error }, 'the drain failed');
      process.exit(1);
    }
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('SIGINT', () => void stop('SIGINT'));
  if (process.send) process.on('disconnect', () => void stop('the supervisor is gone'));
  const die = (error: unknown) => {
    log.fatal({ err: error }, 'bug: the process ends');
    process.exit(70);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  try {
    running = await start();
  } catch (error) {
    if (stopping) return;
    log.fatal({ err: error }, 'could not start');
    process.exit(1);
  }
  log.info({ url: running.url }, 'ready');
  process.send?.({ type: 'ready', url: running.url });
};

/** Runs `load` and ends the process with a plain list of faults where the configuration is not usable. */
export const orExit = <T>(load: () => T): T => {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
};
