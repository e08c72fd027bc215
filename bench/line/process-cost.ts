/**
 * What processes cost, as Linux counts it: CPU time and memory. On another system there is nothing to read, and nothing
 * is shown.
 */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Linux shows times to programs in hundredths of a second, whatever its own clock does (`USER_HZ`, proc_pid_stat(5)).
 */
const ticksPerSecond = 100;

const readOf = (pid: number, file: string): string | undefined => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
};

const childrenOf = (pid: number): number[] => {
  let tasks: string[];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return tasks.flatMap((task) => (readOf(pid, `task/${task}/children`) ?? '').split(' ').filter(Boolean).map(Number));
};

/** A process and all below it: a gateway may have workers. */
const treeOf = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(treeOf)];

const sumOver = (pid: number, cost: (one: number) => number): number =>
  treeOf(pid).reduce((sum, one) => sum + cost(one), 0);

/** Of all its threads, its children, and those of them that ended: Redis rewrites its file in one. */
export const cpuSecondsOf = (pid: number): number =>
  sumOver(pid, (one) => {
    // The name of the program, in parentheses, may hold anything; the fields are counted from behind it: 14 to 17 are
    // 11 to 14 then.
    const fields = readOf(one, 'stat')
      ?.replace(/^.*\)\s/s, '')
      .split(' ');
    const ticks = (fields?.slice(11, 15) ?? []).reduce((sum, field) => sum + Number(field), 0);
    return ticks / ticksPerSecond;
  });

/** CPU time that the whole machine has spent on anything, since it was started (`/proc/stat`, proc_stat(5)). */
export const machineCpuSeconds = (): number => {
  let line: string;
  try {
    line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  } catch {
    return 0;
  }
  const [user = 0, nice = 0, system = 0, _idle, _waiting, hard = 0, soft = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + hard + soft) / ticksPerSecond;
};

/** Memory that it and its children hold in RAM now. */
const residentMegabytesOf = (pid: number): number =>
  sumOver(pid, (one) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readOf(one, 'status') ?? '')?.[1] ?? 0) / 1024);

export type Pids = Readonly<Record<string, number>>;
export type CpuSeconds = Readonly<Record<string, number>>;

export const cpuOf = (pids: Pids): CpuSeconds =>
  Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSecondsOf(pid)]));

/** Microseconds per event of each process, between two readings. */
export const microsPerEvent = (before: CpuSeconds, after: CpuSeconds, events: number): Record<string, number> =>
  Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => [
      name,
      ((seconds - (before[name] ?? 0)) * 1e6) / Math.max(events, 1),
    ]),
  );

/** Reads the memory of some processes every second until it is stopped. */
export const watchMemory = (pids: Pids): (() => Readonly<Record<string, readonly number[]>>) => {
  const samples: Record<string, number[]> = Object.fromEntries(Object.keys(pids).map((name) => [name, []]));
  const timer = setInterval(() => {
    for (const [name, pid] of Object.entries(pids)) samples[name]?.push(residentMegabytesOf(pid));
  }, 1_000);
  return () => {
    clearInterval(timer);
    return samples;
  };
};
