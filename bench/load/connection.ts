/** One kept-alive connection to the gateway that carries whole requests out and answers back, in order. */
import { connect } from 'node:net';
import { createAnswerReader } from './answer-reader.ts';
import type { KeyWriter } from './key-writer.ts';
import { freshen, type Template } from './templates.ts';

/** What one answer said of its request. */
export type Answered = {
  readonly status: number;
  readonly events: number;
  /** Undefined where the answer does not say; so is `duplicates`. */
  readonly accepted: number | undefined;
  readonly duplicates: number | undefined;
  /** When the request was due, as `performance.now` counts. */
  readonly dueMs: number;
};

export type Connection = {
  /** Whether another request may be sent. */
  readonly free: () => boolean;
  /** Whether every request has its final answer. */
  readonly idle: () => boolean;
  /** Sends a fresh request. */
  readonly send: (dueMs: number) => void;
  readonly close: () => void;
};

export type ConnectionOptions = {
  readonly url: string;
  /** At least as many as may be in flight: a template is not written to while its bytes may still be on their way. */
  readonly templates: readonly Template[];
  readonly inFlightMax: number;
  readonly keys: KeyWriter;
  readonly duplicateShare: number;
  readonly onAnswer: (answered: Answered, connection: Connection) => void;
  readonly onFault: (error: Error) => void;
};

/** A request that was refused for the moment goes again after this, unchanged, as the API asks for. */
const retryMs = 100;

export const openConnection = (options: ConnectionOptions): Promise<Connection> => {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const unused = [...options.templates];
  const inFlight: { template: Template; dueMs: number }[] = [];
  let waiting = 0;
  const { hostname, port } = new URL(options.url);
  const put = (template: Template, dueMs: number) => {
    inFlight.push({ template, dueMs });
    if (options.inFlightMax > 1 && socket.writableCorked === 0) {
      // What several answers set free goes out in one call of the system.
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    socket.write(template.bytes);
  };
  const connection: Connection = {
    free: () => inFlight.length + waiting < options.inFlightMax,
    idle: () => inFlight.length + waiting === 0,
    send: (dueMs) => {
      const template = unused.shift() as Template;
      freshen(template, options.keys, options.duplicateShare);
      put(template, dueMs);
    },
    close: () => socket.destroy(),
  };
  const read = createAnswerReader((status, accepted, duplicates) => {
    const { template, dueMs } = inFlight.shift() as { template: Template; dueMs: number };
    if (status === 503) {
      waiting += 1;
      setTimeout(() => {
        waiting -= 1;
        put(template, dueMs);
      }, retryMs);
    } else {
      unused.push(template);
    }
    options.onAnswer({ status, events: template.keysAt.length, accepted, duplicates, dueMs }, connection);
  });
  const fail = (error: Error) => {
    reject(error);
    options.onFault(error);
  };
  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    // One buffer for all that arrives: nothing is allocated per answer.
    onread: {
      buffer: Buffer.allocUnsafe(65_536),
      callback: (bytes, buffer) => {
        try {
          read(Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
        } catch (error) {
          fail(error as Error);
        }
        return true;
      },
    },
  });
  socket.once('connect', () => resolve(connection));
  socket.on('error', fail);
  socket.on('end', () => fail(new Error('the gateway closed a connection')));
  return promise;
};
