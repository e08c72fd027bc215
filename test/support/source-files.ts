/** The files of this repository as a test of style reads them: their text, what of it is code, and what they import. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Import = { readonly specifier: string; readonly at: number; readonly typesOnly: boolean };

export type SourceFile = {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  /**
   * The text with its comments, and what stands inside of quotes, replaced by spaces: at the same places. Empty for
   * what is no code.
   */
  readonly code: string;
  readonly imports: readonly Import[];
};

const root = fileURLToPath(new URL('../../', import.meta.url));

const listed = (): string[] => {
  try {
    const words = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    return execFileSync('git', words, { cwd: root, encoding: 'utf8', maxBuffer: 67_108_864, stdio: 'pipe' }).split(
      '\0',
    );
  } catch {
    // A copy without its history: everything but what is never committed.
    return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
      (path) => !/^(?:node_modules|\.millrace|\.git)(?:\/|$)/.test(path),
    );
  }
};

/** Every text file that git tracks or would add. One that was deleted and not committed yet is none. */
export const sourceFiles = (): SourceFile[] =>
  [...new Set(listed())]
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(join(root, path), 'utf8') }];
      } catch {
        return [];
      }
    })
    .filter(({ text }) => !text.includes('\0'))
    .map(({ path, text }) => sourceFile(path, text));

export const sourceFile = (path: string, text: string): SourceFile => {
  const code = /\.(?:ts|mjs)$/.test(path) ? codeIn(text) : '';
  return { path, text, code, imports: importsIn(text, code) };
};

/** After these a slash begins a regular expression and is no division. */
const mayPrecedeRegExp =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield|throw|new))\s*$/;

export const codeIn = (text: string): string => {
  let code = '';
  let depth = 0;
  /** The depths of braces at which a template literal goes on. */
  const templates: number[] = [];
  const blank = (part: string) => part.replace(/[^\n]/g, ' ');
  const next = (pattern: RegExp): string => {
    pattern.lastIndex = code.length;
    return pattern.exec(text)?.[0] ?? text.charAt(code.length);
  };
  const quoted = (part: string) => {
    code += part.length < 2 ? part : part.charAt(0) + blank(part.slice(1, -1)) + part.at(-1);
  };
  const template = () => {
    const part = next(/[`}](?:\\[\s\S]|(?!\$\{)[^\\`])*(?:`|\$\{)/y);
    if (part.endsWith('${')) templates.push(depth);
    quoted(part);
  };
  while (code.length < text.length) {
    const char = text.charAt(code.length);
    const pair = text.slice(code.length, code.length + 2);
    if (pair === '//') code += blank(next(/.*/y));
    else if (pair === '/*') code += blank(next(/\/\*[\s\S]*?(?:\*\/|$)/y));
    else if (char === "'" || char === '"') quoted(next(/(['"])(?:\\[\s\S]|(?!\1)[^\\\n])*\1/y));
    else if (char === '`') template();
    else if (char === '/' && mayPrecedeRegExp.test(code.slice(-100)))
      quoted(next(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//y));
    else if (char === '}' && templates.at(-1) === depth) {
      templates.pop();
      template();
    } else {
      depth += char === '{' ? 1 : char === '}' ? -1 : 0;
      code += char;
    }
  }
  return code;
};

const importPattern =
  /\b(?:import|export)\s+(type\s+)?([\w*${}\s,]*?)\s*\bfrom\s*(['"] *['"])|\bimport\s*\(?\s*(['"] *['"])/dg;

const importsIn = (text: string, code: string): Import[] =>
  [...code.matchAll(importPattern)].map((match) => {
    const [start, end] = match.indices?.[3] ?? match.indices?.[4] ?? [0, 0];
    const names = /^\{([^}]*)\}$/
      .exec(match[2] ?? '')?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    const typesOnly = match[1] !== undefined || (names?.every((name) => /^\s*type\s/.test(name)) ?? false);
    return { specifier: text.slice(start + 1, end - 1), at: start, typesOnly };
  });
