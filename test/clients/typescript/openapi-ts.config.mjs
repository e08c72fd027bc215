/** What @hey-api/openapi-ts makes: with endings in its imports, Node runs it as it is. */
const pluginNames = ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'];

export default ['api', 'ingest'].map((host) => ({
  input: `./documents/${host}.json`,
  output: { path: `hey-api/${host}`, module: { extension: '.ts' } },
  plugins: pluginNames,
}));
