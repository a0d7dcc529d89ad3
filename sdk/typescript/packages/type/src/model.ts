/** The `kind` of a model that a Federation listed. */
export const CITY_MODEL_KIND = "downcity.city-model";

/** Where a listed model keeps its invoker. A global symbol: copies of this package share it. */
export const CITY_MODEL_INVOKER: unique symbol = Symbol.for("downcity.city-model.invoker");

/** A key that a model reads from the Federation's env. */
export interface CityModelEnvRequirement {
  /** Name of the key, such as `OPENAI_API_KEY`. */
  key: string;
  /** What it is for. */
  description: string;
  /** Whether the model is off without it. */
  required: boolean;
}

/** What a Federation says about a model. */
export interface CityModelDescriptor {
  /** Its id: what `model` takes. */
  id: string;
  /** What people see. */
  name: string;
  description: string;
  /** What it can do: `text`, `image`, `video`, `tts`, `asr`, .. */
  modalities: string[];
  tags: string[];
  /** Whatever else the operator says about it. */
  meta: Record<string, unknown>;
  /** The keys it needs; for the trusted side only. */
  env_requirements?: CityModelEnvRequirement[] | null;
  /** The modes that the operator made it the default of; for the trusted side only. */
  default_modes?: string[] | null;
  /** Whether it is the first of the list, and so what calls without `model` use. */
  is_default?: boolean;
  /** The modalities that no model before it in the list has. */
  default_modalities?: string[];
  /** What a call costs, in microcredits; absent where calls are free. */
  price?: unknown;
}

/** How to reach a model with any OpenAI-compatible client. */
export interface CityModelConnection {
  /** `<federation>/v1/ai`: clients append `/chat/completions`. */
  base_url: string;
  /** The user_token; absent for guests. */
  api_key?: string;
  /** What to send as `model`. */
  model_id: string;
  /** Fields to merge into the body of each request. */
  request_body: { model: string; city_id: string };
}

/** What an agent calls to reach a model it was handed. */
export interface CityModelInvoker {
  connection(): CityModelConnection;
}

/**
 * A model that a Federation listed. An agent that is handed one finds out by {@link isCityModel}
 * how to call it.
 */
export interface CityModel extends CityModelDescriptor {
  readonly kind: typeof CITY_MODEL_KIND;
  /** Hidden: not enumerable, not in JSON. Optional here, so that copies of this package agree. */
  readonly [CITY_MODEL_INVOKER]?: CityModelInvoker;
}

/** Whether a value is a model of a Federation that can be called. */
export function isCityModel(
  value: unknown,
): value is CityModel & { readonly [CITY_MODEL_INVOKER]: CityModelInvoker } {
  if (typeof value !== "object" || value === null) return false;
  const model = value as Partial<CityModel>;
  return (
    model.kind === CITY_MODEL_KIND &&
    typeof model.id === "string" &&
    typeof model[CITY_MODEL_INVOKER]?.connection === "function"
  );
}
