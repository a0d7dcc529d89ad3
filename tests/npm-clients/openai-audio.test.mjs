// The `openai` package through /v1/audio.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { onEveryEngineWithoutProvider } from "./lib/suite.mjs";

onEveryEngineWithoutProvider("openai audio", (fixture) => {
  const client = (apiKey = fixture.token) => new OpenAI({ baseURL: `${fixture.fed.url}/v1`, apiKey, maxRetries: 0 });
  const speak = async (input) => {
    const answer = await client().audio.speech.create({ model: "echo", voice: "alloy", input });
    assert.equal(answer.headers.get("content-type"), "audio/wav");
    return Buffer.from(await answer.arrayBuffer());
  };

  test("what is spoken can be heard", async () => {
    const sound = await speak("A sentence of some thirty bytes.");
    assert.equal(sound.subarray(0, 4).toString(), "RIFF");
    const file = await toFile(sound, "said.wav", { type: "audio/wav" });
    const heard = await client().audio.transcriptions.create({ model: "echo", file });
    assert.equal(heard.text, "Echo (development): 3 s of sound");
  });

  test("other formats, and lists in forms", async () => {
    const sound = await speak("Hello");
    const file = () => toFile(sound, "said.wav", { type: "audio/wav" });
    const create = async (fields) => client().audio.transcriptions.create({ model: "echo", file: await file(), ...fields });
    const verbose = await create({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
    assert.equal(verbose.duration, 1);
    assert.match(await create({ response_format: "text" }), /1 s of sound/);
    await assert.rejects(create({ response_format: "vtt" }), OpenAI.BadRequestError);
  });

  test("faults are the package's own errors", async () => {
    const speech = (fields, key) => client(key).audio.speech.create({ model: "echo", voice: "alloy", input: "a", ...fields });
    await assert.rejects(speech({ input: "" }), OpenAI.BadRequestError);
    await assert.rejects(speech({ model: "nobody" }), OpenAI.NotFoundError);
    await assert.rejects(speech({}, "ub_not.a-token"), OpenAI.AuthenticationError);
    const file = await toFile(Buffer.alloc(0), "said.wav");
    await assert.rejects(client().audio.transcriptions.create({ model: "echo", file }), OpenAI.BadRequestError);
  });
});
