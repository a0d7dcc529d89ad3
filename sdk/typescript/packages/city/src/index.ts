export { BalanceInvoker, BalanceRedeemCodeInvoker } from "../../core/src/balance.js";
export { type EnvCallOptions, EnvInvoker } from "../../core/src/env-invoker.js";
export { DowncityError } from "../../core/src/errors.js";
export type {
  UserAsrInput,
  UserAsrResult,
  UserImageContent,
  UserImageInput,
  UserImageJobCreateResult,
  UserImageJobResult,
  UserImageJobStatus,
  UserImageMessage,
  UserModelInput,
  UserModelRef,
  UserServiceInput,
  UserStreamChunk,
  UserStreamResult,
  UserTextResult,
  UserTtsInput,
  UserVideoResult,
} from "../../core/src/inputs.js";
export { ModelCatalog, ModelHandle } from "../../core/src/models.js";
export { PaymentInvoker, PaymentMethodHandle } from "../../core/src/payment.js";
export type {
  Action,
  AdminInstructionResult,
  AdminServiceSummary,
  AdminServiceSummary as UserServiceSummary,
  BalanceAccountRecord,
  BalanceAmount,
  BalanceChargeInput,
  BalanceChargeRecord,
  BalanceLedgerKind,
  BalanceLedgerRecord,
  BalanceListInput,
  BalanceMutationInput,
  BalanceNotes,
  BalanceRedeemCodeCreateInput,
  BalanceRedeemCodeDisableInput,
  BalanceRedeemCodeIssueResult,
  BalanceRedeemCodeListInput,
  BalanceRedeemCodeRecord,
  BalanceRedeemCodeStatus,
  BalanceTopupRecord,
  BalanceTopupStatus,
  BalanceTopupUpdateInput,
  EnvCatalogScope,
  EnvEntry,
  EnvImportResult,
  EnvRefreshResult,
  EnvRemoveResult,
  EnvRequirementStatus,
  EnvUpsertInput,
  EnvUpsertResult,
  Schemas,
  UserPaymentMethod,
  UserPaymentMethod as PaymentMethod,
  UserPaymentMethodReason,
  UserPaymentMethodReason as PaymentMethodReason,
  UserPaymentMethodType,
  UserPaymentMethodType as PaymentMethodType,
} from "../../core/src/records.js";
export { ActionClient, ServiceClient } from "../../core/src/service.js";
export type { StreamOptions } from "../../core/src/stream.js";
export type {
  CallOptions,
  ClientOptions,
  FetchLike,
  FetchResponseLike,
  RawStreamBody,
  RequestInitLike,
} from "../../core/src/transport.js";
export type {
  CityModel,
  CityModelConnection,
  CityModelDescriptor,
  CityModelDescriptor as AdminModelRecord,
  CityModelEnvRequirement,
  UIMessage,
  UIMessageChunk,
  UIMessagePart,
} from "../../type/src/index.js";
export { AIInvoker, type CatalogModel } from "./ai.js";
export { CitiesInvoker, City, type CityTokens } from "./city.js";
export type {
  AdminCityOptions,
  CityBaseOptions,
  CityCreateInput,
  CityOptions,
  CityOptionsForRole,
  CityRecord,
  CityRole,
  TokenApplyInput,
  TokenApplyResult,
  UserCityOptions,
} from "./types.js";
