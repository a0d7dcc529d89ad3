import { adminKeyNames, type Flavor } from "../../core/src/flavor.js";

/** How this package speaks. */
export const CITY: Flavor = {
  id_field: "city_id",
  tenant_noun: "city",
  env_names: adminKeyNames("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY"),
  retries: 2,
  paths: {
    tenants: "/v1/cities",
    tenants_list: "/v1/cities/list",
    tokens_apply: "/v1/cities/tokens/apply",
    env: "/v1/env",
    env_list: "/v1/env/list",
  },
};
