// How each client makes the calls of the scenarios, in its own names.
import { setTimeout } from "node:timers/promises";
import { load } from "./project.mjs";

/** The generations: their packages, how a tenant is called there, and how its clients are made. */
export const CLIENTS = {
  city: {
    field: "city_id",
    async open(url) {
      const { City } = await load("@downcity/city");
      return {
        admin: (admin_secret_key) => new City({ role: "admin", federation_url: url, admin_secret_key }),
        user: (city_id, user_token) => new City({ role: "user", federation_url: url, city_id, user_token }),
        tenants: (admin) => admin.cities,
        tokens: (admin) => admin.cities.tokens,
        ref: (id) => id,
      };
    },
  },
  gate: {
    field: "studio_id",
    async open(url) {
      const { AdminClient, UserClient } = await load("@downcity/gate");
      return {
        admin: (admin_secret_key) => new AdminClient({ base_url: url, admin_secret_key }),
        user: (studio_id, user_token) => new UserClient({ base_url: url, studio_id, user_token }),
        tenants: (admin) => admin.studios,
        tokens: (admin) => admin.studios.tokens,
        ref: (id) => id,
      };
    },
  },
  visiblebase: {
    field: "product_id",
    async open(url) {
      const { AdminClient, UserClient } = await load("@visiblebase/client");
      return {
        admin: (admin_secret_key) => new AdminClient({ base_url: url, admin_secret_key }),
        user: (product_id, user_token) => new UserClient({ base_url: url, product_id, user_token }),
        tenants: (admin) => admin.products,
        tokens: (admin) => admin.tokens,
        ref: (id) => ({ product_id: id }),
      };
    },
  },
};

/**
 * The calls by the names of tests/behaviour/README.md. Each takes the client of its side, its
 * arguments, the options of the call, and the names of its generation.
 */
export const CALLS = {
  "tenants.list": (client, _args, options, names) => names.tenants(client).list(options),
  "tenants.create": (client, args, options, names) => names.tenants(client).create(args, options),
  "tenants.pause": (client, args, options, names) => names.tenants(client).pause(names.ref(names.id(args)), options),
  "tenants.activate": (client, args, options, names) => names.tenants(client).activate(names.ref(names.id(args)), options),
  "tenants.remove": (client, args, options, names) => names.tenants(client).remove(names.ref(names.id(args)), options),
  "tokens.apply": (client, args, options, names) => names.tokens(client).apply(args, options),
  "env.list": (client, args, options) => client.env.list({ ...options, ...args }),
  "env.upsert": (client, args, options) => client.env.upsert(args, options),
  "env.remove": (client, { key, ...of }, options) => client.env.remove(key, { ...options, ...of }),
  "env.import": (client, { raw, ...of }, options) => client.env.import(raw, { ...options, ...of }),
  "env.refresh": (client, _args, options) => client.env.refresh(options),
  "env.catalog": (client, _args, options) => client.env.catalog(options),
  "services.list": (client, _args, options) => client.listServices(options),
  "models.list": async (client, _args, options) => {
    if (client.models) return (await client.models(options)).all();
    if (isUser(client)) return (await client.ai.listModels(options)).all();
    return client.listModels(options);
  },
  instruction: (client, _args, options) => client.instruction(options),
  "service.get": async (client, { service, action, query }, options) => client.service(service).get(action, query, options),
  "service.invoke": async (client, { service, action, input }, options) =>
    client.service(service).action(action).invoke(input, options),
  "balance.add": (client, args, options) => client.balance.add(args, options),
  "balance.sub": (client, args, options) => client.balance.sub(args, options),
  "balance.users": (client, { limit }, options) => client.balance.listUsers(limit, options),
  "balance.history": (client, args, options) => client.balance.listHistory(args, options),
  "redeem_codes.create": (client, args, options) => client.balance.redeemCodes.create(args, options),
  "redeem_codes.disable": (client, args, options) => client.balance.redeemCodes.disable(args, options),
  "redeem_codes.list": (client, args, options) => client.balance.redeemCodes.list(args, options),
  "ai.text": (client, args, options) => (client.ai ?? client).text(args, options),
  "ai.stream": async (client, args, options) => {
    const types = [];
    let text = "";
    for await (const chunk of await (client.ai ?? client).stream(args, options)) {
      types.push(chunk.type);
      if (chunk.type === "text-delta") text += chunk.delta;
    }
    return { text, types };
  },
  "ai.tts": (client, args, options) => (client.ai ?? client).tts(args, options),
  "ai.asr": (client, args, options) => (client.ai ?? client).asr(args, options),
  "ai.image": (client, args, options) => {
    const ai = client.ai ?? client;
    return ai.image ? ai.image(args, options) : drawn(ai, args);
  },
  "payment.methods": (client, _args, options) => client.payment.methods(options),
  "payment.invoke": (client, { method_id, input }, options) => client.payment.method(method_id).invoke(input, options),
};

// The job, asked for until it has ended.
async function drawn(ai, args) {
  let { job_id, status, poll_after_ms, ...job } = await ai.image_create(args);
  for (let asked = 0; asked < 100 && (status === "queued" || status === "running"); asked += 1) {
    await setTimeout(Math.min(poll_after_ms ?? 200, 200));
    ({ status, poll_after_ms, ...job } = await ai.image_result({ job_id }));
  }
  if (status !== "succeeded") throw new Error(`the job is ${status}: ${JSON.stringify(job)}`);
  return job.result;
}

// A `City` has the members of both sides and says which it is; the older clients are one side each.
function isUser(client) {
  return client.role === undefined ? "ai" in client : client.role === "user";
}

/** The value with `tenant_id` under the name of a generation, at its top and in the items of a list. */
export function renamed(value, from, to) {
  if (Array.isArray(value)) return value.map((item) => renamed(item, from, to));
  if (value === null || typeof value !== "object" || !(from in value)) return value;
  const { [from]: id, ...rest } = value;
  return { ...rest, [to]: id };
}
