/**
 * Configuration: one table of settings, read once from the environment in each `main.ts`, frozen, and passed on in narrow slices.
 * The table is also the source of the configuration section of the README and of the check of docker-compose.yml.
 */
import { readFileSync } from 'node:fs';

export type Setting = {
  /** The environment variable. */
  readonly variable: string;
  readonly kind: 'integer' | 'text' | 'url' | 'secret' | 'choice' | 'boolean';
  /** What holds when the variable is absent; `undefined` means that it must be given. */
  readonly fallback: string | undefined;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly about: string;
};

const integer = (variable: string, fallback: number, min: number, max: number, about: string) =>
  ({ variable, kind: 'integer', fallback: String(fallback), min, max, about }) as const;

/** Every setting there is. Names of the slices below are the ones that the code uses; unit and bound stand last. */
export const settings = {
  host: { variable: 'MILLRACE_HOST', kind: 'text', fallback: '127.0.0.1', about: 'Address that the HTTP servers listen on.' },
  apiPort: integer('MILLRACE_API_PORT', 8080, 0, 65535, 'Port of the billing REST API; 0 takes a free one.'),
  ingestPort: integer('MILLRACE_INGEST_PORT', 8081, 0, 65535, 'Port of the ingest gateway; 0 takes a free one.'),
  sinkPort: integer('MILLRACE_SINK_PORT', 0, 0, 65535, 'Port of the sink for health and metrics; 0 takes a free one.'),
  raterPort: integer('MILLRACE_RATER_PORT', 0, 0, 65535, 'Port of the rater for health and metrics; 0 takes a free one.'),
  invoicerPort: integer('MILLRACE_INVOICER_PORT', 0, 0, 65535, 'Port of the invoicer for health and metrics; 0 takes a free one.'),
  home: { variable: 'MILLRACE_HOME', kind: 'text', fallback: '.millrace', about: 'Where the servers started here keep their data.' },
  bootstrapKey: {
    variable: 'MILLRACE_BOOTSTRAP_KEY',
    kind: 'secret',
    fallback: '',
    about: 'API key with all scopes that exists from the first start on; without it one is made and kept in the home folder.',
  },
  keyPepper: {
    variable: 'MILLRACE_KEY_PEPPER',
    kind: 'secret',
    fallback: undefined,
    about: 'Secret under which API keys are hashed (32 characters or more). `npm start` makes one in the home folder.',
  },
  natsUrl: {
    variable: 'NATS_URL',
    kind: 'url',
    fallback: undefined,
    about: 'NATS with JetStream. Given to `npm start`, no NATS is started.',
  },
  clickhouseUrl: {
    variable: 'CLICKHOUSE_URL',
    kind: 'url',
    fallback: undefined,
    about: 'ClickHouse over HTTP, the path naming the database. Given to `npm start`, none is started.',
  },
  redisUrl: { variable: 'REDIS_URL', kind: 'url', fallback: undefined, about: 'Redis. Given to `npm start`, none is started.' },
  databaseUrl: {
    variable: 'DATABASE_URL',
    kind: 'url',
    fallback: undefined,
    about:
      'PostgreSQL, as the owner of the schema who may create roles; the services work under the narrower role `millrace_app`. Given to `npm start`, none is started.',
  },
  logLevel: {
    variable: 'MILLRACE_LOG_LEVEL',
    kind: 'choice',
    fallback: 'info',
    choices: ['debug', 'info', 'warn', 'error', 'silent'],
    about: 'Least level that is logged.',
  },
  eventsPerRequestMax: integer('MILLRACE_EVENTS_PER_REQUEST_MAX', 10_000, 1, 100_000, 'Events in one request.'),
  bodyBytesMax: integer('MILLRACE_BODY_BYTES_MAX', 5_242_880, 1024, 104_857_600, 'Bytes in one request body (413 above it).'),
  inFlightBytesMax: integer(
    'MILLRACE_IN_FLIGHT_BYTES_MAX',
    268_435_456,
    1_048_576,
    8_589_934_592,
    'Bytes of request bodies that a gateway works on at a time (503 above it).',
  ),
  messageBytesMax: integer('MILLRACE_MESSAGE_BYTES_MAX', 524_288, 16_384, 1_000_000, 'Bytes in one stream message of packed events.'),
  pastDaysMax: integer('MILLRACE_PAST_DAYS_MAX', 35, 1, 400, 'How many days back an event may have occurred (`too_old` beyond it).'),
  futureMinutesMax: integer(
    'MILLRACE_FUTURE_MINUTES_MAX',
    5,
    0,
    1440,
    'How many minutes ahead an event may occur (`in_future` beyond it).',
  ),
  claimLeaseSeconds: integer(
    'MILLRACE_CLAIM_LEASE_SECONDS',
    15,
    5,
    300,
    'How long a claim that was not confirmed blocks its idempotency key.',
  ),
  claimWindowHours: integer(
    'MILLRACE_CLAIM_WINDOW_HOURS',
    24,
    1,
    840,
    'How long Redis remembers an idempotency key, at least, from the arrival of its event.',
  ),
  claimTimeoutMs: integer(
    'MILLRACE_CLAIM_TIMEOUT_MS',
    1000,
    10,
    60_000,
    'How long a gateway waits for Redis before it goes on without claims.',
  ),
  publishTimeoutMs: integer(
    'MILLRACE_PUBLISH_TIMEOUT_MS',
    2000,
    100,
    60_000,
    'How long one try waits for the acknowledgement of JetStream.',
  ),
  publishAttemptsMax: integer('MILLRACE_PUBLISH_ATTEMPTS_MAX', 3, 1, 10, 'Tries to publish one message, all under the same message id.'),
  streamName: { variable: 'MILLRACE_STREAM', kind: 'text', fallback: 'USAGE', about: 'Name of the JetStream stream of accepted events.' },
  streamHoursMax: integer('MILLRACE_STREAM_HOURS_MAX', 168, 72, 8760, 'How long the stream keeps events for replay.'),
  streamBytesMax: integer(
    'MILLRACE_STREAM_BYTES_MAX',
    8_589_934_592,
    1_048_576,
    1_099_511_627_776 * 64,
    'Bytes that the stream may hold; a full stream refuses new events (503).',
  ),
  streamReplicas: integer('MILLRACE_STREAM_REPLICAS', 1, 1, 5, 'Copies of the stream in a NATS cluster.'),
  sinkRowsMax: integer('MILLRACE_SINK_ROWS_MAX', 100_000, 1, 1_000_000, 'Rows in one insert into ClickHouse.'),
  sinkBytesMax: integer('MILLRACE_SINK_BYTES_MAX', 33_554_432, 1_048_576, 1_073_741_824, 'Bytes in one insert into ClickHouse.'),
  sinkAgeMsMax: integer('MILLRACE_SINK_AGE_MS_MAX', 500, 10, 60_000, 'How long the oldest event of an insert waits for more.'),
  raterWorkers: integer('MILLRACE_RATER_WORKERS', 2, 1, 64, 'Worker threads of a rater.'),
  raterShardSize: integer('MILLRACE_RATER_SHARD_SIZE', 250, 1, 10_000, 'Subscriptions that are rated and invoiced together.'),
  jobLeaseSeconds: integer(
    'MILLRACE_JOB_LEASE_SECONDS',
    60,
    5,
    3600,
    'How long a shard of a billing run is held by a process that may have died.',
  ),
  jobPollMs: integer('MILLRACE_JOB_POLL_MS', 200, 10, 60_000, 'How often rater and invoicer look for work.'),
  databasePoolMax: integer('MILLRACE_DATABASE_POOL_MAX', 8, 1, 100, 'PostgreSQL connections of one process.'),
  shutdownMsMax: integer('MILLRACE_SHUTDOWN_MS_MAX', 15_000, 100, 600_000, 'How long a process may take to drain when it is stopped.'),
} as const satisfies Record<string, Setting>;

type Settings = typeof settings;
type IntegerNames = { [K in keyof Settings]: Settings[K]['kind'] extends 'integer' ? K : never }[keyof Settings];
export type Config = { readonly [K in keyof Settings]: K extends IntegerNames ? number : string };

export class ConfigError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

const textOf = (setting: Setting, environment: NodeJS.ProcessEnv): string | undefined => {
  const given = environment[setting.variable];
  if (given !== undefined && given !== '') return given;
  // As container platforms do it: VARIABLE_FILE names a file that holds the secret.
  const file = setting.kind === 'secret' ? environment[`${setting.variable}_FILE`] : undefined;
  // An empty file is no secret.
  return (file && readFileSync(file, 'utf8').trim()) || setting.fallback;
};

const faultOf = (setting: Setting, value: string): string | undefined => {
  if (setting.kind === 'integer') {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
    const whole = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
    return whole >= min && whole <= max ? undefined : `${setting.variable} must be a whole number from ${min} to ${max}, not "${value}"`;
  }
  if (setting.kind === 'url') return URL.canParse(value) ? undefined : `${setting.variable} must be a URL`;
  if (setting.kind === 'choice' && !setting.choices?.includes(value)) {
    return `${setting.variable} must be one of ${setting.choices?.join(', ')}, not "${value}"`;
  }
  return undefined;
};

/** Relations between settings, each with the reason that makes it necessary. */
const relationFaults = (config: Config): string[] => {
  const faults: string[] = [];
  // Between two tries the gateway asks for 500 ms whether the server answers at all.
  const publishMs = config.publishTimeoutMs * config.publishAttemptsMax + 500 * (config.publishAttemptsMax - 1);
  if (publishMs >= config.claimLeaseSeconds * 1000) {
    // A second try of the client would otherwise win the claim while the first is still being published.
    faults.push(
      `MILLRACE_PUBLISH_TIMEOUT_MS x MILLRACE_PUBLISH_ATTEMPTS_MAX (${publishMs} ms with the pauses) must stay under MILLRACE_CLAIM_LEASE_SECONDS`,
    );
  }
  if (config.bodyBytesMax > config.inFlightBytesMax) {
    faults.push('MILLRACE_BODY_BYTES_MAX must not exceed MILLRACE_IN_FLIGHT_BYTES_MAX, or the largest body could never be admitted');
  }
  if (config.sinkBytesMax < config.messageBytesMax) {
    faults.push('MILLRACE_SINK_BYTES_MAX must not be under MILLRACE_MESSAGE_BYTES_MAX, or one message could never be inserted');
  }
  return faults;
};

/**
 * Reads the settings named in `wanted` from the environment; a setting that is not wanted takes its fallback, so that a process never
 * asks for a secret or an address that it does not use. Throws one `ConfigError` that lists every fault with its variable.
 */
export const loadConfig = (
  environment: NodeJS.ProcessEnv,
  wanted: readonly (keyof Settings)[] = Object.keys(settings) as (keyof Settings)[],
): Config => {
  const faults: string[] = [];
  const config: Record<string, string | number> = {};
  for (const [name, setting] of Object.entries(settings) as [keyof Settings, Setting][]) {
    let value: string | undefined;
    try {
      value = textOf(setting, environment);
    } catch (error) {
      faults.push(`${setting.variable}_FILE can't be read: ${(error as Error).message}`);
      continue;
    }
    if (value === undefined) {
      if (wanted.includes(name)) faults.push(`${setting.variable} is missing: ${setting.about}`);
      config[name] = '';
      continue;
    }
    const fault = faultOf(setting, value);
    if (fault) faults.push(fault);
    config[name] = setting.kind === 'integer' ? Number(value) : value;
  }
  if (wanted.includes('keyPepper') && typeof config.keyPepper === 'string' && config.keyPepper !== '' && config.keyPepper.length < 32) {
    faults.push('MILLRACE_KEY_PEPPER must have 32 characters or more');
  }
  if (typeof config.bootstrapKey === 'string' && config.bootstrapKey !== '' && !/^[\x21-\x7e]{8,200}$/.test(config.bootstrapKey)) {
    faults.push('MILLRACE_BOOTSTRAP_KEY must have 8 to 200 visible ASCII characters');
  }
  if (faults.length === 0) faults.push(...relationFaults(config as Config));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config as Config);
};
