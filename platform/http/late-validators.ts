/**
 * A schema is compiled when the first request of its route comes. The API has hundreds of them, and to compile them all
 * took a third of its start; a test compiles each, so that one which can't be is no surprise of the first request.
 */

type Judge = { (data: unknown): unknown; errors?: unknown };
type Compiler = { compile: (schema: object) => Judge };

/** Makes the `compile` of this Ajv give functions that compile when they are first called. */
export const compileLate = (ajv: Compiler): void => {
  const compile = ajv.compile.bind(ajv);
  ajv.compile = (schema) => {
    let compiled: Judge | undefined;
    // Fastify reads the faults from the function that it was given.
    const judge: Judge = (data) => {
      compiled ??= compile(schema);
      const verdict = compiled(data);
      judge.errors = compiled.errors;
      return verdict;
    };
    return judge;
  };
};
