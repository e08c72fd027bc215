/**
 * Every process that runs all the time, one row each. A new process is a row here and its main file: its setting, its
 * place in the local stack and its connections (`run-worker.ts`) follow from the row; docker-compose.yml, the alerts
 * and the tables of the READMEs are held against the rows by tests, which print what to write. Pure.
 */
import type { Setting } from './setting.ts';

export type ProcessRow = {
  /** From the root of the repository. */
  readonly file: string;
  readonly about: string;
  /** What its port is called in the environment, and in the configuration. */
  readonly portVariable: `MILLRACE_${string}_PORT`;
  readonly portSetting: `${string}Port`;
  /** In a container. On a laptop a port that is asked for by others is the same, and any other one is a free one. */
  readonly port: number;
  /** Whether it serves callers: then its port is published, and it comes before all workers when a stack stops. */
  readonly serves: boolean;
  /** The servers that it is connected to. */
  readonly needs: readonly ('nats' | 'clickhouse' | 'redis' | 'postgres')[];
  /** Undefined where it has nothing to ask of PostgreSQL. */
  readonly login: 'millrace_app' | 'millrace_worker' | 'millrace_gateway' | undefined;
  /**
   * What several of them do: share the work, or all do all of it, which is harmless and makes the loss of one short.
   */
  readonly several: 'share' | 'repeat';
};

export const processes = {
  gateway: {
    file: 'ingest/gateway/gateway.main.ts',
    about: 'Takes events over HTTP and publishes them to the stream.',
    portVariable: 'MILLRACE_INGEST_PORT',
    portSetting: 'ingestPort',
    port: 8081,
    serves: true,
    needs: ['nats', 'redis', 'postgres'],
    login: 'millrace_gateway',
    several: 'share',
  },
  api: {
    file: 'api/api.main.ts',
    about: 'Answers the billing REST API.',
    portVariable: 'MILLRACE_API_PORT',
    portSetting: 'apiPort',
    port: 8080,
    serves: true,
    needs: ['nats', 'clickhouse', 'redis', 'postgres'],
    login: 'millrace_app',
    several: 'share',
  },
  sink: {
    file: 'ingest/sink/sink.main.ts',
    about: 'Brings the stream into the store.',
    portVariable: 'MILLRACE_SINK_PORT',
    portSetting: 'sinkPort',
    port: 8082,
    serves: false,
    needs: ['nats', 'clickhouse'],
    login: undefined,
    several: 'share',
  },
  checker: {
    file: 'ingest/identity/checker.main.ts',
    about: 'Makes stored twins void, and says up to where usage may be read.',
    portVariable: 'MILLRACE_CHECKER_PORT',
    portSetting: 'checkerPort',
    port: 8085,
    serves: false,
    needs: ['nats', 'clickhouse', 'postgres'],
    login: 'millrace_worker',
    several: 'repeat',
  },
  relay: {
    file: 'ingest/amendments/relay.main.ts',
    about: 'Brings amendments that are committed into the stream.',
    portVariable: 'MILLRACE_RELAY_PORT',
    portSetting: 'relayPort',
    port: 8086,
    serves: false,
    needs: ['nats', 'clickhouse', 'postgres'],
    login: 'millrace_app',
    several: 'share',
  },
  rater: {
    file: 'rater/rater.main.ts',
    about: 'Makes rated lines of the usage of a billing run.',
    portVariable: 'MILLRACE_RATER_PORT',
    portSetting: 'raterPort',
    port: 8083,
    serves: false,
    needs: ['nats', 'clickhouse', 'postgres'],
    login: 'millrace_worker',
    several: 'share',
  },
  invoicer: {
    file: 'invoicer/invoicer.main.ts',
    about: 'Issues the invoices of rated lines.',
    portVariable: 'MILLRACE_INVOICER_PORT',
    portSetting: 'invoicerPort',
    port: 8084,
    serves: false,
    needs: ['postgres'],
    login: 'millrace_worker',
    several: 'share',
  },
} as const satisfies Record<string, ProcessRow>;

type Processes = typeof processes;
export type ProcessName = keyof Processes;
export type Needs<Name extends ProcessName> = Processes[Name]['needs'][number];

export const processNames = Object.keys(processes) as readonly ProcessName[];

/** In groups that are stopped one after the other: what takes work in goes before what works it off. */
export const stopGroups: readonly (readonly ProcessName[])[] = [true, false].map((serves) =>
  processNames.filter((name) => processes[name].serves === serves),
);

export const urlSettings = {
  nats: 'natsUrl',
  clickhouse: 'clickhouseUrl',
  redis: 'redisUrl',
  postgres: 'databaseUrl',
} as const;

type PortSetting = Setting & { readonly kind: 'integer' };
type PortSettings = { readonly [Name in ProcessName as Processes[Name]['portSetting']]: PortSetting };

/** The settings of all ports, by their names in the configuration. */
export const portSettings = Object.fromEntries(
  Object.entries(processes).map(([name, { portVariable, portSetting, port, serves }]): [string, PortSetting] => [
    portSetting,
    {
      variable: portVariable,
      kind: 'integer',
      fallback: String(serves ? port : 0),
      min: 0,
      max: 65535,
      about: `Port of the ${name}${serves ? '' : ', for health and metrics'}; 0 takes a free one.`,
    },
  ]),
) as PortSettings;

/** Who logs in as whom, for the reader of a setting. */
export const processLogins = Object.entries(
  Object.groupBy(
    processNames.filter((name) => processes[name].login !== undefined),
    (name) => processes[name].login ?? '',
  ),
)
  .map(([login, names = []]) => `\`${login}\` (${names.join(', ')})`)
  .join(', ');
