/**
 * ClickHouse as a process: `node clickhouse-server.mjs <libchdb> --http_port <port> --path <folder> ...`. Plain
 * JavaScript, because Node's types don't know `node:ffi` yet.
 *
 * The engine runs in a worker, where its call blocks for as long as it serves, and the main thread stays free to
 * listen: SIGTERM or the end of the supervisor's channel cancels the query that keeps the server up, upon which the
 * engine closes its tables and the call returns.
 */
import ffi from 'node:ffi';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

/** `SYSTEM START LISTEN` returns at once, and the engine ends with its last query; this one never ends by itself. */
const serve = `SYSTEM START LISTEN HTTP; SELECT sleepEachRow(3) FROM system.numbers
  SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1 FORMAT Null`;
const stopServing = "KILL QUERY WHERE query LIKE 'SELECT sleepEachRow(3) FROM system.numbers%' ASYNC";

const runEngine = (library, options) => {
  const { functions } = ffi.dlopen(library, {
    chdb_query_cmdline: { arguments: ['i32', 'pointer'], return: 'pointer' },
    _exit: { arguments: ['i32'], return: 'void' },
  });
  const words = ['clickhouse', ...options, '--query', serve].map((word) => Buffer.from(`${word}\0`));
  // argv as C wants it: one pointer per word, and a null pointer behind the last.
  const argv = Buffer.alloc(8 * (words.length + 1));
  words.forEach((word, index) => {
    argv.writeBigUInt64LE(BigInt(ffi.getRawPointer(word)), index * 8);
  });
  functions.chdb_query_cmdline(words.length, ffi.getRawPointer(argv));
  // The engine has closed its tables. A thread that ran it can't be taken down in order (its destructors crash), so the
  // process ends here; the main thread has said by now whether the end was wanted.
  functions._exit(Atomics.load(workerData.wanted, 0) === 1 ? 0 : 1);
};

if (isMainThread) {
  const [library, ...options] = process.argv.slice(2);
  const port = options[options.indexOf('--http_port') + 1];
  const wanted = new Int32Array(new SharedArrayBuffer(4));
  // Loading a table parses its definition on this thread's stack; 4 MB, Node's default, is half of what the engine's
  // own threads have.
  new Worker(new URL(import.meta.url), {
    workerData: { library, options, wanted },
    resourceLimits: { stackSizeMb: 8 },
  });
  const stop = async () => {
    Atomics.store(wanted, 0, 1);
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: stopServing });
      if (!answer.ok) throw new Error(await answer.text());
    } catch (error) {
      // Before it listens there is nobody to ask; nothing that was acknowledged can be lost then.
      console.error(`could not ask the engine to stop: ${error.message}`);
      process.kill(process.pid, 'SIGKILL');
    }
  };
  process.once('SIGTERM', stop);
  process.on('SIGINT', () => {});
  if (process.channel) process.once('disconnect', stop);
} else {
  runEngine(workerData.library, workerData.options);
}
