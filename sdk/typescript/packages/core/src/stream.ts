import { createParser } from "eventsource-parser";
import type { UIMessageChunk } from "../../type/src/index.js";
import { type CallOptions, type OpenBody, raceAbort } from "./transport.js";

/** What the call of a stream can be told. */
export interface StreamOptions extends CallOptions {
  /**
   * Whether a chunk of unknown type, or with unknown or missing fields, ends the stream with an error.
   * Without it, chunks that a newer server may send are passed on as they are.
   */
  strict?: boolean | undefined;
}

/** The most that one chunk may hold, in characters: files travel as data URLs. */
const MAX_CHUNK = 8 * 1024 * 1024;

/** The fields of each type of chunk; `?` marks those that may be absent. `pm` is `providerMetadata`. */
const FIELDS: Record<string, string> = {
  start: "messageId? messageMetadata?",
  "start-step": "",
  "finish-step": "",
  "text-start": "id pm?",
  "text-delta": "id delta pm?",
  "text-end": "id pm?",
  "reasoning-start": "id pm?",
  "reasoning-delta": "id delta pm?",
  "reasoning-end": "id pm?",
  "tool-input-start":
    "toolCallId toolName providerExecuted? dynamic? title? toolMetadata? inputEncoding? pm?",
  "tool-input-delta": "toolCallId inputTextDelta",
  "tool-input-available":
    "toolCallId toolName input? providerExecuted? dynamic? title? toolMetadata? pm?",
  "tool-input-error":
    "toolCallId toolName input? errorText providerExecuted? dynamic? title? toolMetadata? pm?",
  "tool-approval-request": "approvalId toolCallId approvalDescriptor? inputSchemaInput? signature?",
  "tool-output-available":
    "toolCallId output? providerExecuted? dynamic? preliminary? toolMetadata? pm?",
  "tool-output-error": "toolCallId errorText providerExecuted? dynamic? toolMetadata? pm?",
  "tool-output-denied": "toolCallId",
  "source-url": "sourceId url title? pm?",
  "source-document": "sourceId mediaType title filename? pm?",
  file: "url mediaType pm?",
  data: "id? data? transient?",
  "message-metadata": "messageMetadata?",
  finish: "finishReason? messageMetadata?",
  abort: "reason?",
  error: "errorText",
};

function checkStrictly(chunk: Record<string, unknown>): void {
  const type = String(chunk.type);
  const known = FIELDS[type.startsWith("data-") ? "data" : type];
  if (known === undefined) throw new TypeError(`the stream has a chunk of unknown type "${type}"`);
  const rest = new Set(Object.keys(chunk));
  rest.delete("type");
  for (const field of known.split(" ")) {
    const name = field.replace("?", "").replace(/^pm$/, "providerMetadata");
    if (name && !rest.delete(name) && !field.endsWith("?")) {
      throw new TypeError(`a chunk ${type} of the stream has no ${name}`);
    }
  }
  for (const name of rest)
    throw new TypeError(`a chunk ${type} of the stream has the field ${name}`);
}

function parseChunk(data: string, strict: boolean): UIMessageChunk {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch (cause) {
    throw new TypeError("the stream has a chunk that is no JSON", { cause });
  }
  if (typeof (chunk as { type?: unknown } | null)?.type !== "string") {
    throw new TypeError("the stream has a chunk without a type");
  }
  if (strict) checkStrictly(chunk as Record<string, unknown>);
  return chunk as UIMessageChunk;
}

/** Reads the events of a body as chunks. Cancelling it ends the request. */
export function chunksOf(
  { body, ending }: OpenBody,
  strict: boolean,
): ReadableStream<UIMessageChunk> {
  const reader = body.getReader();
  const text = new TextDecoder();
  const ready: UIMessageChunk[] = [];
  let done = false;
  let failure: { error: unknown } | undefined;
  const parser = createParser({
    maxBufferSize: MAX_CHUNK,
    onEvent({ data }) {
      if (data !== "" && data !== "[DONE]") ready.push(parseChunk(data, strict));
    },
    onError(error) {
      if (error.type === "max-buffer-size-exceeded") throw error;
    },
  });

  async function feedNext(): Promise<void> {
    try {
      // The race is for bodies that know nothing of the signal.
      const read = await raceAbort(ending.signal, reader.read());
      done = read.done;
      // The blank lines at the end let an event through that nothing follows.
      parser.feed(read.done ? `${text.decode()}\n\n` : text.decode(read.value, { stream: true }));
    } catch (error) {
      // What came before it is still handed out.
      failure = { error };
    }
  }

  async function end(reason?: unknown): Promise<void> {
    ending.release();
    ending.abort(reason);
    await reader.cancel(reason).catch(() => undefined);
  }

  return new ReadableStream<UIMessageChunk>({
    async pull(controller) {
      while (ready.length === 0 && !done && !failure) await feedNext();
      const chunk = ready.shift();
      if (chunk !== undefined) {
        controller.enqueue(chunk);
      } else if (failure) {
        void end(failure.error);
        throw failure.error;
      } else {
        ending.release();
        controller.close();
      }
    },
    cancel: end,
  });
}
