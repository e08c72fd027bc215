/**
 * Locks of PostgreSQL that last as long as a session, for work that waits for other servers: no transaction is open
 * meanwhile, and a process that dies is in nobody's way, as its session ends with it.
 */
import type pg from 'pg';
import type { Log } from '../process/log.ts';
import { UnavailableError } from './retry.ts';
import { createSessionClient, endSession } from './session-client.ts';

export type SessionLocks = {
  /**
   * Runs `work` unless the name is locked by somebody else; then it resolves with undefined. `lost` is aborted when the
   * session ends, and the lock with it: the work must begin nothing more.
   */
  readonly alone: <T>(name: string, work: (lost: AbortSignal) => Promise<T>) => Promise<T | undefined>;
  readonly close: () => Promise<void>;
};

type Session = { readonly client: pg.Client; readonly lost: AbortController };

/** All locks stand in one session, which is kept, and made anew where it was lost. */
export const createSessionLocks = (url: string, log: Log): SessionLocks => {
  let current: Session | undefined;
  const held = new Set<string>();

  const drop = (session: Session, error: unknown): void => {
    if (current === session) current = undefined;
    if (session.lost.signal.aborted) return;
    session.lost.abort(new UnavailableError('postgres', error));
    void endSession(session.client);
  };
  const open = async (): Promise<Session> => {
    const client = createSessionClient(url, 10_000);
    const session = { client, lost: new AbortController() };
    const gone = (error: unknown) => {
      if (current === session) log.warn({ err: error }, 'the session of our locks ended');
      drop(session, error);
    };
    client.on('error', gone);
    client.on('end', () => gone(new Error('the session ended')));
    await client.connect();
    current = session;
    return session;
  };
  /** After a fault nobody knows what the session holds, so it is given up with all of it. */
  const ask = async (session: Session, statement: string, name: string): Promise<boolean> => {
    try {
      const { rows } = await session.client.query<{ done: boolean }>(statement, [name]);
      return rows[0]?.done ?? false;
    } catch (error) {
      drop(session, error);
      throw new UnavailableError('postgres', error);
    }
  };

  return {
    alone: async (name, work) => {
      // The session would be given its own lock a second time.
      if (held.has(name)) return undefined;
      held.add(name);
      try {
        const session =
          current ??
          (await open().catch((error: unknown) => {
            throw new UnavailableError('postgres', error);
          }));
        if (!(await ask(session, 'SELECT pg_try_advisory_lock(hashtextextended($1, 1)) AS done', name)))
          return undefined;
        try {
          return await work(session.lost.signal);
        } finally {
          // Of a session that can't be asked any more the lock is gone as well, or goes with it.
          await ask(session, 'SELECT pg_advisory_unlock(hashtextextended($1, 1)) AS done', name).catch(() => {});
        }
      } finally {
        held.delete(name);
      }
    },
    close: async () => {
      if (current) drop(current, new Error('the process ends'));
    },
  };
};
