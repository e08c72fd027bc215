/**
 * A load of GETs at a fixed rate over plain sockets: little work of its own, so that on a small machine it is the
 * server that is measured. The rate does not wait for answers, and a latency counts from when its request was due: a
 * server that stalls shows all of its stall.
 */
import { connect, type Socket } from 'node:net';

export type Load = {
  readonly url: string;
  /** Asked for by turns. */
  readonly paths: readonly string[];
  readonly key: string;
  readonly perSecond: number;
  readonly seconds: number;
};

export type LoadResult = {
  readonly answered: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds, sorted. */
  readonly latenciesMs: readonly number[];
};

const connections = 64;
const headEnd = Buffer.from('\r\n\r\n');

/** The length of the first whole answer in `bytes`, and its status; undefined as long as it is not whole. */
const wholeAnswer = (bytes: Buffer): { readonly length: number; readonly status: string } | undefined => {
  const head = bytes.indexOf(headEnd);
  if (head < 0) return undefined;
  const text = bytes.toString('latin1', 0, head);
  const length = head + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
  return bytes.length < length ? undefined : { length, status: text.slice(9, 12) };
};

export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.ceil(sorted.length * share) - 1] ?? 0;

export const runLoad = async ({ url, paths, key, perSecond, seconds }: Load): Promise<LoadResult> => {
  const { hostname, port } = new URL(url);
  const requests = paths.map((path) =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${key}\r\n\r\n`),
  );
  let given = 0;
  const latenciesMs: number[] = [];
  const statuses: Record<string, number> = {};
  const due: number[] = [];
  const idle: Socket[] = [];
  const total = perSecond * seconds;
  const done = Promise.withResolvers<void>();
  const busyWith = new Map<Socket, number>();
  const give = () => {
    while (due.length > 0 && idle.length > 0) {
      const socket = idle.pop() as Socket;
      busyWith.set(socket, due.shift() as number);
      socket.write(requests[given % requests.length] as Buffer);
      given += 1;
    }
  };
  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(socket));
      let pending: Buffer = Buffer.alloc(0);
      socket.setNoDelay(true);
      socket.on('error', (error) => {
        reject(error);
        done.reject(error);
      });
      socket.on('data', (chunk: Buffer) => {
        pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
        const answer = wholeAnswer(pending);
        if (!answer) return;
        pending = pending.subarray(answer.length);
        statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
        latenciesMs.push(performance.now() - (busyWith.get(socket) as number));
        idle.push(socket);
        if (latenciesMs.length === total) done.resolve();
        give();
      });
    });
  const sockets = await Promise.all(Array.from({ length: connections }, open));
  idle.push(...sockets);
  let sent = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const owed = Math.min(total, Math.floor(((now - started) * perSecond) / 1000));
    for (; sent < owed; sent += 1) due.push(started + ((sent + 1) * 1000) / perSecond);
    if (sent === total) clearInterval(timer);
    give();
  }, 1);
  const late = setTimeout(
    () => done.reject(new Error(`${latenciesMs.length} of ${total} answered`)),
    (seconds + 30) * 1000,
  );
  await done.promise.finally(() => {
    clearInterval(timer);
    clearTimeout(late);
    for (const socket of sockets) socket.destroy();
  });
  return { answered: latenciesMs.length, statuses, latenciesMs: latenciesMs.toSorted((a, b) => a - b) };
};
