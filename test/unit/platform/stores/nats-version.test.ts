import { describe, expect, it } from 'vitest';
import { natsVersionFault } from '#platform/stores/nats-version.ts';

describe('a NATS server', () => {
  it.each([
    '2.10.0',
    '2.10.27',
    '2.10.0-RC.1',
    '2.11.0-preview.2',
    '2.12.15',
    'v2.12.15',
    '2.100.0',
    '3.0.0',
    '10.0.0',
  ])('of %s is new enough', (version) => expect(natsVersionFault(version)).toBeUndefined());

  it.each(['2.9.99', '2.9.10', '2.1.10', '2.0.0', '1.4.1', '0.9.6', '0.0.0'])('of %s is too old', (version) =>
    expect(natsVersionFault(version)).toBe(`NATS ${version} is too old: 2.10 or newer is needed`),
  );

  it.each([undefined, '', 'x', '2', 'two.ten'])('that says %j is refused as well', (version) =>
    expect(natsVersionFault(version)).toMatch(/too old: 2\.10 or newer/),
  );
});
