// Executes the documents. In every Markdown file of the repository:
//
//   ```sh          runs in one bash session per document, in order; a failing command fails the test
//   ```sh server   is started in the background; the session goes on when the server answers
//   ```text        directly after a ```sh block is the block's output, where … stands for anything
//
// README.md runs in the root of the repository, because its commands build from there; the others
// run in an empty directory with `fed` on the PATH. Databases lie in a directory of their own.
// A document that speaks of $DATABASE_URL gets an empty PostgreSQL database there.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { access, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const binaries = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release");
const LIVE = "http://127.0.0.1:43127/livez";
const SERVER_START_MS = 15 * 60 * 1000; // the README's first command compiles
const BLOCK_MS = 2 * 60 * 1000;

function blocks(markdown) {
  const found = [];
  const fence = /^```(\S*)([^\n]*)\n([\s\S]*?)^```$/gm;
  let end = 0;
  for (const match of markdown.matchAll(fence)) {
    const [whole, language, rest, text] = match;
    const between = markdown.slice(end, match.index);
    end = match.index + whole.length;
    const line = markdown.slice(0, match.index).split("\n").length;
    found.push({ language, server: rest.trim() === "server", text, line, adjacent: between.trim() === "" });
  }
  return found;
}

/** A pattern in which … stands for anything, newlines included. */
function pattern(text) {
  const parts = text.trim().split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[\\s\\S]*")}$`);
}

/** One bash that runs block after block and says how each ended. */
class Session {
  constructor(cwd, env) {
    this.shell = spawn("bash", ["--noprofile", "--norc"], { cwd, env, detached: true });
    this.output = "";
    this.waiting = undefined;
    const take = (data) => {
      this.output += data;
      this.waiting?.();
    };
    this.shell.stdout.on("data", take);
    this.shell.stderr.on("data", take);
    this.shell.on("exit", () => this.waiting?.());
    this.count = 0;
    // The marks keep away from redirections: a command may fail within $(...) or > file.
    this.shell.stdin.write("exec 9>&1\n");
  }

  async run(text) {
    const mark = `--- end of block ${this.count++}: `;
    this.output = "";
    // A failure ends the block at once, but not the session.
    const failed = `echo "${mark}failed at $BASH_COMMAND" >&9; set +e; sleep infinity`;
    this.shell.stdin.write(`set -eE; trap '${failed}' ERR\n`);
    this.shell.stdin.write(`set -o pipefail\n${text}\necho "${mark}fine"\n`);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.waiting?.();
    }, BLOCK_MS);
    try {
      while (!this.output.includes(mark) || !/(fine|failed .*)\n/.test(this.output.split(mark)[1])) {
        assert.equal(this.shell.exitCode, null, `the shell ended:\n${this.output}`);
        assert.ok(!late, `the block does not end:\n${text}\n${this.output}`);
        await new Promise((done) => {
          this.waiting = done;
        });
      }
    } finally {
      clearTimeout(timer);
    }
    const [output, end] = this.output.split(mark);
    assert.match(end, /^fine/, `the block ${end}:\n${text}\n${output}`);
    return output;
  }

  close() {
    process.kill(-this.shell.pid, "SIGKILL");
  }
}

async function isLive() {
  try {
    return (await fetch(LIVE)).ok;
  } catch {
    return false;
  }
}

async function startServer(text, cwd, env) {
  assert.equal(await isLive(), false, "something else listens on 127.0.0.1:43127; stop it first");
  // `exec` where it can be: a signal then reaches the server itself.
  const server = spawn("bash", ["-c", text], { cwd, env, detached: true });
  let log = "";
  server.stdout.on("data", (data) => (log += data));
  server.stderr.on("data", (data) => (log += data));
  const deadline = Date.now() + SERVER_START_MS;
  // The banner ends with an address to try: by then commands find the server, too.
  while (!log.includes("/health") || !(await isLive())) {
    assert.equal(server.exitCode, null, `the server ended:\n${log}`);
    assert.ok(Date.now() < deadline, `the server does not answer:\n${log}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return async () => {
    const ended = new Promise((done) => server.once("exit", done));
    process.kill(-server.pid, "SIGTERM");
    await ended;
    assert.doesNotMatch(log, /panicked/, log);
  };
}

let databases = 0;

/** Makes an empty database on the server that ./test has started; gives its URL. */
async function emptyDatabase() {
  const server = process.env.DOWNCITY_TEST_POSTGRES;
  assert.ok(server, "set DOWNCITY_TEST_POSTGRES or run ./test docs");
  const name = `docs_${process.pid}_${++databases}`;
  await promisify(execFile)("psql", [server, "-Xqc", `CREATE DATABASE ${name}`]);
  return server.replace(/[^/]*$/, name);
}

async function execute(path) {
  const markdown = await readFile(join(root, path), "utf8");
  const all = blocks(markdown);
  if (!all.some((block) => block.language === "sh")) return 0;
  const scratch = await mkdtemp(join(tmpdir(), "downcity-docs-"));
  const isReadme = path === "README.md";
  const env = { ...process.env, PATH: `${binaries}:${process.env.PATH}` };
  for (const name of Object.keys(env)) if (/^(DOWNCITY_|HOST$|PORT$)/.test(name)) delete env[name];
  env.XDG_CONFIG_HOME = join(scratch, ".config");
  if (isReadme) env.DOWNCITY_FEDERATION_DATABASE_URL = `sqlite:${scratch}/.base/downcity.sqlite`;
  if (all.some((block) => block.language === "sh" && block.text.includes("$DATABASE_URL"))) {
    env.DATABASE_URL = await emptyDatabase();
  }
  const cwd = isReadme ? root : scratch;
  const session = new Session(cwd, env);
  const servers = [];
  let executed = 0;
  try {
    for (const [index, block] of all.entries()) {
      if (block.language !== "sh") continue;
      executed += 1;
      if (block.server) {
        servers.push(await startServer(block.text, cwd, env));
        continue;
      }
      const output = await session.run(block.text);
      const next = all[index + 1];
      if (next?.language === "text" && next.adjacent) {
        assert.match(output.trim(), pattern(next.text), `${path}:${block.line}`);
      }
    }
  } finally {
    session.close();
    for (const stop of servers) await stop();
    await rm(scratch, { recursive: true, force: true });
  }
  return executed;
}

const documents = ["README.md"];
for (const name of await readdir(join(root, "docs"))) if (name.endsWith(".md")) documents.push(`docs/${name}`);

for (const path of documents) {
  test(`${path} does what it says`, { timeout: SERVER_START_MS + 300_000 }, async () => {
    const executed = await execute(path);
    if (path === "README.md") assert.ok(executed > 5, "the tour is executed");
  });
}

/** What a heading is called in a link: as the renderers of Markdown do it. */
function anchors(markdown) {
  const text = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"),
  );
}

test("every link between documents leads somewhere", async () => {
  let followed = 0;
  for (const path of documents) {
    const markdown = await readFile(join(root, path), "utf8");
    for (const [, target, anchor] of markdown.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const to = target === "" ? path : join(dirname(path), target);
      const there = await readFile(join(root, to), "utf8").catch(() => assert.fail(`${path}: no file ${target}`));
      if (anchor) assert.ok(anchors(there).includes(anchor), `${path}: ${to} has no #${anchor}`);
      followed += 1;
    }
  }
  assert.ok(followed > 20, "documents link to each other");
});

test("every file of the repository that security.md names exists", async () => {
  const markdown = await readFile(join(root, "docs/security.md"), "utf8");
  const named = [...markdown.matchAll(/`((?:crates|tests)\/[^`]+)`/g)].map(([, path]) => path);
  assert.ok(named.length > 10, "the table of tests names them");
  for (const path of named) await access(join(root, path)).catch(() => assert.fail(`there is no ${path}`));
});
