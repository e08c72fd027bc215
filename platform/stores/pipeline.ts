/**
 * The statements of one transaction on their way to PostgreSQL: those that are asked for in one go, without waiting for
 * each other, go together (statement-batch.ts), and so does what may wait for the next one.
 */
import type pg from 'pg';
import { createBatch, type Statement, wireValues } from './statement-batch.ts';

type Asked = { readonly name?: string | undefined; readonly text: string; readonly values?: readonly unknown[] };

type Waiting = {
  readonly statement: Statement;
  readonly promise: Promise<pg.QueryResult>;
  readonly resolve: (result: pg.QueryResult) => void;
  readonly reject: (fault: unknown) => void;
};

export type Pipeline = {
  /** In the order of the calls. Where one fails, those that went with it and stand behind it fail by the same fault. */
  readonly query: (asked: Asked) => Promise<pg.QueryResult>;
  /** Goes with the next statement, which fails where this one does. */
  readonly defer: (asked: Asked) => void;
  /** What still waits is not sent. */
  readonly drop: () => void;
  readonly hasSent: () => boolean;
};

/** As a fault is told by the socket, its stack says nothing of who asked. */
const rethrow = (fault: unknown): never => {
  if (fault instanceof Error) Error.captureStackTrace(fault);
  throw fault;
};
/** Of several that fail by one fault, whoever asked may look at the first one alone. */
const ignore = (): void => {};

export const createPipeline = (client: pg.PoolClient): Pipeline => {
  let waiting: Waiting[] = [];
  let hasSent = false;
  let isDue = false;

  const send = (): void => {
    isDue = false;
    if (waiting.length === 0) return;
    const sent = waiting;
    waiting = [];
    hasSent = true;
    const statements = sent.map(({ statement }) => statement);
    const settle = (results: readonly pg.QueryResult[], fault: unknown): void => {
      for (const [index, { resolve, reject }] of sent.entries()) {
        const result = results[index];
        if (result) resolve(result);
        else reject(fault);
      }
    };
    client.query(createBatch(statements, settle));
  };

  const add = ({ name, text, values = [] }: Asked): Promise<pg.QueryResult> => {
    const statement = { name, text, values: wireValues(values) };
    const { promise, resolve, reject } = Promise.withResolvers<pg.QueryResult>();
    promise.catch(ignore);
    waiting.push({ statement, promise, resolve, reject });
    return promise;
  };

  /** What has no values may be several statements, which only go as one text. */
  const queryAlone = async (text: string): Promise<pg.QueryResult> => {
    const before = waiting.at(-1)?.promise;
    send();
    await before;
    hasSent = true;
    return client.query(text);
  };

  return {
    query: (asked) => {
      if (asked.values === undefined) return queryAlone(asked.text);
      const result = add(asked);
      // Once everyone who can go on now has asked for what it wants.
      if (!isDue) process.nextTick(send);
      isDue = true;
      const told = result.catch(rethrow);
      told.catch(ignore);
      return told;
    },
    defer: (asked) => void add(asked),
    drop: () => {
      waiting = [];
    },
    hasSent: () => hasSent,
  };
};
