// Whatever a provider streams, in any protocol, the stream of /v1/ai/stream is one that the parsers
// of the `ai` package accept, and it says the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WEATHER_TOOL } from "./lib/openai-wire.mjs";
import { generatedAnswer, PROTOCOLS } from "./lib/generated.mjs";
import { CITY, onEveryEngine } from "./lib/suite.mjs";
import { streamMessage, userMessage } from "./lib/ui-stream.mjs";
import { gate, raw } from "./lib/upstream.mjs";

const SEEDS = process.env.DOWNCITY_LONG_TESTS === "1" ? 1_000 : 50;

onEveryEngine("generated streams", (fixture) => {
  const read = (protocol, more = {}) =>
    streamMessage(fixture, {
      messages: [userMessage("Hello")],
      body: { model: `generated-${protocol}`, city_id: CITY, tools: [WEATHER_TOOL] },
      ...more,
    });

  for (const protocol of PROTOCOLS) {
    test(`${SEEDS} answers of ${protocol} are read by both parsers`, async () => {
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const answer = generatedAnswer(protocol, seed);
        fixture.upstream.answer(raw(answer.parts, { pieces: answer.pieces }));
        const what = `seed ${seed}, ${JSON.stringify(answer)}`;
        const got = await read(protocol).catch((error) => assert.fail(`${what}: ${error.stack}`));
        check(answer, got, what);
      }
    });

    test(`comments that bridge the silence of ${protocol} are read by both parsers`, async () => {
      for (let seed = 1; seed <= 5; seed += 1) {
        const answer = generatedAnswer(protocol, seed);
        const more = gate();
        const parts = [...answer.parts];
        parts.splice(1, 0, more);
        fixture.upstream.answer(raw(parts, { pieces: answer.pieces }));
        const onBytes = (sofar) => /^: keep-alive\n\n/m.test(sofar) && more.open();
        check(answer, await read(protocol, { onBytes }), `seed ${seed}`);
      }
    });
  }
}, config);

function check(answer, { chunks, message, errors, raw }, what) {
  assert.ok(raw.endsWith("data: [DONE]\n\n"), `${what}: ${raw}`);
  const finish = chunks.at(-1);
  assert.equal(finish.type, "finish", what);
  const opened = chunks.filter(({ type }) => /^(text|reasoning)-start$/.test(type)).length;
  const closed = chunks.filter(({ type }) => /^(text|reasoning)-end$/.test(type)).length;
  assert.equal(opened, closed, what);
  const begun = chunks.filter(({ type }) => type === "tool-input-start").map(({ toolCallId }) => toolCallId);
  const settled = chunks.filter(({ type }) => /^tool-input-(available|error)$/.test(type)).map(({ toolCallId }) => toolCallId);
  assert.deepEqual(settled.toSorted(), begun.toSorted(), `${what}: every call is settled once`);
  const said = (type) => chunks.filter((chunk) => chunk.type === type).map(({ delta }) => delta).join("");
  if (answer.ending !== "told") {
    assert.ok(answer.reasoning.startsWith(said("reasoning-delta")) && answer.text.startsWith(said("text-delta")), what);
    assert.equal(finish.finishReason, "error", what);
    assert.ok(errors.length >= 1, what);
    return;
  }
  assert.deepEqual(errors.slice(answer.calls.filter(({ isUsable }) => !isUsable).length), [], what);
  assert.equal(said("reasoning-delta"), answer.reasoning, what);
  assert.equal(said("text-delta"), answer.text, what);
  assert.equal(finish.finishReason, answer.finish, what);
  assert.equal("usage" in finish.messageMetadata, answer.hasUsage, what);
  const calls = message.parts.filter(({ type }) => type.startsWith("tool-"));
  assert.deepEqual(
    calls.map(({ toolCallId, state }) => [toolCallId, state]),
    answer.calls.map(({ id, isUsable }) => [id, isUsable ? "input-available" : "output-error"]),
    what,
  );
  for (const [at, { args, isUsable }] of answer.calls.entries()) {
    if (isUsable) assert.deepEqual(calls[at].input, JSON.parse(args), what);
  }
}

// The upstream answers all protocols at the same address.
function config(url) {
  const entry = (protocol) => `
[[ai.provider]]
id = "generated-${protocol}"
protocol = "${protocol}"
base_url = "${url}"
env_key = "MOCK_API_KEY"

[[ai.model]]
id = "generated-${protocol}"
name = "Generated"
provider = "generated-${protocol}"
upstream_model = "m"
`;
  return PROTOCOLS.map(entry).join("");
}
