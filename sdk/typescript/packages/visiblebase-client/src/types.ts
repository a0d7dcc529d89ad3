import type { IssuedToken, Tenant, TenantCreate, UserTokenInput } from "../../core/src/records.js";
import type { ClientOptions } from "../../core/src/transport.js";

/** What `AdminClient` is told. */
export interface AdminClientOptions extends ClientOptions {
  /** The address of the Federation. */
  base_url: string;
  /** The admin key or a service key; else `VISIBLEBASE_ADMIN_SECRET_KEY` of the environment. */
  admin_secret_key?: string | undefined;
}

/** What `UserClient` is told. */
export interface UserClientOptions extends ClientOptions {
  /** The address of the Federation. */
  base_url: string;
  /** The product that calls are for. */
  product_id: string;
  /** What your server got from `tokens.apply`. */
  user_token: string;
}

/** A product. */
export type Product = Tenant<"product_id">;
/** What a product is created from. */
export type ProductCreateInput = TenantCreate<"product_id">;
/** Which product. */
export interface ProductRef {
  product_id: string;
}
/** What a user_token is issued from. */
export type TokenApplyInput = UserTokenInput & ProductRef;
/** A user_token and what it says. */
export type TokenApplyResult = IssuedToken<"product_id">;

/** A model that can be called now. */
export interface Model {
  /** Its id: what `model` takes. */
  id: string;
  /** What people see. */
  name: string;
  /** Who runs it. */
  provider: string;
  description: string;
  /** Whether calls without `model` use it. */
  primary: boolean;
}

/** The models, the primary one first: `models("id")`, `models.primary()`, `models.all()`. */
export interface ModelDirectory {
  /** The model of this id. */
  (id: string): Model | undefined;
  /** The model that calls without `model` use. */
  primary(): Model | undefined;
  /** All of them, in the order of the server. */
  all(): Model[];
}
