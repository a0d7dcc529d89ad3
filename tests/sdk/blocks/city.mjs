// What people write, word for word; only the two constants and the last line are added.
const federation_url = process.env.FEDERATION_URL;
const admin_secret_key = process.env.GIVEN_KEY;

import { City } from "@downcity/city";
const admin = new City({ role: "admin", federation_url, city_id: "city_demo", admin_secret_key });
const issued = await admin.tokens.apply({ user_id: "user_123", metadata: { plan: "pro", org_id: "org_001" }, ttl: "7d" });
await admin.env.upsert({ key: "OPENAI_API_KEY", value: "sk-xxx" }); await admin.env.remove("OPENAI_API_KEY");
await admin.env.import("OPENAI_API_KEY=sk-xxx\nOPENAI_BASE_URL=https://api.openai.com/v1"); await admin.env.list(); await admin.env.refresh();
const city = await admin.cities.create({ name: "My App", city_id: "city_my_app" });
await admin.cities.pause(city.city_id); await admin.cities.activate(city.city_id); await admin.cities.list();
await admin.cities.tokens.apply({ city_id: "city_my_app", user_id: "user_123", ttl: "7d" }); await admin.cities.remove(city.city_id);
await admin.listServices(); await admin.listModels(); await admin.instruction();
await admin.service("accounts").get("users"); await admin.service("accounts").get("sessions"); await admin.service("payment").get("payments");
const code = await admin.balance.redeemCodes.create({ amount: 300, note: "campaign gift" });
await admin.balance.redeemCodes.disable({ redeem_code_id: code.redeem_code_id });

console.log(JSON.stringify({ issued, city, code }));
