/**
 * For processes through which bodies of megabytes flow: memory of buffers counts for the collector together with the
 * heap. By itself V8 marks the whole heap anew for each 64 MB of buffers that were made, several times a second here,
 * and two thirds of that is for nothing.
 */
import { setFlagsFromString } from 'node:v8';

export const countBuffersWithHeap = (): void => setFlagsFromString('--external-memory-accounted-in-global-limit');
