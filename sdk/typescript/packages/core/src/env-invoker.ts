import { requireText } from "./errors.js";
import type {
  EnvCatalogScope,
  EnvEntry,
  EnvImportResult,
  EnvRefreshResult,
  EnvRemoveResult,
  EnvUpsertInput,
  EnvUpsertResult,
  Items,
} from "./records.js";
import { listAll } from "./tenants.js";
import type { CallOptions, Transport } from "./transport.js";

/** Whose values a call is about. */
export interface EnvCallOptions extends CallOptions {
  /**
   * A city, for what it has of its own, such as the keys of its own accounts at providers: AI calls of
   * the city use them before the Federation's. Absent: the Federation's.
   */
  city_id?: string | undefined;
}

/** Manages the env of a Federation: the keys of providers and the like. */
export class EnvInvoker {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The stored values, with their keys. */
  async list(options?: EnvCallOptions): Promise<EnvEntry[]> {
    const path = this.#transport.flavor.paths.env_list;
    return listAll<EnvEntry>(this.#transport, path, options, cityOf(options));
  }

  /** The keys that services and models read, and which of them are set. */
  async catalog(options?: CallOptions): Promise<EnvCatalogScope[]> {
    const path = this.#path("catalog");
    return (await this.#transport.get<Items<EnvCatalogScope>>(path, {}, options)).items;
  }

  /** Stores a value; it applies at once. */
  async upsert(input: EnvUpsertInput, options?: CallOptions): Promise<EnvUpsertResult> {
    requireText("key", input.key);
    return this.#transport.post<EnvUpsertResult>(this.#path("upsert"), input, options);
  }

  /** Removes a value; one that is absent is no error. */
  async remove(key: string, options?: EnvCallOptions): Promise<EnvRemoveResult> {
    const body = { key: requireText("key", key), ...cityOf(options) };
    return this.#transport.post<EnvRemoveResult>(this.#path("remove"), body, options);
  }

  /**
   * Stores all assignments of a `.env` text, or none where the key of one is wrong. Lines that are no
   * assignment are skipped.
   */
  async import(raw: string, options?: EnvCallOptions): Promise<EnvImportResult> {
    const body = { raw, ...cityOf(options) };
    return this.#transport.post<EnvImportResult>(this.#path("import"), body, options);
  }

  /** Applies what was edited outside of the Federation. */
  async refresh(options?: CallOptions): Promise<EnvRefreshResult> {
    return this.#transport.post<EnvRefreshResult>(this.#path("refresh"), {}, options);
  }

  #path(verb: string): string {
    return `${this.#transport.flavor.paths.env}/${verb}`;
  }
}

function cityOf(options: EnvCallOptions | undefined): { city_id?: string } {
  const city_id = options?.city_id;
  return city_id === undefined ? {} : { city_id: requireText("city_id", city_id) };
}
