/**
 * The error reference: every public code with its cause, its cure and an example, made from the one table of codes.
 * Pure.
 */
import { type FailureCode, type Fault, failures, type Problem, toProblem } from '#schemas/failures.ts';

export type ErrorPage = {
  readonly error_code: FailureCode;
  readonly status: number;
  readonly title: string;
  readonly cause: string;
  readonly cure: string;
  readonly example: Problem;
};

const codes = Object.keys(failures) as FailureCode[];

export const isFailureCode = (text: string): text is FailureCode => Object.hasOwn(failures, text);

/** What the answers with this code list: 400 and 422 name what is at fault. */
const exampleFaults = (code: FailureCode): Fault[] => {
  if (code === 'VALIDATION_FAILED')
    return [{ field: 'name', code: 'missing', message: "must have required property 'name'" }];
  if (code === 'BAD_REQUEST')
    return [{ field: 'limit', code: 'out_of_range', message: 'must be a whole number from 1 to 1000' }];
  if (code === 'EVENTS_REJECTED') return [{ field: 'events[0].event', code: 'missing', message: 'event is required' }];
  return [];
};

const exampleRequestId = 'req_01a1fb2b2f1e75dd8fa1574e85b72578';

export const errorPage = (code: FailureCode): ErrorPage => {
  const { status, title, cause, cure } = failures[code];
  return {
    error_code: code,
    status,
    title,
    cause,
    cure,
    example: toProblem(code, exampleRequestId, undefined, exampleFaults(code)),
  };
};

export const errorPages = (): ErrorPage[] => codes.map(errorPage).sort((a, b) => a.status - b.status);

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML shows it, between tags or in quotes. */
export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => escapes[character] as string);

/** Backticks stand for code. */
const prose = (text: string): string => escapeHtml(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>');

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/docs/assets/errors.css">
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;

export const errorPageHtml = ({ error_code: code, status, title, cause, cure, example }: ErrorPage): string =>
  page(
    `${code} - Millrace`,
    `<p><a href="/docs/errors">All error codes</a></p>
<h1><code>${code}</code></h1>
<p><strong>${status}</strong> ${prose(title)}</p>
<h2>Cause</h2>
<p>${prose(cause)}</p>
<h2>Cure</h2>
<p>${prose(cure)}</p>
<h2>Example</h2>
<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`,
  );

export const errorIndexHtml = (pages: readonly ErrorPage[]): string =>
  page(
    'Error codes - Millrace',
    `<h1>Error codes</h1>
<p>Every answer that is no success is <code>application/problem+json</code> with one of these in <code>error_code</code>. Code and status are stable; words are not.</p>
<table>
<tr><th>Status</th><th>Code</th><th>What it means</th></tr>
${pages.map(({ status, error_code: code, title }) => `<tr><td>${status}</td><td><a href="/docs/errors/${code}">${code}</a></td><td>${prose(title)}</td></tr>`).join('\n')}
</table>`,
  );

export const errorCss = `body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0; }
main { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { background: #f4f4f4; padding: 1rem; overflow: auto; }
td, th { text-align: left; padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; }
`;
