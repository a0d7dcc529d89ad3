// A limit of the Federation, as the `openai` package meets it: an error of its own class, and a wait
// that it keeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { CITY, onEveryEngineWithoutProvider } from "./lib/suite.mjs";

const LIMIT = 3;
const config = `
[limits]
window = "2s"
user = ${LIMIT}
`;
const request = { model: "echo", messages: [{ role: "user", content: "Hello" }] };

onEveryEngineWithoutProvider("limits", (fixture) => {
  async function client(user, options) {
    const apiKey = await fixture.fed.issueToken(CITY, user);
    return new OpenAI({ baseURL: fixture.aiUrl, apiKey, ...options });
  }

  test("a call beyond the limit is a RateLimitError that says how long to wait", async () => {
    const openai = await client("user_without_retries", { maxRetries: 0 });
    const calls = Array.from({ length: 3 * LIMIT }, () => openai.chat.completions.create(request));
    const ends = await Promise.allSettled(calls);
    const errors = ends.filter((end) => end.status === "rejected").map((end) => end.reason);
    assert.ok(ends.length - errors.length >= LIMIT, "as many as the limit pass");
    assert.ok(errors.length > 0, "more than the limit do not");
    for (const error of errors) {
      assert.ok(error instanceof OpenAI.RateLimitError, `${error.name}: ${error.message}`);
      assert.equal(error.code, "rate_limited");
      assert.equal(error.type, "rate_limit_error");
      assert.match(error.headers.get("retry-after"), /^[123]$/);
      assert.equal(error.headers.get("x-ratelimit-limit"), String(LIMIT));
      assert.equal(error.headers.get("x-ratelimit-remaining"), "0");
    }
  });

  test("the client waits as long as it is told, and then passes", async () => {
    const refusals = [];
    const early = [];
    // The attempts of one call have one body; the calls differ by their content.
    async function watched(url, init) {
      const key = init.body;
      const last = refusals.findLast((refusal) => refusal.key === key);
      if (last && performance.now() < last.until) early.push(key);
      const answer = await fetch(url, init);
      if (answer.status === 429) {
        const until = performance.now() + 1000 * Number(answer.headers.get("retry-after"));
        // Timers of Node may end a moment before their time.
        refusals.push({ key, until: until - 20 });
      }
      return answer;
    }
    const openai = await client("user_with_retries", { maxRetries: 10, fetch: watched });
    const answers = await Promise.all(
      Array.from({ length: 2 * LIMIT }, (_, number) =>
        openai.chat.completions.create({ ...request, messages: [{ role: "user", content: `Hello ${number}` }] }),
      ),
    );
    assert.equal(answers.length, 2 * LIMIT);
    assert.ok(refusals.length > 0, "some calls were refused at first");
    assert.deepEqual(early, [], "no call was repeated before its time");
  });
}, { config });
