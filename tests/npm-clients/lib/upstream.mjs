// A mock OpenAI-compatible upstream on loopback. It answers only what a test scripted, records
// every request, and notices a caller that leaves before the answer is complete.
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import { once } from "node:events";

/** Starts an upstream; `close()` ends it together with its open connections. */
export async function startUpstream() {
  const upstream = new Upstream();
  await upstream.listen();
  return upstream;
}

class Upstream {
  /** Every request so far: method, path, headers, text, body (parsed), `gone` (see below). */
  requests = [];
  #script = null;
  #unexpected = [];
  #server = createServer((req, res) => this.#serve(req, res));

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.baseUrl = `http://127.0.0.1:${this.#server.address().port}/v1`;
  }

  /**
   * Scripts the answers of the coming requests: one answer for all of them, or a list of which
   * each request takes the next. An answer is an async function `(res, request) => void`.
   */
  answer(script) {
    this.#script = script;
  }

  /** The request number `index`; the message lists what arrived if it is not there. */
  request(index = 0) {
    const found = this.requests.at(index);
    if (!found) {
      throw new Error(`the upstream got ${this.requests.length} requests, number ${index} is missing`);
    }
    return found;
  }

  /** Forgets requests and script; throws if a request came that no script foresaw. */
  reset() {
    const unexpected = this.#unexpected;
    this.requests = [];
    this.#unexpected = [];
    this.#script = null;
    if (unexpected.length > 0) {
      throw new Error(`unexpected upstream calls: ${unexpected.join(", ")}`);
    }
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(req, res) {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    if (req.method === "GET" && req.url.split("?")[0].endsWith("/models")) {
      // How the Federation tries a key before it stores it; no call of the test's own.
      res.writeHead(404).end();
      return;
    }
    const request = { method: req.method, path: req.url, headers: req.headers, text, body: parsed(text) };
    // Resolves to true when the caller left early, to false when it took the whole answer.
    request.gone = new Promise((resolve) => res.on("close", () => resolve(!res.writableFinished)));
    this.requests.push(request);
    const answer = Array.isArray(this.#script) ? this.#script.shift() : this.#script;
    if (!answer) {
      this.#unexpected.push(`${req.method} ${req.url}`);
      res.writeHead(599).end("no answer was scripted for this request");
      return;
    }
    try {
      await answer(res, request);
    } catch (error) {
      this.#unexpected.push(`the script failed on ${req.method} ${req.url}: ${error.stack}`);
      res.destroy();
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Answers with a JSON body. */
export function json(body, { status = 200, headers = {} } = {}) {
  return (res) => {
    res.writeHead(status, { "content-type": "application/json", ...headers });
    res.end(JSON.stringify(body));
  };
}

/** Answers with a body of another kind, such as the plain text or HTML of a gateway. */
export function text(status, body, headers = { "content-type": "text/plain" }) {
  return (res) => {
    res.writeHead(status, headers);
    res.end(body);
  };
}

/** Answers JSON compressed with gzip if, and only if, the request allows that. */
export function gzipIfAsked(body, headers = {}) {
  return (res, request) => {
    const asked = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    const plain = Buffer.from(JSON.stringify(body));
    res.writeHead(200, {
      "content-type": "application/json",
      ...(asked ? { "content-encoding": "gzip" } : {}),
      ...headers,
    });
    res.end(asked ? gzipSync(plain) : plain);
  };
}

/** In an event list: the connection breaks here. */
export const CUT = Symbol("cut");

/** In an event list: the literal end marker. */
export const DONE = "[DONE]";

/**
 * Answers with server-sent events. Each entry of `events` is an object (sent as JSON), a string
 * (sent as it is, after `data: `), `CUT`, or a promise (waited for before going on).
 * With `pieces` the bytes are written that many at a time, so that events and characters are split.
 */
export function sse(events, { pieces = 0, eol = "\n", headers = {} } = {}) {
  const isText = (event) => event !== CUT && typeof event?.then !== "function";
  const written = (event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}${eol}${eol}`;
  return raw(events.map((event) => (isText(event) ? written(event) : event)), { pieces, headers });
}

/**
 * Answers with an event stream of these parts: texts (written as they are), `CUT`, or promises. With
 * `pieces` as above.
 */
export function raw(parts, { pieces = 0, headers = {} } = {}) {
  return async (res) => {
    res.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", ...headers });
    res.flushHeaders();
    for (const part of parts) {
      if (part === CUT) {
        await flushed(res);
        res.socket.destroy();
        return;
      }
      if (typeof part?.then === "function") {
        await Promise.race([part, once(res, "close")]);
        continue;
      }
      await write(res, Buffer.from(part), pieces);
      if (res.destroyed) return;
    }
    res.end();
  };
}

async function write(res, bytes, pieces) {
  const size = pieces || bytes.length;
  for (let at = 0; at < bytes.length; at += size) {
    res.write(bytes.subarray(at, at + size));
    // Each piece leaves in a write of its own.
    if (pieces) await flushed(res);
  }
}

function flushed(res) {
  return new Promise((resolve) => setImmediate(() => (res.destroyed ? resolve() : res.write("", () => resolve()))));
}

/** A promise with its `resolve`, for events that wait for the test. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  opened.open = open;
  return opened;
}
