/** The product as a client sees it: HTTP only. */
type Answer<T> = { readonly status: number; readonly body: T };

export type Client = {
  readonly get: <T>(path: string) => Promise<T>;
  /** Any status is an answer; only a connection that fails throws. */
  readonly post: <T>(path: string, body: unknown) => Promise<Answer<T>>;
  /** Sends events until the gateway has taken the request: a 503 is sent again, unchanged, as the API says. */
  readonly sendEvents: (events: readonly unknown[]) => Promise<EventsAnswer>;
};

type EventsAnswer = {
  readonly accepted: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly rejected: number;
};

const triesMax = 60;

export const createClient = (urls: {
  readonly apiUrl: string;
  readonly ingestUrl: string;
  readonly apiKey: string;
}): Client => {
  const base = (url: string) => url.replace(/\/$/, '');
  const headers = { authorization: `Bearer ${urls.apiKey}`, 'content-type': 'application/json' };
  const post = async <T>(url: string, text: string): Promise<Answer<T> & { readonly retryAfterMs: number }> => {
    const response = await fetch(url, { method: 'POST', headers, body: text });
    return {
      status: response.status,
      body: (await response.json()) as T,
      retryAfterMs: Number(response.headers.get('retry-after') ?? 1) * 1000,
    };
  };
  return {
    get: async <T>(path: string) => {
      const response = await fetch(`${base(urls.apiUrl)}${path}`, { headers });
      if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as T;
    },
    post: (path, body) => post(`${base(urls.apiUrl)}${path}`, JSON.stringify(body)),
    sendEvents: async (events) => {
      const text = JSON.stringify(events);
      for (let tries = 1; ; tries += 1) {
        const { status, body, retryAfterMs } = await post<EventsAnswer>(`${base(urls.ingestUrl)}/v1/events`, text);
        if (status === 200) return body;
        if (status !== 503 || tries >= triesMax)
          throw new Error(`POST /v1/events answered ${status}: ${JSON.stringify(body).slice(0, 500)}`);
        await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
      }
    },
  };
};

/** Works through `items` with `lanes` at a time. */
export const inLanes = async <T>(
  items: Iterable<T>,
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const iterator = items[Symbol.iterator]();
  const lane = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
};
