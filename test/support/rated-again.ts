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
    for (const { position, amount, description, corrects } of invoice.lines) {
      const explained = await api('GET', `/v1/invoices/${id}/line-items/${position}/explain`);
      const hashes = { is_as_rated: true };
      expect(explained.body, description).toMatchObject(
        corrects ? { delta: { corrects }, hashes } : { output: { amount }, delta: null, hashes },
      );
    }
  }
};
