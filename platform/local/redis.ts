import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { dataFolder, type Log } from './home.ts';
import {
  fetchWithApt,
  findOnPath,
  libraryEnvironment,
  linkAs,
  type Program,
  programsFolder,
  tryProgram,
} from './programs.ts';
import { type LocalServer, type ServerOptions, startServer } from './server.ts';
import { isAtLeast, versions, versionText } from './versions.ts';

const unpackedFolder = join(programsFolder, 'redis-package');

/**
 * Debian's package redis-server is only the system service: the program is in redis-tools, as `redis-check-rdb`, which
 * is a server when it is called `redis-server`.
 */
const unpackedProgram = async (): Promise<Program | undefined> => {
  const checker = join(unpackedFolder, 'usr/bin/redis-check-rdb');
  if (!existsSync(checker)) return undefined;
  const server = linkAs(checker, 'redis-server');
  return tryProgram(server, '--version', 'the package redis-tools of this system', libraryEnvironment(unpackedFolder));
};

const findRedis = async (log: Log, signal?: AbortSignal): Promise<Program> => {
  const onPath = findOnPath('redis-server');
  const found = onPath ? await tryProgram(onPath, '--version', 'the PATH') : undefined;
  if (found) return found;
  const packaged = await fetchWithApt('redis-tools', { target: unpackedFolder, probe: unpackedProgram, log, signal });
  if ('program' in packaged) return packaged.program;
  throw new Error(
    `There is no redis-server, and it could not be fetched (${packaged.fault}). ` +
      'Install it by one of these, or set REDIS_URL:\n' +
      '  apt-get install redis-server    (as root; Debian and Ubuntu)\n' +
      '  dnf install redis               (as root; Fedora and its kin)\n' +
      '  brew install redis',
  );
};

/**
 * Redis on loopback, with an append-only file: a crash of the process loses nothing, a power cut about a second of hot
 * state.
 */
export const startRedis = async (options: ServerOptions): Promise<LocalServer> => {
  const { home, log } = options;
  const program = await findRedis(log, options.signal);
  if (!isAtLeast(program.version, versions.redis.least)) {
    log.warn(
      `redis: ${versionText(program.version)} is older than ${versionText(versions.redis.least)}; claims take several times the memory`,
    );
  }
  const folder = dataFolder(home, 'redis');
  return startServer({
    ...options,
    name: 'redis',
    product: 'Redis',
    source: program.source,
    stopSignal: 'SIGTERM',
    url: (port) => `redis://127.0.0.1:${port}`,
    launch: async (port) => ({
      command: program.path,
      // No configuration file: the one of the system does not speak for a server of ours.
      arguments: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--protected-mode', 'yes', '--daemonize', 'no'],
        ...['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''],
        // Its file is written anew when it doubled, yet not while it is small: each time Redis forks, and every page
        // that is claimed in is copied.
        ...['--auto-aof-rewrite-min-size', '1gb'],
        // The claims of an installation that stood still are one hash of millions of fields.
        ...['--lazyfree-lazy-expire', 'yes'],
        // Nothing is evicted: a claim that vanished early would let a twin through to the store.
        ...['--maxmemory-policy', 'noeviction', '--databases', '16', '--logfile', ''],
      ],
      environment: { ...process.env, ...program.environment },
    }),
    ask: async (port, pid, signal) => {
      const text = await askOver(port, 'PING\r\nINFO server\r\n', /redis_version:.*process_id:\d+/s, signal);
      if (!text.startsWith('+PONG')) throw new Error(text.split('\r\n')[0]);
      const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? '';
      if (field('process_id') !== String(pid))
        throw new Error(`port ${port} is answered by another Redis, process ${field('process_id')}`);
      return field('redis_version');
    },
  });
};

/**
 * Sends inline commands (Redis protocol) and resolves with all that was answered once it holds `complete`, or an error
 * reply came.
 */
const askOver = (port: number, commands: string, complete: RegExp, signal: AbortSignal): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal }, () => socket.write(commands));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.startsWith('-') && !complete.test(text)) return;
      socket.destroy();
      resolve(text);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed without an answer')));
  });
