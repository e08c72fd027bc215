/**
 * The home folder (`MILLRACE_HOME`): what lies where, and the lock that lets only one supervisor work in it.
 *
 *   <home>/clickhouse nats postgres redis   data, one folder per server
 *   <home>/log/<name>.log                   what each process printed
 *   <home>/run/<name>.json                  each running process (processes.ts); lock.db; stack.json (stack.ts)
 *   <home>/key-pepper bootstrap-key master-key database-password postgres.password   secrets, mode 0600
 */
import {
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What the code of this folder reports to; a logger of pino is one, and so is `console`. */
export type Log = { info(message: string): void; warn(message: string): void };

const logBytesMax = 10_485_760;

export const resolveHome = (home: string): string => resolve(process.cwd(), home);

/** Makes the folders that are not data. They hold secrets and other people's usage, so only their owner may look in. */
export const prepareHome = (home: string): void => {
  // The home itself stays passable: PostgreSQL, which refuses to run as root, must reach its own folder below it.
  mkdirSync(home, { recursive: true });
  for (const name of ['run', 'log']) {
    mkdirSync(join(home, name), { recursive: true });
    chmodSync(join(home, name), 0o700);
  }
};

export const dataFolder = (home: string, name: string): string => {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
};

/** Replaces a file in one step, so that a reader sees the old text or the new one and a crash leaves no half. */
export const writeFileWhole = (path: string, text: string, mode = 0o600): void => {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, text, { mode });
  renameSync(draft, path);
};

export const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/**
 * The secret kept in `path`, made by `make` on first use. Two processes that start at once end up with the same one.
 */
export const keptSecret = (path: string, make: () => string): string => {
  try {
    writeFileSync(path, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret === '') throw new Error(`${path} is empty: remove it to have a new secret made, or put the old one back`);
  return secret;
};

export const logPath = (home: string, name: string): string => join(home, 'log', `${name}.log`);

/** Opens a log for appending. A log over 10 MB becomes `<name>.log.1` first, replacing the one before. */
export const openLog = (home: string, name: string): { descriptor: number; offset: number } => {
  const path = logPath(home, name);
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > logBytesMax) renameSync(path, `${path}.1`);
  const descriptor = openSync(path, 'a', 0o600);
  return { descriptor, offset: fstatSync(descriptor).size };
};

/** The last lines that were logged after `offset`, at most 4 KB of them: for the message of an error. */
export const logTail = (home: string, name: string, offset: number, linesMax = 20): string => {
  const path = logPath(home, name);
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return `(no log at ${path})`;
  }
  try {
    const { size } = fstatSync(descriptor);
    const start = Math.max(offset, size - 4096);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    readSync(descriptor, bytes, 0, bytes.length, start);
    const text = bytes.toString('utf8').trim().split('\n').slice(-linesMax).join('\n');
    return text === '' ? `(nothing was logged to ${path})` : `--- ${path}\n${text}\n---`;
  } finally {
    closeSync(descriptor);
  }
};

export class HomeInUseError extends Error {}

export type HomeLock = { release(): void };

/**
 * Takes the home for this process, or throws `HomeInUseError`. The lock is SQLite's exclusive lock on a file: the
 * operating system holds it, so it ends with the process however that dies, and no stale lock has to be told from a
 * live one by pids, which are reused.
 */
export const lockHome = (home: string): HomeLock => {
  prepareHome(home);
  const holderPath = join(home, 'run', 'supervisor.json');
  const database = new DatabaseSync(join(home, 'run', 'lock.db'));
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!/database is locked/.test((error as Error).message)) throw error;
    const holder = readIfThere(holderPath);
    throw new HomeInUseError(
      `Millrace is already running in ${home}${holder ? ` (process ${(JSON.parse(holder) as { pid: number }).pid})` : ''}. ` +
        'Stop it first, or set MILLRACE_HOME to another folder (and MILLRACE_API_PORT, MILLRACE_INGEST_PORT) to run a second one beside it.',
    );
  }
  writeFileWhole(holderPath, JSON.stringify({ pid: process.pid }));
  return {
    release: () => {
      if (!database.isOpen) return;
      rmSync(holderPath, { force: true });
      database.close();
    },
  };
};
