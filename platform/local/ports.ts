import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that systems hand out for outgoing connections (32768 and up on Linux, 49152 on macOS). A server port
 * from that range can be lost while the server restarts: a client that keeps reconnecting to it may be given that very
 * port as its own, and then connects to itself.
 */
const firstPort = 15_000;
const endPort = 32_000;

export const isPortFree = (port: number, host = '127.0.0.1'): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });

/**
 * A port that was free a moment ago. Another process may take it before its user does: whoever starts a server tries
 * again.
 */
export const findFreePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(firstPort, endPort);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port was found on 127.0.0.1 between ${firstPort} and ${endPort}`);
};
