/** PDFs off the main thread: one at a time, in a thread that starts with the first and ends when there are none. */
import { Piscina } from 'piscina';
import { UnavailableError } from '#platform/stores/retry.ts';
import type { InvoiceDocument } from './invoice-document.ts';

/** Waiting ones hold their documents in memory. */
const queueMax = 16;
/** One of 10,000 lines takes 10 s; whatever takes longer is ended with its thread. */
const timeoutMs = 60_000;
const idleMs = 60_000;

export type PdfPool = {
  /** Throws `UnavailableError` where too many are waited for, and where it takes too long. */
  readonly make: (document: InvoiceDocument) => Promise<Buffer>;
  readonly close: () => Promise<void>;
};

export const createPdfPool = (onFault: (error: Error) => void): PdfPool => {
  const piscina = new Piscina({
    filename: new URL('./pdf.worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: idleMs,
    maxQueue: queueMax + 1,
    // It reads no environment, so the secrets in it stay in the main thread.
    env: {},
  });
  piscina.on('error', onFault);
  return {
    make: async (document) => {
      if (piscina.queueSize >= queueMax)
        throw new UnavailableError('documents', new Error(`${queueMax} documents wait already`));
      const signal = AbortSignal.timeout(timeoutMs);
      const bytes: Uint8Array = await piscina.run(document, { signal }).catch((error) => {
        throw signal.aborted ? new UnavailableError('documents', error) : error;
      });
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    close: () => piscina.close(),
  };
};
