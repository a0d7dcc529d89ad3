// Says how much a page loads for @downcity/city: all modules that its index reaches, with the
// parser of event streams, as one file without comments, gzipped. Fails over the limit.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT = 12_000;
const packages = join(dirname(fileURLToPath(import.meta.url)), "../packages");

/** The texts of a module and of all that it imports. */
function load(file, seen = new Map()) {
  if (seen.has(file)) return seen;
  const text = readFileSync(file, "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "");
  seen.set(file, text);
  for (const [, from] of text.matchAll(/^(?:import|export)[^;]*?\sfrom "([^"]+)";/gms)) {
    const target = from.startsWith(".")
      ? join(dirname(file), from)
      : createRequire(file)
          .resolve(from)
          .replace(/\.cjs$/, ".js");
    load(target, seen);
  }
  return seen;
}

for (const name of ["city", "gate", "visiblebase-client"]) {
  const modules = load(join(packages, name, "dist", name, "src/index.js"));
  const text = [...modules.values()].join("");
  const size = gzipSync(text, { level: 9 }).length;
  const line = `${name}: ${size} bytes gzipped, ${text.length} plain, ${modules.size} modules, not minified`;
  console.log(line);
  if (name === "city" && size > LIMIT) {
    console.error(`${name} is over its limit of ${LIMIT} bytes`);
    process.exit(1);
  }
}
