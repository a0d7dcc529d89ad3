// GET /openapi.json against the official OpenAPI 3.1 meta-schema, and against the routes it names.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { onEveryEngineWithoutProvider } from "./lib/suite.mjs";

onEveryEngineWithoutProvider("OpenAPI document", (fixture) => {
  const read = async () => {
    const answer = await fixture.fed.call("/openapi.json");
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get("content-type"), /^application\/json/);
    return answer.body;
  };

  test("is valid OpenAPI 3.1", async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(await read());
    assert.ok(valid, JSON.stringify(errors, null, 2));
    assert.equal(validator.version, "3.1");
  });

  test("every reference leads somewhere", async () => {
    const document = await read();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    assert.ok(references.length > 0);
    for (const [, path] of references) {
      const target = path.split("/").reduce((value, key) => value?.[decodeURIComponent(key)], document);
      assert.equal(typeof target, "object", `nothing at #/${path}`);
    }
  });

  test("every documented route is answered", async () => {
    const { paths } = await read();
    for (const [template, item] of Object.entries(paths)) {
      for (const method of Object.keys(item)) {
        const path = template.replaceAll(/\{[^}]+\}/g, "x");
        const { status, text } = await fixture.fed.call(path, { method: method.toUpperCase() });
        const unrouted = status === 404 && text.includes("nothing at this address");
        assert.ok(status !== 405 && !unrouted, `${method} ${template}: ${status} ${text}`);
      }
    }
  });
});
