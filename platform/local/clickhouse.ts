import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataFolder } from './home.ts';
import { type LocalServer, type ServerOptions, startServer } from './server.ts';

/**
 * What the engine may take of a machine that it shares with everything else. The caches are upper bounds that fill with
 * use; ClickHouse's own bounds (5 GiB of marks, for one) are those of a machine of its own. System logs (query_log and
 * the like) are only kept where the configuration names them, so none grows here. Merges are niced: what answers comes
 * first, and a store that falls behind with them holds its inserts back by itself. A stop waits for idle connections,
 * up to 5 s with the usual keep-alive of 30 s; 3 s is just above the 2.5 s after which the Node client lets go of an
 * idle one by itself.
 */
const configuration = `<clickhouse>
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
  <mark_cache_size>268435456</mark_cache_size>
  <primary_index_cache_size>268435456</primary_index_cache_size>
  <keep_alive_timeout>3</keep_alive_timeout>
  <index_mark_cache_size>67108864</index_mark_cache_size>
  <os_threads_nice_value_merge_mutate>10</os_threads_nice_value_merge_mutate>
</clickhouse>
`;

const require = createRequire(import.meta.url);

/** Serves HTTP only, on loopback, to the user `default` without a password. */
export const startClickHouse = (options: ServerOptions): Promise<LocalServer> => {
  const { libchdbPath } = require('chdb/libchdb') as { libchdbPath(): string };
  const { version } = require('chdb/package.json') as { version: string };
  const folder = dataFolder(options.home, 'clickhouse');
  const data = join(folder, 'data');
  const configPath = join(folder, 'config.xml');
  return startServer({
    ...options,
    name: 'clickhouse',
    product: 'ClickHouse',
    source: `npm chdb ${version}`,
    stopSignal: 'SIGTERM',
    // The path names the database, which the migrations create.
    url: (port) => `http://127.0.0.1:${port}/millrace`,
    launch: async (port) => {
      writeFileSync(configPath, configuration);
      return {
        command: process.execPath,
        arguments: [
          '--disable-warning=ExperimentalWarning',
          fileURLToPath(new URL('clickhouse-server.mjs', import.meta.url)),
          libchdbPath(),
          ...['--config-file', configPath, '--path', data, '--http_port', String(port), '--listen_host', '127.0.0.1'],
          ...['--logger.console', '--log-level', 'error'],
        ],
        environment: process.env,
        channel: true,
      };
    },
    ask: async (port, _pid, signal) => {
      const query = "SELECT version(), path FROM system.disks WHERE name = 'default' FORMAT TSV";
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: query, signal });
      const text = (await answer.text()).trim();
      if (!answer.ok) throw new Error(text);
      const [engineVersion = '', path = ''] = text.split('\t');
      if (path !== `${data}/`) throw new Error(`port ${port} is answered by a ClickHouse with other data, ${path}`);
      return engineVersion;
    },
  });
};
