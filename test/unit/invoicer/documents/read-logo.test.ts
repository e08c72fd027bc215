import { describe, expect, it } from 'vitest';
import { logoBytesMax, readLogo } from '../../../../invoicer/documents/read-logo.ts';
import { sampleJpegHead, samplePng } from '../../../support/sample-logo.ts';

describe('a logo', () => {
  it('is told by its bytes, and not by its name', () => {
    expect(readLogo(samplePng(3, 2))).toMatchObject({ logo: { format: 'png' } });
    expect(readLogo(sampleJpegHead(640, 480))).toMatchObject({ logo: { format: 'jpg' } });
  });

  it.each([
    ['an SVG, which may hold scripts and links', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a GIF', Buffer.from('GIF89a\x01\0\x01\0\0\0\0')],
    ['nothing', Buffer.alloc(0)],
    ['the head of a PNG that breaks off', samplePng(3, 2).subarray(0, 20)],
    ['a PNG without width', samplePng(0, 2)],
    ['a JPEG without a frame', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xd9, 0, 0])],
    [
      'a JPEG with a segment of no length',
      Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0]), Buffer.alloc(99)]),
    ],
  ])('is none: %s', (_, bytes) => expect(readLogo(bytes)).toEqual({ fault: 'unknown_format' }));

  it('is bounded in bytes and in what it unfolds to', () => {
    expect(readLogo(Buffer.concat([samplePng(3, 2), Buffer.alloc(logoBytesMax)]))).toEqual({ fault: 'too_many_bytes' });
    expect(readLogo(samplePng(2001, 1))).toEqual({ fault: 'too_many_pixels' });
    expect(readLogo(sampleJpegHead(1, 65_535))).toEqual({ fault: 'too_many_pixels' });
  });
});
