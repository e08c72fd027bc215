/** Runs a program to its end and gives what it wrote to stdout; what it says otherwise is shown where it fails. */
import { spawn } from 'node:child_process';

export type ProgramOptions = {
  readonly cwd: string;
  /** Beside the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
};

const shownCharacters = 8_000;

export const runProgram = (words: readonly string[], { cwd, environment = {} }: ProgramOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    const [program = '', ...rest] = words;
    const child = spawn(program, rest, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      all += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      all += text;
    });
    child.once('error', (error) => reject(new Error(`can't run ${program}: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      reject(new Error(`${words.join(' ')} ended with ${code ?? signal}:\n${all.slice(-shownCharacters)}`));
    });
  });
