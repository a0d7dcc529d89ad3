// Packs the built clients and installs the tarballs into an empty project, as their users do.
// Prints where it is. What else the clients need comes from the cache of npm where it can.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const packages = fileURLToPath(new URL("../../../sdk/typescript/packages/", import.meta.url));
const PACKED = ["type", "city", "gate", "visiblebase-client"];

const project = await mkdtemp(join(tmpdir(), "sdk-project-"));
const tarballs = join(project, "tarballs");
await mkdir(tarballs);
for (const name of PACKED) {
  await run("npm", ["pack", "--pack-destination", tarballs, "--loglevel=error"], { cwd: join(packages, name) });
}
await writeFile(join(project, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
await run(
  "npm",
  ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", ...(await tarballsOf())],
  { cwd: project },
);
await cp(fileURLToPath(new URL("../blocks/", import.meta.url)), project, { recursive: true });
console.log(project);

async function tarballsOf() {
  const found = [];
  for (const name of PACKED) {
    const { version, name: full } = JSON.parse(await readFile(join(packages, name, "package.json"), "utf8"));
    found.push(join(tarballs, `${full.replace("@", "").replace("/", "-")}-${version}.tgz`));
  }
  return found;
}
