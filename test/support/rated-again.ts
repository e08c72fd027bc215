/** All that was billed in a sandbox, rated again and explained. */
import { expect } from 'vitest';
import type { Pipeline } from './pipeline.ts';
import type { Sandbox } from './test-clock.ts';
import { verify } from './verify-command.ts';

/** To the byte; the chains hold, and each line is explained by what it is made of. */
export const expectRatedAgain = async ({ databaseUrl, clickhouseUrl }: Pipeline, { api }: Sandbox): Promise<void> => {
  const again = await verify(databaseUrl, [], 'rater/verify/rating.main.ts', { CLICKHOUSE_URL: clickhouseUrl });
  expect([again.code, again.faults]).toEqual([0, []]);
  expect((await verify(databaseUrl)).faults).toEqual([]);
  const { body } = await api('GET', '/v1/invoices?state=issued&limit=1000');
  for (const { id } of body.items) {
    const invoice = (await api('GET', `/v1/invoices/${id}`)).body;
    for (const { position, amount, description, corrects, steps } of invoice.lines) {
      const explained = await api('GET', `/v1/invoices/${id}/line-items/${position}/explain`);
      const hashes = { is_as_rated: true };
      // A credit gives back less than was rated where credit notes gave back some before, which its last step says.
      const last = steps.at(-1)?.kind === 'credited' ? steps.at(-1) : undefined;
      const credited_before = explained.body.credited_before;
      expect(Number(credited_before ?? 0), description).toBe(Number(last?.amount ?? 0));
      const rated = explained.body.output?.amount;
      if (last) expect(Number(amount).toFixed(4)).toBe((Number(rated) + Number(credited_before)).toFixed(4));
      expect(explained.body, description).toMatchObject(
        corrects ? { delta: { corrects }, hashes } : { output: { amount: last ? rated : amount }, delta: null, hashes },
      );
    }
  }
};
