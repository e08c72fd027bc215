/** A NATS server that says to be of another version: a proxy that changes its greeting, and nothing else. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type OlderNats = {
  readonly url: string;
  /** What new connections are told; those that there are end, as with the restart of a server. */
  readonly become: (version: string) => void;
  readonly close: () => Promise<void>;
};

const greeting = /((?:^|\r\n)INFO \{[^\r\n]*?)"version":"[^"]*"/g;

export const startOlderNats = async (serverUrl: string, first: string): Promise<OlderNats> => {
  const { hostname, port } = new URL(serverUrl);
  const open = new Set<Socket>();
  let version = first;
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) });
    // The server says it again, behind other words, while a connection lasts.
    far.on('data', (data) => {
      const text = data.toString('latin1').replace(greeting, (_, before) => `${before}"version":"${version}"`);
      near.write(Buffer.from(text, 'latin1'));
    });
    near.on('data', (data) => far.write(data));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const end = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    become: (next) => {
      version = next;
      end();
    },
    close: async () => {
      end();
      server.close();
      await once(server, 'close');
    },
  };
};
