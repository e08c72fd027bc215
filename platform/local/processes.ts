/**
 * Child processes that can be found again. Each is recorded in `<home>/run/<name>.json` with its pid and the moment it
 * started as the kernel tells it, so that the next start can end what a killed supervisor left behind, and never a
 * stranger that was given the same pid.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Log, openLog, readIfThere, writeFileWhole } from './home.ts';

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type Child = {
  readonly name: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Size of the log before this child wrote to it. */
  readonly logOffset: number;
  readonly exited: Promise<Exit>;
};

export type ChildOptions = {
  readonly home: string;
  readonly name: string;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly workingFolder?: string;
  /** An IPC channel: the child reports over it, and learns from its end that the supervisor is gone. */
  readonly channel?: boolean;
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** What ends it in good order; kept in the record for whoever has to end a left-over. */
  readonly stopSignal: NodeJS.Signals;
};

type Identity = { readonly pid: number; readonly started: string };
type ProcessRecord = Identity & { readonly stopSignal: NodeJS.Signals; readonly supervisor: Identity };

const recordPath = (home: string, name: string) => join(home, 'run', `${name}.json`);

/**
 * When the process `pid` started, in a form that is only good for comparing; `undefined` where there is none or only
 * its remains.
 */
export const startOf = (pid: number): string | undefined => {
  if (process.platform === 'linux') {
    try {
      // The name of the program, in parentheses, may hold anything; the fields are counted from behind it
      // (proc_pid_stat(5)).
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\)\s/s, '')
        .split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  try {
    const [state = '', ...started] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : started.join(' ');
  } catch {
    return undefined;
  }
};

const identityOf = (pid: number): Identity => ({ pid, started: startOf(pid) ?? '' });
const isAlive = ({ pid, started }: Identity): boolean => startOf(pid) === started;

const signalQuietly = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

/** SIGKILL for a child of ours and for whatever it started in its group. */
const killGroup = (pid: number): void => {
  signalQuietly(-pid, 'SIGKILL');
  signalQuietly(pid, 'SIGKILL');
};

/**
 * Starts a child in a process group of its own (Ctrl-C in a terminal then reaches the supervisor alone, which ends
 * everything in order), with its output going to its log. Throws where the program can't be run at all.
 */
export const spawnChild = (options: ChildOptions): Promise<Child> => {
  const { descriptor, offset } = openLog(options.home, options.name);
  const child = spawn(options.command, options.arguments, {
    cwd: options.workingFolder ?? options.home,
    env: options.environment,
    detached: true,
    stdio: options.channel ? ['ignore', descriptor, descriptor, 'ipc'] : ['ignore', descriptor, descriptor],
    ...(options.user ?? {}),
  });
  closeSync(descriptor);
  return new Promise((resolve, reject) => {
    const { pid } = child;
    const failed = (error: Error) =>
      reject(new Error(`${options.name}: can't run ${options.command}: ${error.message}`, { cause: error }));
    child.once('error', failed);
    if (pid === undefined) return;
    const path = recordPath(options.home, options.name);
    const { stopSignal } = options;
    const record: ProcessRecord = { ...identityOf(pid), stopSignal, supervisor: identityOf(process.pid) };
    writeFileWhole(path, JSON.stringify(record));
    const exited = new Promise<Exit>((settle) => {
      child.once('exit', (code, signal) => {
        // The next run of the same name may already have put its own record here.
        if (readRecord(options.home, options.name)?.pid === pid) rmSync(path, { force: true });
        settle({ code, signal });
      });
    });
    child.on('error', () => {});
    child.off('error', failed);
    resolve({ name: options.name, pid, process: child, logOffset: offset, exited });
  });
};

export const exitText = ({ code, signal }: Exit): string =>
  signal ? `was ended by ${signal}` : `exited with code ${code}`;

/** Asks a child to stop, and kills it where it takes longer than `msMax`. Returns once it is gone. */
export const endChild = async (child: Child, signal: NodeJS.Signals, msMax: number): Promise<Exit> => {
  signalQuietly(child.pid, signal);
  const patience = new AbortController();
  await Promise.race([child.exited, delay(msMax, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
  return killChild(child);
};

export const killChild = async (child: Child): Promise<Exit> => {
  if (child.process.exitCode === null && child.process.signalCode === null) killGroup(child.pid);
  return child.exited;
};

const readRecord = (home: string, name: string): ProcessRecord | undefined => {
  const text = readIfThere(recordPath(home, name));
  return text === undefined ? undefined : (JSON.parse(text) as ProcessRecord);
};

const waitUntilGone = async (identity: Identity, msMax: number): Promise<boolean> => {
  const deadline = performance.now() + msMax;
  while (isAlive(identity)) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
};

/**
 * Ends the process that the record `name` speaks of, if it still is that process and whoever started it is gone. Throws
 * where both live: then it is no left-over, and two servers must not work on one folder.
 */
export const endLeftover = async (home: string, name: string, log: Log): Promise<void> => {
  const record = readRecord(home, name);
  if (!record) return;
  if (isAlive(record)) {
    if (isAlive(record.supervisor)) {
      throw new Error(
        `${name} already runs in ${home}: process ${record.pid}, started by process ${record.supervisor.pid}`,
      );
    }
    log.info(`${name}: ending process ${record.pid}, left over from an earlier run`);
    signalQuietly(record.pid, record.stopSignal);
    if (!(await waitUntilGone(record, 5000))) {
      killGroup(record.pid);
      if (!(await waitUntilGone(record, 5000)))
        throw new Error(`${name}: process ${record.pid} of an earlier run can't be ended`);
    }
  }
  rmSync(recordPath(home, name), { force: true });
};

const recordedNames = (home: string): string[] =>
  readdirSync(join(home, 'run'))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -5))
    // Other files of the folder are no records of children.
    .filter((name) => readRecord(home, name)?.stopSignal !== undefined);

/** Ends everything that earlier runs of this home left behind, and what others use (`lastNames`) last. */
export const endLeftovers = async (home: string, log: Log, lastNames: readonly string[]): Promise<void> => {
  const names = recordedNames(home);
  const isLast = (name: string) => lastNames.includes(name);
  await Promise.all(names.filter((name) => !isLast(name)).map((name) => endLeftover(home, name, log)));
  await Promise.all(names.filter(isLast).map((name) => endLeftover(home, name, log)));
};

/** SIGKILL to every child of this process in this home, at once. */
export const killChildren = (home: string): void => {
  for (const name of recordedNames(home)) {
    const record = readRecord(home, name);
    if (record?.supervisor.pid === process.pid && isAlive(record)) killGroup(record.pid);
  }
};
