export { DowncityError } from "../../core/src/errors.js";
export type {
  UserAsrInput,
  UserImageInput,
  UserServiceInput,
  UserTtsInput,
} from "../../core/src/inputs.js";
export type {
  EnvEntry,
  EnvImportResult,
  EnvRemoveResult,
  EnvUpsertInput,
  EnvUpsertResult,
} from "../../core/src/records.js";
export type { StreamOptions } from "../../core/src/stream.js";
export type {
  CallOptions,
  ClientOptions,
  FetchLike,
  FetchResponseLike,
  RequestInitLike,
} from "../../core/src/transport.js";
export type { UIMessage, UIMessageChunk, UIMessagePart } from "../../type/src/index.js";
export { AdminClient, type Products, UserClient } from "./clients.js";
export type {
  AdminClientOptions,
  Model,
  ModelDirectory,
  Product,
  ProductCreateInput,
  ProductRef,
  TokenApplyInput,
  TokenApplyResult,
  UserClientOptions,
} from "./types.js";
