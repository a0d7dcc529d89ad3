// The `openai` package through /v1/ai/chat/completions: answers, streams, tools, cancellation.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { chunk, completion, textChunks, toolCall, toolCallChunks, UPSTREAM_MODEL, USAGE, usageChunk, WEATHER_TOOL } from "./lib/openai-wire.mjs";
import { CITY, onEveryEngine, PROVIDER_KEY } from "./lib/suite.mjs";
import { CUT, DONE, gate, gzipIfAsked, json, sse } from "./lib/upstream.mjs";

const messages = [{ role: "user", content: "Hello" }];

onEveryEngine("openai chat completions", (fixture) => {
  const client = () => new OpenAI({ baseURL: fixture.aiUrl, apiKey: fixture.token, maxRetries: 0 });

  test("a whole answer is relayed as the upstream wrote it", async () => {
    const { upstream } = fixture;
    const written = completion({ content: "Hello yourself" }, { system_fingerprint: "fp_1" });
    upstream.answer(json(written));

    const answer = await client().chat.completions.create({ model: "mock-chat", messages });

    assert.equal(answer.choices[0].message.content, "Hello yourself");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.deepEqual(answer.usage, USAGE);
    assert.equal(answer.id, written.id);
    assert.equal(answer.system_fingerprint, "fp_1");
  });

  test("the upstream gets its own model id and key, every parameter, and nothing of ours", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "ok" })));

    await client().chat.completions.create({
      model: "mock-chat",
      messages: [{ role: "system", content: "Be brief" }, ...messages],
      temperature: 0.25,
      seed: 7,
      stop: ["END"],
      response_format: { type: "json_object" },
      city_id: CITY,
      x_vendor: { depth: [1, null, "zwei"] },
    });

    const request = upstream.request();
    assert.equal(request.method, "POST");
    assert.equal(request.path, "/v1/chat/completions");
    assert.deepEqual(request.body, {
      model: UPSTREAM_MODEL,
      messages: [{ role: "system", content: "Be brief" }, ...messages],
      temperature: 0.25,
      seed: 7,
      stop: ["END"],
      response_format: { type: "json_object" },
      x_vendor: { depth: [1, null, "zwei"] },
    });
    assert.equal(request.headers.authorization, `Bearer ${PROVIDER_KEY}`);
    assert.match(request.headers["content-type"], /^application\/json/);
    assert.ok(!request.text.includes(fixture.token), "the user_token is not in the upstream body");
  });

  test("numbers reach the upstream digit by digit", async () => {
    const { fed, token, upstream } = fixture;
    const numbers = "[1.10,12345678901234567890123,0.1234567890123456789]";
    upstream.answer(json(completion({ content: "ok" })));

    const { status, text } = await fed.call("/v1/ai/chat/completions", {
      token,
      body: `{"model":"mock-chat","messages":[],"x_numbers":${numbers}}`,
    });

    assert.equal(status, 200, text);
    assert.ok(upstream.request().text.includes(numbers), upstream.request().text);
  });

  test("without a model the default one answers", async () => {
    const { upstream } = fixture;
    upstream.answer(json(completion({ content: "default" })));

    const answer = await client().chat.completions.create({ messages });

    assert.equal(answer.choices[0].message.content, "default");
    assert.equal(upstream.request().body.model, UPSTREAM_MODEL);
  });

  test("cookies, encodings and the client's headers stop at the Federation", async () => {
    const { upstream } = fixture;
    const headers = {
      "set-cookie": "session=upstream",
      "x-powered-by": "mock",
      server: "mock",
      "x-ratelimit-limit-requests": "10",
      "access-control-allow-origin": "https://upstream.example",
    };
    upstream.answer(gzipIfAsked(completion({ content: "plain" }), headers));

    const { data, response } = await client()
      .chat.completions.create(
        { model: "mock-chat", messages },
        { headers: { cookie: "session=browser", "x-forwarded-for": "203.0.113.9", "accept-encoding": "gzip" } },
      )
      .withResponse();

    assert.equal(data.choices[0].message.content, "plain");
    assert.equal(response.headers.get("set-cookie"), null);
    assert.equal(response.headers.get("x-powered-by"), null);
    assert.notEqual(response.headers.get("server"), "mock");
    assert.notEqual(response.headers.get("access-control-allow-origin"), "https://upstream.example");
    assert.match(response.headers.get("content-type"), /^application\/json/);
    assert.ok(response.headers.get("x-request-id"), "every answer carries a request id");
    const sent = upstream.request().headers;
    assert.equal(sent.cookie, undefined);
    assert.equal(sent["x-forwarded-for"], undefined);
    for (const name of Object.keys(sent)) {
      assert.ok(!name.startsWith("x-stainless"), `the SDK's header ${name} was passed on`);
    }
  });

  test("large and unusual text survives in both directions", async () => {
    const { upstream } = fixture;
    const question = `${"Größe 🦀 \u2028 \u0000 \" \\ ".repeat(20_000)}end`;
    const reply = "漢字 👩‍👩‍👧 \n\t".repeat(60_000);
    upstream.answer(json(completion({ content: reply })));

    const answer = await client().chat.completions.create({
      model: "mock-chat",
      messages: [{ role: "user", content: question }],
    });

    assert.ok(answer.choices[0].message.content === reply, "the reply arrived unchanged");
    assert.ok(upstream.request().body.messages[0].content === question, "the question arrived unchanged");
  });

  test("a stream is assembled; usage is asked for upstream and hidden from a caller who did not ask", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([...textChunks("Hel", "lo ", "you"), DONE]));

    const stream = await client().chat.completions.create({ model: "mock-chat", messages, stream: true });
    const chunks = await collect(stream);

    assert.equal(contentOf(chunks), "Hello you");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.deepEqual(chunks.filter(({ choices }) => choices.length === 0), [], "the usage chunk is hidden");
    const { body } = upstream.request();
    assert.equal(body.stream, true);
    assert.equal(body.stream_options?.include_usage, true);
  });

  test("a caller who asks for usage gets it", async () => {
    fixture.upstream.answer(sse([...textChunks("Hi"), DONE]));

    const stream = await client().chat.completions.create({
      model: "mock-chat",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await collect(stream);

    assert.equal(contentOf(chunks), "Hi");
    assert.deepEqual(chunks.at(-1).usage, USAGE);
    assert.deepEqual(chunks.at(-1).choices, []);
  });

  for (const [name, shape] of [
    ["one byte at a time", { pieces: 1 }],
    ["in odd pieces with CRLF", { pieces: 7, eol: "\r\n" }],
    ["in whole events with CRLF", { eol: "\r\n" }],
  ]) {
    test(`a stream written ${name} keeps its text, and its usage stays hidden`, async () => {
      fixture.upstream.answer(sse([...textChunks("Grüße ", "👩‍🚀", " 漢字"), DONE], shape));

      const stream = await client().chat.completions.create({ model: "mock-chat", messages, stream: true });
      const chunks = await collect(stream);

      assert.equal(contentOf(chunks), "Grüße 👩‍🚀 漢字");
      assert.deepEqual(chunks.filter(({ choices }) => choices.length === 0), []);
    });
  }

  test("the first token arrives while the upstream is still writing", async () => {
    const more = gate();
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "first" }), more, chunk({ content: " last" }, "stop"), DONE]));

    const stream = await client().chat.completions.create({ model: "mock-chat", messages, stream: true });
    const read = [];
    for await (const part of stream) {
      read.push(part);
      // The upstream goes on only now: a buffering server would never get here.
      more.open();
    }

    assert.equal(contentOf(read), "first last");
  });

  test("a stream is sent as events and not stored on the way", async () => {
    fixture.upstream.answer(sse([...textChunks("Hi"), DONE], { headers: { "set-cookie": "a=b" } }));

    const { data, response } = await client()
      .chat.completions.create({ model: "mock-chat", messages, stream: true })
      .withResponse();
    await collect(data);

    assert.match(response.headers.get("content-type"), /^text\/event-stream/);
    assert.equal(response.headers.get("set-cookie"), null);
    assert.equal(response.headers.get("content-encoding"), null);
  });

  test("tool calls of a whole answer", async () => {
    const { upstream } = fixture;
    const tool_calls = [toolCall("call_1", "weather", { city: "Köln" }), toolCall("call_2", "weather", { city: "Bonn" })];
    upstream.answer(json(completion({ tool_calls }, { finish: "tool_calls" })));

    const answer = await client().chat.completions.create({
      model: "mock-chat",
      messages,
      tools: [WEATHER_TOOL],
      tool_choice: "auto",
    });

    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(answer.choices[0].message.tool_calls, tool_calls);
    assert.deepEqual(upstream.request().body.tools, [WEATHER_TOOL]);
    assert.equal(upstream.request().body.tool_choice, "auto");
  });

  test("tool calls of a stream are assembled by the SDK's stream helper", async () => {
    fixture.upstream.answer(
      sse([
        chunk({ role: "assistant", content: null }),
        ...toolCallChunks(0, "call_1", "weather", '{"ci', 'ty":"K', 'öln"}'),
        ...toolCallChunks(1, "call_2", "weather", '{"city":"Bonn"}'),
        chunk({}, "tool_calls"),
        usageChunk(),
        DONE,
      ]),
    );

    const answer = await client()
      .chat.completions.stream({ model: "mock-chat", messages, tools: [WEATHER_TOOL] })
      .finalChatCompletion();

    const { finish_reason, message } = answer.choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(
      message.tool_calls.map(({ id, function: { name, arguments: args } }) => [id, name, JSON.parse(args)]),
      [
        ["call_1", "weather", { city: "Köln" }],
        ["call_2", "weather", { city: "Bonn" }],
      ],
    );
  });

  test("runTools calls the tool and sends its result in a second request", async () => {
    const { upstream } = fixture;
    upstream.answer([
      json(completion({ tool_calls: [toolCall("call_1", "weather", { city: "Köln" })] }, { finish: "tool_calls" })),
      json(completion({ content: "Sunny in Köln" })),
    ]);

    const runner = client().chat.completions.runTools({
      model: "mock-chat",
      messages,
      tools: [
        {
          type: "function",
          function: {
            ...WEATHER_TOOL.function,
            parse: JSON.parse,
            function: ({ city }) => ({ city, sky: "clear" }),
          },
        },
      ],
    });

    assert.equal(await runner.finalContent(), "Sunny in Köln");
    const [, assistant, tool] = upstream.request(1).body.messages;
    assert.equal(assistant.tool_calls[0].id, "call_1");
    assert.deepEqual(tool, { role: "tool", tool_call_id: "call_1", content: '{"city":"Köln","sky":"clear"}' });
  });

  test("a client that leaves a stream cancels the upstream", async () => {
    const { upstream } = fixture;
    upstream.answer(sse([chunk({ role: "assistant", content: "one" }), gate()]));

    const stream = await client().chat.completions.create({ model: "mock-chat", messages, stream: true });
    for await (const part of stream) {
      assert.equal(part.choices[0].delta.content, "one");
      break; // leaving the loop aborts the SDK's request
    }

    assert.equal(await upstream.request().gone, true);
  });

  test("a client that leaves before a whole answer cancels the upstream", async () => {
    const { upstream } = fixture;
    const arrived = gate();
    upstream.answer(async () => arrived.open());
    const abort = new AbortController();

    const call = client().chat.completions.create({ model: "mock-chat", messages }, { signal: abort.signal });
    call.catch(() => {}); // awaited below, after the abort
    await arrived;
    abort.abort();

    await assert.rejects(call, OpenAI.APIUserAbortError);
    assert.equal(await upstream.request().gone, true);
  });

  test("an upstream that breaks off mid-stream is an error, not a short answer", async () => {
    fixture.upstream.answer(sse([chunk({ role: "assistant", content: "half" }), CUT]));

    const stream = await client().chat.completions.create({ model: "mock-chat", messages, stream: true });
    const read = [];
    await assert.rejects(async () => {
      for await (const part of stream) read.push(part);
    });

    assert.equal(contentOf(read), "half");
  });
});

async function collect(stream) {
  const chunks = [];
  for await (const part of stream) chunks.push(part);
  return chunks;
}

function contentOf(chunks) {
  return chunks.map(({ choices }) => choices[0]?.delta?.content ?? "").join("");
}
