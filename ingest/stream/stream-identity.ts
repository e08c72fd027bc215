/**
 * Tells a stream from one that was made in its place, over restarts of the server, updates of its settings, and copies
 * of its files. A random id, written once at the making of the stream and kept by the server with its configuration.
 * Pure. Rejected: the time of its making, `created`. The server writes a new one to its disk at each update of the
 * settings, and tells it from the next restart on (2.12.15), so that a stream that lost nothing looked like another
 * one.
 */
import { randomUUID } from 'node:crypto';

const metadataKey = 'millrace_stream_id';
/** Servers before 2.10 keep no metadata; a description they all keep. */
const descriptionShape = /^Millrace stream ([\w.:-]+)$/;

/** Where the id stands in a stream's configuration. */
export type IdentityFields = { readonly metadata: Record<string, string> } | { readonly description: string };

/** Of the id of a stream that was there before it had one. */
export const adoptedPrefix = 'adopted_';

export const newStreamId = (): string => `made_${randomUUID().replaceAll('-', '')}`;

/**
 * Of a stream that was made without an id. Whoever meets it first writes this one; those that meet it at the same
 * moment write the same, as `created` stays while the server runs.
 */
export const adoptedStreamId = (created: string): string => `${adoptedPrefix}${created}`;

export const identityFields = (streamId: string, hasMetadata: boolean): IdentityFields =>
  hasMetadata ? { metadata: { [metadataKey]: streamId } } : { description: `Millrace stream ${streamId}` };

/** Undefined where none was written yet. */
export const streamIdOf = (config: {
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly description?: string | undefined;
}): string | undefined => config.metadata?.[metadataKey] ?? descriptionShape.exec(config.description ?? '')?.[1];
