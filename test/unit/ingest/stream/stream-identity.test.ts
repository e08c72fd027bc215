import { describe, expect, it } from 'vitest';
import { adoptedStreamId, identityFields, newStreamId, streamIdOf } from '../../../../ingest/stream/stream-identity.ts';

describe("a stream's id", () => {
  it('is read back from where it was written', () => {
    for (const id of [newStreamId(), adoptedStreamId('2026-11-28T08:01:11.055721906Z')])
      expect(streamIdOf(identityFields(id))).toBe(id);
  });

  it('stays where a server was renewed that kept no metadata before', () => {
    const id = newStreamId();
    expect(streamIdOf({ description: `Millrace stream ${id}`, metadata: { '_nats.ver': '2.12.15' } })).toBe(id);
  });

  it.each([
    {},
    { metadata: {} },
    { description: '' },
    { description: 'Usage of Millrace stream, by the billing team' },
  ])('is not there in %j', (config) => expect(streamIdOf(config)).toBeUndefined());

  it('is never the one of another', () => {
    expect(new Set(Array.from({ length: 1_000 }, newStreamId)).size).toBe(1_000);
  });
});
