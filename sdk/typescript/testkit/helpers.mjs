// A stand-in for fetch that answers from a list and keeps what it was asked.

export const URL_ = "https://fed.test";

/**
 * @param {...(Reply | ((url: string, init: object) => Reply | Promise<Reply>))} replies The last is given again and again.
 */
export function fakeFetch(...replies) {
  const calls = [];
  async function fetch(url, init) {
    const at = Math.min(calls.length, replies.length - 1);
    const body = init.body === undefined ? undefined : JSON.parse(init.body);
    calls.push({ url, method: init.method, headers: init.headers, body, init });
    const next = replies[at];
    const reply = typeof next === "function" ? await next(url, init) : next;
    if (reply.error) throw reply.error;
    const text = reply.text ?? JSON.stringify(reply.json ?? {});
    const status = reply.status ?? 200;
    return {
      ok: status >= 200 && status < 300,
      status,
      body: reply.body === undefined ? new Response(text).body : reply.body,
      json: async () => JSON.parse(text),
      text: async () => text,
    };
  }
  return Object.assign(fetch, { calls });
}

/** What the calls were: method and address without the server, then the body. */
export function wire(fetch) {
  return fetch.calls.map(({ method, url, body }) => {
    const line = `${method} ${url.replace(URL_, "")}`;
    return body === undefined ? [line] : [line, body];
  });
}

/** The failure of a connection, as Node's fetch has it. */
export function broken(code = "UND_ERR_SOCKET", message = "other side closed") {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(message), { code }) });
}

/** A body of these pieces: texts or bytes. `onCancel` is told when nobody reads on. */
export function bodyOf(pieces, onCancel) {
  const left = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
    },
    cancel: onCancel,
  });
}

/** Everything that a stream gives. */
export async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
