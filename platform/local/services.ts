/** Ports of our services on this machine. */
import { type Config, ConfigError } from '../config/config.ts';
import { type ProcessName, processes, processNames } from '../config/processes.ts';
import { findFreePort, isPortFree } from './ports.ts';

/** Throws where two services were given one port, or another process has it. */
export const checkPorts = async (config: Config): Promise<void> => {
  const given = processNames
    .map((name) => ({ name, variable: processes[name].portVariable, port: config[processes[name].portSetting] }))
    .filter(({ port }) => port !== 0);
  const faults: string[] = [];
  for (const [index, { name, variable, port }] of given.entries()) {
    const twin = given.slice(0, index).find((other) => other.port === port);
    if (twin) faults.push(`${variable} and ${twin.variable} are both ${port}`);
    else if (!(await isPortFree(port, config.host)))
      faults.push(
        `${variable}: the ${name} can't listen on port ${port} of ${config.host}; another process may have it`,
      );
  }
  if (faults.length > 0) throw new ConfigError(faults);
};

/** The port of a service, chosen here where the service may have any: a restarted service then keeps its address. */
export const portEnvironment = async (name: ProcessName, config: Config): Promise<NodeJS.ProcessEnv> => {
  const { portSetting, portVariable } = processes[name];
  const port = config[portSetting];
  return { [portVariable]: String(port === 0 ? await findFreePort() : port) };
};
