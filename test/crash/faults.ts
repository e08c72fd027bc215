/** What is done to a running pipeline, and undone. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { LocalServer } from '#platform/local/server.ts';
import type { ServerName } from '#platform/local/servers.ts';
import type { Pipeline, TestServers } from '../support/pipeline.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { emptiesRedis, type Fault } from './scenarios.ts';

export type Scene = {
  readonly servers: TestServers;
  readonly pipeline: Pipeline;
  readonly proxy: TcpProxy | undefined;
  /** How long what was ended stays away, or a network fault lasts. */
  readonly awayMs: number;
  /** Sends a new event until it is accepted, and answers its key. */
  readonly sendProbe: () => Promise<string>;
};

const serverOf = ({ servers }: Scene, name: ServerName): LocalServer => servers.servers.get(name) as LocalServer;

export const pidOf = (pipeline: Pipeline, name: string): number =>
  pipeline.stack.processes.find((process) => process.name === name)?.pid ?? 0;

const networkFaultMs = 2_000;

const copyOf = (folder: string): string => `${folder}-old`;

/**
 * Early in the round: what a backup of Redis would hold. Its files grow at their ends only, so a copy of them is what a
 * crash at that moment leaves.
 */
export const copyRedis = ({ servers }: Scene): void => {
  const folder = join(servers.home, 'redis');
  rmSync(copyOf(folder), { recursive: true, force: true });
  cpSync(folder, copyOf(folder), { recursive: true });
};

const restoreRedis = async (scene: Scene): Promise<void> => {
  const folder = join(scene.servers.home, 'redis');
  const redis = serverOf(scene, 'redis');
  await redis.kill();
  rmSync(folder, { recursive: true });
  cpSync(copyOf(folder), folder, { recursive: true });
  await redis.restart();
};

const emptyRedis = async ({ servers }: Scene): Promise<void> => {
  const redis = new Redis(servers.urls.redis);
  await redis.flushall();
  await redis.quit();
};

const restarts = ['kill', 'stop', 'kill'] as const;

/**
 * The gateway meets the servers after each restart: what it takes for the loss of a stream may show at a later one
 * alone.
 */
const restartAll = async (names: readonly ServerName[], scene: Scene): Promise<void> => {
  const servers = names.map((name) => serverOf(scene, name));
  for (const end of restarts) {
    await Promise.all(servers.map((server) => server[end]()));
    await pause(scene.awayMs / restarts.length);
    await Promise.all(servers.map((server) => server.restart()));
    await scene.sendProbe();
  }
};

/**
 * Does the fault; `begun` is called at its first moment. Resolves when the outside world is whole again; what recovers
 * by itself may still be about it.
 */
export const inflict = async (fault: Fault, scene: Scene, begun: () => void): Promise<void> => {
  switch (fault.kind) {
    // The process does it by itself.
    case 'fail_point':
      return emptiesRedis(fault) ? emptyRedis(scene) : undefined;
    case 'kill_process':
      if (emptiesRedis(fault)) await emptyRedis(scene);
      begun();
      process.kill(pidOf(scene.pipeline, fault.process), 'SIGKILL');
      return;
    case 'kill_server': {
      const server = serverOf(scene, fault.server);
      begun();
      await server.kill();
      await pause(scene.awayMs);
      return server.restart();
    }
    case 'restart_servers':
      begun();
      return restartAll(fault.servers, scene);
    case 'empty_redis':
      begun();
      return emptyRedis(scene);
    case 'restore_redis':
      begun();
      return restoreRedis(scene);
    case 'network':
      begun();
      scene.proxy?.begin(fault.fault);
      await pause(networkFaultMs);
      scene.proxy?.heal();
  }
};
