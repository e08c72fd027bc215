/** `npm run migrate`: brings PostgreSQL and ClickHouse up to date, wherever they are (with-stores.ts). */
import { loadConfig } from '../config/config.ts';
import { migrateAll } from '../stores/migrate.ts';
import { runOnStores } from './with-stores.ts';

const readConfig = () => loadConfig(process.env, []);
await runOnStores(
  { readConfig, names: ['postgres', 'clickhouse'], failure: 'the migration failed' },
  async ({ urls, config }) => {
    const { applied, warnings } = await migrateAll({
      databaseUrl: urls.postgres,
      databasePassword: config.databasePassword,
      clickhouseUrl: urls.clickhouse,
    });
    for (const warning of warnings) process.stderr.write(`${warning}\n`);
    process.stdout.write(
      applied.length === 0 ? 'Nothing was due.\n' : `Applied:\n${applied.map((name) => `  ${name}\n`).join('')}`,
    );
  },
);
