// Scenarios as data; see tests/behaviour/README.md.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../behaviour/", import.meta.url));

/** All scenarios that this client plays, as `{ file, name, steps }`. */
export function scenariosFor(client) {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort();
  return files
    .flatMap((file) => JSON.parse(readFileSync(FOLDER + file, "utf8")).map((scenario) => ({ file, ...scenario })))
    .filter(({ clients }) => clients === undefined || clients.includes(client));
}

/** Replaces each `${name}` by what is kept. */
export function fill(kept, value) {
  if (typeof value === "string") return fillText(kept, value);
  if (Array.isArray(value)) return value.map((item) => fill(kept, item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(kept, inner)]));
}

function fillText(kept, text) {
  const whole = /^\$\{([^}]+)\}$/.exec(text);
  if (whole) return lookUp(kept, whole[1]);
  return text.replace(/\$\{([^}]+)\}/g, (_, path) => {
    const found = lookUp(kept, path);
    return typeof found === "string" ? found : JSON.stringify(found);
  });
}

function lookUp(kept, path) {
  let found = kept;
  for (const name of path.split(".")) {
    if (found === null || typeof found !== "object" || !(name in found)) throw new Error(`nothing is kept as ${path}`);
    found = found[name];
  }
  return found;
}

/** What an answer has otherwise than it should; `undefined` where it is as it should be. */
export function difference(expected, got, at = "answer") {
  const wrong = `${at}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`;
  if (expected === null || typeof expected !== "object") return Object.is(expected, got ?? null) ? undefined : wrong;
  if (Array.isArray(expected)) {
    if (!Array.isArray(got) || got.length !== expected.length) return wrong;
    return first(expected, (item, index) => difference(item, got[index], `${at}[${index}]`));
  }
  if ("$match" in expected) return typeof got === "string" && new RegExp(expected.$match).test(got) ? undefined : wrong;
  if ("$has" in expected) return Array.isArray(got) && hasItem(got, expected.$has) ? undefined : wrong;
  if ("$lacks" in expected) return Array.isArray(got) && !hasItem(got, expected.$lacks) ? undefined : wrong;
  if (got === null || typeof got !== "object" || Array.isArray(got)) return wrong;
  return first(Object.entries(expected), ([key, value]) => difference(value, got[key], `${at}.${key}`));
}

function hasItem(list, wanted) {
  return list.some((item) => difference(wanted, item) === undefined);
}

function first(items, find) {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}
