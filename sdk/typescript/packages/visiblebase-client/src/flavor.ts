import { adminKeyNames, type Flavor } from "../../core/src/flavor.js";

/** How this package speaks. */
export const VISIBLEBASE: Flavor = {
  id_field: "product_id",
  tenant_noun: "product",
  dialect: "visiblebase",
  env_names: adminKeyNames("VISIBLEBASE_ADMIN_SECRET_KEY"),
  retries: 0,
  paths: {
    tenants: "/api/admin/products",
    tenants_list: "/api/admin/products",
    tokens_apply: "/api/admin/tokens/apply",
    env: "/api/admin/env",
    env_list: "/api/admin/env",
  },
};
