// Compiles each package, with what it takes from its neighbours, into its own dist.
// Two runs each: scripts without comments, and declarations with them.
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const tsc = join(root, "node_modules/typescript/bin/tsc");

for (const name of ["type", "city", "gate", "visiblebase-client"]) {
  const folder = join(root, "packages", name);
  rmSync(join(folder, "dist"), { recursive: true, force: true });
  for (const options of [
    ["--declaration", "false", "--removeComments"],
    ["--emitDeclarationOnly"],
  ]) {
    const { status } = spawnSync(process.execPath, [tsc, "-p", folder, ...options], {
      stdio: "inherit",
    });
    if (status !== 0) process.exit(status ?? 1);
  }
  dropEmptyModules(join(folder, "dist"));
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    copyFileSync(join(root, "../..", licence), join(folder, licence));
  }
}

/** Modules of types alone leave empty scripts, which nothing imports. */
function dropEmptyModules(dist) {
  for (const file of readdirSync(dist, { recursive: true })) {
    const path = join(dist, file);
    if (!file.endsWith(".js") || !/^export \{\};\s*(\/\/.*\s*)?$/.test(readFileSync(path, "utf8")))
      continue;
    rmSync(path);
    rmSync(`${path}.map`);
  }
}
