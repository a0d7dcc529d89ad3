// Stands between a client and a server, and loses answers.
import { once } from "node:events";
import { createServer, request as send } from "node:http";

/** Starts a proxy on loopback for the server at `target`. */
export async function startProxy(target) {
  const proxy = new Proxy(target);
  await proxy.listen();
  return proxy;
}

class Proxy {
  /** Every request that came: `{ method, path, key }`. */
  requests = [];
  #target;
  #lose = 0;
  #server = createServer((request, response) => this.#serve(request, response));

  constructor(target) {
    this.#target = target;
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** The server does what the next `count` requests say, but its answers do not arrive. Forgets what came. */
  loseAnswers(count) {
    this.#lose = count;
    this.requests = [];
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request, response) {
    const body = [];
    for await (const part of request) body.push(part);
    const { method, url: path, headers } = request;
    this.requests.push({ method, path, key: headers["idempotency-key"] });
    const loses = this.#lose > 0;
    this.#lose -= 1;
    const onward = send(this.#target + path, { method, headers }, async (answer) => {
      const text = [];
      for await (const part of answer) text.push(part);
      if (loses) return request.socket.destroy();
      response.writeHead(answer.statusCode, answer.headers);
      response.end(Buffer.concat(text));
    });
    onward.on("error", () => request.socket.destroy());
    onward.end(Buffer.concat(body));
  }
}
