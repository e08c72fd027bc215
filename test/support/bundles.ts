/**
 * Our processes, each bundled into a few files. To find, read and link some 1,900 modules took two thirds of the CPU of
 * a start, and the suite has more than a thousand. The code is the same, and each module keeps the address of its
 * source, so that it finds what lies beside it. Processes run from their sources, as users run them, in the tests of
 * `integration/local`, in the tours, in the crash matrix and wherever a test starts one by hand.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { processes } from '#platform/config/processes.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Within the checkout, as packages that are not bundled are looked for from there. */
const bundlesFolder = join(root, '.millrace/bundles');

const files = [
  ...Object.values(processes).map(({ file }) => file),
  'api/access/bootstrap.main.ts',
  'api/verify/verify.main.ts',
  'rater/verify/quantities.main.ts',
  'rater/verify/rating.main.ts',
];
const workers = ['rater/run/rate.worker.ts', 'rater/simulate/simulate.worker.ts'];

/** They find files of their own by where they lie. */
const left = [/^node:/, /^piscina$/, /typst/, /^swagger-ui-dist/];

const bundleOf = (file: string): string => join(bundlesFolder, file.replace(/\.ts$/, '.js'));

const addressOf = (module: string): string => {
  const file = relative(root, module);
  return JSON.stringify(pathToFileURL(workers.includes(file) ? bundleOf(file) : module).href);
};

/** Whoever starts it at this moment has it as it was, or as it is. */
const write = (file: string, text: string): void => {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, file);
};

/** Once for a run of tests. What has not changed stays, and with it what was compiled of it. */
export const makeBundles = async (): Promise<void> => {
  const bundle = await rolldown({
    input: Object.fromEntries([...files, ...workers].map((file) => [file.replace(/\.ts$/, ''), join(root, file)])),
    cwd: root,
    platform: 'node',
    external: left,
    logLevel: 'silent',
    plugins: [
      {
        name: 'addresses of the sources',
        transform: (code, module) =>
          code
            .replaceAll(
              /new URL\('(\.\/[\w-]+\.worker\.ts)', import\.meta\.url\)/g,
              (_, worker: string) => `new URL(${addressOf(resolve(module, '..', worker))})`,
            )
            .replaceAll('import.meta.url', addressOf(module)),
      },
    ],
  });
  const { output } = await bundle.generate({
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
  });
  await bundle.close();
  for (const part of output) if (part.type === 'chunk') write(join(bundlesFolder, part.fileName), part.code);
};

/** What is run in the place of a file. */
export const bundled = (file: string): string => (files.includes(file) ? bundleOf(file) : file);
