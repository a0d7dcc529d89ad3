import { adminKeyNames, type Flavor } from "../../core/src/flavor.js";

/** How this package speaks. */
export const GATE: Flavor = {
  id_field: "studio_id",
  tenant_noun: "studio",
  dialect: "gate",
  env_names: adminKeyNames("DOWNCITY_CITY_ADMIN_SECRET_KEY"),
  retries: 0,
  paths: {
    tenants: "/v1/studios",
    tenants_list: "/v1/studios/list",
    tokens_apply: "/v1/studios/tokens/apply",
    env: "/v1/env",
    env_list: "/v1/env/list",
  },
};
