// The database a suite runs on.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The engines every suite runs on. */
export const ENGINES = ["SQLite", "PostgreSQL"];

/**
 * Makes an empty database and gives its URL, what else of the environment it asks for, and how to
 * remove it. `directory` is where an embedded database puts its file.
 */
export async function createDatabase(engine, directory) {
  if (engine === "SQLite") {
    return { url: `sqlite:${join(directory, "data", "fed.sqlite")}`, env: {}, remove: async () => {} };
  }
  const server = process.env.DOWNCITY_TEST_POSTGRES;
  if (!server) {
    throw new Error(
      "DOWNCITY_TEST_POSTGRES is not set: run these tests through './test npm', which starts a PostgreSQL, " +
        "or set it to a URL such as postgres://user@%2Fsocket%2Fdirectory/postgres",
    );
  }
  const name = `npm_${randomBytes(6).toString("hex")}`;
  await psql(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  // The nodes of a PostgreSQL Federation share a master key; none is made for them.
  const env = { DOWNCITY_FEDERATION_MASTER_KEY: randomBytes(32).toString("base64") };
  return { url: url.href, env, remove: () => psql(server, `DROP DATABASE ${name} WITH (FORCE)`) };
}

async function psql(url, sql) {
  try {
    await run("psql", [url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
  } catch (error) {
    throw new Error(`psql could not run "${sql}": ${error.stderr || error.message}`);
  }
}
