// Tokens as JWTs, verified by the `jose` package with the published keys alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT, createRemoteJWKSet, decodeProtectedHeader, errors, generateKeyPair, jwtVerify } from "jose";
import { CITY, USER, onEveryEngineWith } from "./lib/suite.mjs";

const RULES = { algorithms: ["EdDSA"], audience: "downcity:user", typ: "JWT" };

onEveryEngineWith("JWTs", '[tokens]\nalgorithm = "ed25519"\n', (fixture) => {
  // Asks anew for every key that it does not know, and keeps the others.
  const published = () =>
    createRemoteJWKSet(new URL(`${fixture.fed.url}/.well-known/jwks.json`), { cooldownDuration: 0 });
  const callWith = (token) => fixture.fed.call("/v1/ai/models", { token });
  const rotate = () => fixture.fed.admin("/v1/keys/rotate", {});
  const issue = (ttl) => fixture.fed.admin("/v1/cities/tokens/apply", { city_id: CITY, user_id: USER, metadata: { plan: "pro" }, ttl });

  test("a token is read with the published keys", async () => {
    const { user_token, expires_at } = await issue("1h");
    const { payload, protectedHeader } = await jwtVerify(user_token, published(), RULES);
    assert.deepEqual([payload.aud, payload.city_id, payload.user_id], ["downcity:user", CITY, USER]);
    assert.deepEqual(payload.metadata, { plan: "pro" });
    assert.equal(payload.exp * 1000, Date.parse(expires_at));
    assert.match(payload.jti, /^tok_/);
    assert.deepEqual(Object.keys(protectedHeader), ["alg", "typ", "kid"]);
    assert.equal((await callWith(user_token)).status, 200);
  });

  test("keys are rotated under the eyes of a verifier", async () => {
    const keys = published();
    const before = await issue("1h");
    await jwtVerify(before.user_token, keys, RULES);
    const { key_id } = await rotate();
    const after = await issue("1h");
    assert.equal(decodeProtectedHeader(after.user_token).kid, key_id);
    for (const { user_token } of [before, after]) {
      await jwtVerify(user_token, keys, RULES);
      assert.equal((await callWith(user_token)).status, 200);
    }
    await fixture.fed.admin("/v1/keys/retired/drop", {});
    await assert.rejects(jwtVerify(before.user_token, published(), RULES), errors.JWKSNoMatchingKey);
    assert.equal((await callWith(before.user_token)).body.code, "invalid_credential");
  });

  test("what jose signs with a key of its own is refused", async () => {
    const { user_token } = await issue("1h");
    const { kid } = decodeProtectedHeader(user_token);
    const { payload } = await jwtVerify(user_token, published(), RULES);
    const { privateKey } = await generateKeyPair("EdDSA");
    const secret = new TextEncoder().encode(kid.repeat(2));
    const forged = [
      await new SignJWT(payload).setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid }).sign(privateKey),
      await new SignJWT(payload).setProtectedHeader({ alg: "HS256", typ: "JWT", kid }).sign(secret),
    ];
    for (const token of forged) {
      const answer = await callWith(token);
      assert.equal(answer.status, 401);
      assert.equal(answer.body.code, "invalid_credential");
    }
  });

  test("the document is public and may be kept for a while", async () => {
    const { status, headers, body } = await fixture.fed.call("/.well-known/jwks.json");
    assert.equal(status, 200);
    assert.equal(headers.get("cache-control"), "public, max-age=300");
    for (const key of body.keys) assert.deepEqual(Object.keys(key), ["kty", "crv", "x", "kid", "alg", "use"]);
  });
});
