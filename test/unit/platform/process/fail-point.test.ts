import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '#platform/config/config.ts';
import { createFailPoint, failPointFault, failPointNames } from '#platform/process/fail-point.ts';

const passing = (text: string) => {
  let ends = 0;
  const failPoint = createFailPoint(text, () => {
    ends += 1;
  });
  return { failPoint, ends: () => ends };
};

describe('a fail point', () => {
  it('is not there without a setting', () => {
    expect(createFailPoint('')).toBeUndefined();
    expect(failPointFault('')).toBeUndefined();
  });

  it('ends the process at the pass that was asked for, and at no other place', () => {
    const { failPoint, ends } = passing('gateway.after_claim:3');
    for (let pass = 1; pass <= 2; pass += 1) failPoint?.pass('gateway.after_claim');
    for (let pass = 1; pass <= 5; pass += 1) failPoint?.pass('gateway.before_publish');
    expect(ends()).toBe(0);
    failPoint?.pass('gateway.after_claim');
    expect(ends()).toBe(1);
  });

  it('tells that it is due once, for whoever ends the process a little later', () => {
    const { failPoint, ends } = passing('sink.during_insert:2');
    expect([1, 2, 3].map(() => failPoint?.isDue('sink.during_insert'))).toEqual([false, true, false]);
    expect(ends()).toBe(0);
  });

  it.each(failPointNames)('%s can be aimed at', (name) => {
    expect(failPointFault(`${name}:1`)).toBeUndefined();
    expect(createFailPoint(`${name}:1`, () => {})).toBeDefined();
  });

  it.each(['gateway.nowhere:1', 'gateway.after_claim', 'gateway.after_claim:0', 'gateway.after_claim:x', ':1'])(
    '%s is a fault of the configuration',
    (text) => {
      expect(failPointFault(text)).toContain('MILLRACE_FAIL_POINT');
      expect(() => loadConfig({ MILLRACE_FAIL_POINT: text }, [])).toThrow(ConfigError);
    },
  );
});
