// Failures on the OpenAI surface, as the `openai` package reports them: always the four-key object.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ADMIN_KEY } from "./lib/federation.mjs";
import { completion, errorBody } from "./lib/openai-wire.mjs";
import { CITY, onEveryEngine, PROVIDER_KEY, USER } from "./lib/suite.mjs";
import { json, text } from "./lib/upstream.mjs";

const messages = [{ role: "user", content: "Hello" }];

onEveryEngine("openai errors", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: fixture.aiUrl, apiKey, maxRetries: 0 });

  // Makes the call, expects the SDK's error class, and checks the envelope.
  async function failure(expected, params = {}, apiKey = undefined) {
    const error = await client(apiKey)
      .chat.completions.create({ model: "mock-chat", messages, ...params })
      .then(
        (answer) => assert.fail(`expected ${expected.name}, got ${JSON.stringify(answer)}`),
        (error) => error,
      );
    assert.ok(error instanceof expected, `expected ${expected.name}, got ${error.name}: ${error.message}`);
    assertEnvelope(error.error, error.message);
    return error;
  }

  test("a bad token is an AuthenticationError", async () => {
    const error = await failure(OpenAI.AuthenticationError, {}, "ub_not.a-token");
    assert.equal(error.status, 401);
    assert.equal(typeof error.code, "string");
  });

  test("a missing token is a 401 with the same object", async () => {
    const answer = await fixture.fed.call("/v1/ai/chat/completions", { body: { model: "mock-chat", messages } });
    assert.equal(answer.status, 401);
    assertEnvelope(answer.body?.error, answer.text);
  });

  test("a city_id other than the token's is a PermissionDeniedError", async () => {
    await failure(OpenAI.PermissionDeniedError, { city_id: "another_city" });
  });

  test("a token of a paused city is a PermissionDeniedError until the city is active again", async () => {
    const { fed, upstream } = fixture;
    await fed.createCity("city_paused");
    const token = await fed.issueToken("city_paused", USER);
    await fed.admin("/v1/cities/pause", { city_id: "city_paused" });

    await failure(OpenAI.PermissionDeniedError, {}, token);

    await fed.admin("/v1/cities/activate", { city_id: "city_paused" });
    upstream.answer(json(completion({ content: "back" })));
    const answer = await client(token).chat.completions.create({ model: "mock-chat", messages });
    assert.equal(answer.choices[0].message.content, "back");
  });

  test("an unknown model is a 422 that names it", async () => {
    const error = await failure(OpenAI.UnprocessableEntityError, { model: "no-such-model" });
    assert.match(error.message, /no-such-model/);
  });

  test("a model whose key is not set is a 500 that does not tell a user which key", async () => {
    const error = await failure(OpenAI.InternalServerError, { model: "keyless-chat" });
    assert.equal(error.status, 500);
    assert.doesNotMatch(error.message, /UNSET_API_KEY/);
  });

  for (const [name, body] of [
    ["broken JSON", '{"model": "mock-chat", '],
    ["a JSON list", "[1, 2]"],
    ["a model that is a number", '{"model": 5, "messages": []}'],
    ["a stream that is a string", '{"model": "mock-chat", "messages": [], "stream": "yes"}'],
  ]) {
    test(`${name} is a 400 with the same object`, async () => {
      const answer = await fixture.fed.call("/v1/ai/chat/completions", { token: fixture.token, body });
      assert.equal(answer.status, 400, answer.text);
      assertEnvelope(answer.body?.error, answer.text);
    });
  }

  for (const status of [401, 403]) {
    test(`the provider's ${status} is a 502: it is not the caller's fault, and the key stays secret`, async () => {
      fixture.upstream.answer(json(errorBody(`Incorrect API key: ${PROVIDER_KEY}`), { status }));
      const error = await failure(OpenAI.InternalServerError);
      assert.equal(error.status, 502);
      assert.ok(!JSON.stringify(error.error).includes(PROVIDER_KEY), error.message);
    });
  }

  test("the provider's 429 passes with its retry-after", async () => {
    const written = errorBody("Slow down", "rate_limit_error", "rate_limit_exceeded");
    fixture.upstream.answer(json(written, { status: 429, headers: { "retry-after": "7" } }));
    const error = await failure(OpenAI.RateLimitError);
    assert.equal(error.headers.get("retry-after"), "7");
    assert.deepEqual(error.error, written.error);
  });

  test("the provider's 400 passes as it is", async () => {
    const written = errorBody("max_tokens is too large", "invalid_request_error", "bad_max_tokens");
    fixture.upstream.answer(json(written, { status: 400 }));
    const error = await failure(OpenAI.BadRequestError, { max_tokens: 10 ** 9 });
    assert.deepEqual(error.error, written.error);
  });

  for (const [status, body, type] of [
    [500, "Internal Server Error", "text/plain"],
    [503, "upstream connect error", "text/plain"],
    [502, "<html><body>Bad Gateway</body></html>", "text/html"],
    [500, "", "text/plain"],
  ]) {
    test(`the provider's ${status} with ${body ? type : "no body"} becomes the error object`, async () => {
      fixture.upstream.answer(text(status, body, { "content-type": type }));
      const error = await failure(OpenAI.InternalServerError);
      assert.equal(error.status, status);
      assert.doesNotMatch(error.error.message, /<html>/);
    });
  }

  test("the provider's failure of a streamed call has its status, not a stream", async () => {
    fixture.upstream.answer(text(503, "overloaded"));
    const error = await failure(OpenAI.InternalServerError, { stream: true });
    assert.equal(error.status, 503);
  });

  for (const stream of [false, true]) {
    test(`HTML under 200 is a 502 (stream: ${stream})`, async () => {
      fixture.upstream.answer(text(200, "<html>Sign in to the wifi</html>", { "content-type": "text/html" }));
      const error = await failure(OpenAI.InternalServerError, { stream });
      assert.equal(error.status, 502);
    });

    test(`an unreachable provider is a 502 (stream: ${stream})`, async () => {
      const error = await failure(OpenAI.InternalServerError, { model: "down-chat", stream });
      assert.equal(error.status, 502);
      assert.doesNotMatch(error.message, /127\.0\.0\.1/);
    });
  }

  test("the admin key calls models too, and city_id is not checked then", async () => {
    fixture.upstream.answer(json(completion({ content: "for the admin" })));
    const answer = await client(ADMIN_KEY).chat.completions.create({ model: "mock-chat", messages, city_id: CITY });
    assert.equal(answer.choices[0].message.content, "for the admin");
    assert.equal(fixture.upstream.request().body.city_id, undefined);
  });
});

function assertEnvelope(error, shown) {
  assert.ok(error && typeof error === "object", `no error object in: ${shown}`);
  assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"], shown);
  assert.equal(typeof error.message, "string");
  assert.notEqual(error.message, "", "the message says something");
  assert.equal(typeof error.type, "string");
}
