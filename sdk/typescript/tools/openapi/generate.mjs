// Writes the wire types of the clients from docs/openapi.json; with --check it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../../..");
const target = join(root, "sdk/typescript/packages/core/src/openapi.ts");

// The actions whose shapes the packages carry: those with a method of their own, and what a
// product's server and app most often reach through `service(..)`.
const ACTIONS = [
  "cities/list",
  "cities/create",
  "cities/pause",
  "cities/activate",
  "cities/remove",
  "cities/tokens/apply",
  "env/list",
  "env/catalog",
  "env/upsert",
  "env/remove",
  "env/import",
  "env/refresh",
  "services",
  "ai/models",
  "balance/users",
  "balance/history",
  "balance/topups",
  "balance/charges",
  "balance/add",
  "balance/sub",
  "balance/charge",
  "balance/topups/finish",
  "balance/topups/cancel",
  "balance/redeem-codes",
  "balance/redeem-codes/create",
  "balance/redeem-codes/disable",
  "balance/redeem-codes/redeem",
  "balance/topups/create",
  "balance/me",
  "payment/methods",
  "payment/checkout/create",
  "payment/payments",
  "payment/payments/me",
  "accounts/register",
  "accounts/login",
  "accounts/providers",
  "accounts/oauth/start",
  "accounts/oauth/result",
  "accounts/me",
  "accounts/users",
  "accounts/sessions",
  "usage/me",
];

const document = JSON.parse(readFileSync(join(root, "docs/openapi.json"), "utf8"));
const schemas = document.components.schemas;
const kept = {};

// Keeps a schema and all that it names.
function keep(node) {
  if (Array.isArray(node)) for (const item of node) keep(item);
  else if (node && typeof node === "object") {
    const name = node.$ref?.match(/^#\/components\/schemas\/(.+)$/)?.[1];
    if (name && !kept[name]) {
      kept[name] = schemas[name];
      keep(schemas[name]);
    }
    for (const value of Object.values(node)) keep(value);
  }
}

// The type of a body: always one named schema in this document.
function bodyType(content, where) {
  const schema = content?.["application/json"]?.schema;
  if (!schema) return "undefined";
  const name = schema.$ref?.match(/^#\/components\/schemas\/(.+)$/)?.[1];
  if (!name) throw new Error(`${where}: the body is no named schema`);
  keep(schema);
  return `components["schemas"]["${name}"]`;
}

const actions = ACTIONS.map((action) => {
  const path = document.paths[`/v1/${action}`];
  const operation = path?.get ?? path?.post;
  if (!operation) throw new Error(`docs/openapi.json has no action ${action}`);
  const input = bodyType(operation.requestBody?.content, action);
  const output = bodyType(operation.responses["200"]?.content, action);
  return `    /** ${operation.summary} */\n    "${action}": { input: ${input}; output: ${output} };\n`;
});

// An input with a default stays optional.
const nodes = await openapiTS(
  { ...document, paths: {}, components: { schemas: kept } },
  { alphabetize: true, defaultNonNullable: false },
);
const components = astToString(nodes).match(/^export interface components \{$[\s\S]*?^\}$/m);
if (!components) throw new Error("the generator wrote no components");

const text = `// Written by scripts/generate-sdk-types from docs/openapi.json. Edit that instead.

/** The JSON bodies of actions, by their paths under \`/v1/\`. */
export interface Wire {
${actions.join("")}}

/** Records, inputs and answers, by the names they have in the OpenAPI document. */
${components[0].replace(/^ {4}(responses|parameters|requestBodies|headers|pathItems): .*;\n/gm, "")}
`;

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error(
      "sdk/typescript/packages/core/src/openapi.ts is not what docs/openapi.json says: run scripts/generate-sdk-types and commit the result",
    );
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
