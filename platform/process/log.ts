import { type DestinationStream, type Logger, pino } from 'pino';
import { createRedaction } from './redaction.ts';

export type Log = Logger;

const textCharactersMax = 4_000;
const causesMax = 5;

/** What of an error is logged beside its words; each is a word of a table or an address, never a caller's data. */
const plainFields = [
  'code',
  'errno',
  'syscall',
  'address',
  'port',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'part',
] as const;

type LoggedError = { readonly [field: string]: unknown };

/**
 * An error by named fields and not all that it carries: PostgreSQL's `detail` and `where` quote rows, a client's
 * `command` holds its arguments. Its words are cut off, since ClickHouse repeats the statement in them.
 */
const toLoggedError = (error: unknown, depth = 0): LoggedError => {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error).slice(0, textCharactersMax) };
  const carried = error as Error & Record<string, unknown>;
  const plain = plainFields.filter((field) => ['string', 'number'].includes(typeof carried[field]));
  const deeper = depth < causesMax;
  return {
    type: error.name,
    message: error.message.slice(0, textCharactersMax),
    stack: error.stack?.slice(0, textCharactersMax),
    ...Object.fromEntries(plain.map((field) => [field, carried[field]])),
    ...(error.cause !== undefined && deeper ? { cause: toLoggedError(error.cause, depth + 1) } : {}),
    ...(error instanceof AggregateError && deeper
      ? { errors: error.errors.slice(0, causesMax).map((inner) => toLoggedError(inner, depth + 1)) }
      : {}),
  };
};

/**
 * JSON lines on stdout. Secrets are taken out of the finished line: those that have a form, those whose field has a
 * telling name, and `secrets`, the ones of this process (`secretsOf` of config.ts). `request_id` is the field by which
 * the lines of all processes belong together.
 */
export const createLog = (
  name: string,
  level: string,
  secrets: readonly string[] = [],
  destination?: DestinationStream,
): Log => {
  const options = {
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: toLoggedError },
    hooks: { streamWrite: createRedaction(secrets) },
  };
  return destination ? pino(options, destination) : pino(options);
};
