// What the types of @downcity/city promise. Compiled, never run.
import {
  type AIInvoker,
  City,
  type CityOptions,
  type CityRecord,
  type FetchLike,
  type ModelHandle,
  type TokenApplyResult,
  type UserImageJobResult,
} from "@downcity/city";
import type { UIMessage, UIMessageChunk } from "ai";
import { same } from "./equal.js";

declare const federation_url: string;
declare const admin_secret_key: string | undefined;

export const fetches: FetchLike = (url, init) => fetch(url, init);

const admin = new City({ role: "admin", federation_url, city_id: "city_demo", admin_secret_key });
same<typeof admin, City<"admin">>(true);
const user = new City({ role: "user", federation_url, user_token: "ub_x.y", fetch });
same<typeof user, City<"user">>(true);
declare const options: CityOptions;
export const either: City = new City(options);

// @ts-expect-error an admin's options are no user's
new City({ role: "user", federation_url, admin_secret_key });
// @ts-expect-error there is no such role
new City({ role: "guest", federation_url });

export async function adminSide() {
  const issued = await admin.tokens.apply({ user_id: "u", metadata: { plan: "pro" }, ttl: 60 });
  same<typeof issued, TokenApplyResult>(true);
  same<typeof issued.expires_at, string | null>(true);
  const cities = await admin.cities.list();
  same<typeof cities, CityRecord[]>(true);
  same<CityRecord["status"], "active" | "paused">(true);
  const id: string = (await admin.cities.create({ name: "A" })).city_id;
  await admin.cities.pause(id);
  const code = await admin.balance.redeemCodes.create({ amount: 300, note: "gift" });
  const plain: string = code.code;
  // @ts-expect-error the code is shown only once
  (await admin.balance.redeemCodes.list())[0]?.code;
  const users = await admin.service("accounts").get("users");
  same<typeof users, unknown>(true);
  const typed = await admin.service("crm").action("find").invoke<{ found: number }>({ q: "x" });
  same<typeof typed, { found: number }>(true);
  same<Awaited<ReturnType<typeof admin.instruction>>, string>(true);
  // @ts-expect-error models are of users
  admin.ai.text({ prompt: "x" });
  return plain;
}

export async function userSide() {
  // @ts-expect-error cities are of admins
  user.cities.list();
  const { ai } = user;
  same<typeof ai, AIInvoker>(true);
  const ours = await ai.text({ prompt: "x", temperature: 0 });
  const theirs: UIMessage = ours;
  ours satisfies UIMessage;
  const back: typeof ours = theirs;
  // @ts-expect-error what text answers is fixed
  await ai.text<string>({ prompt: "x" });
  // @ts-expect-error images are made by jobs
  ai.image({ prompt: "x" });
  const stream = await ai.stream({ messages: [theirs], strict: 1 }, { strict: true });
  const chunks: ReadableStream<UIMessageChunk> = stream;
  const job = await ai.image_result({ job_id: "j" });
  same<typeof job, UserImageJobResult>(true);
  const catalog = await ai.listModels();
  const first = catalog.default();
  if (first) await ai.text({ model: first, prompt: "x" });
  const handle: ModelHandle = ai.model(first ?? "echo");
  // @ts-expect-error a handle is given other clients by url(), modelName() and token
  handle.create();
  // @ts-expect-error a handle has its model
  handle.text({ model: "other", prompt: "x" });
  const paid = await user.payment.method("stripe").invoke<{ checkout_url: string }>({});
  return [back, chunks, paid.checkout_url];
}
