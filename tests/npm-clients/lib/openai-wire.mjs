// What an OpenAI-compatible upstream writes: completions, chunks, usage, errors.

const CREATED = 1_750_000_000;

/** The name the upstream knows the model by; `models` in the configuration maps to it. */
export const UPSTREAM_MODEL = "mock-upstream-1";

/** Usage with every detail set, so that each mapped number has one right value. */
export const USAGE = {
  prompt_tokens: 10,
  completion_tokens: 5,
  total_tokens: 15,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 2 },
};

/** The usage above in the form of a UI message's metadata, without `raw`. */
export const UI_USAGE = {
  inputTokens: 10,
  inputTokenDetails: { noCacheTokens: 6, cacheReadTokens: 4 },
  outputTokens: 5,
  outputTokenDetails: { textTokens: 3, reasoningTokens: 2 },
  totalTokens: 15,
  reasoningTokens: 2,
  cachedInputTokens: 4,
};

/** A whole completion with one choice; `message` is merged into the assistant's message. */
export function completion(message, { finish = "stop", usage = USAGE, ...more } = {}) {
  return {
    id: "chatcmpl-mock-1",
    object: "chat.completion",
    created: CREATED,
    model: UPSTREAM_MODEL,
    choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finish_reason: finish }],
    usage,
    ...more,
  };
}

/** One chunk of a stream with one choice. */
export function chunk(delta, finish = null) {
  return {
    id: "chatcmpl-mock-1",
    object: "chat.completion.chunk",
    created: CREATED,
    model: UPSTREAM_MODEL,
    choices: [{ index: 0, delta, finish_reason: finish }],
  };
}

/** The last chunk of a stream whose caller asked for usage: no choices, the numbers. */
export function usageChunk(usage = USAGE) {
  return { ...chunk({}), choices: [], usage };
}

/** The chunks of a text answer, with the role first and usage last. */
export function textChunks(...parts) {
  return [
    chunk({ role: "assistant", content: "" }),
    ...parts.map((content) => chunk({ content })),
    chunk({}, "stop"),
    usageChunk(),
  ];
}

/** A finished tool call, as it stands in a completion's message. */
export function toolCall(id, name, args) {
  return { id, type: "function", function: { name, arguments: JSON.stringify(args) } };
}

/** The chunks of one streamed tool call: name first, then its arguments in `parts`. */
export function toolCallChunks(index, id, name, ...parts) {
  return [
    chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }),
    ...parts.map((args) => chunk({ tool_calls: [{ index, function: { arguments: args } }] })),
  ];
}

/** An error body as OpenAI writes it. */
export function errorBody(message, type = "invalid_request_error", code = null) {
  return { error: { message, type, param: null, code } };
}

/** A function tool for requests to OpenAI-shaped routes. */
export const WEATHER_TOOL = {
  type: "function",
  function: {
    name: "weather",
    description: "Weather of a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
