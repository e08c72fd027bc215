export const apiExamples = {};
export const ingestExamples = {};
