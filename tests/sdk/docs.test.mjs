// Executes the pages about the TypeScript clients. The ```ts blocks of a page are one program, with
// `federation_url` and `admin_secret_key` at hand; a ```text block directly after one is what it
// prints, where … stands for anything. The program is checked by the compiler, too.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { ADMIN_KEY, onEveryEngine } from "./lib/engines.mjs";
import { PROJECT, runNode } from "./lib/project.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PAGES = ["clients-typescript", "moving-from-older-clients"];
const COMPILER = join(ROOT, "sdk/typescript/node_modules/typescript/bin/tsc");
const MARK = "--- end of block";
const CONSTANTS = `
declare const process: { env: Record<string, string> };
const federation_url = process.env.FEDERATION_URL!;
const admin_secret_key = process.env.GIVEN_KEY!;
`;

/** The blocks of a page, each with what it prints. */
async function blocksOf(page) {
  const markdown = await readFile(join(ROOT, "docs", `${page}.md`), "utf8");
  const fences = [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  return fences.flatMap(({ 0: whole, 1: language, 2: text, index }, at) => {
    if (language !== "ts") return [];
    const next = fences[at + 1];
    const between = next && markdown.slice(index + whole.length, next.index);
    const prints = next?.[1] === "text" && between.trim() === "" ? next[2] : undefined;
    return [{ text, prints, line: markdown.slice(0, index).split("\n").length }];
  });
}

function program(blocks) {
  return CONSTANTS + blocks.map(({ text }) => `${text}\nconsole.log("${MARK}");\n`).join("");
}

/** A pattern in which … stands for anything. */
function pattern(text) {
  const parts = text.trim().split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[\\s\\S]*?")}$`);
}

// The pages use it as a product that has it does.
before(() => symlink(fileURLToPath(new URL("node_modules/openai", import.meta.url)), join(PROJECT, "node_modules/openai")));

for (const page of PAGES) {
  test(`docs/${page}.md compiles`, async () => {
    const file = `${page}.ts`;
    await writeFile(join(PROJECT, file), program(await blocksOf(page)));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", ""];
    const run = promisify(execFile)(process.execPath, [COMPILER, ...options, file], { cwd: PROJECT });
    await run.catch(({ stdout }) => assert.fail(stdout));
  });
}

onEveryEngine("documents", (fixture) => {
  // One Federation for both pages: their ids differ, and the first wallet of the second is the newest.
  for (const page of PAGES) {
    test(`docs/${page}.md does what it says`, async () => {
      const blocks = await blocksOf(page);
      assert.ok(blocks.length >= 5, "the page has examples");
      const { code } = await transform(program(blocks), { loader: "ts", target: "es2022" });
      await writeFile(join(PROJECT, `${page}.mjs`), code);
      const said = await runNode([`${page}.mjs`], { FEDERATION_URL: fixture.fed.url, GIVEN_KEY: ADMIN_KEY });
      const outputs = said.split(`${MARK}\n`);
      for (const [index, { prints, line }] of blocks.entries()) {
        assert.match(outputs[index].trim(), pattern(prints ?? ""), `docs/${page}.md:${line}`);
      }
    });
  }
});
