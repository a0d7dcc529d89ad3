// Starts the `fed` binary the way an operator does, and talks to its admin routes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createDatabase } from "./databases.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const BINARY = resolve(process.env.FED_BIN ?? join(HERE, "../../../target/debug/fed"));
const START_MS = 30_000;
const STOP_MS = 20_000;

export const ADMIN_KEY = "admin_test_key_0123456789";

/**
 * Starts a Federation in an empty directory and waits until it is alive.
 *
 * @param engine one of `ENGINES`
 * @param config the text of federation.toml
 */
export async function startFederation({ engine, config = "" }) {
  const directory = await mkdtemp(join(tmpdir(), "npm-clients-"));
  const federation = new Federation(directory);
  try {
    await federation.start(engine, config);
  } catch (error) {
    await federation.discard();
    throw error;
  }
  return federation;
}

class Federation {
  #directory;
  #database;
  #child;
  #exited;
  #output = "";

  constructor(directory) {
    this.#directory = directory;
  }

  async start(engine, config) {
    await mkdir(join(this.#directory, "data"));
    await writeFile(join(this.#directory, "federation.toml"), config);
    this.#database = await createDatabase(engine, this.#directory);
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(BINARY, ["serve", "--config", join(this.#directory, "federation.toml")], {
      cwd: this.#directory,
      stdio: ["ignore", "pipe", "pipe"],
      // Nothing else of the developer's environment: it could redirect or configure the binary.
      env: {
        PATH: process.env.PATH,
        HOME: this.#directory,
        HOST: "127.0.0.1",
        PORT: String(port),
        RUST_BACKTRACE: "1",
        DOWNCITY_FEDERATION_DATABASE_URL: this.#database.url,
        DOWNCITY_FEDERATION_ADMIN_SECRET_KEY: ADMIN_KEY,
        ...this.#database.env,
      },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.#output += text));
    }
    this.#exited = new Promise((resolve) => {
      this.#child.on("error", (error) => resolve(`could not start ${BINARY}: ${error.message}`));
      this.#child.on("exit", (code, signal) => resolve(code === null ? `ended by ${signal}` : `exit code ${code}`));
    });
    await this.#alive();
  }

  async #alive() {
    let ended;
    this.#exited.then((how) => (ended = how));
    const deadline = Date.now() + START_MS;
    while (ended === undefined && Date.now() < deadline) {
      const answer = await fetch(`${this.url}/livez`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return;
      await delay(20);
    }
    throw new Error(`fed did not answer GET /livez with 200 (${ended ?? `still running after ${START_MS} ms`})\n${this.log()}`);
  }

  /** Everything the binary printed, for failure messages. */
  log() {
    return `--- output of fed ---\n${this.#output}---------------------`;
  }

  /** Stops the binary as a service manager does; throws if it did not end cleanly. */
  async stop() {
    const problems = [];
    this.#child.kill("SIGTERM");
    const how = await Promise.race([this.#exited, delay(STOP_MS, undefined, { ref: false })]);
    if (how !== "exit code 0") {
      problems.push(how ?? `still running ${STOP_MS} ms after SIGTERM`);
    }
    if (/panicked at/.test(this.#output)) problems.push("a panic was printed");
    const log = this.log();
    await this.discard();
    if (problems.length > 0) throw new Error(`fed did not end cleanly: ${problems.join(", ")}\n${log}`);
  }

  /** Ends the process if it still runs, and removes directory and database. */
  async discard() {
    if (this.#child?.pid && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    await this.#database?.remove();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /**
   * One call with a JSON body (or a GET without one), as any HTTP client makes it; gives
   * `{ status, headers, text, body }`.
   */
  async call(path, { token, body, method = body === undefined ? "GET" : "POST", headers = {} } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: typeof body === "string" || body === undefined ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let parsed;
    try {
      parsed = JSON.parse(text);
    } catch {
      // Left undefined: the assertion on `body` then shows what was expected.
    }
    return { status: response.status, headers: response.headers, text, body: parsed };
  }

  /** A call with the admin key that must succeed; gives the parsed body. */
  async admin(path, body) {
    const answer = await this.call(path, { token: ADMIN_KEY, body });
    if (answer.status !== 200) {
      throw new Error(`${path} answered ${answer.status}: ${answer.text}\n${this.log()}`);
    }
    return answer.body;
  }

  setEnv(key, value) {
    return this.admin("/v1/env/upsert", { key, value });
  }

  createCity(city_id) {
    return this.admin("/v1/cities/create", { city_id, name: `City ${city_id}` });
  }

  /** A user_token of the city. */
  async issueToken(city_id, user_id) {
    const { user_token } = await this.admin("/v1/cities/tokens/apply", { city_id, user_id, ttl: "1h" });
    return user_token;
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
