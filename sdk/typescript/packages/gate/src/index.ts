export { type EnvCallOptions, EnvInvoker } from "../../core/src/env-invoker.js";
export { DowncityError } from "../../core/src/errors.js";
export type {
  UserAsrInput,
  UserAsrResult,
  UserImageContent,
  UserImageInput,
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
export { ModelCatalog } from "../../core/src/models.js";
export { PaymentInvoker, PaymentMethodHandle } from "../../core/src/payment.js";
export type {
  AdminInstructionResult,
  AdminServiceSummary,
  AdminServiceSummary as UserServiceSummary,
  BalanceAmount,
  BalanceChargeInput,
  BalanceLedgerKind,
  BalanceListInput,
  BalanceMutationInput,
  BalanceNotes,
  BalanceRedeemCodeCreateInput,
  BalanceRedeemCodeDisableInput,
  BalanceRedeemCodeListInput,
  BalanceRedeemCodeStatus,
  BalanceTopupStatus,
  BalanceTopupUpdateInput,
  EnvCatalogScope,
  EnvEntry,
  EnvImportResult,
  EnvRemoveResult,
  EnvRequirementStatus,
  EnvUpsertInput,
  EnvUpsertResult,
  UserPaymentMethod,
  UserPaymentMethodReason,
  UserPaymentMethodType,
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
  CityModelDescriptor as AdminModelRecord,
  UIMessage,
  UIMessageChunk,
  UIMessagePart,
} from "../../type/src/index.js";
export { AIInvoker, ModelHandle } from "./ai.js";
export {
  AdminClient,
  BalanceInvoker,
  BalanceRedeemCodeInvoker,
  StudiosInvoker,
  UserClient,
} from "./clients.js";
export { Gate } from "./gate.js";
export type {
  AdminClientOptions,
  AdminGateOptions,
  BalanceAccountRecord,
  BalanceChargeRecord,
  BalanceLedgerRecord,
  BalanceRedeemCodeIssueResult,
  BalanceRedeemCodeRecord,
  BalanceTopupRecord,
  GateBaseOptions,
  GateOptions,
  GateRole,
  Studio,
  StudioCreateInput,
  TokenApplyInput,
  TokenApplyResult,
  UserClientOptions,
  UserGateOptions,
} from "./types.js";
