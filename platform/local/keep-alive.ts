import { setTimeout as delay } from 'node:timers/promises';
import { type Backoff, backoff, nextPause } from '../start/restart-pause.ts';
import type { Log } from './home.ts';

/** A server or a service, as far as keeping it alive goes. */
export type Mortal = {
  readonly name: string;
  stop(): Promise<void>;
  restart(): Promise<void>;
  onDeath(listener: (how: string) => void): void;
};

/**
 * Restarts `part` whenever it dies unasked, until `signal` is aborted. `end` stops it for good; it returns once no
 * restart is under way and nothing runs.
 */
export const keepAlive = (
  part: Mortal,
  log: Log,
  signal: AbortSignal,
  pauses: Backoff = backoff,
): { end(): Promise<void> } => {
  let pauseMs = 0;
  let aliveSince = performance.now();
  let reviving: Promise<void> | undefined;
  const revive = async (death: string) => {
    let how = death;
    while (!signal.aborted) {
      pauseMs = nextPause(pauseMs, performance.now() - aliveSince, pauses);
      aliveSince = Number.POSITIVE_INFINITY;
      log.warn(`${part.name} ${how}`);
      log.warn(`${part.name}: restarting in ${pauseMs} ms`);
      try {
        await delay(pauseMs, undefined, { signal });
        await part.restart();
        aliveSince = performance.now();
        log.info(`${part.name} is up again`);
        return;
      } catch (error) {
        how = (error as Error).message;
      }
    }
  };
  part.onDeath((how) => {
    if (signal.aborted) return;
    // It may die again in the moment between its start and the end of `revive`.
    reviving = (reviving ?? Promise.resolve()).then(() => revive(how));
  });
  return {
    end: async () => {
      await part.stop();
      await reviving;
      await part.stop();
    },
  };
};
