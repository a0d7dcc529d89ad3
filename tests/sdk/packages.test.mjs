// What is in the packages: sizes, declarations, nothing that runs when they are installed.
import assert from "node:assert/strict";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { bundle } from "./lib/bundle.mjs";
import { PROJECT } from "./lib/project.mjs";

const NAMES = ["@downcity/type", "@downcity/city", "@downcity/gate", "@visiblebase/client"];
/** The most that a page may load for `@downcity/city`, in bytes. */
const LIMIT = 12_000;

for (const name of NAMES) {
  const folder = join(PROJECT, "node_modules", name);
  const manifest = async () => JSON.parse(await readFile(join(folder, "package.json"), "utf8"));

  test(`${name}: publint has nothing to say`, async () => {
    const { messages } = await publint({ pkgDir: folder, pack: false, strict: true });
    assert.deepEqual(messages.map((message) => formatMessage(message, {})), []);
  });

  test(`${name}: no scripts, no neighbours, one entry`, async () => {
    const { scripts, dependencies = {}, type, exports, engines, license } = await manifest();
    assert.equal(scripts, undefined, "nothing runs when it is installed");
    assert.deepEqual(Object.keys(dependencies), name === "@downcity/type" ? [] : ["eventsource-parser"]);
    assert.equal(type, "module");
    assert.equal(typeof exports["."].import, "string");
    assert.equal(engines.node, ">=20.19");
    assert.equal(license, "MIT OR Apache-2.0");
    for (const file of [exports["."].import, exports["."].types, "README.md", "LICENSE-MIT", "LICENSE-APACHE"]) {
      await access(join(folder, file));
    }
  });
}

test("what a page loads for @downcity/city is small", async (context) => {
  for (const name of NAMES) {
    const { text, inputs } = await bundle(name);
    const size = gzipSync(text, { level: 9 }).length;
    context.diagnostic(`${name}: ${size} bytes gzipped, ${text.length} minified, of ${inputs.length} modules`);
    if (name === "@downcity/city") assert.ok(size <= LIMIT, `${size} bytes are more than ${LIMIT}`);
  }
});

test("nothing else is installed with them", async () => {
  const lock = JSON.parse(await readFile(join(PROJECT, "package-lock.json"), "utf8"));
  const installed = Object.keys(lock.packages).filter((path) => path !== "").map((path) => path.replace("node_modules/", ""));
  assert.deepEqual(installed.filter((name) => !lock.packages[`node_modules/${name}`].peer).sort(), [...NAMES, "eventsource-parser"].sort());
});
