/**
 * The job queue in PostgreSQL (graphile-worker): who is to do something at an instant, among any number of processes.
 * A job wakes and says nothing: what is to be done stands in tables of ours. So a job may be lost, done twice or done
 * late without harm, and the lock that a killed process leaves on one (for four hours) holds up nobody, as whoever adds
 * a job under the same key takes the key from the one before.
 *
 * Its tables are made by `npm run migrate`, as the owner; a process works on them as its own login, with rights on rows
 * alone. Payloads hold ids and no data of customers.
 */
import { Logger, makeWorkerUtils, parseCrontab, type Runner, run, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { sleep, within } from '../process/clock.ts';
import type { Log } from '../process/log.ts';
import { backoffMs } from './retry.ts';

const schema = 'graphile_worker';

/** Its word for a warning is another one than ours. */
const loggerTo = (log: Log): Logger =>
  new Logger(() => (level, message, meta) => {
    // Each job that begins and ends is no news.
    if (level === 'error') log.warn({ err: meta.error, queue: message }, 'the job queue reports a fault');
    else if (level === 'warning') log.warn({ queue: message }, 'the job queue warns');
    else log.debug({ queue: message }, 'the job queue');
  });

/** Ids as text, as the queue knows them; everywhere else a bigint is read as one. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: string) =>
    oid === pg.types.builtins.INT8 || oid === pg.types.builtins.JSONB
      ? (text: string) => (oid === pg.types.builtins.INT8 ? text : JSON.parse(text))
      : pg.types.getTypeParser(oid, format as 'text'),
};

const silent = new Logger(() => () => {});

/** Makes the tables of the queue, or brings them up to date, as the owner. `grantQueue` has them used. */
export const installQueue = (ownerUrl: string): Promise<void> =>
  runMigrations({ connectionString: ownerUrl, schema, maxPoolSize: 1, logger: silent });

// The tables have row-level security without a policy, so that nobody but their owner sees a row. A new version of the
// queue may bring more of them.
const grants = `DO $$ DECLARE name text; BEGIN
  GRANT USAGE ON SCHEMA ${schema} TO millrace_worker;
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO millrace_worker;
  GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO millrace_worker;
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${schema} FROM PUBLIC;
  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO millrace_worker;
  FOR name IN SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = '${schema}'::regnamespace AND c.relkind = 'r' AND c.relrowsecurity
      AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'every_organization')
  LOOP
    EXECUTE format('CREATE POLICY every_organization ON ${schema}.%I TO millrace_worker USING (true)', name);
  END LOOP;
END $$`;

/** Lets the worker's login work on the queue, once the logins are there. */
export const grantQueue = async (owner: { query: (text: string) => Promise<unknown> }): Promise<void> => {
  await owner.query(grants);
};

export type NewJob = {
  readonly task: string;
  readonly payload: Readonly<Record<string, string>>;
  /** At most one job waits under a key; a later one takes its place. */
  readonly key: string;
  /** In milliseconds; at once where nothing is said. */
  readonly runAt?: number;
};

export type AddJobs = (jobs: readonly NewJob[]) => Promise<void>;
export type Task = (payload: Readonly<Record<string, unknown>>, add: AddJobs) => Promise<void>;

export type QueueOptions = {
  readonly url: string;
  readonly tasks: Readonly<Record<string, Task>>;
  /** By task, when it is to be done by one of all processes, as cron says it: each minute is '* * * * *'. */
  readonly crons: Readonly<Record<string, string>>;
  /** Added whenever this process begins to work on the queue. */
  readonly atStart: readonly NewJob[];
  readonly lanes: number;
  /** How often it looks for jobs whose time has come. One that is added for now wakes it. */
  readonly pollMs: number;
  readonly log: Log;
  readonly onFault: (error: unknown) => void;
};

const attemptsMax = 5;
const stopMsMax = 5_000;

const jobOf = ({ task, payload, key, runAt }: NewJob) => ({
  identifier: task,
  payload,
  jobKey: key,
  maxAttempts: attemptsMax,
  ...(runAt !== undefined && { runAt: new Date(runAt) }),
});

const forgetTask = 'forget_dead_jobs';

/** Works on the queue until it is stopped, and begins again where that ends by a fault. */
export const startQueue = (options: QueueOptions): { readonly stop: () => Promise<void> } => {
  const { url, tasks, crons, atStart, lanes, pollMs, log, onFault } = options;
  const stopped = new AbortController();
  let running: Runner | undefined;
  const logger = loggerTo(log);

  const taskList = (pgPool: pg.Pool) => ({
    ...Object.fromEntries(
      Object.entries(tasks).map(([name, task]) => [
        name,
        async (payload: unknown, helpers: { addJobs: (jobs: ReturnType<typeof jobOf>[]) => Promise<unknown> }) => {
          try {
            await task(payload as Record<string, unknown>, async (jobs) => {
              if (jobs.length > 0) await helpers.addJobs(jobs.map(jobOf));
            });
          } catch (error) {
            onFault(error);
            throw error;
          }
        },
      ]),
    ),
    // Those that failed too often, and those whose key was taken from them while a dead process held them.
    [forgetTask]: async () => {
      const utils = await makeWorkerUtils({ pgPool, schema, logger });
      try {
        await utils.cleanup({ tasks: ['DELETE_PERMAFAILED_JOBS'] });
      } finally {
        await utils.release();
      }
    },
  });

  const workOnce = async (): Promise<void> => {
    // One connection listens, and each lane and the clock of crons may need one.
    const pgPool = new pg.Pool({
      connectionString: url,
      max: lanes + 3,
      types,
      connectionTimeoutMillis: 3_000,
      idleTimeoutMillis: 30_000,
      statement_timeout: 30_000,
      application_name: 'millrace',
      keepAlive: true,
    });
    pgPool.on('error', (error) => log.warn({ err: error }, 'PostgreSQL closed a connection of the job queue'));
    pgPool.on('connect', (client) => client.on('error', (error) => log.debug({ err: error }, 'a connection broke')));
    try {
      const lines = Object.entries({ ...crons, [forgetTask]: '17 3 * * *' });
      running = await run({
        pgPool,
        schema,
        taskList: taskList(pgPool),
        parsedCronItems: parseCrontab(
          lines.map(([task, when]) => `${when} ${task} ?jobKey=${task}&max=${attemptsMax}`).join('\n'),
        ),
        concurrency: lanes,
        pollInterval: pollMs,
        noHandleSignals: true,
        // Without it a job is completed by a promise that nobody waits for: where PostgreSQL is away at that moment,
        // its rejection would end this process, and a stop would not wait for it.
        preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
        logger,
      });
      for (const { identifier, payload, ...spec } of atStart.map(jobOf))
        await running.addJob(identifier, payload, spec);
      if (stopped.signal.aborted) await running.stop();
      await running.promise;
    } finally {
      running = undefined;
      await pgPool.end().catch(() => {});
    }
  };

  const working = (async () => {
    for (let faults = 0; !stopped.signal.aborted; faults += 1) {
      try {
        await workOnce();
      } catch (error) {
        if (!stopped.signal.aborted) onFault(error);
      }
      if (!stopped.signal.aborted) await sleep(backoffMs(faults, Math.random()), stopped.signal);
    }
  })();

  return {
    stop: async () => {
      stopped.abort();
      // Where PostgreSQL is away, what is to be told of jobs that are done is tried for minutes.
      await within(stopMsMax, Promise.all([running?.stop().catch(() => {}), working])).catch(() => {});
    },
  };
};
