/**
 * Configuration: one table of settings, read once from the environment in each `main.ts`, frozen, and passed on in
 * narrow slices. The table is also the source of docs/configuration.md and of the check of docker-compose.yml.
 */
import { BlockList, isIP } from 'node:net';
import { unescape as decoded } from 'node:querystring';
import { publishablePrefix } from '#schemas/api-key.ts';
import { organizationTiers } from '#schemas/rate-tiers.ts';
import { portSettings, processLogins } from '../config/processes.ts';
import { failPointFault } from '../process/fail-point.ts';
import { tlsFaults } from '../process/tls.ts';
import { masterKeyFrom } from '../secrets/encryption.ts';
import { invoicingSettings } from './invoicing-settings.ts';
import { localSettings } from './local-settings.ts';
import { faultOf, readValue, type Setting, textOf, type Value } from './setting.ts';

const integer = (variable: string, fallback: number, min: number, max: number, about: string) =>
  ({ variable, kind: 'integer', fallback: String(fallback), min, max, about }) as const;

/** Every setting there is. Names of the slices below are the ones that the code uses; unit and bound stand last. */
export const settings = {
  host: {
    variable: 'MILLRACE_HOST',
    kind: 'text',
    fallback: '127.0.0.1',
    about: 'Address that the HTTP servers listen on.',
  },
  tlsCertFile: {
    variable: 'MILLRACE_TLS_CERT_FILE',
    kind: 'text',
    fallback: '',
    about:
      'PEM file with the certificate of the HTTP servers, then those of its issuers; with it they speak HTTPS (TLS 1.2 or newer) only.',
  },
  tlsKeyFile: {
    variable: 'MILLRACE_TLS_KEY_FILE',
    kind: 'text',
    fallback: '',
    about: 'PEM file with the private key of the certificate.',
  },
  tlsClientCaFile: {
    variable: 'MILLRACE_TLS_CLIENT_CA_FILE',
    kind: 'text',
    fallback: '',
    about:
      'PEM file with the CA of the clients; with it every client must show a certificate of that CA, also to ask for health and metrics.',
  },
  tlsReloadSeconds: integer(
    'MILLRACE_TLS_RELOAD_SECONDS',
    60,
    1,
    86_400,
    'How often the TLS files are read again, for a renewed certificate.',
  ),
  tlsTerminatedByProxy: {
    variable: 'MILLRACE_TLS_TERMINATED_BY_PROXY',
    kind: 'boolean',
    fallback: 'false',
    about:
      'Says that a proxy does TLS in front of the HTTP servers; without it they speak plain HTTP on a loopback address only.',
  },
  corsOrigins: {
    variable: 'MILLRACE_CORS_ORIGINS',
    kind: 'origins',
    fallback: '',
    about:
      'Web pages of these origins may read answers of the API (CORS), with publishable keys: `https://shop.example.com,http://localhost:3000`; without them no page may.',
  },
  requestTimeoutMs: integer(
    'MILLRACE_REQUEST_TIMEOUT_MS',
    60_000,
    1000,
    600_000,
    'How long a request may take to arrive, from its first byte to its last (408 beyond it).',
  ),
  connectionsMax: integer(
    'MILLRACE_CONNECTIONS_MAX',
    10_000,
    10,
    1_000_000,
    'Connections to one HTTP server (per worker of a gateway); more are closed at once.',
  ),
  ...portSettings,
  ingestWorkers: integer(
    'MILLRACE_INGEST_WORKERS',
    1,
    1,
    64,
    'Processes of one gateway that share its port; more than 1 needs Linux or FreeBSD. Each has its own connections to the stores, and bounds of its own where they are per worker.',
  ),
  ...localSettings,
  bootstrapKey: {
    variable: 'MILLRACE_BOOTSTRAP_KEY',
    kind: 'secret',
    fallback: '',
    about:
      'API key with all scopes that exists from the first start on; without it one is made and kept in the home folder.',
  },
  keyPepper: {
    variable: 'MILLRACE_KEY_PEPPER',
    kind: 'secret',
    fallback: undefined,
    about: 'Secret under which API keys are hashed (32 characters or more). `npm start` makes one in the home folder.',
  },
  masterKey: {
    variable: 'MILLRACE_MASTER_KEY',
    kind: 'secret',
    fallback: undefined,
    about:
      'Master key that wraps the data keys of the organizations: 32 bytes in base64. Without it no secret and no personal field can be read. `npm start` makes one in the home folder.',
  },
  previousMasterKey: {
    variable: 'MILLRACE_PREVIOUS_MASTER_KEY',
    kind: 'secret',
    fallback: '',
    about: 'The master key before, while data keys are still wrapped by it: until `npm run rotate-keys` is done.',
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
  redisUrl: {
    variable: 'REDIS_URL',
    kind: 'url',
    fallback: undefined,
    about: 'Redis. Given to `npm start`, none is started.',
  },
  databaseUrl: {
    variable: 'DATABASE_URL',
    kind: 'url',
    fallback: undefined,
    about: `PostgreSQL. For \`npm start\`, \`migrate\` and commands the owner of the schema, who may create roles; for a process its own login: ${processLogins}. Given to \`npm start\`, none is started.`,
  },
  organizationTier: {
    variable: 'MILLRACE_ORGANIZATION_TIER',
    kind: 'choice',
    fallback: 'scale',
    choices: [...organizationTiers],
    about: 'Tier of the organization that the first start makes: its rate limits and quotas.',
  },
  databasePassword: {
    variable: 'MILLRACE_DATABASE_PASSWORD',
    kind: 'secret',
    fallback: '',
    about: 'Password that a migration gives the logins of the services. `npm start` makes one in the home folder.',
  },
  logLevel: {
    variable: 'MILLRACE_LOG_LEVEL',
    kind: 'choice',
    fallback: 'info',
    choices: ['debug', 'info', 'warn', 'error', 'silent'],
    about: 'Least level that is logged.',
  },
  otelTracesUrl: {
    variable: 'MILLRACE_OTEL_TRACES_URL',
    kind: 'url',
    fallback: '',
    about:
      'Where OpenTelemetry traces are sent, as OTLP over HTTP with its path (`http://collector:4318/v1/traces`); without it there are none.',
  },
  eventsPerRequestMax: integer('MILLRACE_EVENTS_PER_REQUEST_MAX', 10_000, 1, 100_000, 'Events in one request.'),
  bodyBytesMax: integer(
    'MILLRACE_BODY_BYTES_MAX',
    5_242_880,
    1024,
    104_857_600,
    'Bytes in one request body (413 above it).',
  ),
  inFlightBytesMax: integer(
    'MILLRACE_IN_FLIGHT_BYTES_MAX',
    268_435_456,
    1_048_576,
    8_589_934_592,
    'Bytes of request bodies that a gateway (each of its workers) works on at a time (503 above it).',
  ),
  messageBytesMax: integer(
    'MILLRACE_MESSAGE_BYTES_MAX',
    524_288,
    16_384,
    1_000_000,
    'Bytes in one stream message of packed events.',
  ),
  pastDaysMax: integer(
    'MILLRACE_PAST_DAYS_MAX',
    35,
    1,
    400,
    'How many days back an event may have occurred (`too_old` beyond it).',
  ),
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
    'How long Redis remembers an idempotency key, at least, from the arrival of its event, if its bytes suffice.',
  ),
  claimBytesMax: integer('MILLRACE_CLAIM_BYTES_MAX', 2 ** 32, 2 ** 26, 2 ** 40, 'Bytes for keys; below its maxmemory.'),
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
  publishAttemptsMax: integer(
    'MILLRACE_PUBLISH_ATTEMPTS_MAX',
    3,
    1,
    10,
    'Tries to publish one message, all under the same message id.',
  ),
  streamName: {
    variable: 'MILLRACE_STREAM',
    kind: 'text',
    fallback: 'USAGE',
    about: 'Name of the JetStream stream of accepted events.',
  },
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
  sinkBytesMax: integer(
    'MILLRACE_SINK_BYTES_MAX',
    33_554_432,
    1_048_576,
    1_073_741_824,
    'Bytes in one insert into ClickHouse.',
  ),
  sinkInsertsMax: integer(
    'MILLRACE_SINK_INSERTS_MAX',
    2,
    1,
    16,
    'Inserts of one sink that are under way at a time; ClickHouse parses each on one core.',
  ),
  sinkAgeMsMax: integer(
    'MILLRACE_SINK_AGE_MS_MAX',
    500,
    10,
    60_000,
    'How long the oldest event of an insert waits for more at most, and half of that at least.',
  ),
  identityWindowDays: integer(
    'MILLRACE_IDENTITY_WINDOW_DAYS',
    35,
    1,
    400,
    'For how many days of receipt an idempotency key is billed once, whatever becomes of Redis.',
  ),
  streamDoubtSeconds: integer('MILLRACE_STREAM_DOUBT_SECONDS', 60, 0, 600, 'How old an insert of the sink may get.'),
  raterWorkers: integer('MILLRACE_RATER_WORKERS', 2, 1, 64, 'Worker threads of a rater.'),
  raterShardSize: integer(
    'MILLRACE_RATER_SHARD_SIZE',
    500,
    1,
    10_000,
    'Subscriptions that are rated and invoiced together.',
  ),
  totalsLookSeconds: integer('MILLRACE_TOTALS_LOOK_SECONDS', 10, 1, 3_600, 'How often a rater looks for due totals.'),
  totalsQuietSeconds: integer(
    'MILLRACE_TOTALS_QUIET_SECONDS',
    30,
    0,
    86_400,
    'How long a day of a customer that is over rests before its totals are made; one that runs twenty times as long.',
  ),
  ratingTimeoutSeconds: integer(
    'MILLRACE_RATING_TIMEOUT_SECONDS',
    300,
    1,
    3600,
    'How long a worker of a rater may rate one shard; then it is ended, and the shard is tried again.',
  ),
  ratingMemoryMb: integer(
    'MILLRACE_RATING_MEMORY_MB',
    1024,
    64,
    65_536,
    'Memory in MB that a worker of a rater may fill with objects; one that needs more ends, and the shard is tried again.',
  ),
  invoicerLanes: integer(
    'MILLRACE_INVOICER_LANES',
    4,
    1,
    64,
    'For how many organizations an invoicer issues invoices at a time.',
  ),
  ...invoicingSettings,
  closingSubscriptionsMax: integer(
    'MILLRACE_CLOSING_SUBSCRIPTIONS_MAX',
    10_000,
    1,
    1_000_000,
    'Subscriptions that one step of a billing run of the scheduler cuts; their rows are locked together while their time is cut.',
  ),
  jobLeaseSeconds: integer(
    'MILLRACE_JOB_LEASE_SECONDS',
    60,
    5,
    3600,
    'How long a shard of a billing run, or a migration of a plan, is held by a process that may have died.',
  ),
  jobPollMs: integer(
    'MILLRACE_JOB_POLL_MS',
    5_000,
    10,
    60_000,
    'How often rater, invoicer and API look for work that no notice woke them for: a notice that was missed, the lease of one that died.',
  ),
  databasePoolMax: integer(
    'MILLRACE_DATABASE_POOL_MAX',
    12,
    1,
    100,
    'PostgreSQL connections of one process (per worker of a gateway).',
  ),
  shutdownMsMax: integer(
    'MILLRACE_SHUTDOWN_MS_MAX',
    15_000,
    100,
    600_000,
    'How long a process may take to drain when it is stopped.',
  ),
  failPoint: {
    variable: 'MILLRACE_FAIL_POINT',
    kind: 'text',
    fallback: '',
    about:
      'For crash tests only: `<name>:<passes>`, the place at which a process ends itself by SIGKILL, at that pass of it.',
  },
} as const satisfies Record<string, Setting>;

type Settings = typeof settings;
type Values = { readonly integer: number; readonly boolean: boolean; readonly origins: readonly string[] };
type ValueOf<Kind> = Kind extends keyof Values ? Values[Kind] : string;
export type Config = { readonly [K in keyof Settings]: ValueOf<Settings[K]['kind']> };

export class ConfigError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Only what can't be reached from elsewhere for certain: any other name may mean any address, and 0.0.0.0 and :: mean
 * all of them.
 */
const isLoopback = (host: string): boolean => {
  const version = isIP(host);
  return version === 0 ? host.toLowerCase() === 'localhost' : loopback.check(host, version === 4 ? 'ipv4' : 'ipv6');
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
    faults.push(
      'MILLRACE_BODY_BYTES_MAX must not exceed MILLRACE_IN_FLIGHT_BYTES_MAX, or the largest body could never be admitted',
    );
  }
  if (config.sinkBytesMax < config.messageBytesMax) {
    faults.push(
      'MILLRACE_SINK_BYTES_MAX must not be under MILLRACE_MESSAGE_BYTES_MAX, or one message could never be inserted',
    );
  }
  faults.push(
    ...tlsFaults({ certFile: config.tlsCertFile, keyFile: config.tlsKeyFile, clientCaFile: config.tlsClientCaFile }),
  );
  if (!isLoopback(config.host) && config.tlsCertFile === '' && !config.tlsTerminatedByProxy) {
    // API keys and the usage of customers would cross a network in clear.
    faults.push(
      `MILLRACE_HOST ${config.host} is not a loopback address: give MILLRACE_TLS_CERT_FILE and MILLRACE_TLS_KEY_FILE, or say MILLRACE_TLS_TERMINATED_BY_PROXY=true where a proxy does TLS`,
    );
  }
  return faults;
};

/**
 * Reads the settings named in `wanted` from the environment; a setting that is not wanted takes its fallback, so that a
 * process never asks for a secret or an address that it does not use. Throws one `ConfigError` that lists every fault
 * with its variable.
 */
export const loadConfig = (
  environment: NodeJS.ProcessEnv,
  wanted: readonly (keyof Settings)[] = Object.keys(settings) as (keyof Settings)[],
): Config => {
  const faults: string[] = [];
  const config: Record<string, Value> = {};
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
    config[name] = readValue(setting, value);
  }
  if (
    wanted.includes('keyPepper') &&
    typeof config.keyPepper === 'string' &&
    config.keyPepper !== '' &&
    config.keyPepper.length < 32
  ) {
    faults.push('MILLRACE_KEY_PEPPER must have 32 characters or more');
  }
  if (
    typeof config.bootstrapKey === 'string' &&
    config.bootstrapKey !== '' &&
    !/^[\x21-\x7e]{8,200}$/.test(config.bootstrapKey)
  ) {
    faults.push('MILLRACE_BOOTSTRAP_KEY must have 8 to 200 visible ASCII characters');
  }
  if (String(config.bootstrapKey).startsWith(publishablePrefix)) {
    faults.push(
      `MILLRACE_BOOTSTRAP_KEY must not begin with ${publishablePrefix}, as a key that anyone may see does: it may do everything`,
    );
  }
  for (const name of ['masterKey', 'previousMasterKey'] as const) {
    const given = config[name];
    if (typeof given === 'string' && given !== '' && !masterKeyFrom(given)) {
      faults.push(`${settings[name].variable} must be 32 bytes in base64, as \`openssl rand -base64 32\` makes them`);
    }
  }
  const aimless = failPointFault(String(config.failPoint));
  if (aimless) faults.push(aimless);
  if (faults.length === 0) faults.push(...relationFaults(config as Config));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config as Config);
};

/**
 * What of a configuration must never be logged: its secrets, and the passwords in its URLs, as they stand there and in
 * clear.
 */
export const secretsOf = (config: Config): string[] =>
  (Object.entries(settings) as [keyof Settings, Setting][]).flatMap(([name, { kind }]) => {
    const value = String(config[name]);
    if (kind === 'secret') return [value];
    if (kind !== 'url' || !URL.canParse(value)) return [];
    const { password } = new URL(value);
    return [password, decoded(password)];
  });
