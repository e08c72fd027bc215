/** A fault that the proxy does not make would let a scenario pass by itself. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';

let echo: Server;
let proxy: TcpProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await startTcpProxy({ host: '127.0.0.1', port: (echo.address() as AddressInfo).port });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
  echo.close();
});

/** A connection through the proxy that notes what came back and how it ended. */
const client = async () => {
  const socket = connect({ host: '127.0.0.1', port: proxy.port });
  sockets.push(socket);
  const heard = { text: '', end: '' };
  socket.setEncoding('utf8').on('data', (text) => {
    heard.text += text;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    heard.end = error.code ?? '';
  });
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(heard.end || 'closed')));
  await once(socket, 'connect');
  const echoed = async (text: string): Promise<number> => {
    const begin = performance.now();
    const length = heard.text.length + text.length;
    socket.write(text);
    while (heard.text.length < length) await once(socket, 'data');
    return performance.now() - begin;
  };
  return { socket, heard, ended, echoed };
};

describe('the proxy', () => {
  it('passes everything on, in both directions', async () => {
    const { echoed, heard } = await client();
    await echoed('one');
    await echoed('two');
    expect(heard.text).toBe('onetwo');
  });

  it('delays under latency, and keeps the order when it ends in the middle', async () => {
    const { echoed, heard, socket } = await client();
    proxy.begin('latency');
    expect(await echoed('late')).toBeGreaterThan(250);
    socket.write('1');
    await new Promise((resolve) => setImmediate(resolve));
    proxy.heal();
    await echoed('23');
    while (heard.text.length < 7) await once(socket, 'data');
    expect(heard.text).toBe('late123');
  });

  it('cuts: connections end and new ones are refused, until it is healed', async () => {
    const first = await client();
    await first.echoed('a');
    proxy.begin('cut');
    await first.ended;
    expect(await (await client()).ended).toBeDefined();
    proxy.heal();
    await (await client()).echoed('b');
  });

  it('resets: connections end with a reset, new ones work at once', async () => {
    const first = await client();
    await first.echoed('a');
    proxy.begin('reset');
    expect(await first.ended).toBe('ECONNRESET');
    await (await client()).echoed('b');
  });

  it('half open: nothing comes back and nothing ends, even after it is healed; new connections then work', async () => {
    const first = await client();
    await first.echoed('a');
    proxy.begin('half_open');
    const second = await client();
    first.socket.write('b');
    second.socket.write('c');
    proxy.heal();
    const third = await client();
    await third.echoed('d');
    first.socket.write('e');
    await third.echoed('f');
    expect([first.heard, second.heard]).toEqual([
      { text: 'a', end: '' },
      { text: '', end: '' },
    ]);
  });
});
