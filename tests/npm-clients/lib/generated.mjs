// Answers of models, made from a seed: what is said, how its protocol streams it, and how it ends.
import { CUT } from "./upstream.mjs";

/** The protocols whose streams can be written. */
export const PROTOCOLS = ["openai-chat", "anthropic-messages", "gemini-generate-content"];

/**
 * Everything about one answer: `reasoning`, `text`, `calls` (`{ id, name, args, isUsable }`), `finish`,
 * `ending` and the `parts` for `raw()`. The same seed gives the same answer.
 */
export function generatedAnswer(protocol, seed) {
  const random = randomOf(seed);
  const write = WRITERS[protocol];
  const reasoning = random.chance(0.5) ? random.words() : [];
  const text = random.chance(0.8) ? random.words() : [];
  const calls = Array.from({ length: random.pick([0, 0, 0, 1, 2, 4]) }, (_, at) => callOf(protocol, random, at));
  const finish = calls.length > 0 ? "tool-calls" : random.pick(["stop", "stop", "length", "content-filter"]);
  const ending = random.pick(["told", "told", "told", "told", "cut", "early", "error", "unreadable"]);
  const hasUsage = random.chance(0.8);
  const { events, end } = write({ reasoning, text, calls, finish, hasUsage });
  const eol = random.pick(["\n", "\n", "\r\n"]);
  const framed = ({ name, data }) => {
    const comment = random.chance(0.1) ? `: ${random.word()}${eol}${eol}` : "";
    const fields = `${name ? `event: ${name}${eol}` : ""}${random.chance(0.1) ? `id: 1${eol}retry: 5${eol}` : ""}`;
    return `${comment}${fields}data: ${typeof data === "string" ? data : JSON.stringify(data)}${eol}${eol}`;
  };
  const kept = ending === "told" ? events : events.slice(0, 1 + random.below(events.length));
  const last = {
    told: () => end.map(framed),
    cut: () => [CUT],
    early: () => [random.chance(0.5) ? "data: {\"half\":" : ": nothing more"],
    error: () => [framed(write.error)],
    unreadable: () => [framed({ data: random.pick(["{not json", "[1]", "<html>"]) })],
  }[ending]();
  return {
    reasoning: reasoning.join(""),
    text: text.join(""),
    calls,
    finish,
    ending,
    hasUsage,
    pieces: random.pick([0, 0, 1, 7, 100]),
    parts: [...kept.map(framed), ...last],
  };
}

function callOf(protocol, random, at) {
  const isWhole = protocol === "gemini-generate-content" || random.chance(0.8);
  const args = JSON.stringify({ city: random.word(), "a\"b": [random.below(9), null, { deep: random.word() }] });
  const name = random.chance(0.85) ? "weather" : "rocket";
  return {
    id: `call_${at}`,
    name,
    args: isWhole ? args : args.slice(0, 1 + random.below(args.length - 1)),
    isUsable: isWhole && name === "weather",
  };
}

const FINISH = {
  "openai-chat": { stop: "stop", length: "length", "content-filter": "content_filter", "tool-calls": "tool_calls" },
  "anthropic-messages": { stop: "end_turn", length: "max_tokens", "content-filter": "refusal", "tool-calls": "tool_use" },
  "gemini-generate-content": { stop: "STOP", length: "MAX_TOKENS", "content-filter": "SAFETY", "tool-calls": "STOP" },
};

function openai({ reasoning, text, calls, finish, hasUsage }) {
  const chunk = (delta, reason = null) => ({
    data: { id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: reason }] },
  });
  const tool = (index, more) => chunk({ tool_calls: [{ index, ...more }] });
  const half = (args) => Math.floor(args.length / 2);
  const events = [
    chunk({ role: "assistant", content: "" }),
    ...reasoning.map((word) => chunk({ reasoning_content: word })),
    ...text.map((word) => chunk({ content: word })),
    ...calls.map(({ id, name }, at) => tool(at, { id, type: "function", function: { name, arguments: "" } })),
    // Parallel calls take turns.
    ...calls.map(({ args }, at) => tool(at, { function: { arguments: args.slice(0, half(args)) } })),
    ...calls.map(({ args }, at) => tool(at, { function: { arguments: args.slice(half(args)) } })),
  ];
  const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  const end = [
    chunk({}, FINISH["openai-chat"][finish]),
    ...(hasUsage ? [{ data: { id: "c", choices: [], usage } }] : []),
    { data: "[DONE]" },
  ];
  return { events, end };
}
openai.error = { data: { error: { message: "Overloaded", type: "server_error" } } };

function anthropic({ reasoning, text, calls, finish, hasUsage }) {
  const named = (data) => ({ name: data.type, data });
  const block = (index, content_block, deltas) => [
    named({ type: "content_block_start", index, content_block }),
    ...deltas.map((delta) => named({ type: "content_block_delta", index, delta })),
    named({ type: "content_block_stop", index }),
  ];
  const blocks = [];
  if (reasoning.length > 0) blocks.push([{ type: "thinking", thinking: "" }, reasoning.map((thinking) => ({ type: "thinking_delta", thinking }))]);
  if (text.length > 0) blocks.push([{ type: "text", text: "" }, text.map((word) => ({ type: "text_delta", text: word }))]);
  for (const { id, name, args } of calls) {
    const parts = ["", args.slice(0, 3), args.slice(3)];
    blocks.push([{ type: "tool_use", id, name, input: {} }, parts.map((partial_json) => ({ type: "input_json_delta", partial_json }))]);
  }
  const usage = { input_tokens: 3, output_tokens: 1 };
  const events = [
    named({ type: "message_start", message: { id: "msg_1", model: "m", role: "assistant", content: [], usage } }),
    named({ type: "ping" }),
    ...blocks.flatMap(([start, deltas], index) => block(index, start, deltas)),
  ];
  const end = [
    named({
      type: "message_delta",
      delta: { stop_reason: FINISH["anthropic-messages"][finish] },
      ...(hasUsage ? { usage: { output_tokens: 4 } } : {}),
    }),
    named({ type: "message_stop" }),
  ];
  return { events, end };
}
anthropic.error = { name: "error", data: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } } };

function gemini({ reasoning, text, calls, finish, hasUsage }) {
  const usageMetadata = { promptTokenCount: 3, candidatesTokenCount: 4, totalTokenCount: 7 };
  const event = (parts, finishReason) => ({
    data: {
      responseId: "r1",
      candidates: [{ index: 0, content: { role: "model", parts }, ...(finishReason ? { finishReason } : {}) }],
      ...(hasUsage ? { usageMetadata } : {}),
    },
  });
  const functionCall = ({ id, name, args }) => ({ functionCall: { id, name, args: JSON.parse(args) } });
  const events = [
    event([]),
    ...reasoning.map((word) => event([{ text: word, thought: true }])),
    ...text.map((word) => event([{ text: word }])),
    ...(calls.length > 0 ? [event(calls.map(functionCall))] : []),
  ];
  return { events, end: [event([{ text: "" }], FINISH["gemini-generate-content"][finish])] };
}
gemini.error = { data: { error: { code: 503, message: "Overloaded", status: "UNAVAILABLE" } } };

const WRITERS = { "openai-chat": openai, "anthropic-messages": anthropic, "gemini-generate-content": gemini };

const WORDS = ["", " ", "Grüße", "👩‍🚀", "\u2028", "\"quoted\"", "\\n", "line\nline", "漢字", "data: x", "[DONE]", "</script>", "\u0000", "a"];

/** Numbers of a seed (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end) => Math.floor(next() * end);
  const pick = (list) => list[below(list.length)];
  const word = () => pick(WORDS);
  return { below, pick, word, chance: (part) => next() < part, words: () => Array.from({ length: 1 + below(5) }, word) };
}
