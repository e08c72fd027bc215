/** Documents of invoices in the making: the loop of a process. */
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import type { Postgres } from '#platform/stores/postgres.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import type { Instant } from '#schemas/period.ts';
import { leaseDocument } from './invoice-documents.postgres.ts';
import { type DocumentPorts, makeDocument } from './make-document.ts';

export type MakingOptions = {
  readonly ports: DocumentPorts;
  readonly postgres: Pick<Postgres, 'query' | 'forOrganization'>;
  readonly leaseSeconds: number;
  readonly pollMs: number;
  readonly lanes: number;
  /** Milliseconds since the call. */
  readonly stopwatch: () => () => number;
  readonly nowMs: () => Instant;
  readonly log: Log;
  readonly metrics: Metrics;
};

export const startMaking = (options: MakingOptions) => {
  const { ports, postgres, leaseSeconds, pollMs, lanes, stopwatch, nowMs, log, metrics } = options;
  const made = metrics.counter('millrace_documents_made_total', 'Documents of invoices that were made after the issue');
  const faults = metrics.counter('millrace_document_faults_total', 'Documents of invoices that have to be made again');
  // It rests as long as it worked: nobody waits for it, and others want the machine.
  const work = async (): Promise<boolean | number> => {
    const elapsedMs = stopwatch();
    const job = await leaseDocument(postgres, leaseSeconds);
    if (!job) return false;
    const db = postgres.forOrganization(job.organizationId);
    try {
      await makeDocument(ports, db, job, nowMs());
      made.inc();
    } catch (error) {
      faults.inc();
      log.warn({ err: error, invoice_id: job.invoiceId }, 'the document of an invoice could not be made');
      await ports.invoiceDocuments.fail(db, job, (error as Error).message.slice(0, 500));
    }
    return elapsedMs();
  };
  const onFault = (error: unknown) => log.warn({ err: error }, 'documents of invoices have to wait');
  return startJobLoop({ work, lanes, pollMs, onFault });
};
