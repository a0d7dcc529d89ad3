/** The names that one generation of clients has for the same things. */
export interface Flavor {
  /** The field that names the tenant. */
  readonly id_field: "city_id" | "studio_id" | "product_id";
  /** What people call a tenant. */
  readonly tenant_noun: "city" | "studio" | "product";
  /** What the server is told in `x-downcity-dialect`; without it, it speaks the newest. */
  readonly dialect?: "gate" | "visiblebase";
  /** Where an absent admin key is looked for: the first name that is set. */
  readonly env_names: readonly string[];
  /** How often a call is repeated by default. */
  readonly retries: number;
  readonly paths: {
    /** The routes of the tenants, without the verb. */
    readonly tenants: string;
    readonly tenants_list: string;
    readonly tokens_apply: string;
    /** The routes of the env, without the verb. */
    readonly env: string;
    readonly env_list: string;
  };
}

/** Names of the admin key, each generation's own. */
const ADMIN_KEYS = [
  "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY",
  "DOWNCITY_CITY_ADMIN_SECRET_KEY",
  "DOWNCITY_INFRA_ADMIN_SECRET_KEY",
  "VISIBLEBASE_ADMIN_SECRET_KEY",
];

/** The names of the admin key, the given one first. */
export function adminKeyNames(own: string): string[] {
  return [own, ...ADMIN_KEYS.filter((name) => name !== own)];
}
