// What people write, word for word; only the two constants and the last line are added.
const base_url = process.env.FEDERATION_URL;
const admin_secret_key = process.env.GIVEN_KEY;

import { AdminClient } from "@visiblebase/client";
const admin = new AdminClient({ base_url, admin_secret_key });
const product = await admin.products.create({ name: "Chrome Extension" }); // product_id, name, status, created_at, updated_at
await admin.products.pause({ product_id: product.product_id }); await admin.products.activate({ product_id: product.product_id });
await admin.tokens.apply({ product_id: product.product_id, user_id: "user_123", metadata: { plan: "pro", org_id: "org_001" }, ttl: "7d" });
await admin.env.upsert({ key: "OPENAI_API_KEY", value: "sk-xxx" }); await admin.env.import("OPENAI_API_KEY=sk-xxx"); await admin.env.list();
await admin.env.remove("OPENAI_API_KEY"); await admin.products.list(); await admin.products.remove({ product_id: product.product_id });

console.log(JSON.stringify({ product }));
