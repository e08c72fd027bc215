import { type Logger, pino } from 'pino';

export type Log = Logger;

/** JSON lines on stdout. Secrets are redacted by path, whatever is logged. */
export const createLog = (name: string, level: string): Log =>
  pino({
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['authorization', '*.authorization', 'req.headers.authorization', 'headers.authorization', 'apiKey', '*.apiKey'],
      censor: '[redacted]',
    },
  });
