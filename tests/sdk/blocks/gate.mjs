// What people write, word for word; only the two constants and the last line are added.
const base_url = process.env.FEDERATION_URL;
const admin_secret_key = process.env.GIVEN_KEY;

import { AdminClient } from "@downcity/gate";
const admin = new AdminClient({ base_url, admin_secret_key });
const studio = await admin.studios.create({ name: "Chrome Extension" });   // studio_id, name, status, created_at, updated_at
await admin.studios.pause(studio.studio_id); await admin.studios.activate(studio.studio_id);
await admin.studios.tokens.apply({ studio_id: studio.studio_id, user_id: "user_123", metadata: { plan: "pro" }, ttl: "7d" });
await admin.service("payment.stripe").get("payments"); await admin.studios.remove(studio.studio_id);

console.log(JSON.stringify({ studio }));
