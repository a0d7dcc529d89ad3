// Payment handles against a Federation that sells through a provider; a stand-in on loopback is Stripe.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { CITY, onEveryEngineWith } from "../npm-clients/lib/suite.mjs";
import { load } from "./lib/project.mjs";

const CONFIG = `
[payment]
mode = "test"
allow_loopback_http = true
`;

onEveryEngineWith("payment", CONFIG, (fixture) => {
  let stripe;
  const asked = [];

  before(async () => {
    stripe = createServer(async (request, response) => {
      request.resume();
      await once(request, "end");
      const id = `cs_test_${asked.push(`${request.method} ${request.url}`)}`;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ id, object: "checkout.session", payment_intent: null, url: `https://checkout.stripe.com/c/pay/${id}` }));
    }).listen(0, "127.0.0.1");
    await once(stripe, "listening");
    await fixture.fed.setEnv("STRIPE_API_BASE_URL", `http://127.0.0.1:${stripe.address().port}/v1`);
    await fixture.fed.setEnv("STRIPE_WEBHOOK_SECRET", "whsec_test_0123456789");
    await fixture.fed.setEnv("STRIPE_SECRET_KEY", "sk_test_0123456789");
  });
  after(() => {
    stripe?.closeAllConnections();
    stripe?.close();
  });

  const FLAVOURS = {
    "@downcity/city": ({ City }, options) => new City({ role: "user", federation_url: fixture.fed.url, city_id: CITY, ...options }),
    "@downcity/gate": ({ UserClient }, options) => new UserClient({ base_url: fixture.fed.url, studio_id: CITY, ...options }),
  };
  for (const [name, make] of Object.entries(FLAVOURS)) {
    test(`${name} opens a checkout for a top-up`, async () => {
      const calls = [];
      const counted = (url, init) => {
        calls.push(`${init.method} ${new URL(url).pathname}`);
        return fetch(url, init);
      };
      const user = make(await load(name), { user_token: fixture.token, fetch: counted });
      const { topup_id } = await user.service("balance").action("topups/create").invoke({ amount: 300 });
      calls.length = 0;

      const stripe = user.payment.method("stripe");
      const method = await stripe.describe();
      assert.deepEqual(
        { id: method.id, type: method.type, enabled: method.enabled, requires_user: method.requires_user, reason: method.reason },
        { id: "stripe", type: "checkout", enabled: true, requires_user: true, reason: undefined },
      );
      const checkout = await stripe.invoke({ topup_id });
      assert.equal(checkout.topup_id, topup_id);
      assert.equal(checkout.status, "pending");
      assert.match(checkout.checkout_url, /^https:\/\/checkout\.stripe\.com\/c\/pay\/cs_test_/);
      const again = await stripe.invoke({ topup_id });
      assert.equal(again.checkout_url, checkout.checkout_url, "the open checkout is given again");
      assert.equal(calls.filter((call) => call === "GET /v1/payment/methods").length, 1, "the method is asked for once");
      assert.equal(calls.length, 3);
    });

    test(`${name} refuses a guest before a checkout is asked for`, async () => {
      const before = asked.length;
      const guest = make(await load(name), {});
      await assert.rejects(guest.payment.method("stripe").invoke({}), (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /user_token is required for payment method "stripe"/);
        return true;
      });
      await assert.rejects(guest.payment.method("creem").invoke({}), /payment method "creem" is disabled: not_configured/);
      await assert.rejects(guest.payment.method("shells").invoke({}), /payment method "shells"/);
      assert.equal(asked.length, before);
    });
  }
});
