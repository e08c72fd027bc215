import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../process/log.ts';
import { natsVersionFault } from './nats-version.ts';

export type Nats = {
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly manager: () => Promise<JetStreamManager>;
  /** False while the client is reconnecting: what is published then would wait, so a caller that can say no does. */
  readonly connected: () => boolean;
  readonly onDisconnect: (listener: () => void) => void;
  /** `listener` is called when the server is back, before anybody is told that it is connected. */
  readonly onReconnect: (listener: () => void) => void;
  /** Throws where the server does not answer. */
  readonly answers: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/**
 * A connection that outlives the server: it waits for the first connection and reconnects for ever. Throws where the
 * server is too old; where one comes back that is, it counts as away until a newer one does.
 */
export const connectNats = async (url: string, name: string, log: Log): Promise<Nats> => {
  const address = new URL(url);
  const connection = await connect({
    servers: address.host,
    ...(address.username
      ? { user: decodeURIComponent(address.username), pass: decodeURIComponent(address.password) }
      : {}),
    ...(address.protocol === 'tls:' ? { tls: {} } : {}),
    name,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    pingInterval: 5_000,
    maxPingOut: 2,
    // Without it every request carries an Error with a stack for nicer traces: about 5 % of the CPU of a publisher.
    noAsyncTraces: true,
  });
  const versionFault = () => natsVersionFault(connection.info?.version);
  const tooOld = versionFault();
  if (tooOld !== undefined) {
    await connection.close();
    throw new Error(`${tooOld}, at ${address.host}`);
  }
  let connected = true;
  const [leaving, returning]: [(() => void)[], (() => void)[]] = [[], []];
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        connected = false;
        for (const listener of leaving) listener();
        log.warn('NATS is away');
      }
      if (status.type === 'reconnect') {
        const fault = versionFault();
        if (fault !== undefined) {
          log.error(`${fault}; it counts as away`);
          continue;
        }
        for (const listener of returning) listener();
        connected = true;
        log.info('NATS is back');
      }
    }
  })();
  const js = jetstream(connection, { timeout: 5_000 });
  return {
    connection,
    js,
    manager: () => jetstreamManager(connection, { checkAPI: false, timeout: 5_000 }),
    connected: () => connected,
    onDisconnect: (listener) => leaving.push(listener),
    onReconnect: (listener) => returning.push(listener),
    answers: async () => {
      if (connection.isClosed()) throw new Error('the connection is closed');
      const fault = versionFault();
      if (fault !== undefined) throw new Error(fault);
      await connection.rtt();
    },
    close: () => connection.close(),
  };
};
