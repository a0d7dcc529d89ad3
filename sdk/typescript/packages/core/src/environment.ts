import { requireText } from "./errors.js";
import type { Flavor } from "./flavor.js";

/** A variable of the process; there is none in browsers, and Deno may refuse to tell. */
function variable(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  try {
    return process?.env?.[name];
  } catch {
    return undefined;
  }
}

/**
 * The admin key: as given, or from the environment.
 *
 * @throws TypeError when there is none.
 */
export function adminKey(flavor: Flavor, given: string | undefined): string {
  if (given !== undefined) return requireText("admin_secret_key", given);
  for (const name of flavor.env_names) {
    const value = variable(name)?.trim();
    if (value) return value;
  }
  throw new TypeError(
    `admin_secret_key is required: pass it, or set ${flavor.env_names[0]} in the environment`,
  );
}

let warned = false;

/** Says once, in a page, that the admin key does not belong there. */
export function warnInPages(): void {
  if (warned || typeof document === "undefined") return;
  warned = true;
  console.warn(
    "An admin client runs in a page: everybody who opens it can read the admin key. Use it on your server only, and give pages a user_token.",
  );
}
