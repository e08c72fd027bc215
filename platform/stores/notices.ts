/**
 * Notices of PostgreSQL (LISTEN/NOTIFY): whoever waits for work is woken when the transaction that makes it commits.
 * Who works must look by itself as well, if seldom: a notice is not kept for anybody who is away.
 */
import { sleep } from '../process/clock.ts';
import type { Log } from '../process/log.ts';
import type { Queryable } from './postgres.ts';
import { backoffMs } from './retry.ts';
import { createSessionClient, endSession } from './session-client.ts';

export type Listening = { readonly stop: () => Promise<void> };

/** A channel: a name of ours, which stands in a statement as it is. */
const channelName = /^[a-z_]{1,60}$/;

/** Gives a notice, which goes out with the commit of the transaction that `client` is in. */
export const notify = async (client: Pick<Queryable, 'query'>, channel: string): Promise<void> => {
  await client.query('SELECT pg_notify($1, $2)', [channel, '']);
};

/** What each channel calls. */
type OnNotice = Readonly<Record<string, () => void>>;

/**
 * Listens over a connection of its own for as long as it lives, and makes a new one where that breaks. Each channel's
 * function is also called whenever a connection stands, as a notice may have been missed before.
 */
export const listenTo = (url: string, onNotice: OnNotice, log: Log): Listening => {
  const channels = Object.keys(onNotice);
  for (const channel of channels)
    if (!channelName.test(channel)) throw new RangeError(`${channel} is no name of a channel`);
  const stopped = new AbortController();
  let faults = 0;
  const listenOnce = async (): Promise<void> => {
    const client = createSessionClient(url, 30_000);
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    client.on('error', () => resolve());
    client.on('end', () => resolve());
    client.on('notification', ({ channel }) => onNotice[channel]?.());
    const leave = () => resolve();
    stopped.signal.addEventListener('abort', leave);
    try {
      await client.connect();
      await client.query(channels.map((channel) => `LISTEN ${channel}`).join('; '));
      if (faults > 0) log.info({ channels }, 'PostgreSQL gives notices again');
      faults = 0;
      for (const wake of Object.values(onNotice)) wake();
      if (!stopped.signal.aborted) await gone;
    } finally {
      stopped.signal.removeEventListener('abort', leave);
      await endSession(client);
    }
  };
  const running = (async () => {
    while (!stopped.signal.aborted) {
      let fault: unknown;
      try {
        await listenOnce();
      } catch (error) {
        fault = error;
      }
      if (stopped.signal.aborted) return;
      if (faults === 0) log.warn({ err: fault, channels }, 'PostgreSQL gives no notices');
      await sleep(backoffMs(faults, Math.random()), stopped.signal);
      faults += 1;
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
};
