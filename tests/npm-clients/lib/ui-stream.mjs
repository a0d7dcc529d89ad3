// Calls `/v1/ai/stream` through the AI SDK's own transport and parsers.
import { DefaultChatTransport, readUIMessageStream } from "ai";
import { DefaultChatTransport as StrictChatTransport } from "ai-strict";

/**
 * Sends `messages` the way `useChat` does and reads the answer to its end.
 *
 * Gives `raw` (the bytes as text), `headers`, `chunks` (as parsed by the SDK, proven equal with the
 * strict parser), `message` (built from the chunks) and `errors` (what the message builder reported).
 * A status other than 2xx rejects with the SDK's error, whose message is the body.
 * `onBytes(textSoFar)` is told of every read.
 */
export async function streamMessage(fixture, { messages, body = {}, token = fixture.token, onBytes }) {
  let response;
  const transport = new DefaultChatTransport({
    api: `${fixture.aiUrl}/stream`,
    headers: { authorization: `Bearer ${token}` },
    body,
    fetch: async (...request) => {
      response = await fetch(...request);
      // The SDK reads one copy, this function the other.
      return response.ok ? response.clone() : response;
    },
  });
  const stream = await transport.sendMessages({
    chatId: "chat-1",
    messages,
    trigger: "submit-message",
    messageId: undefined,
    abortSignal: undefined,
  });
  const [raw, chunks] = await Promise.all([textOf(response.body, onBytes), collect(stream)]);
  return { raw, headers: response.headers, chunks, ...(await parsed(raw, chunks)) };
}

async function parsed(raw, chunks) {
  const strict = await collect(new StrictTransport().parse(raw));
  if (JSON.stringify(strict) !== JSON.stringify(chunks)) {
    throw new Error(`the strict parser read other chunks from:\n${raw}`);
  }
  const errors = [];
  let message;
  const snapshots = readUIMessageStream({
    stream: streamOf(chunks),
    onError: (error) => errors.push(error.message ?? String(error)),
  });
  for await (const snapshot of snapshots) message = snapshot;
  return { message, errors };
}

async function textOf(body, onBytes = () => {}) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true });
    onBytes(text);
  }
  return text;
}

/** The parser of an older release, which refuses unknown fields and chunk types. */
class StrictTransport extends StrictChatTransport {
  parse(raw) {
    return this.processResponseStream(streamOf([new TextEncoder().encode(raw)]));
  }
}

async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

function streamOf(items) {
  return new ReadableStream({
    start(controller) {
      for (const item of items) controller.enqueue(item);
      controller.close();
    },
  });
}

/** A user's UI message. */
export function userMessage(text, id = "u1") {
  return { id, role: "user", parts: [{ type: "text", text }] };
}

/** The kinds of the chunks in order, deltas of one kind that follow each other named once. */
export function kinds(chunks) {
  return chunks.map(({ type }) => type).filter((type, at, all) => !(type.endsWith("-delta") && all[at - 1] === type));
}
