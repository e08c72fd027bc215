import { type Config, ConfigError } from '../config/config.ts';
import { findFreePort, isPortFree } from './ports.ts';

/** Our services, in groups that are stopped one after the other: what takes work in goes before what works it off. */
export const serviceGroups = [
  [
    {
      name: 'gateway',
      file: 'ingest/gateway/gateway.main.ts',
      portVariable: 'MILLRACE_INGEST_PORT',
      port: 'ingestPort',
      login: 'millrace_gateway',
    },
    { name: 'api', file: 'api/api.main.ts', portVariable: 'MILLRACE_API_PORT', port: 'apiPort', login: 'millrace_app' },
  ],
  [
    {
      name: 'sink',
      file: 'ingest/sink/sink.main.ts',
      portVariable: 'MILLRACE_SINK_PORT',
      port: 'sinkPort',
      login: undefined,
    },
    {
      name: 'checker',
      file: 'ingest/identity/checker.main.ts',
      portVariable: 'MILLRACE_CHECKER_PORT',
      port: 'checkerPort',
      login: 'millrace_worker',
    },
    {
      name: 'rater',
      file: 'rater/rater.main.ts',
      portVariable: 'MILLRACE_RATER_PORT',
      port: 'raterPort',
      login: 'millrace_worker',
    },
    {
      name: 'invoicer',
      file: 'invoicer/invoicer.main.ts',
      portVariable: 'MILLRACE_INVOICER_PORT',
      port: 'invoicerPort',
      login: 'millrace_worker',
    },
  ],
] as const;

export type ServiceKind = (typeof serviceGroups)[number][number];

/** Throws where two services were given one port, or another process has it. */
export const checkPorts = async (config: Config): Promise<void> => {
  const kinds = serviceGroups.flat().filter(({ port }) => config[port] !== 0);
  const faults: string[] = [];
  for (const [index, { name, port, portVariable }] of kinds.entries()) {
    const twin = kinds.slice(0, index).find((other) => config[other.port] === config[port]);
    if (twin) faults.push(`${portVariable} and ${twin.portVariable} are both ${config[port]}`);
    else if (!(await isPortFree(config[port], config.host)))
      faults.push(
        `${portVariable}: the ${name} can't listen on port ${config[port]} of ${config.host}; another process may have it`,
      );
  }
  if (faults.length > 0) throw new ConfigError(faults);
};

/** The port of a service, chosen here where the service may have any: a restarted service then keeps its address. */
export const portEnvironment = async (
  { port, portVariable }: ServiceKind,
  config: Config,
): Promise<NodeJS.ProcessEnv> => ({
  [portVariable]: String(config[port] === 0 ? await findFreePort() : config[port]),
});
