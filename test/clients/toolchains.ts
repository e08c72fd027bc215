/**
 * The four generators at their versions: how each is installed, makes a client of the two documents, compiles it with a
 * program strictly, and is run. What is installed stays in a folder that the lock file names, so that it is there the
 * next time.
 */
import { hash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from './run-program.ts';

export type Client = {
  /** Of the generator; what its program makes is called by it, too. */
  readonly name: string;
  /** Its program, once it is compiled. */
  readonly words: readonly string[];
};

export type Toolchain = {
  readonly language: 'typescript' | 'go' | 'python';
  /** On the PATH: by name how to ask for it, and what to do where it is not there. */
  readonly needs: { readonly words: readonly string[]; readonly cure: string };
  /** Gives the folder of the tools. */
  readonly install: (toolsFolder: string) => Promise<string>;
  /** In `work` there are the documents and the programs. Gives the clients that can be run. */
  readonly build: (work: string, tools: string) => Promise<readonly Client[]>;
};

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));
const hosts = ['api', 'ingest'] as const;

/** Runs `fill` in a folder that the content of the lock file names, once. */
const installOnce = async (
  toolsFolder: string,
  lockFile: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> => {
  const folder = join(toolsFolder, `clients-${hash('sha256', readFileSync(join(here, lockFile))).slice(0, 16)}`);
  const mark = join(folder, 'installed');
  if (existsSync(mark)) return folder;
  mkdirSync(folder, { recursive: true });
  await fill(folder);
  writeFileSync(mark, '');
  return folder;
};

const typescript: Toolchain = {
  language: 'typescript',
  needs: { words: ['npm', '--version'], cure: 'install Node 20 or newer with npm' },
  install: (toolsFolder) =>
    installOnce(toolsFolder, 'typescript/package-lock.json', async (folder) => {
      for (const name of ['package.json', 'package-lock.json'])
        cpSync(join(here, 'typescript', name), join(folder, name));
      await runProgram(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: folder,
      });
    }),
  build: async (work, tools) => {
    symlinkSync(join(tools, 'node_modules'), join(work, 'node_modules'));
    const binary = (name: string) => [process.execPath, join(work, 'node_modules', name)];
    await Promise.all([
      ...hosts.map((host) => {
        const files = [`documents/${host}.json`, '-o', `openapi-typescript/${host}.ts`];
        return runProgram([...binary('openapi-typescript/bin/cli.js'), ...files], { cwd: work });
      }),
      runProgram([...binary('@hey-api/openapi-ts/bin/run.js'), '-f', 'openapi-ts.config.mjs', '--no-log-file'], {
        cwd: work,
      }),
    ]);
    // With the compiler of this project; that of the tools is what they generate with.
    await runProgram([process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: work });
    return ['openapi-fetch', 'hey-api'].map((name) => ({ name, words: [process.execPath, `${name}.ts`] }));
  },
};

const go: Toolchain = {
  language: 'go',
  needs: { words: ['go', 'version'], cure: 'install Go 1.26 or newer (https://go.dev/dl)' },
  // Go keeps what it has fetched and built by itself.
  install: async () => {
    await runProgram(['go', 'build', '-o', '/dev/null', 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen'], {
      cwd: join(here, 'go'),
    });
    return '';
  },
  build: async (work) => {
    for (const host of hosts) {
      mkdirSync(join(work, host));
      const words = [
        '-config',
        'oapi-codegen.yaml',
        '-package',
        host,
        '-o',
        `${host}/${host}.gen.go`,
        `documents/${host}.json`,
      ];
      await runProgram(['go', 'tool', 'oapi-codegen', ...words], { cwd: work });
    }
    await runProgram(['go', 'vet', './...'], { cwd: work });
    await runProgram(['go', 'build', '-o', 'client', '.'], { cwd: work });
    return [{ name: 'oapi-codegen', words: [join(work, 'client')] }];
  },
};

const python: Toolchain = {
  language: 'python',
  needs: { words: ['python3', '-m', 'venv', '--help'], cure: 'install Python 3.11 or newer with venv and pip' },
  install: (toolsFolder) =>
    installOnce(toolsFolder, 'python/requirements.txt', async (folder) => {
      await runProgram(['python3', '-m', 'venv', '--clear', folder], { cwd: here });
      const words = ['install', '--quiet', '--disable-pip-version-check', '-r', 'python/requirements.txt'];
      await runProgram([join(folder, 'bin', 'pip'), ...words], { cwd: here });
    }),
  build: async (work, tools) => {
    const tool = (name: string) => join(tools, 'bin', name);
    await Promise.all(
      hosts.map((host) => {
        const words = [
          'generate',
          '--path',
          `documents/${host}.json`,
          '--output-path',
          host,
          '--meta',
          'none',
          '--config',
          'config.yml',
        ];
        return runProgram([tool('openapi-python-client'), ...words], { cwd: work });
      }),
    );
    await runProgram([tool('python'), '-m', 'compileall', '-q', 'api', 'ingest', 'main.py'], { cwd: work });
    await runProgram([tool('mypy'), '--strict', '--cache-dir', join(tools, 'mypy-cache'), 'api', 'ingest', 'main.py'], {
      cwd: work,
    });
    return [{ name: 'openapi-python-client', words: [tool('python'), 'main.py'] }];
  },
};

export const toolchains: readonly Toolchain[] = [typescript, go, python];
