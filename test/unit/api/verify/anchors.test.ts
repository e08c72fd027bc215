import { describe, expect, it } from 'vitest';
import { type Anchor, anchorLines, anchorsFromText } from '../../../../api/verify/anchors.ts';

const hash = 'a'.repeat(64);
const anchor: Anchor = { organizationId: 'org_1', chain: 'audit', lane: 3, number: 7, hash };
const line = anchorLines([anchor], [], 0);

describe('anchors', () => {
  it('are read as they were written, with the time beside them', () => {
    expect(line).toBe(
      `{"organization_id":"org_1","chain":"audit","lane":3,"number":7,"hash":"${hash}","written_at":"1970-01-01T00:00:00.000Z"}\n`,
    );
    expect(anchorsFromText(`${line}\n${line}`)).toEqual([anchor, anchor]);
    expect(anchorsFromText('')).toEqual([]);
  });

  it('of a line from before there were lanes are of lane 0', () => {
    expect(anchorsFromText(line.replace('"lane":3,', ''))).toEqual([{ ...anchor, lane: 0 }]);
  });

  it('are written once each, and not of a chain that has not begun', () => {
    expect(anchorLines([anchor, { ...anchor, number: 0 }], [anchor], 0)).toBe('');
    for (const other of [
      { number: 8 },
      { lane: 4 },
      { hash: 'b'.repeat(64) },
      { chain: 'invoices' as const, lane: 0 },
      { organizationId: 'org_2' },
    ])
      expect(anchorsFromText(anchorLines([{ ...anchor, ...other }], [anchor], 0))).toEqual([{ ...anchor, ...other }]);
  });

  it.each([
    ['text', 'x'],
    ['an array', '[]'],
    ['a number', '1'],
    ['null', 'null'],
    ['half of it', line.slice(0, 40)],
    ['another chain', line.replace('audit', 'wallets')],
    ['a number that is none', line.replace('7', '"7"')],
    ['a number with a fraction', line.replace('7', '7.5')],
    ['a lane that is none', line.replace('"lane":3', '"lane":"3"')],
    ['a hash that is too short', line.replace(hash, hash.slice(1))],
    ['a hash in upper case', line.replace(hash, hash.toUpperCase())],
    ['no organization', line.replace('organization_id', 'organization')],
  ])('that are %s are refused by the number of their line', (_, text) => {
    expect(() => anchorsFromText(`${line}${text}`)).toThrow(/^line 2 is no anchor: /);
  });
});
