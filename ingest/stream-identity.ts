/**
 * Tells a stream from one that was made in its place, over restarts of the server, updates of its settings, and copies of its files. A random id, written once at the
 * making of the stream and kept by the server with its configuration. Pure.
 * Rejected: the time of its making, `created`. The server writes a new one to its disk at each update of the settings, and tells it from the next restart on
 * (2.12.15), so that a stream that lost nothing looked like another one.
 */
import { randomUUID } from 'node:crypto';
import type { StreamConfig } from '@nats-io/jetstream';

const metadataKey = 'millrace_stream_id';
/** Servers before 2.10 keep no metadata; a description they all keep. */
const descriptionShape = /^Millrace stream ([\w.:-]+)$/;

/** Where the id stands in a stream's configuration. */
export type IdentityFields = Pick<StreamConfig, 'metadata'> | Pick<StreamConfig, 'description'>;

export const newStreamId = (): string => `made_${randomUUID().replaceAll('-', '')}`;

/**
 * Of a stream that was made without an id. Whoever meets it first writes this one; those that meet it at the same moment write the same, as `created` stays while the
 * server runs.
 */
export const adoptedStreamId = (created: string): string => `adopted_${created}`;

export const identityFields = (streamId: string, hasMetadata: boolean): IdentityFields =>
  hasMetadata ? { metadata: { [metadataKey]: streamId } } : { description: `Millrace stream ${streamId}` };

/** Undefined where none was written yet. */
export const streamIdOf = ({ metadata, description }: Pick<StreamConfig, 'metadata' | 'description'>): string | undefined =>
  metadata?.[metadataKey] ?? descriptionShape.exec(description ?? '')?.[1];
