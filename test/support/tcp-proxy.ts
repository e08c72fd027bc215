/** A TCP proxy on loopback that makes the faults of a network: between any two parts, without either knowing. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const networkFaults = ['latency', 'cut', 'reset', 'half_open'] as const;
/**
 * `latency`: each piece of data is late, in both directions. `cut`: connections end, and new ones are refused. `reset`:
 * connections end with a reset; new ones work. `half_open`: what is sent is swallowed, nobody hears of an end, and new
 * connections meet the same.
 */
export type NetworkFault = (typeof networkFaults)[number];

export type TcpProxy = {
  readonly port: number;
  readonly begin: (fault: NetworkFault) => void;
  /** New connections work again. One that was half open stays so, as behind a firewall that has forgotten it. */
  readonly heal: () => void;
  readonly close: () => Promise<void>;
};

type Pair = { readonly near: Socket; readonly far: Socket | undefined; swallows: boolean };

const latencyMs = 150;

export const startTcpProxy = async (target: { readonly host: string; readonly port: number }): Promise<TcpProxy> => {
  const pairs = new Set<Pair>();
  let fault: NetworkFault | undefined;

  const carry = (from: Socket, to: Socket, pair: Pair): void => {
    // What is late holds up what comes after it: bytes keep their order when the network gets faster again.
    let late = 0;
    let order = Promise.resolve();
    from.on('data', (data) => {
      if (pair.swallows) return;
      if (fault !== 'latency' && late === 0) {
        if (!to.write(data)) from.pause();
        return;
      }
      late += 1;
      const arrival = sleep(fault === 'latency' ? latencyMs : 0);
      order = order.then(async () => {
        await arrival;
        late -= 1;
        if (!to.destroyed) to.write(data);
      });
    });
    to.on('drain', () => from.resume());
    from.on('error', () => {});
    from.on('close', () => {
      // The end of a connection that is half open is heard by nobody, and a reset still finds whoever waits there.
      if (!pair.swallows || pair.near.destroyed) pairs.delete(pair);
      if (pair.swallows) return;
      setTimeout(() => to.destroy(), fault === 'latency' ? latencyMs : 0);
    });
  };

  const server = createServer((near) => {
    near.setNoDelay(true);
    if (fault === 'cut') return void near.destroy();
    if (fault === 'half_open') {
      pairs.add({ near, far: undefined, swallows: true });
      near.on('error', () => {}).resume();
      return;
    }
    const far = connect(target).setNoDelay(true);
    const pair: Pair = { near, far, swallows: false };
    pairs.add(pair);
    carry(near, far, pair);
    carry(far, near, pair);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const begin = (next: NetworkFault): void => {
    fault = next;
    for (const pair of pairs) {
      if (next === 'cut') pair.near.destroy();
      if (next === 'reset') pair.near.resetAndDestroy();
      if (next === 'half_open') pair.swallows = true;
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    begin,
    heal: () => {
      fault = undefined;
    },
    close: async () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far?.destroy();
      }
      server.close();
      await once(server, 'close');
    },
  };
};
