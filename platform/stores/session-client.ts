/** A connection of its own to PostgreSQL, for what lasts as long as a session does: notices, locks. */
import pg from 'pg';
import { within } from '../process/clock.ts';

/** A server that is gone without a word does not say good-bye. */
const endMsMax = 1_000;

/** `keepAliveMs`: after what silence it is asked whether the server is still there. */
export const createSessionClient = (url: string, keepAliveMs: number): pg.Client =>
  new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 3_000,
    query_timeout: 5_000,
    application_name: 'millrace',
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
  });

export const endSession = async (client: pg.Client): Promise<void> => {
  await within(endMsMax, client.end()).catch(() => {});
};
