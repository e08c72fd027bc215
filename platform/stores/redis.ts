import { Redis } from 'ioredis';
import type { Log } from '../process/log.ts';

/**
 * One Redis connection that never queues while it is away: a call fails at once and the caller decides what that means.
 * It reconnects by itself.
 */
export const connectRedis = (url: string, commandTimeoutMs: number, log: Log): Redis => {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2_000,
    // A peer that is gone without a word never closes the connection: what was asked and not answered does.
    socketTimeout: 2 * commandTimeoutMs,
    lazyConnect: true,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 1_000),
  });
  let away = false;
  redis.on('error', (error: Error) => {
    if (!away) log.warn({ err: error }, 'Redis is away');
    away = true;
  });
  redis.on('ready', () => {
    if (away) log.info('Redis is back');
    away = false;
  });
  return redis;
};

export const redisAnswers = async (redis: Redis): Promise<void> => {
  await redis.ping();
};
