/**
 * `npm run rotate-keys [-- --data-keys]`: rotation of the keys that encrypt at rest (platform/secrets/rotate-keys.ts),
 * wherever PostgreSQL is (with-stores.ts).
 *
 * A new master key: start the processes with it as MILLRACE_MASTER_KEY and the old one as MILLRACE_PREVIOUS_MASTER_KEY,
 * run this with the same two, and start them again without the old one. New data keys: run this with `--data-keys`, and
 * again without a while later, for what was written meanwhile.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sealedColumns } from '#schemas/sealed-columns.ts';
import { type Config, ConfigError, loadConfig, secretsOf, settings } from '../config/config.ts';
import { systemClock } from '../process/clock.ts';
import { createLog } from '../process/log.ts';
import { type RotationReport, rotateKeys } from '../secrets/rotate-keys.ts';
import { masterKeysFrom } from '../secrets/vault.ts';
import { connectPostgres } from '../stores/postgres.ts';
import { readIfThere } from './home.ts';
import { print } from './run-stack.ts';
import { keptMasterKey } from './stack.ts';
import { runOnStores } from './with-stores.ts';

/**
 * The one of the environment, else the one of this home, which is made anew only where the old one is given beside it.
 */
const masterKeyOf = (config: Config, home: string): string => {
  if (config.masterKey !== '') return config.masterKey;
  const path = join(home, 'master-key');
  if (readIfThere(path) === undefined && config.previousMasterKey === '') {
    throw new ConfigError([
      `${settings.masterKey.variable} is missing, and there is no ${path}: ${settings.masterKey.about}`,
    ]);
  }
  return keptMasterKey(home);
};

const textOf = (report: RotationReport): string =>
  [
    `Master key ${report.masterKeyId} wraps all data keys; ${report.rewrapped} of ${report.dataKeys} were wrapped by the one before.`,
    `New data keys: ${report.renewed}. Deleted, as they sealed nothing any more: ${report.deleted}. Replaced and kept for now: ${report.kept}.`,
    ...report.columns.map(
      ({ name, sealedFromClear, resealed, left }) =>
        `  ${name}: ${resealed} sealed anew${sealedFromClear > 0 ? `, ${sealedFromClear} that were in clear` : ''}${left > 0 ? `, ${left} still under an older key` : ''}`,
    ),
    ...(report.kept > 0 || report.columns.some(({ left }) => left > 0)
      ? [
          'Run it again in an hour: what processes wrote meanwhile is sealed anew, and replaced keys that seal nothing are deleted.',
        ]
      : []),
  ].join('\n');

const readArguments = (): { 'data-keys': boolean } => {
  try {
    return parseArgs({ options: { 'data-keys': { type: 'boolean', default: false } } }).values;
  } catch (error) {
    print(`${(error as Error).message}\nusage: npm run rotate-keys [-- --data-keys]`);
    process.exit(1);
  }
};

const renewDataKeys = readArguments()['data-keys'];
const readConfig = () => loadConfig(process.env, []);
await runOnStores(
  { readConfig, names: ['postgres'], failure: 'the rotation stopped' },
  async ({ urls, config, home, signal }) => {
    const masterKey = masterKeyOf(config, home);
    // A kept key has not been checked yet.
    const { previousMasterKey, logLevel } = loadConfig({ ...process.env, MILLRACE_MASTER_KEY: masterKey }, [
      'masterKey',
    ]);
    const postgres = connectPostgres(urls.postgres, {
      poolMax: 1,
      log: createLog('rotate-keys', logLevel, secretsOf(config)),
    });
    try {
      const report = await rotateKeys(postgres, {
        columns: Object.values(sealedColumns),
        renewDataKeys,
        clock: systemClock,
        signal,
        masterKeys: masterKeysFrom({ masterKey, previousMasterKey }),
      });
      process.stdout.write(`${textOf(report)}\n`);
    } finally {
      await postgres.close();
    }
  },
);
