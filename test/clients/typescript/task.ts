/** What every client is told, and how it tells what it found: one line of JSON. */
declare const process: { readonly env: Record<string, string | undefined> };

const told = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

export const task = {
  api: told('MILLRACE_API'),
  ingest: told('MILLRACE_INGEST'),
  key: told('MILLRACE_KEY'),
  /** Of what this client makes. */
  name: told('MILLRACE_NAME'),
  month: told('MILLRACE_MONTH'),
  monthStart: told('MILLRACE_MONTH_START'),
  occurredAt: told('MILLRACE_OCCURRED_AT'),
};

/** Asks until it holds. */
export const until = async <T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> => {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const answer = await ask();
    if (holds(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('it did not come to hold');
};

/** An answer of success. */
export const must = <T>({ data, error }: { readonly data?: T; readonly error?: unknown }): T => {
  if (data === undefined) throw new Error(`refused: ${JSON.stringify(error)}`);
  return data;
};
