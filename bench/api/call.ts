/** The API as benches ask it. */
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';

/** The body of the answer as it came; throws where the API refuses. */
export const askText = async (stack: Stack, method: string, path: string, body?: object): Promise<string> => {
  const response = await fetch(new URL(path, stack.apiUrl), {
    method,
    headers: { authorization: `Bearer ${stack.apiKey}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text.slice(0, 500)}`);
  return text;
};

export const call = async <Body extends object = { readonly id: string }>(
  stack: Stack,
  method: string,
  path: string,
  body?: object,
): Promise<Body> => JSON.parse(await askText(stack, method, path, body)) as Body;

/** The id of the stack's organization, which is of the tier with the highest limits from now on. */
export const organizationOf = async (stack: Stack): Promise<string> => {
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  await owner.connect();
  const { rows } = await owner.query<{ id: string }>('SELECT id FROM organizations WHERE sandbox_of IS NULL');
  await owner.query("UPDATE organizations SET tier = 'scale'");
  await owner.end();
  return rows[0]?.id ?? '';
};
