/** Starts a generator of load and hears its report. */
import { fork } from 'node:child_process';
import type { LoadOptions, LoadReport } from './run-load.ts';

export type Generator = {
  readonly pid: number;
  /** Sends the load. Once. */
  readonly run: () => Promise<LoadReport>;
};

type Told = 'ready' | { readonly report: LoadReport } | { readonly fault: string };

/** Resolves once its connections are open, so that its start is no part of what is measured. */
export const startGenerator = async (options: LoadOptions): Promise<Generator> => {
  const child = fork(new URL('generator.main.ts', import.meta.url));
  const hear = (): Promise<Exclude<Told, { readonly fault: string }>> =>
    new Promise((resolve, reject) => {
      const gone = (code: number | null) => reject(new Error(`the generator of load ended with code ${code}`));
      child.once('exit', gone);
      child.once('message', (message: Told) => {
        child.off('exit', gone);
        if (typeof message === 'object' && 'fault' in message)
          reject(new Error(`the generator of load: ${message.fault}`));
        else resolve(message);
      });
    });
  const ready = hear();
  child.send(options);
  await ready;
  return {
    pid: child.pid ?? 0,
    run: async () => {
      const heard = hear();
      child.send('go');
      const message = await heard;
      if (message === 'ready') throw new Error('the generator of load was ready twice');
      return message.report;
    },
  };
};
