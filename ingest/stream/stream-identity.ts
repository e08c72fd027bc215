/**
 * Tells a stream from one that was made in its place, over restarts of the server, updates of its settings, and copies
 * of its files. A random id, written once at the making of the stream and kept by the server with its configuration.
 * Pure. Rejected: the time of its making, `created`. The server writes a new one to its disk at each update of the
 * settings, and tells it from the next restart on (2.12.15), so that a stream that lost nothing looked like another
 * one.
 */
import { randomUUID } from 'node:crypto';

const metadataKey = 'millrace_stream_id';
/** Of a stream that was made on a server before 2.10, which kept no metadata: what was renewed since still has it. */
const descriptionShape = /^Millrace stream ([\w.:-]+)$/;

/** Of the id of a stream that was there before it had one. */
export const adoptedPrefix = 'adopted_';

export const newStreamId = (): string => `made_${randomUUID().replaceAll('-', '')}`;

/**
 * Of a stream that was made without an id. Whoever meets it first writes this one; those that meet it at the same
 * moment write the same, as `created` stays while the server runs.
 */
export const adoptedStreamId = (created: string): string => `${adoptedPrefix}${created}`;

/** Where the id stands in a stream's configuration. */
export const identityFields = (streamId: string): { readonly metadata: Record<string, string> } => ({
  metadata: { [metadataKey]: streamId },
});

/** Undefined where none was written yet. */
export const streamIdOf = (config: {
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly description?: string | undefined;
}): string | undefined => config.metadata?.[metadataKey] ?? descriptionShape.exec(config.description ?? '')?.[1];
