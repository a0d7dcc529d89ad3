// What the types of the older generations promise.
import {
  Gate,
  AdminClient as GateAdmin,
  UserClient as GateUser,
  type Studio,
} from "@downcity/gate";
import {
  AdminClient as BaseAdmin,
  UserClient as BaseUser,
  type Model,
  type Product,
} from "@visiblebase/client";
import type { UIMessage } from "ai";
import { same } from "./equal.js";

declare const base_url: string;

export async function gate() {
  const admin = new GateAdmin({ base_url });
  const studio = await admin.studios.create({ name: "A" });
  same<typeof studio, Studio>(true);
  same<keyof Studio, "studio_id" | "name" | "status" | "created_at" | "updated_at">(true);
  // @ts-expect-error tokens are issued by the studios
  admin.tokens;
  const code = await admin.balance.redeemCodes.create({ amount: 300 });
  same<typeof code.unit, string>(true);
  same<typeof code.amount_microcredits, number>(true);
  same<typeof code.studio_id, string | undefined>(true);
  // @ts-expect-error tenants are studios here
  code.city_id;
  const user = new GateUser({ base_url, studio_id: studio.studio_id });
  const image = await user.ai.image({ prompt: "x" });
  image satisfies UIMessage;
  const heard = await user.ai.asr({ url: "u" });
  same<typeof heard, unknown>(true);
  const typed = await user.ai.asr<{ text: string }>({ url: "u" });
  same<typeof typed, { text: string }>(true);
  // @ts-expect-error connections came later
  user.ai.connection("m");
  // @ts-expect-error image jobs came later
  user.ai.image_create({ prompt: "x" });
  const handle = user.ai.model("m");
  await handle.image({ prompt: "x" });
  // @ts-expect-error a handle is given other clients by url(), modelName() and token
  handle.create();
  new Gate({ role: "user", city_url: base_url, studio_id: "s" }).ai.listModels();
  // @ts-expect-error an admin's options are no user's
  new Gate({ role: "user", city_url: base_url, admin_secret_key: "k" });
  return [user.serverUrl, user.token];
}

export async function visiblebase() {
  const admin = new BaseAdmin({ base_url, admin_secret_key: "k" });
  const product = await admin.products.create({ name: "A" });
  same<typeof product, Product>(true);
  await admin.products.pause({ product_id: product.product_id });
  await admin.products.pause(product.product_id);
  await admin.tokens.apply({ product_id: product.product_id, user_id: "u", ttl: "7d" });
  // @ts-expect-error a token is of a product
  await admin.tokens.apply({ user_id: "u" });
  // @ts-expect-error a user of this generation has a token
  new BaseUser({ base_url, product_id: "p" });
  const user = new BaseUser({ base_url, product_id: "p", user_token: "t" });
  const models = await user.models();
  const one: Model | undefined = models("a") ?? models.primary() ?? models.all()[0];
  const answer = await user.text({ model: one, prompt: "x" });
  answer satisfies UIMessage;
  const names = await user.services();
  same<typeof names, string[]>(true);
  return user.invoke<{ found: number }>("crm", { action: "find" });
}
