/** The names around the stream of accepted events, which gateway, sink and rater share. */

/** The durable consumer of the sinks. Its ack floor is the sequence up to which everything is stored. */
export const sinkConsumer = 'sink';

/** Subjects begin with the stream's name, so that two installations can share a NATS server under two stream names. */
export const subjectsOf = (streamName: string): string => `${streamName}.>`;
export const subjectOf = (streamName: string): string => `${streamName}.0`;

/** Where messages lie that the store can't read. */
export const deadLetterStreamOf = (streamName: string): string => `${streamName}_DEAD`;

/** On which sinks say that they stored something: outside of the subjects of the stream, as it is no usage. */
export const storedSubjectOf = (streamName: string): string => `${streamName}_STORED`;
