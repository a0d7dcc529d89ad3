import type { CityModelDescriptor } from "../../type/src/index.js";
import type { AdminServiceSummary, Items } from "./records.js";
import type { CallOptions, Transport } from "./transport.js";

/** The mounted services. */
export async function listServices(
  transport: Transport,
  options?: CallOptions,
): Promise<AdminServiceSummary[]> {
  return (await transport.get<Items<AdminServiceSummary>>("/v1/services", {}, options)).items;
}

/** The models, in the order of the server. */
export async function listModels(
  transport: Transport,
  options?: CallOptions,
): Promise<CityModelDescriptor[]> {
  return (await transport.get<Items<CityModelDescriptor>>("/v1/ai/models", {}, options)).items;
}

/** How an agent uses this Federation. */
export function instruction(transport: Transport, options?: CallOptions): Promise<string> {
  return transport.text("/v1/base/instruction", options);
}
