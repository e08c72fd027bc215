/** HTTP over a bare socket: what no client library would send, and what really comes back. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type RawAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export type RawConnection = {
  readonly socket: Socket;
  /** All answers that came whole so far. */
  readonly answers: () => RawAnswer[];
  /** The first answer; undefined where the connection ends without one. */
  readonly answer: Promise<RawAnswer | undefined>;
  /** Resolves once the other side has ended the connection, however. */
  readonly closed: Promise<void>;
  /** As long as the other side takes it; false once the connection is closed. */
  readonly send: (part: string | Buffer) => boolean;
};

const answersIn = (bytes: Buffer): RawAnswer[] => {
  const answers: RawAnswer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) return answers;
    const [first = '', ...lines] = bytes.toString('latin1', at, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const body = bytes.subarray(end + 4, end + 4 + Number(headers['content-length'] ?? 0));
    if (body.length < Number(headers['content-length'] ?? 0)) return answers;
    answers.push({ status: Number(first.split(' ')[1]), headers, body: body.toString() });
    at = end + 4 + body.length;
  }
};

export const openRaw = async (url: string): Promise<RawConnection> => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const parts: Buffer[] = [];
  const first = Promise.withResolvers<RawAnswer | undefined>();
  const closed = Promise.withResolvers<void>();
  const answers = () => answersIn(Buffer.concat(parts));
  socket.on('data', (part: Buffer) => {
    parts.push(part);
    // An interim answer (100 Continue) is none.
    const found = answers().find(({ status }) => status >= 200);
    if (found) first.resolve(found);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    first.resolve(undefined);
    closed.resolve();
  });
  const send = (part: string | Buffer): boolean => {
    if (!socket.writable) return false;
    socket.write(part);
    return true;
  };
  return { socket, answers, answer: first.promise, closed: closed.promise, send };
};

/** Sends one text and gives the first answer. */
export const exchangeRaw = async (url: string, text: string | Buffer): Promise<RawAnswer | undefined> => {
  const connection = await openRaw(url);
  connection.send(text);
  const answer = await connection.answer;
  connection.socket.destroy();
  return answer;
};

/** Sends the same part again and again until the other side has enough. */
export const drip = async (connection: RawConnection, part: string, everyMs: number): Promise<void> => {
  while (connection.send(part)) await delay(everyMs);
};
