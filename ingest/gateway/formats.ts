/** The forms in which events come, by Content-Type. */

export const Format = {
  json: 'json',
  lines: 'lines',
  cloudEvent: 'cloud_event',
  cloudEvents: 'cloud_events',
  avro: 'avro',
} as const;
export type Format = (typeof Format)[keyof typeof Format];

export const lineType = 'application/x-ndjson';

export const mediaTypes: Readonly<Record<string, Format>> = {
  'application/json': Format.json,
  [lineType]: Format.lines,
  'application/cloudevents+json': Format.cloudEvent,
  'application/cloudevents-batch+json': Format.cloudEvents,
  'application/avro': Format.avro,
  'avro/binary': Format.avro,
};

/**
 * JSON by its suffix (RFC 6839), in which the data of a CloudEvent may come, and what was written before there was
 * application/json.
 */
export const otherJsonTypes = /^(?:application\/[\w.+-]+\+json|text\/json)[ \t]*(?:;|$)/i;

/** Of a Content-Type that the route takes. A request without a body has none, and is read as JSON, which it is not. */
export const formatOf = (contentType: string | undefined): Format => {
  if (contentType === undefined) return Format.json;
  const direct = mediaTypes[contentType];
  if (direct) return direct;
  const [type = ''] = contentType.split(';');
  return mediaTypes[type.trim().toLowerCase()] ?? Format.json;
};
