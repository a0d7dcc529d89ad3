// The project that ./test has made: the packed clients, installed.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** Where the clients are installed. */
export const PROJECT = process.env.SDK_PROJECT;
if (!PROJECT) {
  throw new Error(
    "SDK_PROJECT is not set: run these tests through './test npm', or make it with 'node tests/sdk/lib/make-project.mjs'",
  );
}

/** A package as a module of the project imports it. */
export async function load(name) {
  // Resolved from the project; what a module gets by `require` is the very module of `import`.
  const path = createRequire(join(PROJECT, "package.json")).resolve(name);
  return import(pathToFileURL(path).href);
}

/**
 * Runs a script in the project with nothing else of the environment, and gives what it printed.
 * Throws with everything it printed when it fails.
 */
export async function runNode(args, env = {}) {
  const run = promisify(execFile);
  const options = { cwd: PROJECT, env: { PATH: process.env.PATH, HOME: PROJECT, ...env }, timeout: 60_000 };
  try {
    return (await run(process.execPath, args, options)).stdout;
  } catch (error) {
    throw new Error(`node ${args.join(" ")} failed (${error.code ?? error.signal})\n${error.stdout}${error.stderr}`);
  }
}
