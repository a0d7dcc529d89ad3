/** A JSON value; object members may be absent. */
export type JsonValue = null | string | number | boolean | JsonObject | JsonValue[];

/** A JSON object. */
export type JsonObject = { [key: string]: JsonValue | undefined };

/** What a provider adds to a part, by provider. */
export type ProviderMetadata = Record<string, JsonObject>;

/** Why a model ended its answer. */
export type FinishReason = "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other";

/** Text that people read. */
export type TextUIPart = {
  type: "text";
  text: string;
  state?: "streaming" | "done";
  providerMetadata?: ProviderMetadata;
};

/** What a model thought before it answered. */
export type ReasoningUIPart = {
  type: "reasoning";
  id?: string;
  text: string;
  state?: "streaming" | "done";
  providerMetadata?: ProviderMetadata;
};

/** A file: an address or a data URL. */
export type FileUIPart = {
  type: "file";
  /** Its media type, such as `image/png`. */
  mediaType: string;
  filename?: string;
  url: string;
  providerMetadata?: ProviderMetadata;
};

/** A page that an answer rests on. */
export type SourceUrlUIPart = {
  type: "source-url";
  sourceId: string;
  url: string;
  title?: string;
  providerMetadata?: ProviderMetadata;
};

/** A document that an answer rests on. */
export type SourceDocumentUIPart = {
  type: "source-document";
  sourceId: string;
  mediaType: string;
  title: string;
  filename?: string;
  providerMetadata?: ProviderMetadata;
};

/** A new step of an answer of several begins. */
export type StepStartUIPart = { type: "step-start" };

/** What the application itself puts into a message. */
export type DataUIPart = { type: `data-${string}`; id?: string; data: unknown };

type Approval = {
  id: string;
  descriptor?: unknown;
  signature?: string;
  inputSchemaInput?: unknown;
};
type Granted = Approval & { approved: true; reason?: string };

/** Where the call of a tool stands. */
export type ToolInvocation = {
  toolCallId: string;
  title?: string;
  toolMetadata?: JsonObject;
  providerExecuted?: boolean;
} & (
  | {
      state: "input-streaming";
      input?: unknown;
      rawInput?: string;
      inputEncoding?: "json" | "text";
      output?: never;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      approval?: never;
    }
  | {
      state: "input-available";
      input: unknown;
      output?: never;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      approval?: never;
    }
  | {
      state: "approval-requested";
      input: unknown;
      output?: never;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      approval: Approval & { approved?: never; reason?: never };
    }
  | {
      state: "approval-responded";
      input: unknown;
      output?: never;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      approval: Approval & { approved: boolean; reason?: string };
    }
  | {
      state: "output-available";
      input: unknown;
      output: unknown;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      resultProviderMetadata?: ProviderMetadata;
      preliminary?: boolean;
      approval?: Granted;
    }
  | {
      state: "output-error";
      input: unknown;
      rawInput?: unknown;
      output?: never;
      errorText: string;
      callProviderMetadata?: ProviderMetadata;
      resultProviderMetadata?: ProviderMetadata;
      approval?: Granted;
    }
  | {
      state: "output-denied";
      input: unknown;
      output?: never;
      errorText?: never;
      callProviderMetadata?: ProviderMetadata;
      approval: Approval & { approved: false; reason?: string };
    }
);

/** The call of a tool that is known by name. */
export type ToolUIPart = { type: `tool-${string}` } & ToolInvocation;

/** The call of a tool whose name came at run time. */
export type DynamicToolUIPart = {
  type: "dynamic-tool";
  dynamic?: false;
  toolName: string;
} & ToolInvocation;

/** One piece of a message. */
export type UIMessagePart =
  | TextUIPart
  | ReasoningUIPart
  | FileUIPart
  | SourceUrlUIPart
  | SourceDocumentUIPart
  | StepStartUIPart
  | DataUIPart
  | ToolUIPart
  | DynamicToolUIPart;

/**
 * One message of a conversation, as the `ai` package has it: each can stand where the other is wanted.
 */
export interface UIMessage<METADATA = unknown> {
  id: string;
  role: "system" | "user" | "assistant";
  /** What the server says about the answer: `model`, `finishReason`, `usage`. */
  metadata?: METADATA;
  parts: Array<UIMessagePart>;
}

type ToolChunk = {
  toolCallId: string;
  providerExecuted?: boolean;
  providerMetadata?: ProviderMetadata;
  toolMetadata?: JsonObject;
  dynamic?: boolean;
};

/**
 * One piece of a streamed answer, as the `ai` package has it. Text, reasoning and tool inputs come as a
 * start, deltas and an end of the same id. Fields that have nothing to say are left out, never `null`.
 */
export type UIMessageChunk<METADATA = unknown> =
  | { type: "start"; messageId?: string; messageMetadata?: METADATA }
  | { type: "start-step" }
  | { type: "finish-step" }
  | { type: "text-start"; id: string; providerMetadata?: ProviderMetadata }
  | { type: "text-delta"; id: string; delta: string; providerMetadata?: ProviderMetadata }
  | { type: "text-end"; id: string; providerMetadata?: ProviderMetadata }
  | { type: "reasoning-start"; id: string; providerMetadata?: ProviderMetadata }
  | { type: "reasoning-delta"; id: string; delta: string; providerMetadata?: ProviderMetadata }
  | { type: "reasoning-end"; id: string; providerMetadata?: ProviderMetadata }
  | ({
      type: "tool-input-start";
      toolName: string;
      title?: string;
      inputEncoding?: "json" | "text";
    } & ToolChunk)
  | { type: "tool-input-delta"; toolCallId: string; inputTextDelta: string }
  | ({ type: "tool-input-available"; toolName: string; input: unknown; title?: string } & ToolChunk)
  | ({
      type: "tool-input-error";
      toolName: string;
      input: unknown;
      errorText: string;
      title?: string;
    } & ToolChunk)
  | {
      type: "tool-approval-request";
      approvalId: string;
      toolCallId: string;
      approvalDescriptor?: unknown;
      inputSchemaInput?: unknown;
      signature?: string;
    }
  | ({ type: "tool-output-available"; output: unknown; preliminary?: boolean } & ToolChunk)
  | ({ type: "tool-output-error"; errorText: string } & ToolChunk)
  | { type: "tool-output-denied"; toolCallId: string }
  | {
      type: "source-url";
      sourceId: string;
      url: string;
      title?: string;
      providerMetadata?: ProviderMetadata;
    }
  | {
      type: "source-document";
      sourceId: string;
      mediaType: string;
      title: string;
      filename?: string;
      providerMetadata?: ProviderMetadata;
    }
  | { type: "file"; url: string; mediaType: string; providerMetadata?: ProviderMetadata }
  | { type: `data-${string}`; id?: string; data: unknown; transient?: boolean }
  | { type: "message-metadata"; messageMetadata: METADATA }
  | { type: "finish"; finishReason?: FinishReason; messageMetadata?: METADATA }
  | { type: "abort"; reason?: string }
  /** The answer failed on its way; `finish` still follows. */
  | { type: "error"; errorText: string };
