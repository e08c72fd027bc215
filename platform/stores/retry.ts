/** The parts that this product stands on; an `UnavailableError` names one of them. */
export const parts = {
  nats: 'NATS JetStream',
  clickhouse: 'ClickHouse',
  redis: 'Redis',
  postgres: 'PostgreSQL',
  tax_engine: 'The tax engine',
  documents: 'The thread that makes documents',
} as const;
export type Part = keyof typeof parts;

/** A dependency did not answer. Ends as 503 with Retry-After and the name of the part, or as a later try. */
export class UnavailableError extends Error {
  readonly part: Part;
  readonly retryAfterSeconds: number;
  constructor(part: Part, cause: unknown, retryAfterSeconds = 1) {
    super(`${parts[part]} is not available: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'UnavailableError';
    this.part = part;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * Codes that mean "not now" rather than "never": connection faults of the operating system, PostgreSQL's classes 08
 * (connection), 53 (resources), 57P (shutdown), the serialization failures 40001 and 40P01 and the timeouts 55P03 and
 * 57014, and ClickHouse's numeric codes for memory, timeouts, too many parts or queries.
 */
const passingCodes = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_SOCKET',
  '40001', '40P01', '08000', '08003', '08006', '08001', '08004', '53000', '53100', '53200', '53300', '57P01', '57P02', '57P03', '55P03', '57014',
  '159', '202', '209', '210', '241', '242', '252', '319', '425', '999',
]); // biome-ignore format: a table reads better in rows

/**
 * An SQLSTATE of PostgreSQL or a number of ClickHouse: the server answered, and its code decides. Its words may quote
 * the caller's data.
 */
const serverCode = /^(?:[0-9A-Z]{5}|\d{1,4})$/;

/** Whether a server answered with a refusal of its own, as opposed to a fault in what we made of its answer. */
export const isOfServer = (error: unknown): boolean =>
  error instanceof Error && serverCode.test(String((error as Error & { code?: string | number }).code ?? ''));

/**
 * Whether a later try of the same call may succeed. A driver that lost its connection says so in words only, hence the
 * last test.
 */
export const isPassing = (error: unknown): boolean => {
  if (error instanceof UnavailableError) return true;
  if (!(error instanceof Error)) return false;
  const code = (error as Error & { code?: string | number }).code;
  if (code !== undefined && passingCodes.has(String(code))) return true;
  if (code !== undefined && serverCode.test(String(code))) return false;
  if (error instanceof AggregateError && error.errors.some(isPassing)) return true;
  if (error.cause !== undefined && isPassing(error.cause)) return true;
  return /timeout|timed out|socket hang up|connection terminated|connection ended|connection is closed|not queryable|closed the connection/i.test(
    error.message,
  );
};

/** Full-jitter backoff in milliseconds for try number `attempt` (from 0); `random` is in [0, 1). */
export const backoffMs = (attempt: number, random: number, firstMs = 100, ceilingMs = 5_000): number =>
  Math.floor(firstMs / 2 + random * (Math.min(ceilingMs, firstMs * 2 ** Math.min(attempt, 16)) - firstMs / 2));
