// Messages and chunks of @downcity/type and of the ai package stand for each other, and models of
// the packages for each other.

import type { CatalogModel } from "@downcity/city";
import {
  CITY_MODEL_INVOKER,
  type CITY_MODEL_KIND,
  type CityModel,
  type CityModelConnection,
  isCityModel,
  type UIMessage,
  type UIMessageChunk,
} from "@downcity/type";
import type { UIMessageChunk as TheirChunk, UIMessage as TheirMessage } from "ai";
import { same } from "./equal.js";

export const ourMessage = (theirs: TheirMessage): UIMessage => theirs;
export const theirMessage = (ours: UIMessage): TheirMessage => ours;
export const ourChunk = (theirs: TheirChunk): UIMessageChunk => theirs;
export const theirChunk = (ours: UIMessageChunk): TheirChunk => ours;

type Chunks<CHUNK> = ReadableStream<CHUNK>;
export const ourChunks = (theirs: Chunks<TheirChunk>): Chunks<UIMessageChunk> => theirs;
export const theirChunks = (ours: Chunks<UIMessageChunk>): Chunks<TheirChunk> => ours;

// Each type of chunk is in both.
same<
  Exclude<UIMessageChunk["type"], `data-${string}`>,
  Exclude<TheirChunk["type"], `data-${string}`>
>(true);

declare const listed: CatalogModel;
export const model: CityModel = listed;
export function connect(value: unknown): CityModelConnection | undefined {
  return isCityModel(value) ? value[CITY_MODEL_INVOKER].connection() : undefined;
}
same<typeof CITY_MODEL_KIND, "downcity.city-model">(true);
